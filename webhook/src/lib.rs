//! An admission webhook for Kubernetes NetworkPolicies.
//!
//! It answers two calls of the API server: [`validate`] checks a NetworkPolicy with the linter's own rules, and
//! [`namespace`] gives new Namespaces the label that isolates them from their first packet. [`review`] is the language
//! of both (AdmissionReview v1), [`controller`] keeps the policies of isolated namespaces, [`server`] the HTTPS server around them, [`cli`] the command `netpol-webhook`.
//!
//! The linter and the webhook never disagree: there is one set of rules, and it lives in `netpol-lint`.

#![forbid(unsafe_code)]

pub mod admission;
pub mod audit;
pub mod cli;
pub mod cluster;
pub mod config;
pub mod controller;
mod duration;
mod json;
pub mod namespace;
pub mod review;
pub mod server;
mod serving;
mod telemetry;
pub mod validate;
