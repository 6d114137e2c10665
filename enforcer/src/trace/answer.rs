//! What comes out of a question.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// The answer to a [`super::Question`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The node whose kernel was asked.
    pub node: String,
    /// The epoch for which it holds.
    pub epoch: u32,
    /// Of all paths together.
    pub outcome: Outcome,
    /// Why there is no verdict.
    pub error: Option<String>,
    /// Each address family, and each endpoint of a Service, is a path of its own.
    pub paths: Vec<Path>,
    /// What one should know besides.
    pub notes: Vec<String>,
}

/// How it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It passes.
    Allowed,
    /// It is dropped, on at least one path.
    Denied,
    /// Nobody could be asked.
    Unknown,
    /// Evaluator and kernel do not agree: a bug, or the kernel is not up to date.
    Differ,
}

/// One way from source to destination.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Path {
    /// Where it comes from.
    pub source: End,
    /// Where it goes, after translation.
    pub destination: End,
    /// `TCP 80`, `ICMP echo`.
    pub traffic: String,
    /// The Service's address and port to which it is sent, if it is.
    pub service: Option<String>,
    /// The address that the destination sees, if the node speaks for the source.
    pub arrives_from: Option<IpAddr>,
    /// The source's side.
    pub egress: Half,
    /// The destination's side.
    pub ingress: Half,
    /// Of both halves.
    pub outcome: Outcome,
}

/// One end of a path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// The address.
    pub address: IpAddr,
    /// The pod there, `namespace/name`.
    pub pod: Option<String>,
    /// The pod's node, where it is known.
    pub node: Option<String>,
}

/// What is said about one direction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Half {
    /// By the policies.
    pub policy: PolicySays,
    /// By the kernel of this node, if it decides about this end.
    pub kernel: Option<KernelSays>,
}

/// The evaluator's verdict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicySays {
    /// Whether it may pass.
    pub allowed: bool,
    /// What isolates the pod in this direction.
    pub isolated_by: Vec<String>,
    /// The rule that allows, or the one that came closest; why none applies.
    pub why: String,
}

/// The verdict of the kernel's programs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KernelSays {
    /// Whether it may pass by policy. In audit mode the packet passes all the same.
    pub allowed: bool,
    /// The endpoint is only audited, and the packet would have been dropped otherwise.
    pub audited: bool,
    /// The reason's short name.
    pub reason: String,
    /// The reason in a sentence.
    pub text: String,
    /// The link whose program decided.
    pub link: String,
    /// The policy set that was asked, if one was.
    pub set: Option<u32>,
}

impl Half {
    pub(super) fn differs(&self) -> bool {
        self.kernel.as_ref().is_some_and(|kernel| kernel.allowed != self.policy.allowed)
    }

    /// Whether a packet passes here.
    pub(super) fn passes(&self) -> bool {
        match &self.kernel {
            Some(kernel) => kernel.allowed || kernel.audited,
            None => self.policy.allowed,
        }
    }
}

impl Outcome {
    /// The exit code.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Allowed => 0,
            Self::Denied => 1,
            Self::Unknown => 2,
            Self::Differ => 3,
        }
    }
}
