//! Which destinations are translated on this node, in [`crate::maps::SERVICES`].
//!
//! A packet from a pod to such a destination is decided after translation. Enter cluster IPs, external IPs and load-balancer
//! IPs with each port and protocol. Node ports and host ports need no entry: what a pod sends to an address of its own
//! node ([`crate::maps::NODE_ADDRESSES`]) is always marked, passes if it is delivered there, and is decided like any
//! other deferred packet if it is translated and leaves through a link.
//!
//! A missing entry is safe: the address is then decided as it stands. A stale one is, too: the packet is decided at
//! the link through which it leaves. Let a change of this map be followed by a new epoch.

use crate::Address;

/// The key; the value is a `u32` without meaning (write 1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct ServiceKey {
    /// The Service's address.
    pub address: Address,
    /// The port in host byte order.
    pub port: u16,
    /// TCP (6), UDP (17) or SCTP (132).
    pub protocol: u8,
    /// Always 0.
    pub reserved: u8,
}

impl ServiceKey {
    /// A key.
    #[must_use]
    #[inline(always)]
    pub const fn new(address: Address, protocol: u8, port: u16) -> Self {
        Self { address, port, protocol, reserved: 0 }
    }
}
