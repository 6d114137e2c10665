//! An address of either family in 16 bytes.

use core::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// An IPv6 address, or an IPv4 address mapped into IPv6 (`::ffff:a.b.c.d`), in network byte order.
///
/// The words hold the address's bytes as they lie in the packet; they are words so that the kernel's
/// code compares and copies four bytes at a time.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
#[repr(C)]
pub struct Address(pub [u32; 4]);

/// The third word of a mapped IPv4 address.
const MAPPED: u32 = u32::from_ne_bytes([0, 0, 0xff, 0xff]);

impl Address {
    /// The unspecified IPv6 address, which stands for "none" in tables with a fixed number of places.
    pub const NONE: Self = Self([0; 4]);

    /// An IPv4 address from its four bytes in network order, read as a native word.
    #[must_use]
    #[inline(always)]
    pub const fn from_v4_word(word: u32) -> Self {
        Self([0, 0, MAPPED, word])
    }

    /// An IPv4 address from its bytes.
    #[must_use]
    pub const fn from_v4(octets: [u8; 4]) -> Self {
        Self::from_v4_word(u32::from_ne_bytes(octets))
    }

    /// An IPv6 address from its bytes.
    #[must_use]
    pub const fn from_v6(octets: [u8; 16]) -> Self {
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = octets;
        Self([
            u32::from_ne_bytes([a, b, c, d]),
            u32::from_ne_bytes([e, f, g, h]),
            u32::from_ne_bytes([i, j, k, l]),
            u32::from_ne_bytes([m, n, o, p]),
        ])
    }

    /// Whether this is a mapped IPv4 address.
    #[must_use]
    #[inline(always)]
    pub const fn is_v4(&self) -> bool {
        self.0[0] == 0 && self.0[1] == 0 && self.0[2] == MAPPED
    }

    /// Whether this is [`Address::NONE`].
    #[must_use]
    #[inline(always)]
    pub const fn is_none(&self) -> bool {
        self.0[0] == 0 && self.0[1] == 0 && self.0[2] == 0 && self.0[3] == 0
    }

    /// Whether this is an IPv6 link-local address (`fe80::/10`).
    #[must_use]
    #[inline(always)]
    pub const fn is_v6_link_local(&self) -> bool {
        u32::from_be(self.0[0]) >> 22 == 0xfe80 >> 6
    }

    /// Whether this is an IPv6 multicast address (`ff00::/8`).
    #[must_use]
    #[inline(always)]
    pub const fn is_v6_multicast(&self) -> bool {
        u32::from_be(self.0[0]) >> 24 == 0xff
    }

    /// The sixteen bytes in network order.
    #[must_use]
    pub const fn octets(&self) -> [u8; 16] {
        let [[a, b, c, d], [e, f, g, h], [i, j, k, l], [m, n, o, p]] = [
            self.0[0].to_ne_bytes(),
            self.0[1].to_ne_bytes(),
            self.0[2].to_ne_bytes(),
            self.0[3].to_ne_bytes(),
        ];
        [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p]
    }

    /// As the standard library has it; a mapped address becomes IPv4.
    #[must_use]
    pub const fn to_ip(&self) -> IpAddr {
        if self.is_v4() {
            let [a, b, c, d] = self.0[3].to_ne_bytes();
            IpAddr::V4(Ipv4Addr::new(a, b, c, d))
        } else {
            IpAddr::V6(Ipv6Addr::from_octets(self.octets()))
        }
    }
}

impl From<IpAddr> for Address {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(v4) => v4.into(),
            IpAddr::V6(v6) => v6.into(),
        }
    }
}

impl From<Ipv4Addr> for Address {
    fn from(address: Ipv4Addr) -> Self {
        Self::from_v4(address.octets())
    }
}

impl From<Ipv6Addr> for Address {
    fn from(address: Ipv6Addr) -> Self {
        Self::from_v6(address.octets())
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_ip().fmt(f)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_ip().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip() {
        for text in [[10, 1, 2, 3], [0, 0, 0, 0], [255, 255, 255, 255]] {
            let ip = IpAddr::from(text);
            assert!(Address::from(ip).is_v4());
            assert_eq!(Address::from(ip).to_ip(), ip);
        }
        let v6 = IpAddr::V6(Ipv6Addr::new(0xfd00, 1, 2, 3, 4, 5, 6, 7));
        assert!(!Address::from(v6).is_v4());
        assert_eq!(Address::from(v6).to_ip(), v6);
    }

    #[test]
    fn classes() {
        let of = |s: [u16; 8]| Address::from(Ipv6Addr::from(s));
        assert!(of([0xfe80, 0, 0, 0, 0, 0, 0, 1]).is_v6_link_local());
        assert!(of([0xfebf, 0, 0, 0, 0, 0, 0, 1]).is_v6_link_local());
        assert!(!of([0xfec0, 0, 0, 0, 0, 0, 0, 1]).is_v6_link_local());
        assert!(of([0xff02, 0, 0, 0, 0, 0, 0, 1]).is_v6_multicast());
        assert!(!Address::from(Ipv4Addr::new(254, 128, 0, 1)).is_v6_link_local());
        assert!(Address::NONE.is_none());
        assert!(!Address::from(Ipv4Addr::UNSPECIFIED).is_none());
    }
}
