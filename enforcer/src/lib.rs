//! An eBPF agent that enforces Kubernetes NetworkPolicies.

pub mod object;
pub mod test_run;
