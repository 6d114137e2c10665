//! Whether one selector selects everything that another does.
//!
//! Requirements on different keys have nothing to do with each other, so a selector is a set of values for each key.
//! Of a key's values there are more than any selector can list: only `In` leaves a known few.

use super::{LabelSelector, Requirement, Test};
use crate::model::label::{LabelValue, METADATA_NAME};

/// What carries the labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Labelled {
    /// A pod, with any labels or none.
    Pod,
    /// A namespace, which always carries [`METADATA_NAME`].
    Namespace,
}

impl LabelSelector {
    /// Whether every object that this selects is also selected by `other`, whatever its labels are. Exact: `false`
    /// means that there are labels which this selects and `other` doesn't.
    pub fn implies(&self, other: &Self, of: Labelled) -> bool {
        other.0.iter().all(|requirement| self.values_of(requirement, of).meet(requirement))
            || self.is_contradictory(of)
    }

    /// Whether no labels can meet all requirements.
    pub fn is_contradictory(&self, of: Labelled) -> bool {
        let alone = |(index, requirement): (usize, &Requirement)| {
            let mut before = self.0[..index].iter();
            // The requirements are sorted, so that those on one key are neighbours; the first speaks for all.
            before.next_back().is_none_or(|before| before.key != requirement.key)
                && self.values_of(requirement, of).is_none()
        };
        self.0.iter().enumerate().any(alone)
    }

    /// Whether some labels are selected by both.
    pub fn overlaps(&self, other: &Self, of: Labelled) -> bool {
        !Self::new(self.0.iter().chain(other.0.iter()).cloned()).is_contradictory(of)
    }

    /// What all requirements on the key of one leave.
    fn values_of(&self, requirement: &Requirement, of: Labelled) -> Values<'_> {
        let key = &requirement.key;
        let start = self.0.partition_point(|known| known.key < *key);
        let count = self.0[start..].iter().take_while(|known| known.key == *key).count();
        let always = of == Labelled::Namespace && key.as_str() == METADATA_NAME;
        Values { requirements: &self.0[start..start + count], always }
    }
}

/// The values that requirements on one key leave, and whether the label may be missing.
#[derive(Clone, Copy)]
struct Values<'s> {
    requirements: &'s [Requirement],
    /// The label is never missing.
    always: bool,
}

impl<'s> Values<'s> {
    /// Whether all of them meet a requirement.
    fn meet(self, requirement: &Requirement) -> bool {
        if self.may_be_missing() && !requirement.test.accepts(None) {
            return false;
        }
        if let Some(mut listed) = self.listed() {
            return listed.all(|value| requirement.test.accepts(Some(value)));
        }
        if self.requirements.iter().any(|own| own.test == Test::DoesNotExist) {
            return true;
        }
        // Any value but those in some lists is left.
        match &requirement.test {
            Test::In(_) | Test::DoesNotExist => false,
            Test::Exists => true,
            Test::NotIn(values) => values.iter().all(|value| !self.accept(Some(value))),
        }
    }

    /// Whether there are none.
    fn is_none(self) -> bool {
        let no_value = match self.listed() {
            Some(mut listed) => listed.next().is_none(),
            None => self.requirements.iter().any(|own| own.test == Test::DoesNotExist),
        };
        no_value && !self.may_be_missing()
    }

    fn may_be_missing(self) -> bool {
        !self.always && self.accept(None)
    }

    /// The values that are left when only some are allowed at all.
    fn listed(self) -> Option<impl Iterator<Item = &'s LabelValue>> {
        let values = self.requirements.iter().find_map(|own| match &own.test {
            Test::In(values) => Some(values),
            _ => None,
        })?;
        Some(values.iter().filter(move |value| self.accept(Some(value))))
    }

    fn accept(self, value: Option<&LabelValue>) -> bool {
        self.requirements.iter().all(|own| own.test.accepts(value))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::{select, subsequence};

    use super::*;
    use crate::model::{LabelKey, Labels};

    const KEYS: [&str; 3] = ["a", "b", METADATA_NAME];
    /// The last value is in no selector: it stands for all that no list has.
    const VALUES: [&str; 4] = ["x", "y", "", "z"];

    fn requirement() -> impl Strategy<Value = Requirement> {
        let operators = select(&["In", "NotIn", "Exists", "DoesNotExist"]);
        (select(&KEYS), operators, subsequence(&VALUES[..3], 1..3)).prop_map(|(key, operator, values)| {
            let values = values.iter().filter(|_| operator.ends_with("In"));
            let values = values.map(|value| LabelValue::new(value).unwrap());
            Requirement::new(LabelKey::new(key).unwrap(), operator, values).unwrap()
        })
    }

    fn selector() -> impl Strategy<Value = LabelSelector> {
        prop::collection::vec(requirement(), 0..5).prop_map(LabelSelector::new)
    }

    /// All labels that can tell selectors over these keys and values apart.
    fn universe(of: Labelled) -> Vec<Labels> {
        let mut all = vec![Labels::new()];
        for key in KEYS {
            let with = |labels: &Labels| {
                let labels = labels.clone();
                VALUES.map(move |value| {
                    let mut labels = labels.clone();
                    labels.insert(LabelKey::new(key).unwrap(), LabelValue::new(value).unwrap());
                    labels
                })
            };
            let more: Vec<_> = all.iter().flat_map(with).collect();
            if of == Labelled::Pod || key != METADATA_NAME {
                all.extend(more);
            } else {
                all = more;
            }
        }
        all
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn exactly_as_all_labels_say(one in selector(), other in selector(), namespace in any::<bool>()) {
            let of = if namespace { Labelled::Namespace } else { Labelled::Pod };
            let universe = universe(of);
            let selected: Vec<_> = universe.iter().filter(|labels| one.matches(labels)).collect();
            prop_assert_eq!(one.implies(&other, of), selected.iter().all(|labels| other.matches(labels)));
            prop_assert_eq!(one.is_contradictory(of), selected.is_empty());
            prop_assert_eq!(one.overlaps(&other, of), selected.iter().any(|labels| other.matches(labels)));
        }
    }
}
