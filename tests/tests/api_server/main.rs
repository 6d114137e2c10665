//! Everything that needs a real API server: the harness itself, and netpol-lint on a cluster.

mod certs;
mod harness;
mod lint;
mod load;
mod manifests;
mod namespaces;
mod server;
mod validate;
mod webhook;
