//! The ports of fragmented packets, in [`crate::maps::FRAGMENTS`]. Only the programs write them.

use crate::Address;

/// What the fragments of one packet have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct FragmentKey {
    /// The packet's identification.
    pub id: u32,
    /// The generation of the endpoint that decides.
    pub generation: u32,
    /// The source.
    pub source: Address,
    /// The destination.
    pub destination: Address,
    /// The IP protocol number.
    pub protocol: u8,
    /// The [`crate::Direction`] that is decided, so that each hook sees the first fragment itself.
    pub direction: u8,
    /// Always 0.
    pub reserved: [u8; 2],
}

/// What the first fragment showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Fragment {
    /// The source port in host byte order, or the echo identifier.
    pub source_port: u16,
    /// The destination port in host byte order.
    pub destination_port: u16,
    /// [`crate::conntrack::tick`] of the first fragment. It is good for [`LIFETIME`].
    pub seen: u32,
    /// How the programs class the packet.
    pub kind: u32,
}

/// How long fragments are waited for, in ticks.
pub const LIFETIME: u32 = 30;
