//! Verdicts as they happen, named and explained.
//!
//! The agent is the only reader of the kernel's events. It names what they are about, has the evaluator say why, and
//! passes them as lines of JSON to whoever connects to its socket.

mod explain;
mod server;
mod show;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use netpol_policy::model::{Cluster, WorkloadName};
use serde::{Deserialize, Serialize};

pub use explain::explain;
pub use server::serve;
pub use show::text;

/// What it takes to name and explain an event.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// The objects that are enforced.
    pub cluster: Option<Arc<Cluster>>,
    /// The pod of each endpoint's generation.
    pub generations: BTreeMap<u32, WorkloadName>,
    /// Interface names by index.
    pub links: BTreeMap<u32, String>,
}

/// What a client asks for, the first line that it sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscription {
    /// Allowed new flows, too.
    pub allowed: bool,
}

/// One verdict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// When, RFC 3339.
    pub time: String,
    /// `drop` or `allow`.
    pub verdict: String,
    /// `ingress` or `egress`, as the pod sees it.
    pub direction: String,
    /// The reason's short name.
    pub reason: String,
    /// The reason in a sentence.
    pub text: String,
    /// The pod whose policies decided, `namespace/name`.
    pub pod: Option<String>,
    /// Where the packet came from.
    pub source: Side,
    /// Where it was going.
    pub destination: Side,
    /// `TCP`, `ICMP`, `IP protocol 47`, or the EtherType of what is no IP packet.
    pub protocol: String,
    /// The interface at which it was decided.
    pub link: String,
    /// What isolates the pod.
    pub isolated_by: Vec<String>,
    /// For a drop: the rule that came closest, and what it lacked. For an allowed flow: the rule that allowed it.
    pub rule: Option<String>,
}

/// One end of a flow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Side {
    /// The address, if the packet has one.
    pub address: Option<std::net::IpAddr>,
    /// The port, if the protocol has ports; for ICMP the source's is the type and the destination's the code.
    pub port: Option<u16>,
    /// The pod at the address, `namespace/name`.
    pub pod: Option<String>,
}

/// Where the agent listens.
#[must_use]
pub fn socket(state_dir: &Path) -> PathBuf {
    state_dir.join("monitor.sock")
}
