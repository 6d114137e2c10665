//! Addresses and blocks as Kubernetes reads them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net};

/// A CIDR as the API server reads it (`netutils.ParseCIDRSloppy`): leading zeros in IPv4 are decimal, host bits are
/// allowed, and an IPv4-mapped block is the IPv4 block that it maps.
pub fn parse_cidr(text: &str) -> Option<IpNet> {
    let slash = text.bytes().position(|b| b == b'/')?;
    let (address, length) = (&text[..slash], number(&text.as_bytes()[slash + 1..])?);
    match parse_address(address)? {
        IpAddr::V6(v6) if length >= 96 => match v6.to_ipv4_mapped() {
            Some(v4) => Ipv4Net::new(v4, length - 96).ok().map(IpNet::V4),
            None => IpNet::new(v6.into(), length).ok(),
        },
        address => IpNet::new(address, length).ok(),
    }
}

/// An address as the API server reads it.
pub(in crate::source) fn parse_address(text: &str) -> Option<IpAddr> {
    let mut octets = [0; 4];
    let mut parts = text.as_bytes().split(|b| *b == b'.');
    for octet in &mut octets {
        match parts.next().and_then(number) {
            Some(number) => *octet = number,
            None if text.contains(':') => return text.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
            None => return None,
        }
    }
    parts.next().is_none().then(|| Ipv4Addr::from(octets).into())
}

/// Up to nine decimal digits that make up to 255.
fn number(digits: &[u8]) -> Option<u8> {
    if digits.is_empty() || digits.len() > 9 {
        return None;
    }
    let mut number = 0_u32;
    for digit in digits {
        number = number * 10 + u32::from(digit.is_ascii_digit().then(|| digit - b'0')?);
    }
    number.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks() {
        let cases = [
            ("10.0.0.0/8", Some("10.0.0.0/8")),
            ("10.0.0.5/24", Some("10.0.0.5/24")),
            ("010.000.0.1/08", Some("10.0.0.1/8")),
            ("::/0", Some("::/0")),
            ("FD00::1/64", Some("fd00::1/64")),
            ("::ffff:10.0.0.0/104", Some("10.0.0.0/8")),
            ("::ffff:10.0.0.0/64", Some("::ffff:10.0.0.0/64")),
            ("10.0.0.0", None),
            ("10.0.0.0/33", None),
            ("10.0.0.0/-1", None),
            ("10.0.0.0/+8", None),
            ("10.0.0.0/", None),
            ("10.0.0/8", None),
            ("10.0.0.0.0/8", None),
            ("256.0.0.0/8", None),
            ("::/129", None),
            ("fe80::1%eth0/64", None),
            (" 10.0.0.0/8", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_cidr(text), expected.map(|e| e.parse().unwrap()), "{text:?}");
        }
    }
}
