//! The same protection without a webhook: admission policies that the API server evaluates itself, in CEL.
//!
//! [`RULES`] holds the rules of the linter that can be said about the stored object alone, each with its expression; its
//! code, name and summary are the linter's own. [`objects()`] makes the objects of them, together with those for the
//! label of namespaces. A test holds both against the webhook's verdicts on a real API server.

mod label;
mod objects;
mod rules;
mod selector;
mod yaml;

pub use objects::{Namespaces, objects};
pub use rules::{CelRule, RULES, Where};
pub use yaml::to_yaml;
