//! What the programs know of a pod's link, in [`crate::maps::ENDPOINTS`] by interface index.

use crate::{Address, BANKS};

/// How many IPv4 addresses an endpoint can have.
pub const MAX_V4: usize = 2;
/// How many IPv6 addresses an endpoint can have, its link-local one among them.
pub const MAX_V6: usize = 3;

/// The set id of a direction that no policy isolates: everything passes.
pub const SET_NONE: u32 = 0;
/// The set id of a direction that is closed because the agent can't program it (map full, policy too large): nothing passes.
pub const SET_CLOSED: u32 = u32::MAX;

/// Nothing is dropped on account of policy: what would be is counted, told and let through. It becomes a tracked flow like what is
/// allowed, so that it is told once; a new epoch asks again.
pub const AUDIT: u32 = 1 << 0;

/// The sets that decide for an endpoint: ids from `1` to `SET_CLOSED - 1` name a set in [`crate::maps::POLICIES`].
/// A set without entries is fine; it allows nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[repr(C)]
pub struct Sets {
    /// For packets to the pod.
    pub ingress: u32,
    /// For packets from the pod.
    pub egress: u32,
}

/// A pod's link.
///
/// The value of a hash map is replaced as a whole, so a program sees either the old or the new one. Changing the sets
/// of one bank while the other is in use is therefore harmless.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Endpoint {
    /// Never used before for any endpoint (while the maps live), and another one whenever the link is bound to another pod
    /// or its addresses change hands. Tracked flows belong to a generation: a new one forgets them. Not 0.
    pub generation: u32,
    /// The endpoint's number in marks, from 1 to [`crate::mark::MarkMask::max_slot`]. [`crate::maps::SLOTS`] leads back.
    /// Reuse a freed slot as late as possible: packets under way may still carry it.
    pub slot: u16,
    /// The pod's own MAC address; all zero: not checked.
    pub mac: [u8; 6],
    /// The sets, by bank.
    pub sets: [Sets; BANKS],
    /// IPv4 addresses: four bytes in network order read as a native word ([`u32::from_ne_bytes`]); 0: unused.
    #[cfg(not(feature = "other-layout"))]
    pub v4: [u32; MAX_V4],
    /// IPv6 addresses; [`Address::NONE`]: unused.
    pub v6: [Address; MAX_V6],
    /// As above.
    #[cfg(feature = "other-layout")]
    pub v4: [u32; MAX_V4],
    /// [`AUDIT`].
    pub flags: u32,
}

/// What the packets of approved flows need of an [`Endpoint`], in [`crate::maps::BRIEFS`] at [`Brief::place`]: one look-up in an array
/// instead of one in a hash.
///
/// Links with the same place can't both have theirs there. Who is not there is looked up in full, which only takes longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[repr(C, align(8))]
pub struct Brief {
    /// The link's index; 0: nobody's. The programs read it together with the generation.
    pub link: u32,
    /// [`Endpoint::generation`].
    pub generation: u32,
    /// [`Endpoint::mac`].
    pub mac: [u8; 6],
    /// [`Endpoint::slot`].
    pub slot: u16,
}

impl Brief {
    /// Where the brief of a link lies.
    #[must_use]
    #[inline(always)]
    pub const fn place(link: u32) -> u32 {
        link & (crate::maps::size::BRIEFS - 1)
    }

    /// What is known of an endpoint, in short.
    #[must_use]
    pub const fn of(link: u32, endpoint: &Endpoint) -> Self {
        Self { link, generation: endpoint.generation, mac: endpoint.mac, slot: endpoint.slot }
    }
}

impl Endpoint {
    /// Whether a flag is set.
    #[must_use]
    #[inline(always)]
    pub const fn has(&self, flag: u32) -> bool {
        self.flags & flag != 0
    }

    /// Whether an address is the endpoint's own.
    #[must_use]
    #[inline(always)]
    pub const fn owns(&self, address: &Address) -> bool {
        if address.is_v4() { self.owns_v4(address.0[3]) } else { self.owns_v6(address) }
    }

    /// Whether an IPv4 address, as in [`Endpoint::v4`], is the endpoint's own.
    #[must_use]
    #[inline(always)]
    pub const fn owns_v4(&self, word: u32) -> bool {
        word != 0 && (word == self.v4[0] || word == self.v4[1])
    }

    /// Whether an IPv6 address is the endpoint's own.
    #[must_use]
    #[inline(always)]
    pub const fn owns_v6(&self, address: &Address) -> bool {
        !address.is_none()
            && (same(address, &self.v6[0]) || same(address, &self.v6[1]) || same(address, &self.v6[2]))
    }
}

#[inline(always)]
const fn same(a: &Address, b: &Address) -> bool {
    (a.0[3] ^ b.0[3]) | (a.0[2] ^ b.0[2]) | (a.0[1] ^ b.0[1]) | (a.0[0] ^ b.0[0]) == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::Ipv6Addr;

    #[test]
    fn owns() {
        let v6 = |n| Address::from(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, n));
        let endpoint = Endpoint {
            generation: 1,
            slot: 1,
            mac: [0; 6],
            sets: [Sets::default(); BANKS],
            v4: [u32::from_ne_bytes([10, 0, 0, 1]), 0],
            v6: [v6(1), v6(2), Address::NONE],
            flags: 0,
        };
        for (address, owned) in [
            (Address::from_v4([10, 0, 0, 1]), true),
            (Address::from_v4([10, 0, 0, 2]), false),
            (Address::from_v4([0, 0, 0, 0]), false),
            (v6(1), true),
            (v6(2), true),
            (v6(3), false),
            (Address::NONE, false),
        ] {
            assert_eq!(endpoint.owns(&address), owned, "{address}");
        }
    }
}
