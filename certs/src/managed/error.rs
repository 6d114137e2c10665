//! Why a pass over Secret and configurations fails.

use std::time::Duration;

use super::SECRET_TYPE;
use crate::error::Error;

/// What is in the way. No variant carries key material.
#[derive(Debug, thiserror::Error)]
pub enum ManagedError {
    /// The Secret can't be read or written.
    #[error("cannot {verb} the Secret {secret}: {detail}")]
    Secret {
        /// What was tried.
        verb: &'static str,
        /// Namespace and name.
        secret: String,
        /// What the API server says.
        detail: String,
    },
    /// The Secret belongs to something else.
    #[error(
        "the Secret {secret} is of the type {found:?}, not {SECRET_TYPE:?}: it belongs to something else; name another one, or \
         delete it"
    )]
    Foreign {
        /// Namespace and name.
        secret: String,
        /// Its type.
        found: String,
    },
    /// A configuration can't be read or written.
    #[error("cannot {verb} the {configuration}: {detail}")]
    Configuration {
        /// What was tried.
        verb: &'static str,
        /// Kind and name.
        configuration: String,
        /// What the API server says.
        detail: String,
    },
    /// The authority in the Secret can't be used, or none can be made.
    #[error(transparent)]
    Certificate(#[from] Error),
    /// Others change Secret or configurations all the time.
    #[error("others change the Secret or the configurations again and again")]
    Contended,
    /// The API server doesn't answer.
    #[error("no answer within {0:?}")]
    Slow(Duration),
}

impl ManagedError {
    /// The same once more, for an error that is only borrowed.
    pub(super) fn again(&self) -> Self {
        match self {
            Self::Configuration { verb, configuration, detail } => {
                Self::Configuration { verb, configuration: configuration.clone(), detail: detail.clone() }
            }
            _ => Self::Contended,
        }
    }
}

/// What the API server says, or why it says nothing: with the cause at the end, which `kube` keeps to itself.
pub(super) fn detail(error: &kube::Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

/// The HTTP status of a refusal.
pub(super) fn code(error: &kube::Error) -> Option<u16> {
    match error {
        kube::Error::Api(status) => Some(status.code),
        _ => None,
    }
}
