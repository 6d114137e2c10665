//! Numbers for classes and sets.
//!
//! A class keeps its number, and a set its own, as long as either bank uses it. What is asked of a class may change, but
//! never what a set asks of it that is there already: then it gets another number. So a set can serve both banks, and
//! entries for numbers that only one bank uses do no harm.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use netpol_policy::model::{PortName, Protocol};

use super::{SetId, State};
use crate::compile::{
    ClassId, ClassMap, ClauseId, Identity, Numbered, PolicySet, Signature, clauses_of, names_of,
};

/// The numbers that this run of the agent gave.
#[derive(Clone, Debug)]
pub(super) struct Numbers {
    /// Which map the names of classes are from.
    map: Option<u64>,
    classes: HashMap<ClassId, Identity>,
    /// The newest class that ever had a number.
    newest: Option<ClassId>,
    by_number: BTreeMap<Identity, Arc<Signature>>,
    /// The numbers of classes of which nothing is asked, and nothing was: no set has entries for them.
    idle: HashSet<Identity>,
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
            map: None,
            classes: HashMap::new(),
            newest: None,
            by_number: BTreeMap::new(),
            idle: HashSet::new(),
            sets: BTreeMap::new(),
            next_class: classes.chain(entries).max().unwrap_or(0) + 1,
            next_set: sets.max().unwrap_or(0) + 1,
        }
    }

    /// Gives every class a number, for these sets. Returns whether a class has another one than before: then so have its
    /// addresses.
    pub(super) fn follow(&mut self, classes: &ClassMap, sets: &BTreeSet<Arc<PolicySet>>) -> bool {
        let kept = || sets.iter().filter(|set| self.sets.contains_key(*set));
        let known = Asked { clauses: clauses_of(kept()), names: names_of(kept()) };
        let mut others = false;
        if self.map != Some(classes.number()) {
            // Names mean nothing any more, but what was asked of a class may be what is asked of one now.
            let mut free: HashMap<&Arc<Signature>, Identity> = self
                .classes
                .values()
                .filter_map(|number| Some((self.by_number.get(number)?, *number)))
                .collect();
            self.classes =
                classes.classes().filter_map(|(id, asked)| Some((id, free.remove(asked)?))).collect();
            (self.map, self.newest, others) = (Some(classes.number()), None, true);
        }
        let mut idle = HashSet::new();
        let mut numbers = HashMap::with_capacity(classes.count());
        for (class, meaning) in classes.classes() {
            let before =
                self.classes.get(&class).and_then(|number| Some((*number, self.by_number.get(number)?)));
            let same = before.filter(|(_, before)| known.asks_the_same(before, meaning));
            let number = same.map_or(Identity(self.next_class), |(number, _)| number);
            if same.is_none() {
                self.next_class += 1;
                others |= Some(class) <= self.newest;
            }
            let is_idle = |meaning: &Signature| *meaning == Signature::default();
            if is_idle(meaning) && same.is_none_or(|(_, before)| is_idle(before)) {
                idle.insert(number);
            }
            if same.is_none_or(|(_, before)| before != meaning) {
                self.by_number.insert(number, Arc::clone(meaning));
            }
            numbers.insert(class, number);
        }
        self.newest = self.newest.max(numbers.keys().max().copied());
        (self.classes, self.idle) = (numbers, idle);
        others
    }

    /// Gives every class another number next time: nobody knows what was written of those before.
    pub(super) fn begin_anew(&mut self) {
        self.map = None;
        self.classes.clear();
        self.by_number.clear();
        self.idle.clear();
    }

    /// The number of a class.
    ///
    /// # Panics
    /// When the class is not of the map that was followed last.
    pub(super) fn class(&self, class: ClassId) -> Identity {
        self.classes[&class]
    }

    /// Whether no set in the tables has entries for this number, nor will have before the next change.
    pub(super) fn is_idle(&self, number: Identity) -> bool {
        number == Identity::ANY || self.idle.contains(&number)
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
        let numbers = self.classes.values().filter(|number| **number >= first);
        numbers.map(|number| (*number, Arc::clone(&self.by_number[number]))).collect()
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

/// What some sets ask.
struct Asked {
    clauses: BTreeSet<ClauseId>,
    names: BTreeSet<(Protocol, PortName)>,
}

impl Asked {
    /// Whether these sets can't tell two meanings apart.
    fn asks_the_same(&self, one: &Arc<Signature>, other: &Arc<Signature>) -> bool {
        one == other
            || !one.clauses.symmetric_difference(&other.clauses).any(|clause| self.clauses.contains(clause))
                && self.names.iter().all(|name| one.named.get(name) == other.named.get(name))
    }
}
