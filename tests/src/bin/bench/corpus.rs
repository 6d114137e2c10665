//! Generated trees of files, the same on every machine.

pub(crate) mod large;
pub(crate) mod policies;
pub(crate) mod tree;
