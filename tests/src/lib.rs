//! Scenarios and harness: network namespaces, real connections, differential tests.

pub mod agent;
pub mod apiserver;
pub mod balancer;
pub mod cluster;
pub mod cni;
pub mod demo;
pub mod https;
pub mod lab;
pub mod probe;
pub mod process;
pub mod programs;
pub mod random;
pub mod scenario;
pub mod service;
pub mod summary;
pub mod webhook;
