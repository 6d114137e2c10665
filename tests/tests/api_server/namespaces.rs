//! Isolated namespaces on a real API server: the label, its policies, the leader.

mod follows;
mod world;
