//! A chained CNI plugin that returns from ADD only when the node's agent has programmed the pod.
//!
//! It does nothing to the network itself: it tells the agent over a unix socket ([`protocol`]) which pod is behind which
//! interface, waits, and passes the result of the plugins before it through as it is. CNI specification 1.1; configurations from 0.3.0 on.

mod agent;
mod config;
mod error;
mod invocation;
pub mod protocol;
mod result;
mod run;

pub use config::{DEFAULT_TIMEOUT, PLUGIN_TYPE, Unavailable};
pub use run::run;
