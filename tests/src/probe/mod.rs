//! Real packets: clients that tell refused, timed out and connected apart, servers that answer them, connections that last.

pub mod client;
pub mod connection;
pub mod frame;
mod packet;
pub mod server;

pub use client::{Outcome, Probe, Target, run};
pub use connection::Connection;
