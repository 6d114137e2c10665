//! Numbers for classes and sets.
//!
//! A class keeps its number, and a set its own, as long as either bank uses it; a number never means something else
//! while the tables live. So a set can serve both banks, and entries for numbers that only one bank uses do no harm.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use super::{SetId, State};
use crate::compile::{Identity, Numbered, PolicySet, Signature};

/// The numbers that this run of the agent gave.
#[derive(Clone, Debug)]
pub(super) struct Numbers {
    classes: HashMap<Arc<Signature>, Identity>,
    by_number: BTreeMap<Identity, Arc<Signature>>,
    sets: BTreeMap<Arc<PolicySet>, SetId>,
    next_class: u32,
    next_set: u32,
}

impl Numbers {
    /// Starts above every number in the tables: what an earlier run meant by them is not known.
    pub(super) fn above(state: &State) -> Self {
        let classes = state.banks.iter().flat_map(|bank| bank.classes.iter().map(|(_, identity)| identity.0));
        let entries = state.sets.values().flatten().map(|entry| entry.identity.0);
        let in_use = state.endpoints.values().flat_map(|endpoint| endpoint.gates.iter().copied());
        let sets = state.sets.keys().copied().chain(in_use.flat_map(super::Gates::sets)).map(|id| id.0);
        Self {
            classes: HashMap::new(),
            by_number: BTreeMap::new(),
            sets: BTreeMap::new(),
            next_class: classes.chain(entries).max().unwrap_or(0) + 1,
            next_set: sets.max().unwrap_or(0) + 1,
        }
    }

    /// The number of a class.
    pub(super) fn class(&mut self, signature: &Arc<Signature>) -> Identity {
        if **signature == Signature::default() {
            return Identity::ANY;
        }
        if let Some(identity) = self.classes.get(signature) {
            return *identity;
        }
        let identity = Identity(self.next_class);
        self.next_class += 1;
        self.classes.insert(Arc::clone(signature), identity);
        self.by_number.insert(identity, Arc::clone(signature));
        identity
    }

    /// The number of a set.
    pub(super) fn set(&mut self, set: &Arc<PolicySet>) -> SetId {
        if let Some(id) = self.sets.get(set) {
            return *id;
        }
        let id = SetId(self.next_set);
        self.next_set += 1;
        self.sets.insert(Arc::clone(set), id);
        id
    }

    /// The classes with numbers from this one on.
    pub(super) fn classes_from(&self, first: Identity) -> Numbered {
        self.by_number
            .range(first..)
            .map(|(identity, signature)| (*identity, Arc::clone(signature)))
            .collect()
    }

    /// The number that the next new class gets.
    pub(super) fn next_class(&self) -> Identity {
        Identity(self.next_class)
    }

    /// Forgets what nobody uses any more.
    pub(super) fn retain(&mut self, classes: &HashSet<Identity>, sets: &BTreeSet<SetId>) {
        self.classes.retain(|_, identity| classes.contains(identity));
        self.by_number.retain(|identity, _| classes.contains(identity));
        self.sets.retain(|_, id| sets.contains(id));
    }
}
