//! An admission webhook for Kubernetes NetworkPolicies.
fn main() {}
