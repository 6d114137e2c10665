//! What a set allows: the keys of [`crate::maps::POLICIES`].
//!
//! A *set* is what a group of policies allows in one direction. Sets are additive: a packet passes if any
//! entry matches. A program looks up the peer's identity and then [`crate::identity::ANY`], each time with the protocol
//! and destination port of the packet as a full-length key, so an entry matches if its prefix does. Sets are immutable: a
//! different content gets a different id.

/// The data of a policy key, in the order in which the prefix grows.
///
/// `aya::maps::lpm_trie::Key::new(prefix.bits, prefix.data)` with a [`PolicyPrefix`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct PolicyKey {
    /// The set id in native byte order.
    pub set: [u8; 4],
    /// The peer's identity in native byte order.
    pub identity: [u8; 4],
    /// The IP protocol number.
    pub protocol: u8,
    /// The destination port in network byte order; 0 for a protocol without ports.
    pub port: [u8; 2],
}

/// The value of a policy entry. Its presence allows; it says on whose account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[repr(C)]
pub struct PolicyValue {
    /// A number of the agent's choosing, which comes back in [`crate::event::Event::rule`].
    pub rule: u32,
}

/// The length of a key that names a peer, with any protocol, ICMP and the like included.
pub const BITS_PEER: u32 = 64;
/// The length of a key that names peer and protocol, with any port.
pub const BITS_PROTOCOL: u32 = BITS_PEER + 8;
/// The length of a complete key.
pub const BITS_FULL: u32 = BITS_PROTOCOL + 16;

impl PolicyKey {
    /// A complete key, as the programs look it up.
    #[must_use]
    #[inline(always)]
    pub const fn new(set: u32, identity: u32, protocol: u8, port: u16) -> Self {
        Self { set: set.to_ne_bytes(), identity: identity.to_ne_bytes(), protocol, port: port.to_be_bytes() }
    }
}

/// A key and how many of its bits count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PolicyPrefix {
    /// The bits that count.
    pub bits: u32,
    /// The key; what doesn't count is 0.
    pub data: PolicyKey,
}

impl PolicyPrefix {
    /// A rule without ports: every protocol.
    #[must_use]
    pub const fn any_protocol(set: u32, identity: u32) -> Self {
        Self { bits: BITS_PEER, data: PolicyKey::new(set, identity, 0, 0) }
    }

    /// A rule for one protocol and all its ports. The protocol is TCP (6), UDP (17) or SCTP (132).
    #[must_use]
    pub const fn any_port(set: u32, identity: u32, protocol: u8) -> Self {
        Self { bits: BITS_PROTOCOL, data: PolicyKey::new(set, identity, protocol, 0) }
    }

    /// A rule for the ports of one prefix.
    #[must_use]
    pub const fn ports(set: u32, identity: u32, protocol: u8, ports: PortPrefix) -> Self {
        Self {
            bits: BITS_PROTOCOL + ports.bits as u32,
            data: PolicyKey::new(set, identity, protocol, ports.port),
        }
    }
}

/// The ports that begin with the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PortPrefix {
    /// The lowest of the ports.
    pub port: u16,
    /// How many leading bits they share, 0 to 16.
    pub bits: u8,
}

/// Splits an inclusive range of ports into the fewest prefixes, in ascending order: at most 30. An inverted range yields none.
pub fn port_prefixes(first: u16, last: u16) -> impl Iterator<Item = PortPrefix> {
    let mut next = u32::from(first);
    let end = u32::from(last) + 1;
    core::iter::from_fn(move || {
        if next >= end {
            return None;
        }
        // The largest block that is aligned here and does not reach past the end.
        let aligned = if next == 0 { 16 } else { next.trailing_zeros() };
        let fits = (end - next).ilog2();
        let size = aligned.min(fits);
        let prefix = PortPrefix { port: next as u16, bits: (16 - size) as u8 };
        next += 1 << size;
        Some(prefix)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    extern crate std;
    use std::vec::Vec;

    fn matches(prefix: PortPrefix, port: u16) -> bool {
        let mask = u32::from(u16::MAX) << (16 - prefix.bits);
        (u32::from(port) & mask) == u32::from(prefix.port)
    }

    #[test]
    fn prefixes_cover_exactly_the_range() {
        for (first, last, count) in [
            (0, 65535, 1),
            (80, 80, 1),
            (1, 65534, 30),
            (30000, 32767, 5),
            (1024, 65535, 6),
            (65535, 65535, 1),
            (0, 0, 1),
            (9, 8, 0),
        ] {
            let prefixes: Vec<_> = port_prefixes(first, last).collect();
            assert_eq!(prefixes.len(), count, "{first}-{last}: {prefixes:?}");
            for port in 0..=u16::MAX {
                let hits = prefixes.iter().filter(|p| matches(**p, port)).count();
                assert_eq!(hits, usize::from((first..=last).contains(&port)), "{first}-{last}: {port}");
            }
        }
    }

    #[test]
    fn key_is_packed() {
        assert_eq!(size_of::<PolicyKey>() as u32 * 8, BITS_FULL);
        assert_eq!(align_of::<PolicyKey>(), 1);
    }
}
