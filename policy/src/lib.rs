//! What a Kubernetes NetworkPolicy means: reader, model, evaluator.
//!
//! The crate is pure: it knows no files, no terminals, no Kubernetes client. Text comes in, meaning comes out:
//!
//! 1. [`source`] is a policy as it was written, every field with its place in the text.
//! 2. [`model`] is a policy as the API server would store it, normalised; a wrong one can't be built.
//! 3. [`evaluate`] says whether a flow is allowed between two endpoints of a [`model::Cluster`], and why.
//! 4. [`cover`] says whether a part of a [`model`] allows everything that another does, whatever the cluster is.

#![forbid(unsafe_code)]

pub mod cover;
pub mod evaluate;
pub mod model;
pub mod source;
pub mod span;
pub mod syntax;
