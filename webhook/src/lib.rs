//! An admission webhook for Kubernetes NetworkPolicies.
