//! Verdicts as they happen, named and explained.
//!
//! The agent is the only reader of the kernel's events. It names what they are about, has the evaluator say why, and
//! passes them as lines of JSON to whoever connects to its socket. A connection begins with one line, a [`Request`].

mod client;
mod explain;
mod filter;
mod server;
mod show;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use netpol_policy::model::WorkloadName;
use serde::{Deserialize, Serialize};

pub use explain::Explainer;
pub(crate) use explain::{isolated_by, rule};
pub use filter::{Filter, PortFilter, Who};
pub use server::{Questions, serve};
pub use show::{end, lost_text, text};

use crate::objects::Objects;
use crate::trace::Question;

/// What it takes to name and explain an event.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// Another one whenever anything of this has changed.
    pub version: u64,
    /// The epoch under which the objects are enforced.
    pub epoch: u32,
    /// The node's name.
    pub node: String,
    /// The objects that are enforced.
    pub objects: Objects,
    /// The pod of each endpoint's generation.
    pub generations: BTreeMap<u32, WorkloadName>,
    /// Interface names by index.
    pub links: BTreeMap<u32, String>,
}

/// What a client asks for, the first line that it sends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Request {
    /// Verdicts as they happen, [`Line`] by line, until the client closes.
    Monitor(Filter),
    /// What would become of a packet. The answer is one line, a [`crate::trace::Answer`].
    Trace(Question),
}

/// A line to a client that monitors.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Line {
    /// A verdict.
    Notice(Box<Notice>),
    /// There were others.
    Lost(Lost),
}

/// Events that were not told. The counters have all of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lost {
    /// When that was noticed, RFC 3339.
    pub time: String,
    /// How many, since this was last told.
    pub lost: LostCounts,
}

/// Why events were not told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LostCounts {
    /// The pod had more events than `--event-limit`.
    pub rate_limited: u64,
    /// The agent did not read fast enough.
    pub buffer_full: u64,
    /// This client did not read fast enough.
    pub slow_reader: u64,
}

impl LostCounts {
    /// Whether any was lost.
    #[must_use]
    pub fn any(self) -> bool {
        self.rate_limited + self.buffer_full + self.slow_reader > 0
    }
}

/// One verdict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// When, RFC 3339.
    pub time: String,
    /// `drop`, `allow`, or `audit` for what would have been dropped.
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
