//! What the agent promises, one by one, through the data path.

mod clsact;
mod lifecycle;
mod packets;
pub(crate) mod revocation;
mod service_choice;
mod service_replies;
mod services;
