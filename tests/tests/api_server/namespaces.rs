//! Isolated namespaces on a real API server: the label, its policies, the leader.

mod burst;
mod follows;
mod labels;
mod leaders;
mod removal;
mod world;
