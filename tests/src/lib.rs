//! Scenarios and harness: network namespaces, real connections, differential tests.

pub mod lab;
pub mod probe;
