//! An eBPF agent that enforces Kubernetes NetworkPolicies.
fn main() {}
