//! Isolated namespaces on a real API server: the label, its policies, the leader; with a webhook and without.

mod admission;
mod burst;
mod follows;
mod labels;
mod leaders;
mod removal;
mod world;
