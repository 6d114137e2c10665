//! The class of every address that has one, and what changed of it: whoever follows it has to look at nothing else.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ipnet::IpNet;

use super::classes::Signature;
use crate::prefix_map::PrefixMap;

/// The class of each address or block of addresses; longest match decides. Compares by content.
#[derive(Debug)]
pub struct ClassMap {
    entries: PrefixMap<Arc<Signature>>,
    /// Which map this is: places in the log of one mean nothing in another.
    number: u64,
    /// The blocks that changed, the latest last, and how many there were before those.
    log: Vec<IpNet>,
    forgotten: usize,
}

/// A moment in the life of a [`ClassMap`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    map: u64,
    changes: usize,
}

impl ClassMap {
    /// Sets the class of a block.
    pub fn insert(&mut self, net: IpNet, class: Arc<Signature>) {
        self.note(net);
        self.entries.insert(net, class);
    }

    /// Leaves a block to those around it.
    pub fn remove(&mut self, net: IpNet) {
        self.note(net);
        self.entries.remove(net);
    }

    /// The class of exactly this block.
    #[must_use]
    pub fn exact(&self, net: IpNet) -> Option<&Arc<Signature>> {
        self.entries.exact(net)
    }

    /// The class of the smallest block that holds all of `net`, itself included.
    #[must_use]
    pub fn longest_match(&self, net: IpNet) -> Option<&Arc<Signature>> {
        self.entries.longest_match(net)
    }

    /// The blocks with their classes, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&IpNet, &Arc<Signature>)> {
        self.entries.iter()
    }

    /// How many blocks have a class.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether none has.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Now.
    #[must_use]
    pub fn now(&self) -> Moment {
        Moment { map: self.number, changes: self.forgotten + self.log.len() }
    }

    /// The blocks that changed since then, some perhaps more than once; `None`: that is not known any more.
    #[must_use]
    pub fn since(&self, then: Moment) -> Option<&[IpNet]> {
        let first = then.changes.checked_sub(self.forgotten).filter(|_| then.map == self.number)?;
        self.log.get(first..)
    }

    /// A log that is longer than the map says no more than the map itself.
    fn note(&mut self, net: IpNet) {
        const FEW: usize = 1024;
        if self.log.len() > 2 * self.entries.len() + FEW {
            self.forgotten += self.log.len();
            self.log.clear();
        }
        self.log.push(net.trunc());
    }
}

impl From<PrefixMap<Arc<Signature>>> for ClassMap {
    fn from(entries: PrefixMap<Arc<Signature>>) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self { entries, number: NEXT.fetch_add(1, Ordering::Relaxed), log: Vec::new(), forgotten: 0 }
    }
}

impl Default for ClassMap {
    fn default() -> Self {
        PrefixMap::default().into()
    }
}

/// Another map with the same content.
impl Clone for ClassMap {
    fn clone(&self) -> Self {
        self.entries.clone().into()
    }
}

impl PartialEq for ClassMap {
    fn eq(&self, other: &Self) -> bool {
        self.entries == other.entries
    }
}

impl Eq for ClassMap {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changed_is_known_until_it_is_too_much() {
        let net = |number: u32| IpNet::from(std::net::IpAddr::from(number.to_be_bytes()));
        let mut map = ClassMap::default();
        let begin = map.now();
        map.insert(net(1), Arc::default());
        let then = map.now();
        map.insert(net(2), Arc::default());
        map.remove(net(1));
        assert_eq!(map.since(begin), Some(&[net(1), net(2), net(1)][..]));
        assert_eq!(map.since(then), Some(&[net(2), net(1)][..]));
        assert_eq!(map.since(map.now()), Some(&[][..]));

        let other = map.clone();
        assert_eq!((&other, other.since(then)), (&map, None), "the same, and yet another one");

        for number in 0..2000 {
            map.insert(net(2), Arc::default());
            map.remove(net(number));
        }
        assert_eq!(map.since(then), None);
        assert_eq!(map.since(map.now()), Some(&[][..]));
    }
}
