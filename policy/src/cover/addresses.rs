//! Blocks as sets of addresses.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::model::IpBlock;

/// Whether some blocks together have every address of one.
pub fn blocks_cover<'b>(outer: impl IntoIterator<Item = &'b IpBlock>, inner: &IpBlock) -> bool {
    let meets =
        |outer: &&IpBlock| outer.cidr().contains(&inner.cidr()) || inner.cidr().contains(&outer.cidr());
    let mut there: Vec<_> = outer.into_iter().filter(meets).flat_map(ranges).collect();
    there.sort_unstable();
    ranges(inner).into_iter().all(|(first, last)| {
        let mut next = first;
        for &(start, end) in &there {
            if start > next {
                break;
            }
            if end >= last {
                return true;
            }
            next = next.max(end + 1);
        }
        false
    })
}

/// Whether the exceptions of a block leave nothing of it.
pub fn block_is_empty(block: &IpBlock) -> bool {
    ranges(block).is_empty()
}

/// The closed ranges of a block's addresses, sorted.
fn ranges(block: &IpBlock) -> Vec<(u128, u128)> {
    let (mut next, last) = ends(block.cidr());
    let mut ranges = Vec::new();
    // Sorted by their first addresses; one may lie in another.
    for (start, end) in block.except().iter().copied().map(ends) {
        if start > next {
            ranges.push((next, start - 1));
        }
        if end >= last {
            return ranges;
        }
        next = next.max(end + 1);
    }
    ranges.push((next, last));
    ranges
}

fn ends(net: IpNet) -> (u128, u128) {
    let number = |address| match address {
        IpAddr::V4(address) => u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits(),
    };
    (number(net.network()), number(net.broadcast()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Blocks within the last 16 addresses of a family, where a counter could overflow.
    fn block(six: bool) -> impl Strategy<Value = IpBlock> {
        let net = move |offset: u128, length: u8| {
            let text = match six {
                true => format!("ffff:ffff:ffff:ffff:ffff:ffff:ffff:fff{offset:x}/{}", 124 + length),
                false => format!("255.255.255.{}/{}", 240 + offset, 28 + length),
            };
            text.parse::<IpNet>().unwrap().trunc()
        };
        let nets = prop::collection::vec((0..16u128, 0..=4u8), 0..4);
        ((0..16u128, 0..=4u8), nets).prop_map(move |((offset, length), except)| {
            let cidr = net(offset, length);
            let except = except.into_iter().map(|(offset, length)| net(offset, length));
            let inside = except.filter(|e| cidr.contains(e) && e.prefix_len() > cidr.prefix_len());
            IpBlock::new(cidr, inside).unwrap()
        })
    }

    fn has(block: &IpBlock, offset: u8) -> bool {
        let four = IpAddr::from([255, 255, 255, 240 + offset]);
        let six = IpAddr::from(u128::MAX.saturating_sub(u128::from(15 - offset)).to_be_bytes());
        block.contains(four) || block.contains(six)
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn exactly_as_all_addresses_say(
            (outer, inner) in any::<bool>()
                .prop_flat_map(|six| (prop::collection::vec(block(six), 0..4), block(six)))
        ) {
            let of_inner: Vec<_> = (0..16).filter(|offset| has(&inner, *offset)).collect();
            let covered = of_inner.iter().all(|offset| outer.iter().any(|outer| has(outer, *offset)));
            prop_assert_eq!(blocks_cover(&outer, &inner), covered);
            prop_assert_eq!(block_is_empty(&inner), of_inner.is_empty());
        }
    }

    #[test]
    fn families_are_apart() {
        let block = |cidr: &str| IpBlock::new(cidr.parse().unwrap(), []).unwrap();
        assert!(!blocks_cover([&block("::/0")], &block("0.0.0.0/0")));
        assert!(!blocks_cover([&block("0.0.0.0/0")], &block("::/96")));
        assert!(blocks_cover([&block("0.0.0.0/1"), &block("128.0.0.0/1")], &block("0.0.0.0/0")));
    }
}
