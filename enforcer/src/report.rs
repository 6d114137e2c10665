//! What the agent tells about itself in a file, for `netpol-enforcer status`.

use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// The name of the file in the state directory.
const FILE: &str = "state.json";

/// What the agent last did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Report {
    /// The agent's version.
    pub version: String,
    /// The node's name.
    pub node: String,
    /// The agent's process.
    pub pid: u32,
    /// The inode of the network namespace that it works in.
    pub network_namespace: u64,
    /// Raised with every change of what is enforced.
    pub epoch: u32,
    /// When the objects that are enforced were read, RFC 3339; `None` if none ever were.
    pub synced: Option<String>,
    /// Where the objects come from, when that may be away.
    pub source: Option<SourceReport>,
    /// Why newer objects are not enforced.
    pub refused: Vec<String>,
    /// No policy is enforced on this node: what policies deny passes and is told.
    pub audit: bool,
    /// What did not fit or could not be done.
    pub problems: Vec<String>,
    /// Why the agent is not ready; empty: everything that was read is enforced.
    pub unready: Vec<String>,
    /// The version of the layout of what is pinned.
    pub layout: u32,
    /// How programs are attached: `TCX links` or `clsact filters`.
    pub attached: String,
    /// The links of the node.
    pub links: Vec<LinkReport>,
    /// The pods' veths.
    pub endpoints: Vec<EndpointReport>,
    /// The policy sets.
    pub sets: Vec<SetReport>,
}

/// The API server that the objects come from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceReport {
    /// Its address.
    pub server: String,
    /// Whether it answered when it was last asked, which is every ten seconds.
    pub connected: bool,
    /// Since when that is so, RFC 3339.
    pub since: String,
    /// When it was last heard of, RFC 3339; `None` if never.
    pub heard: Option<String>,
    /// Kinds that can't be followed, and why.
    pub refused: Vec<String>,
}

/// A link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkReport {
    /// The interface index.
    pub index: u32,
    /// The interface name.
    pub name: String,
    /// `pod`, `uplink` or why it is left alone: `loopback`, `pod-bridge`, `foreign-container`.
    pub role: String,
    /// The hooks that run a program.
    pub hooks: Vec<String>,
    /// Why a hook that it should have is missing.
    pub problem: Option<String>,
}

/// A pod's veth.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointReport {
    /// The interface index.
    pub link: u32,
    /// The interface name.
    pub name: String,
    /// `bound`, `unknown`, `disputed`, or `adopted` from an earlier run while no objects could be read.
    pub state: String,
    /// The pod's namespace and name, when it is bound.
    pub pod: Option<String>,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// Whose flows are tracked under it.
    pub generation: Option<u32>,
    /// Policies are not enforced for it: what they deny passes and is told.
    #[serde(default)]
    pub audited: bool,
    /// Who may connect to it.
    pub ingress: IsolationReport,
    /// What it may connect to.
    pub egress: IsolationReport,
}

/// A direction of an endpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IsolationReport {
    /// `open`, `isolated` or `closed`.
    pub state: String,
    /// The policy set.
    pub set: Option<u32>,
    /// The policies that isolate, and `namespace label`.
    pub policies: Vec<String>,
}

/// A policy set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetReport {
    /// Its number.
    pub id: u32,
    /// How many entries it has.
    pub entries: usize,
    /// How many directions of endpoints use it.
    pub users: usize,
}

impl SourceReport {
    /// Whether it answers, and what is wanted of it.
    #[must_use]
    pub fn is_well(&self) -> bool {
        self.connected && self.refused.is_empty()
    }
}

impl Report {
    /// Writes the file as a whole: a reader sees the one before or this one.
    ///
    /// # Errors
    /// When the directory can't be written.
    pub fn write(&self, directory: &Path) -> io::Result<()> {
        let fresh = directory.join(".state.json.new");
        let text = serde_json::to_vec_pretty(self)?;
        fs::write(&fresh, text)?;
        fs::rename(fresh, file(directory))
    }

    /// Reads the file.
    ///
    /// # Errors
    /// When there is none, or it is none of this version's.
    pub fn read(directory: &Path) -> io::Result<Self> {
        let text = fs::read(file(directory))?;
        Ok(serde_json::from_slice(&text)?)
    }

    /// Removes the file.
    ///
    /// # Errors
    /// When it is there and can't be removed.
    pub fn remove(directory: &Path) -> io::Result<()> {
        match fs::remove_file(file(directory)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

fn file(directory: &Path) -> PathBuf {
    directory.join(FILE)
}
