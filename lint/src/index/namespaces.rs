//! All namespaces, by number and by name.

use std::collections::BTreeMap;

use super::namespace::NamespaceIndex;
use crate::hash::HashMap;

/// Numbered in the order of their names.
pub(super) struct Namespaces<'c> {
    all: Vec<NamespaceIndex<'c>>,
    by_name: HashMap<&'c str, u32>,
}

impl<'c> Namespaces<'c> {
    pub(super) fn new(all: BTreeMap<&'c str, NamespaceIndex<'c>>) -> Self {
        let by_name = all.keys().zip(0..).map(|(name, number)| (*name, number)).collect();
        Self { all: all.into_values().collect(), by_name }
    }

    /// The number of a name.
    pub(super) fn number(&self, name: &str) -> Option<u32> {
        self.by_name.get(name).copied()
    }

    pub(super) fn get(&self, name: &str) -> Option<&NamespaceIndex<'c>> {
        self.number(name).map(|number| self.numbered(number))
    }

    pub(super) fn numbered(&self, number: u32) -> &NamespaceIndex<'c> {
        &self.all[number as usize]
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// All, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &NamespaceIndex<'c>> {
        self.all.iter()
    }

    /// Their names, sorted.
    pub(super) fn names(&self) -> impl Iterator<Item = &'c str> {
        self.all.iter().map(|namespace| namespace.name)
    }
}
