//! An eBPF agent that enforces Kubernetes NetworkPolicies.

pub mod object;
