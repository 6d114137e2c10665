//! A linter for Kubernetes NetworkPolicies.
fn main() {}
