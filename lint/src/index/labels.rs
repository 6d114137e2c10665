//! Things with labels, found by them.

use netpol_policy::model::{LabelSelector, Labels, Requirement};

use crate::hash::HashMap;

/// Numbers of things, which are counted from zero, by their labels.
#[derive(Default)]
pub(super) struct ByLabel<'c>(HashMap<&'c str, Key<'c>>);

/// The things that have some label.
#[derive(Default)]
struct Key<'c> {
    /// Each value once.
    values: Vec<&'c str>,
    /// The things by value.
    ids: HashMap<&'c str, Vec<u32>>,
}

impl<'c> ByLabel<'c> {
    /// Adds a thing. Calls back for each label that none before had.
    pub(super) fn add(&mut self, id: u32, labels: &'c Labels, mut new: impl FnMut(&'c str, &'c str)) {
        for (key, value) in labels {
            let (key, value) = (key.as_str(), value.as_str());
            let key_index = self.0.entry(key).or_default();
            let ids = key_index.ids.entry(value).or_default();
            if ids.is_empty() {
                key_index.values.push(value);
                new(key, value);
            }
            ids.push(id);
        }
    }

    /// The requirement of a selector that the fewest can meet, of those that ask for a label.
    pub(super) fn rarest<'s>(&self, selector: &'s LabelSelector) -> Option<&'s Requirement> {
        let count = |requirement: &Requirement| {
            Some(self.meeting(requirement)?.iter().map(|ids| ids.len()).sum::<usize>())
        };
        let counted =
            selector.requirements().filter_map(|requirement| Some((count(requirement)?, requirement)));
        counted.min_by_key(|(count, _)| *count).map(|(_, requirement)| requirement)
    }

    /// Those that meet a requirement for a label, by value; `None` when it asks for no label. Each is in one list at
    /// most.
    pub(super) fn meeting(&self, requirement: &Requirement) -> Option<Vec<&[u32]>> {
        let key = self.0.get(requirement.key().as_str());
        let list = |value: &str| key.and_then(|key| key.ids.get(value)).map(Vec::as_slice);
        match requirement.operator() {
            "In" => Some(requirement.values().filter_map(|value| list(value.as_str())).collect()),
            "Exists" => {
                Some(key.into_iter().flat_map(|key| &key.values).filter_map(|value| list(value)).collect())
            }
            _ => None,
        }
    }

    /// The values that a label has, each once.
    pub(super) fn values(&self, key: &str) -> &[&'c str] {
        self.0.get(key).map(|key| &*key.values).unwrap_or_default()
    }

    /// The first one with a label.
    pub(super) fn first(&self, key: &str, value: &str) -> Option<u32> {
        self.0.get(key)?.ids.get(value)?.first().copied()
    }
}
