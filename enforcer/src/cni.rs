//! The agent's side of the chained CNI plugin: what it is told of pods before the cluster says where they are, and the installation
//! of the plugin on the node.

mod attachments;
mod install;
mod server;

pub(crate) use attachments::pod;
pub use attachments::{Attached, Attachments};
pub use install::{CniPlaces, Entry, Installation};
pub use server::{Asked, Reply, serve};
