//! From a syntax tree to what it says, checked as the API server checks it.

mod address;
mod context;
mod entry;
mod metadata;
mod path;
mod peer;
mod pod;
mod policy;
mod port;
mod selector;
mod service;
mod suggest;
mod topology;

pub use address::parse_cidr;
pub(super) use context::Context;
pub(super) use entry::entry_point;
pub(super) use metadata::{Metadata, metadata};
pub(super) use path::Path;
pub(super) use pod::{pod, template};
pub(super) use policy::policy;
pub(super) use service::{endpoint_slice, service};
pub use suggest::nearest;
pub(super) use topology::{namespace, node};
