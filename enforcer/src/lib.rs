//! An eBPF agent that enforces Kubernetes NetworkPolicies.
