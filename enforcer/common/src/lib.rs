//! Types and constants shared by the agent and the kernel programs.
//!
//! Everything the two sides exchange is here: the maps ([`maps`]), the marks ([`mark`]), the events ([`event`])
//! and the reasons that a verdict may have ([`reason`]). All map keys and values are `repr(C)` without
//! implicit padding, so that bytes compare as values do; feature `user` makes them `aya::Pod`.
//!
//! # How a policy change is made atomic
//!
//! The map [`maps::EPOCH`] holds one `u32`, the *epoch*. Its lowest bit selects a *bank* ([`bank_of`]). What depends
//! on policies exists once per bank: an endpoint has a pair of set ids per bank, and keys of identities and CIDRs
//! begin with the bank. The programs read the epoch once per packet and look at nothing but that bank. To change
//! the policies of the node:
//!
//! 1. delete the policy sets that neither bank has used since the last change,
//! 2. write the new sets under set ids not in use ([`policy`]),
//! 3. bring the bank of `epoch + 1` up to date: identities, CIDRs, the endpoints' set ids,
//! 4. write `epoch + 1` to [`maps::EPOCH`].
//!
//! Step 4 is the moment the change takes effect, for all endpoints at once, and also the moment from which
//! every tracked flow is evaluated again at its next packet. The other bank stays as it was until the next
//! change, so a packet that is under way with the old epoch still finds what it needs.
//!
//! Epoch 0 means that nothing was ever programmed: every endpoint is treated as unknown. Start with
//! [`FIRST_EPOCH`]; after a restart carry on from the pinned value.
#![no_std]

pub mod address;
pub mod config;
pub mod conntrack;
pub mod denied;
pub mod endpoint;
pub mod event;
pub mod fragment;
pub mod identity;
pub mod maps;
pub mod mark;
pub mod policy;
pub mod reason;
pub mod service;
pub mod trace;

mod pod;

pub use address::Address;

/// The version of everything in this crate. It is part of the names under which maps and links are pinned: raise
/// it whenever a layout, a map's type or the meaning of a value changes.
pub const LAYOUT_VERSION: u32 = if cfg!(feature = "other-layout") { 1_000_000 } else { 4 };

/// The first epoch with a programmed state. See the crate's documentation.
pub const FIRST_EPOCH: u32 = 2;

/// The number of banks.
pub const BANKS: usize = 2;

/// The bank that an epoch selects: 0 or 1.
#[must_use]
#[inline(always)]
pub const fn bank_of(epoch: u32) -> u32 {
    epoch & 1
}

/// The direction of traffic, as the endpoint sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Direction {
    /// To the pod.
    Ingress = 0,
    /// From the pod.
    Egress = 1,
}

impl Direction {
    /// The other direction.
    #[must_use]
    #[inline(always)]
    pub const fn reverse(self) -> Self {
        match self {
            Self::Ingress => Self::Egress,
            Self::Egress => Self::Ingress,
        }
    }

    /// The direction with this number in an event.
    #[must_use]
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::Ingress),
            1 => Some(Self::Egress),
            _ => None,
        }
    }
}

/// The names of the programs in the object. All are classifiers: attach them with TCX, or clsact on older kernels.
///
/// "Ingress" and "egress" in these names are the hook's, which is the host's point of view, and thus the opposite of the pod's.
pub mod programs {
    /// On the TCX ingress hook of a pod's host-side veth: packets from the pod.
    pub const POD_INGRESS: &str = "pod_ingress";
    /// On the TCX egress hook of a pod's host-side veth: packets to the pod.
    pub const POD_EGRESS: &str = "pod_egress";
    /// On the TCX egress hook of every other link with an Ethernet header (`ARPHRD_ETHER`): uplinks, bridges, VXLAN.
    pub const UPLINK_EGRESS: &str = "uplink_egress";
    /// On the TCX egress hook of links without a link-layer header: `WireGuard`, tun, IPIP, SIT, GRE.
    pub const UPLINK_EGRESS_L3: &str = "uplink_egress_l3";
    /// All of them.
    pub const ALL: [&str; 4] = [POD_INGRESS, POD_EGRESS, UPLINK_EGRESS, UPLINK_EGRESS_L3];
}
