//! What would become of a packet: the evaluator's verdict and the kernel's, side by side.
//!
//! The agent answers, because it knows the cluster as it is enforced. The kernel's verdict is that of the programs
//! themselves, run on a crafted packet; see [`crate::kernel::Tracer`].

mod answer;
mod ask;
mod packet;
mod resolve;
mod show;

use serde::{Deserialize, Serialize};

pub use answer::{Answer, End, Half, KernelSays, Outcome, Path, PolicySays};
pub use ask::answer;
pub use show::text;

/// Whether somebody may open a connection to somebody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// `NAMESPACE/POD` or an address.
    pub from: String,
    /// `NAMESPACE/POD`, `NAMESPACE/SERVICE` or an address.
    pub to: String,
    /// `80`, `80/UDP`, `http`, `icmp`.
    pub port: String,
}
