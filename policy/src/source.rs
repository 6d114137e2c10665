//! Objects as they were written, and the cluster that they make up.
//!
//! [`Manifest::read`] takes the objects from one text, [`load()`] from many. A [`PolicySource`] is a policy as it was
//! written: every field with its place, nothing decided, checked as the API server checks it.
//!
//! Rules of the linter that ask *what did the author write* read this; rules that ask *what does it mean* read
//! [`crate::model`]. The two agree on indexes: rule 2, peer 1 is the same item in both.

mod generated;
mod load;
mod lower;
mod manifest;
mod policy;
mod problem;

pub use generated::distinguish;
pub use load::{Loaded, cluster, load};
pub use lower::{nearest, parse_cidr};
pub use manifest::{Content, EntryPointSource, Manifest, Object, StoredPolicy, Template, WorkloadSource};
pub use policy::{
    Expression, Field, IpBlockSource, Item, List, ListStyle, ObjectMeta, PeerSource, PolicySource,
    PortSource, PortValue, RuleSource, SelectorSource, Slot, SpecSource, StrayField, TextPair,
};
pub use problem::{Problem, ProblemKind};
