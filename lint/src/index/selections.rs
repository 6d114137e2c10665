//! What selectors select, remembered: many policies ask for the same pods.

use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use netpol_policy::model::LabelSelector;

use crate::hash::HashMap;

/// The most pods of a selection that are looked at one by one.
pub(crate) const PODS: usize = 2000;

/// The most kinds that are told of a selection.
pub(crate) const KINDS: usize = 65;

/// The workloads that some pods belong to.
#[derive(Debug)]
pub(crate) struct Workloads {
    /// In the order of their first pods.
    pub(crate) all: Box<[Group]>,
    /// How many pods there are, [`PODS`] at most.
    pub(crate) pods: usize,
    /// There are more pods than that.
    pub(crate) more: bool,
}

/// The pods of one workload among those of a selection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Group {
    /// The number of the first one in the namespace.
    pub(crate) pod: u32,
    /// How many pods of the selection come before that.
    pub(crate) at: u32,
    /// How many pods there are.
    pub(crate) count: u32,
}

/// The number of a namespace, and pods there.
type Selected = (u32, LabelSelector);

/// A namespace selector's namespaces by their numbers, and whether no other can match.
pub(super) type Matched = (Arc<[u32]>, bool);

#[derive(Default)]
pub(super) struct Selections {
    pub(super) kinds: Memory<Selected, Arc<[u32]>>,
    pub(super) workloads: Memory<Selected, Arc<Workloads>>,
    pub(super) namespaces: Memory<LabelSelector, Matched>,
}

/// Answers that were worked out before. It is emptied when it gets too large: an index may live long and be asked by
/// strangers.
pub(super) struct Memory<K, V>(Mutex<Remembered<K, V>>);

struct Remembered<K, V> {
    all: HashMap<K, V>,
    weight: usize,
}

/// The most numbers that are remembered of one kind.
const HEAVY: usize = 1 << 18;

/// What an answer weighs at least.
const LIGHT: usize = 16;

impl<K, V> Default for Memory<K, V> {
    fn default() -> Self {
        Self(Mutex::new(Remembered { all: HashMap::default(), weight: 0 }))
    }
}

impl<K: Eq + Hash, V: Clone> Memory<K, V> {
    /// The answer, worked out now if it isn't known; `weight` tells how many numbers it holds.
    pub(super) fn answer(&self, key: K, work_out: impl FnOnce() -> V, weight: impl Fn(&V) -> usize) -> V {
        let lock = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = lock().all.get(&key) {
            return known.clone();
        }
        let answer = work_out();
        let weight = LIGHT + weight(&answer);
        let mut known = lock();
        if known.weight + weight > HEAVY {
            known.all.clear();
            known.weight = 0;
        }
        known.weight += weight;
        known.all.insert(key, answer.clone());
        answer
    }
}
