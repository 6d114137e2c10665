//! Whether somebody reaches somebody, and why.
//!
//! [`ask`] answers a [`Question`] about a cluster. A Service is decided after translation: for each of its endpoints
//! and at the port of the endpoint, by the source that arrives there. A pod with several addresses is asked about at each
//! pair of addresses of one family.

mod answer;
pub mod connections;
mod json;
mod name;
mod place;
mod port;
mod route;
mod seen;
mod service;
mod text;

use netpol_policy::evaluate::Evaluator;

pub use answer::{Answer, Finding, Passes, Route};
pub use json::write as write_json;
pub use name::NameError;
pub(crate) use place::Places;
pub use port::{Ask, PortError};
pub use route::RouteError;
pub use seen::Seen;
pub use text::write as write_text;

use thiserror::Error;

/// Who wants to reach whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// `namespace/name`, `namespace/Kind/name` or an address.
    pub from: String,
    /// The same, or a Service.
    pub to: String,
    /// What is asked for; everything when `None`.
    pub port: Option<Ask>,
    /// The namespace of a name without one.
    pub namespace: String,
}

/// Why a question has no answer.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ReachError {
    /// A name that stands for nothing, or for too much.
    #[error(transparent)]
    Name(#[from] NameError),
    /// There is no way from one to the other at all.
    #[error(transparent)]
    Route(#[from] RouteError),
}

/// Answers a question.
pub fn ask<'c>(evaluator: &Evaluator<'c>, question: &Question) -> Result<Answer<'c>, ReachError> {
    let cluster = evaluator.cluster();
    let from = name::source(cluster, &question.from, &question.namespace)?;
    let to = name::target(cluster, &question.to, &question.namespace, question.port.as_ref())?;
    let ways = route::ways(cluster, &from, &to, question.port.as_ref())?;
    Ok(answer::answer(evaluator, from, to, question.port.clone(), ways))
}
