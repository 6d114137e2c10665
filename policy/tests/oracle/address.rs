//! Addresses and blocks of addresses as plain numbers.

/// An address: its width in bits and its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Address {
    pub(crate) bits: u32,
    number: u128,
}

pub(crate) struct Cidr {
    base: Address,
    prefix: u32,
}

impl Address {
    pub(crate) fn parse(text: &str) -> Self {
        if text.contains(':') {
            Self { bits: 128, number: six(text) }
        } else {
            let parts = text.split('.').map(|part| part.parse::<u128>().unwrap());
            Self { bits: 32, number: parts.fold(0, |sum, part| sum * 256 + part) }
        }
    }
}

impl Cidr {
    pub(crate) fn parse(text: &str) -> Self {
        let (base, prefix) = text.split_once('/').unwrap();
        Self { base: Address::parse(base), prefix: prefix.parse().unwrap() }
    }

    /// Same family, and the same number once the host's part is divided away.
    pub(crate) fn contains(&self, address: Address) -> bool {
        let cut = |number: u128| match self.base.bits - self.prefix {
            128 => 0,
            host => number >> host,
        };
        self.base.bits == address.bits && cut(self.base.number) == cut(address.number)
    }
}

/// Hexadecimal groups, `::` for as many zeros as are missing.
fn six(text: &str) -> u128 {
    let groups = |text: &str| -> Vec<u128> {
        let parts = text.split(':').filter(|part| !part.is_empty());
        parts.map(|part| u128::from_str_radix(part, 16).unwrap()).collect()
    };
    let (head, tail) = text.split_once("::").unwrap_or((text, ""));
    let (head, tail) = (groups(head), groups(tail));
    let zeros = vec![0; 8 - head.len() - tail.len()];
    [head, zeros, tail].concat().into_iter().fold(0, |sum, group| sum << 16 | group)
}

#[test]
fn numbers() {
    assert_eq!(Address::parse("10.0.1.2").number, 0x0a00_0102);
    assert_eq!(Address::parse("::1").number, 1);
    assert_eq!(Address::parse("fd00::1:2").number, 0xfd00_0000_0000_0000_0000_0000_0001_0002);
    let has = |cidr, address| Cidr::parse(cidr).contains(Address::parse(address));
    assert!(has("10.0.0.5/24", "10.0.0.200") && !has("10.0.0.0/24", "10.0.1.0"));
    assert!(has("::/0", "fd00::1") && !has("::/0", "10.0.0.1") && !has("0.0.0.0/0", "fd00::1"));
    assert!(has("10.0.0.1/32", "10.0.0.1") && !has("10.0.0.1/32", "10.0.0.2"));
}
