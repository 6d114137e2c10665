//! Which namespaces a selector matches, and what is known of them.

use std::sync::PoisonError;

use netpol_policy::model::{LabelSelector, LabelValue, Labels, METADATA_NAME, Namespace, Requirement};

use super::{ALWAYS, Index, remember};
use crate::slip;

/// What a namespace selector matches among the namespaces that are known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MatchedNamespaces<'c> {
    /// Their names, sorted.
    pub names: Vec<&'c str>,
    /// No other namespace of the cluster can match, or none that the given files forgot:
    /// the selector names its namespaces or asks for a label that known namespaces have.
    pub complete: bool,
}

impl<'c> Index<'c> {
    /// The namespaces that a selector matches.
    pub fn namespaces(&self, selector: &LabelSelector) -> MatchedNamespaces<'c> {
        if let Some(named) = names_required(selector) {
            let mut names: Vec<&'c str> = Vec::new();
            for name in &named {
                names.extend(self.namespaces.get(name).map(|namespace| namespace.name));
            }
            let all = self.facts.is_some_and(|facts| facts.all_namespaces);
            let complete = all || names.len() == named.len();
            names.retain(|name| self.namespace_matches(name, selector));
            return MatchedNamespaces { names, complete };
        }
        // A selector that asks for nothing matches every namespace of the cluster, also those that were not given.
        let asks = selector.requirements().any(asks_for_label);
        let labelled = selector.requirements().filter(|r| r.operator() == "In").map(|requirement| {
            let key = requirement.key().as_str();
            let lists =
                requirement.values().filter_map(|value| self.by_namespace_label.get(&(key, value.as_str())));
            lists.flatten().copied().collect::<Vec<_>>()
        });
        let mut names = match labelled.min_by_key(Vec::len) {
            Some(names) => names,
            None => self.namespaces.names().collect(),
        };
        names.retain(|name| self.namespace_matches(name, selector));
        names.sort_unstable();
        let all = self.facts.is_some_and(|facts| facts.all_namespaces);
        MatchedNamespaces { complete: all || asks && !names.is_empty(), names }
    }

    /// Whether a namespace selector matches some namespace.
    pub(crate) fn is_some_namespace(&self, selector: &LabelSelector) -> bool {
        !self.matched(selector).0.is_empty()
    }

    /// Whether at least one namespace that was given has a label.
    pub fn is_namespace_label(&self, key: &str, value: &str) -> bool {
        self.by_namespace_label.contains_key(&(key, value))
    }

    /// Whether a namespace is among those given, or a workload of it.
    pub fn knows_namespace(&self, name: &str) -> bool {
        self.namespaces.number(name).is_some()
    }

    /// Whether a label of namespaces can be looked for at all: the names of some are known, or some have a manifest.
    pub fn knows_namespaces(&self, key: &str) -> bool {
        if key == METADATA_NAME { !self.namespaces.is_empty() } else { !self.by_namespace_label.is_empty() }
    }

    /// The value of a label of namespaces that was probably meant.
    pub fn similar_namespace_label(&self, key: &str, value: &str) -> Option<Box<str>> {
        let asked = (Box::from(key), Box::from(value));
        let lock = || self.similar.lock().unwrap_or_else(PoisonError::into_inner);
        let known = lock().get(&asked).cloned();
        known.unwrap_or_else(|| {
            let labelled = self.by_namespace_label.keys().filter(|(known, _)| *known == key);
            let meant = if key == METADATA_NAME {
                let names = self.namespaces.names().filter(|name| !ALWAYS.contains(name));
                slip::meant(value, names.chain(ALWAYS))
            } else {
                slip::meant(value, labelled.map(|(_, value)| *value))
            };
            let meant = meant.map(Box::from);
            remember(&mut lock(), asked, meant.clone());
            meant
        })
    }

    /// Whether a namespace has the labels; of one without a manifest only the name is known.
    pub fn namespace_matches(&self, name: &str, selector: &LabelSelector) -> bool {
        match self.namespaces.get(name) {
            Some(namespace) => namespace.matches(selector),
            None => selector.matches(Namespace::new(name, Labels::new()).labels()),
        }
    }

    /// Whether a namespace may have the labels: without a manifest, whatever is asked of its other labels may hold.
    pub fn namespace_may_match(&self, name: &str, selector: &LabelSelector) -> bool {
        match self.namespaces.get(name).and_then(|namespace| namespace.labels) {
            Some(labels) => selector.matches(labels),
            None => {
                let unnamed = Namespace::new(name, Labels::new());
                let mut of_name = selector.requirements().filter(|one| one.key().as_str() == METADATA_NAME);
                of_name.all(|requirement| requirement.matches(unnamed.labels()))
            }
        }
    }

    /// Whether a namespace surely has the labels: as [`Self::namespace_matches`], but without a manifest only
    /// requirements on its name count as known.
    pub fn namespace_surely_matches(&self, name: &str, selector: &LabelSelector) -> bool {
        let known = self.namespaces.get(name).is_some_and(|namespace| namespace.labels.is_some());
        (known || selector.requirements().all(|requirement| requirement.key().as_str() == METADATA_NAME))
            && self.namespace_matches(name, selector)
    }
}

/// Whether a requirement asks for a label of namespaces other than their name.
pub(super) fn asks_for_label(requirement: &Requirement) -> bool {
    requirement.key().as_str() != METADATA_NAME && matches!(requirement.operator(), "In" | "Exists")
}

/// The names of the namespaces, when the selector asks for names.
pub(super) fn names_required(selector: &LabelSelector) -> Option<Vec<&str>> {
    selector
        .requirements()
        .find(|requirement| requirement.key().as_str() == METADATA_NAME && requirement.operator() == "In")
        .map(|requirement| requirement.values().map(LabelValue::as_str).collect())
}
