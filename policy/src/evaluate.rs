//! Who may connect to whom, and why.
//!
//! [`Evaluator::verdict`] answers for one flow with its reasons; [`Evaluator::connections`] answers for a pair of
//! endpoints with everything that is allowed between them. Policies are additive: a pod is isolated in a direction as
//! soon as one policy selects it for that direction, and then everything passes that any of its policies allows.
//! Replies are not flows: they belong to the connection that they answer.

mod connections;
mod decision;
mod endpoint;
mod evaluator;
mod near_miss;
mod port_set;
mod reachability;

pub use connections::Connections;
pub use decision::{Decision, Exemption, Isolation, Lack, NearMiss, RuleRef, Verdict};
pub use endpoint::{Endpoint, Flow, families};
pub use evaluator::Evaluator;
pub use port_set::PortSet;
pub use reachability::Reachability;
