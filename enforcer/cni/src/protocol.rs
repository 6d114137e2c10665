//! What plugin and agent say to each other: one line of JSON there, one line back, then the connection is closed.
//!
//! Either side passes over fields that it does not know. A request of another [`VERSION`] is answered with
//! [`code::INCOMPATIBLE`]; the agent installs the plugin that fits it, so that only happens around an upgrade.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// The version of this protocol.
pub const VERSION: u32 = 1;

/// The name of the socket in the agent's state directory. Only root may connect to it.
pub const SOCKET: &str = "cni.sock";

/// The longest line, in bytes, that either side reads.
pub const LONGEST: u64 = 1 << 20;

/// What the plugin asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// [`VERSION`].
    pub version: u32,
    /// How long the plugin waits for the answer, in milliseconds.
    pub patience: u64,
    /// What it is about.
    #[serde(flatten)]
    pub call: Call,
}

/// A command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "UPPERCASE")]
pub enum Call {
    /// Answered when the pod is programmed: hooks attached, address bound, its policies in the kernel.
    Add(Attachment),
    /// Answered when the attachment is forgotten; also when it was not known.
    Del(AttachmentId),
    /// Answered with success if the pod is programmed.
    Check(Attachment),
    /// Answered with success if pods can be programmed now.
    Status,
    /// All other attachments of this network are forgotten.
    Gc {
        /// The network's name.
        network: String,
        /// Those that are in use.
        valid: Vec<AttachmentId>,
    },
}

/// An interface of a container, as the runtime names it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct AttachmentId {
    /// `CNI_CONTAINERID`.
    #[serde(rename = "containerId", alias = "containerID")]
    pub container: String,
    /// `CNI_IFNAME`.
    #[serde(rename = "ifname")]
    pub interface: String,
}

/// A pod's interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    /// How the runtime names it.
    #[serde(flatten)]
    pub id: AttachmentId,
    /// The name of the network.
    pub network: String,
    /// The pod's namespace.
    #[serde(rename = "podNamespace")]
    pub namespace: String,
    /// The pod's name.
    #[serde(rename = "podName")]
    pub name: String,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// The interfaces on the node that the plugins before made or used; the pod's veth is one of them. May be empty.
    #[serde(rename = "hostInterfaces")]
    pub host_interfaces: Vec<String>,
}

/// What the agent answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// [`VERSION`].
    pub version: u32,
    /// Why not; `None`: success.
    pub error: Option<Refusal>,
}

/// Why the agent did not do it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// An error code of CNI: see [`code`].
    pub code: u32,
    /// What is the matter.
    pub message: String,
    /// What to do about it, or more about it; may be empty.
    pub details: String,
}

impl Answer {
    /// Success, or not.
    #[must_use]
    pub fn new(result: Result<(), Refusal>) -> Self {
        Self { version: VERSION, error: result.err() }
    }
}

/// Error codes of the CNI specification, and our own from 100 on.
pub mod code {
    /// The configuration's version, or the agent's protocol, is not supported.
    pub const INCOMPATIBLE: u32 = 1;
    /// The container is not known, or is gone.
    pub const UNKNOWN_CONTAINER: u32 = 3;
    /// An environment variable is missing or wrong.
    pub const ENVIRONMENT: u32 = 4;
    /// Something could not be read or written.
    pub const IO: u32 = 5;
    /// The configuration is not JSON, or not of the right shape.
    pub const UNDECODABLE: u32 = 6;
    /// The configuration makes no sense.
    pub const INVALID: u32 = 7;
    /// Not now; the runtime should try again.
    pub const TRY_AGAIN: u32 = 11;
    /// STATUS: ADD can't be served.
    pub const NOT_AVAILABLE: u32 = 50;
    /// CHECK: the pod is not programmed as it was.
    pub const NOT_PROGRAMMED: u32 = 100;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wire() {
        let id = AttachmentId { container: "c1".into(), interface: "eth0".into() };
        let attachment = Attachment {
            id: id.clone(),
            network: "pods".into(),
            namespace: "shop".into(),
            name: "db".into(),
            addresses: vec!["10.244.1.7".parse().expect("an address")],
            host_interfaces: vec!["cni0".into(), "veth1".into()],
        };
        let cases = [
            (
                Call::Add(attachment),
                r#"{"version":1,"patience":10000,"command":"ADD","containerId":"c1","ifname":"eth0","network":"pods","podNamespace":"shop","podName":"db","addresses":["10.244.1.7"],"hostInterfaces":["cni0","veth1"]}"#,
            ),
            (
                Call::Del(id.clone()),
                r#"{"version":1,"patience":10000,"command":"DEL","containerId":"c1","ifname":"eth0"}"#,
            ),
            (Call::Status, r#"{"version":1,"patience":10000,"command":"STATUS"}"#),
            (
                Call::Gc { network: "pods".into(), valid: vec![id] },
                r#"{"version":1,"patience":10000,"command":"GC","network":"pods","valid":[{"containerId":"c1","ifname":"eth0"}]}"#,
            ),
        ];
        for (call, expected) in cases {
            let request = Request { version: VERSION, patience: 10_000, call };
            assert_eq!(serde_json::to_string(&request).expect("it is plain data"), expected);
            assert_eq!(serde_json::from_str::<Request>(expected).expect("it is read back"), request);
        }
    }
}
