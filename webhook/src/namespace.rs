//! Namespaces: isolated by a label, in the same write that creates them or that asks for it.
//!
//! The enforcer takes the label as a baseline deny, so a pod of the namespace is isolated from its first packet, before
//! any policy object can exist. [`Labeler`] sets it, [`Guard`] asks whoever takes it away for the right to that, and
//! [`Exemptions`] says which namespaces are left alone. What follows from the label is the matter of
//! [`controller`](crate::controller).

mod backing;
mod exemption;
mod label;
mod removal;
mod selector;

pub(crate) use backing::keep as keep_exemptions;
pub use exemption::Exemptions;
pub(crate) use label::default_deny;
pub use label::{Labeler, Mode};
pub use removal::Guard;
pub(crate) use selector::parse as parse_selector;
