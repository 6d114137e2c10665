//! A map from address blocks, looked up by longest match.

use std::collections::BTreeMap;
use std::collections::btree_map;

use ipnet::IpNet;

/// Values by address block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrefixMap<T> {
    entries: BTreeMap<IpNet, T>,
    /// How many blocks there are of each prefix length, so that a look-up only tries lengths that occur.
    v4: BTreeMap<u8, usize>,
    v6: BTreeMap<u8, usize>,
}

impl<T> Default for PrefixMap<T> {
    fn default() -> Self {
        Self { entries: BTreeMap::new(), v4: BTreeMap::new(), v6: BTreeMap::new() }
    }
}

impl<T> PrefixMap<T> {
    /// Sets the value of a block, whose host bits are ignored.
    pub fn insert(&mut self, net: IpNet, value: T) {
        let net = net.trunc();
        if self.entries.insert(net, value).is_none() {
            *self.lengths(net).entry(net.prefix_len()).or_default() += 1;
        }
    }

    /// Removes a block.
    pub fn remove(&mut self, net: IpNet) {
        let net = net.trunc();
        if self.entries.remove(&net).is_some()
            && let Some(count) = self.lengths(net).get_mut(&net.prefix_len())
        {
            *count -= 1;
            if *count == 0 {
                self.lengths(net).remove(&net.prefix_len());
            }
        }
    }

    /// The value of exactly this block.
    #[must_use]
    pub fn exact(&self, net: IpNet) -> Option<&T> {
        self.entries.get(&net)
    }

    /// The value of the smallest block that holds all of `net`, itself included.
    #[must_use]
    pub fn longest_match(&self, net: IpNet) -> Option<&T> {
        self.longest_entry(net).map(|(_, value)| value)
    }

    /// The value of the smallest block around `net`, itself aside.
    #[must_use]
    pub fn surrounding(&self, net: IpNet) -> Option<&T> {
        self.longest_match(net.supernet()?)
    }

    /// The smallest block that holds all of `net`, itself included, with its value.
    #[must_use]
    pub fn longest_entry(&self, net: IpNet) -> Option<(IpNet, &T)> {
        let lengths = if net.addr().is_ipv4() { &self.v4 } else { &self.v6 };
        lengths.range(..=net.prefix_len()).rev().find_map(|(length, _)| {
            let wider = IpNet::new(net.addr(), *length).ok()?.trunc();
            Some((wider, self.entries.get(&wider)?))
        })
    }

    /// The blocks with their values, in order.
    pub fn iter(&self) -> btree_map::Iter<'_, IpNet, T> {
        self.entries.iter()
    }

    /// How many blocks there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The blocks, in order.
    pub fn nets(&self) -> impl Iterator<Item = IpNet> {
        self.entries.keys().copied()
    }

    /// How many whole addresses there are, and how many blocks of each family.
    #[must_use]
    pub fn counts(&self) -> (usize, [usize; 2]) {
        let whole = |lengths: &BTreeMap<u8, usize>, most: u8| lengths.get(&most).copied().unwrap_or(0);
        let (v4, v6) = (whole(&self.v4, 32), whole(&self.v6, 128));
        let all = |lengths: &BTreeMap<u8, usize>| lengths.values().sum::<usize>();
        (v4 + v6, [all(&self.v4) - v4, all(&self.v6) - v6])
    }

    fn lengths(&mut self, net: IpNet) -> &mut BTreeMap<u8, usize> {
        if net.addr().is_ipv4() { &mut self.v4 } else { &mut self.v6 }
    }
}

impl<T> FromIterator<(IpNet, T)> for PrefixMap<T> {
    fn from_iter<I: IntoIterator<Item = (IpNet, T)>>(entries: I) -> Self {
        let mut map = Self::default();
        for (net, value) in entries {
            map.insert(net, value);
        }
        map
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(text: &str) -> IpNet {
        text.parse().expect("a network")
    }

    #[test]
    fn the_longest_match_wins() {
        let mut map: PrefixMap<u8> =
            [(net("10.0.0.0/8"), 8), (net("10.1.0.0/16"), 16), (net("::/0"), 0)].into_iter().collect();
        assert_eq!(map.longest_match(net("10.1.2.3/32")), Some(&16));
        assert_eq!(map.longest_match(net("10.2.2.3/32")), Some(&8));
        assert_eq!(map.longest_match(net("10.1.0.0/16")), Some(&16));
        assert_eq!(map.longest_match(net("10.0.0.0/7")), None);
        assert_eq!(map.longest_match(net("11.0.0.1/32")), None);
        assert_eq!(map.longest_match(net("fd00::1/128")), Some(&0));
        assert_eq!(map.surrounding(net("10.1.0.0/16")), Some(&8));
        assert_eq!((map.surrounding(net("10.0.0.0/8")), map.surrounding(net("::/0"))), (None, None));
        assert_eq!(map.longest_entry(net("10.1.2.3/32")), Some((net("10.1.0.0/16"), &16)));
        map.remove(net("10.1.0.0/16"));
        assert_eq!(map.longest_match(net("10.1.2.3/32")), Some(&8));
    }
}
