//! Scenarios and harness: network namespaces, real connections, differential tests.

pub mod cluster;
pub mod lab;
pub mod probe;
pub mod scenario;
