//! A linter for Kubernetes NetworkPolicies.
