//! The class of every address that has one, and what changed of it: whoever follows it has to look at nothing else.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ipnet::IpNet;

use super::classes::Signature;
use crate::prefix_map::PrefixMap;

/// The class of each address or block of addresses; longest match decides.
///
/// What is asked of a class may change while its addresses stay together: that costs nothing for the addresses. So two
/// classes may be asked the same. Compares by what is asked of every address, whatever the classes are.
#[derive(Debug)]
pub struct ClassMap {
    entries: PrefixMap<ClassId>,
    meanings: HashMap<ClassId, Arc<Signature>>,
    next: u32,
    /// Which map this is: places in the log of one mean nothing in another, nor do the names of classes.
    number: u64,
    /// The blocks that changed, the latest last, and how many there were before those.
    log: Vec<IpNet>,
    forgotten: usize,
    /// How often a class got another meaning.
    turns: usize,
}

/// The name of a class in its map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClassId(u32);

/// A moment in the life of a [`ClassMap`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    map: u64,
    changes: usize,
    turns: usize,
}

impl ClassMap {
    /// A new class, of nothing yet, of which this is asked.
    pub fn add_class(&mut self, meaning: Arc<Signature>) -> ClassId {
        let class = ClassId(self.next);
        self.next = self.next.checked_add(1).expect("fewer than 2^32 classes in the life of a process");
        self.meanings.insert(class, meaning);
        class
    }

    /// Another thing is asked of a class from here on.
    pub fn turn_class(&mut self, class: ClassId, meaning: Arc<Signature>) {
        self.meanings.insert(class, meaning);
        self.turns += 1;
    }

    /// Forgets a class that nothing is of.
    pub fn remove_class(&mut self, class: ClassId) {
        self.meanings.remove(&class);
    }

    /// All classes, and what is asked of them.
    pub fn classes(&self) -> impl Iterator<Item = (ClassId, &Arc<Signature>)> {
        self.meanings.iter().map(|(class, meaning)| (*class, meaning))
    }

    /// How many classes there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.meanings.len()
    }

    /// What is asked of a class.
    ///
    /// # Panics
    /// When this map has no such class.
    #[must_use]
    pub fn meaning(&self, class: ClassId) -> &Arc<Signature> {
        &self.meanings[&class]
    }

    /// Which map this is. Another one may mean something else by the name of a class.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Sets the class of a block.
    pub fn insert(&mut self, net: IpNet, class: ClassId) {
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
    pub fn class(&self, net: IpNet) -> Option<ClassId> {
        self.entries.exact(net).copied()
    }

    /// What is asked of the smallest block that holds all of `net`, itself included.
    #[must_use]
    pub fn longest_match(&self, net: IpNet) -> Option<&Arc<Signature>> {
        self.entries.longest_match(net).map(|class| self.meaning(*class))
    }

    /// The blocks with what is asked of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&IpNet, &Arc<Signature>)> {
        self.entries.iter().map(|(net, class)| (net, self.meaning(*class)))
    }

    /// The blocks that have a class, in order.
    pub fn nets(&self) -> impl Iterator<Item = IpNet> {
        self.entries.nets()
    }

    /// Now.
    #[must_use]
    pub fn now(&self) -> Moment {
        Moment { map: self.number, changes: self.forgotten + self.log.len(), turns: self.turns }
    }

    /// The blocks that are of another class since then, some perhaps more than once; `None`: that is not known any more.
    #[must_use]
    pub fn since(&self, then: Moment) -> Option<&[IpNet]> {
        let first = then.changes.checked_sub(self.forgotten).filter(|_| then.map == self.number)?;
        self.log.get(first..)
    }

    /// The blocks of which something else is asked than of what is around them.
    fn told_apart(&self) -> impl Iterator<Item = (&IpNet, &Arc<Signature>)> {
        self.iter().filter(|(net, meaning)| {
            let around = self.entries.surrounding(**net).map(|class| &**self.meaning(*class));
            around.unwrap_or(&Signature::default()) != &***meaning
        })
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

static NEXT: AtomicU64 = AtomicU64::new(0);

/// Each signature becomes a class.
impl From<PrefixMap<Arc<Signature>>> for ClassMap {
    fn from(entries: PrefixMap<Arc<Signature>>) -> Self {
        let mut map = Self::default();
        let mut classes: HashMap<Arc<Signature>, ClassId> = HashMap::new();
        for (net, signature) in entries.iter() {
            let class =
                *classes.entry(Arc::clone(signature)).or_insert_with(|| map.add_class(Arc::clone(signature)));
            map.entries.insert(*net, class);
        }
        map
    }
}

impl Default for ClassMap {
    fn default() -> Self {
        Self {
            entries: PrefixMap::default(),
            meanings: HashMap::new(),
            next: 0,
            number: NEXT.fetch_add(1, Ordering::Relaxed),
            log: Vec::new(),
            forgotten: 0,
            turns: 0,
        }
    }
}

/// Another map with the same content.
impl Clone for ClassMap {
    fn clone(&self) -> Self {
        Self {
            entries: self.entries.clone(),
            meanings: self.meanings.clone(),
            next: self.next,
            ..Self::default()
        }
    }
}

impl PartialEq for ClassMap {
    fn eq(&self, other: &Self) -> bool {
        self.told_apart().eq(other.told_apart())
    }
}

impl Eq for ClassMap {}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::clause::{Clause, Clauses};
    use super::*;

    #[test]
    fn what_changed_is_known_until_it_is_too_much() {
        let net = |number: u32| IpNet::from(std::net::IpAddr::from(number.to_be_bytes()));
        let mut map = ClassMap::default();
        let class = map.add_class(Arc::default());
        let begin = map.now();
        map.insert(net(1), class);
        let then = map.now();
        map.insert(net(2), class);
        map.remove(net(1));
        assert_eq!(map.since(begin), Some(&[net(1), net(2), net(1)][..]));
        assert_eq!(map.since(then), Some(&[net(2), net(1)][..]));
        assert_eq!(map.since(map.now()), Some(&[][..]));

        let other = map.clone();
        assert_eq!((&other, other.since(then)), (&map, None), "the same, and yet another one");

        for number in 0..2000 {
            map.insert(net(2), class);
            map.remove(net(number));
        }
        assert_eq!(map.since(then), None);
        assert_eq!(map.since(map.now()), Some(&[][..]));
    }

    #[test]
    fn maps_are_the_same_when_every_address_is_asked_the_same() {
        let net = |text: &str| text.parse::<IpNet>().expect("a block");
        let clause = Clause::PodsOf { namespace: "shop".into(), pods: Default::default() };
        let clauses = BTreeSet::from([Clauses::default().id(clause)]);
        let asked = Arc::new(Signature { clauses, ..Signature::default() });
        let mut one = ClassMap::default();
        let (mut other, block) = (ClassMap::default(), one.add_class(Arc::clone(&asked)));
        one.insert(net("10.0.0.0/8"), block);
        assert_ne!(one, other);
        let [block, inside, nothing] =
            [Arc::clone(&asked), Arc::clone(&asked), Arc::default()].map(|meaning| other.add_class(meaning));
        other.insert(net("10.0.0.0/8"), block);
        other.insert(net("10.0.0.1/32"), inside);
        other.insert(net("192.168.0.1/32"), nothing);
        assert_eq!(one, other);
        let then = other.now();
        other.turn_class(inside, Arc::default());
        assert_ne!(one, other);
        assert_eq!((other.since(then), other.now() == then), (Some(&[][..]), false));
    }
}
