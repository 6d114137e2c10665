//! What the agent promises, one by one, through the data path.

mod lifecycle;
mod packets;
mod revocation;
mod service_replies;
