//! A policy as it was written: every field with its place, nothing decided.
//!
//! Rules of the linter that ask *what did the author write* read this; rules that ask *what does it mean* read
//! [`crate::model`]. The two agree on indexes: rule 2, peer 1 is the same item in both.

mod policy;
mod problem;

pub use policy::{
    Expression, Field, IpBlockSource, Item, List, ListStyle, ObjectMeta, PeerSource, PolicySource,
    PortSource, PortValue, RuleSource, SelectorSource, Slot, SpecSource, StrayField, TextPair,
};
pub use problem::{Problem, ProblemKind};
