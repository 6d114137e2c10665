//! Everything that needs a real API server: the harness itself, and netpol-lint on a cluster.

mod harness;
mod lint;
mod namespaces;
mod webhook;
