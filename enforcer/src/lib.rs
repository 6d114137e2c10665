//! An eBPF agent that enforces Kubernetes NetworkPolicies.

pub mod agent;
pub mod bind;
pub mod cli;
pub mod cni;
pub mod commands;
pub mod compile;
pub mod kernel;
pub mod lock;
pub mod log;
pub mod metrics;
pub mod monitor;
pub mod netlink;
pub mod object;
pub mod others;
pub mod pod_events;
pub mod prefix_map;
pub mod preflight;
pub mod report;
pub mod roles;
pub mod signal;
pub mod source;
pub mod tables;
pub mod test_run;
pub mod trace;
pub mod world;
