//! New Namespaces: isolated by a label in the same write that creates them.
//!
//! The enforcer takes the label as a baseline deny, so a pod of the namespace is isolated from its first packet, before
//! any policy object can exist. The webhook only ever sets the label on a Namespace that is being created and says
//! nothing itself: whoever writes the label decides, and a Namespace that exists already is never changed.

mod exemption;
mod label;

pub use exemption::Exemptions;
pub use label::{Labeler, Mode};
