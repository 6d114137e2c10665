//! Tracked flows, in [`crate::maps::CONNTRACK`]. Only the programs write them; the agent may delete and count.
//!
//! A flow is keyed by the endpoint's generation and the tuple as it is seen at the endpoint's veth, or, for deferred
//! packets, at the link where they are decided. Either side may have opened it: a value holds for each the epoch
//! at which its opening was last approved.

use crate::Address;

/// A tuple. Ports are in host byte order. For echo requests and replies the ports are the identifier and 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct FlowKey {
    /// [`crate::endpoint::Endpoint::generation`].
    #[cfg(not(feature = "other-layout"))]
    pub generation: u32,
    /// The endpoint's side.
    pub local: Address,
    /// The other side.
    pub remote: Address,
    /// [`crate::endpoint::Endpoint::generation`].
    #[cfg(feature = "other-layout")]
    pub generation: u32,
    /// The endpoint's port.
    pub local_port: u16,
    /// The other port.
    pub remote_port: u16,
    /// The IP protocol number.
    pub protocol: u8,
    /// Always 0.
    pub reserved: [u8; RESERVED],
}

/// What fills a [`FlowKey`] up to a multiple of four bytes.
pub const RESERVED: usize = if cfg!(feature = "other-layout") { 7 } else { 3 };

/// The state of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[repr(C)]
pub struct Flow {
    /// By [`crate::Direction`] of the opening packet: the epoch at which it was last approved; 0: not opened from there.
    ///
    /// A flow that is revoked keeps its old epoch until it expires, so that its packets are not taken for those of a new flow
    /// from the other side.
    #[cfg(not(feature = "other-layout"))]
    pub approved: [u32; 2],
    /// In units of [`tick`].
    pub last_seen: u32,
    /// As above.
    #[cfg(feature = "other-layout")]
    pub approved: [u32; 2],
    /// `skb->hash` of the packets from the pod if [`DEFERRED`]; leads to a [`Link`].
    pub hash: u32,
    /// [`DEFERRED`], [`SEEN_REPLY`], …
    pub flags: u32,
    /// Not 0: [`FlowKey::local`] is an address of the endpoint itself, so that the pod may send from it.
    pub own: u32,
    /// The lower half of the kernel's jiffies when the short way last looked at the clock for this flow. Only the programs use it.
    ///
    /// With it an entry of the table, the kernel's part included, is two cache lines of 64 bytes.
    pub jiffy: u32,
}

/// Opened by the pod towards a Service: approval only says that the packet is to be decided after translation.
pub const DEFERRED: u32 = 1 << 0;
/// Both sides were seen.
pub const SEEN_REPLY: u32 = 1 << 1;
/// A TCP flow with FIN or RST.
pub const CLOSING: u32 = 1 << 2;
/// The last approval of a [`DEFERRED`] flow also covers replies: the backend was looked at.
pub const ANSWERABLE: u32 = 1 << 3;

/// The pod has sent FIN.
pub const FIN_SENT: u32 = 1 << 4;
/// The pod has received FIN. The next segment that is no FIN ends the flow: its entry is removed, so that closed connections don't
/// push others out.
pub const FIN_RECEIVED: u32 = 1 << 5;

/// The key of [`crate::maps::LINKS`]: where the packets of a deferred flow went after translation. Only the programs use it.
///
/// A reply from a Service shows nothing of the backend; the packet's hash survives translation and leads there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct LinkKey {
    /// [`crate::endpoint::Endpoint::generation`].
    pub generation: u32,
    /// `skb->hash`.
    pub hash: u32,
}

/// The destination after translation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Link {
    /// The backend's address.
    pub address: Address,
    /// The backend's port in host byte order.
    pub port: u16,
    /// The IP protocol number.
    pub protocol: u8,
    /// Always 0.
    pub reserved: u8,
}

/// The coarse clock in which flows are stamped: nanoseconds since boot, shifted. A tick is 1.07 s.
#[must_use]
#[inline(always)]
pub const fn tick(nanoseconds: u64) -> u32 {
    (nanoseconds >> 30) as u32
}

/// Seconds in ticks. A tick is a little longer than a second, so this errs towards a longer life, by seven per cent.
#[must_use]
#[inline(always)]
pub const fn ticks(seconds: u32) -> u32 {
    seconds
}
