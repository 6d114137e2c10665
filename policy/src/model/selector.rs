//! Label selectors.

mod implication;

use std::fmt;
use std::sync::Arc;

use thiserror::Error;

use super::label::{LabelKey, LabelValue, Labels};

pub use implication::Labelled;

/// Requirements that must all hold; with none, everything is selected.
///
/// Normalised: sorted, without repetitions, and `matchLabels: {k: v}` is the same as `k In (v)`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct LabelSelector(
    /// Sorted, each once. Most selectors have one requirement, for which a tree would be large; and the same selector is
    /// kept in several places.
    Arc<[Requirement]>,
);

/// One condition on the labels of an object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Requirement {
    key: LabelKey,
    test: Test,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Test {
    In(Box<[LabelValue]>),
    NotIn(Box<[LabelValue]>),
    Exists,
    DoesNotExist,
}

/// Why a requirement can't be built.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SelectorError {
    /// `In` and `NotIn` need values.
    #[error("operator {0} needs at least one value")]
    ValuesMissing(&'static str),
    /// `Exists` and `DoesNotExist` take none.
    #[error("operator {0} takes no values")]
    ValuesGiven(&'static str),
    /// Not one of the four operators.
    #[error("`{0}` is no operator: use In, NotIn, Exists or DoesNotExist")]
    Operator(Box<str>),
}

impl LabelSelector {
    /// Selects everything.
    pub fn everything() -> Self {
        Self::default()
    }

    /// The selector with these requirements.
    pub fn new(requirements: impl IntoIterator<Item = Requirement>) -> Self {
        Self(sorted(requirements).into())
    }

    /// True when every object is selected because nothing is required.
    pub fn is_everything(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether labels meet every requirement.
    pub fn matches(&self, labels: &Labels) -> bool {
        self.0.iter().all(|requirement| requirement.matches(labels))
    }

    /// The requirements, sorted.
    pub fn requirements(&self) -> impl ExactSizeIterator<Item = &Requirement> + Clone {
        self.0.iter()
    }

    /// The requirements that these labels don't meet.
    pub fn unmet<'a>(&'a self, labels: &'a Labels) -> impl Iterator<Item = &'a Requirement> {
        self.0.iter().filter(|requirement| !requirement.matches(labels))
    }
}

impl Requirement {
    /// The label must have this value, as in `matchLabels`.
    pub fn equals(key: LabelKey, value: LabelValue) -> Self {
        Self { key, test: Test::In(Box::new([value])) }
    }

    /// A `matchExpressions` item.
    pub fn new(
        key: LabelKey,
        operator: &str,
        values: impl IntoIterator<Item = LabelValue>,
    ) -> Result<Self, SelectorError> {
        let values = sorted(values);
        let some = |name, values: Vec<_>| {
            if values.is_empty() { Err(SelectorError::ValuesMissing(name)) } else { Ok(values.into()) }
        };
        let none = |name, values: &[_]| {
            if values.is_empty() { Ok(()) } else { Err(SelectorError::ValuesGiven(name)) }
        };
        let test = match operator {
            "In" => Test::In(some("In", values)?),
            "NotIn" => Test::NotIn(some("NotIn", values)?),
            "Exists" => none("Exists", &values).map(|()| Test::Exists)?,
            "DoesNotExist" => none("DoesNotExist", &values).map(|()| Test::DoesNotExist)?,
            other => return Err(SelectorError::Operator(other.into())),
        };
        Ok(Self { key, test })
    }

    /// The label's key.
    pub fn key(&self) -> &LabelKey {
        &self.key
    }

    /// `In`, `NotIn`, `Exists` or `DoesNotExist`.
    pub fn operator(&self) -> &'static str {
        match self.test {
            Test::In(_) => "In",
            Test::NotIn(_) => "NotIn",
            Test::Exists => "Exists",
            Test::DoesNotExist => "DoesNotExist",
        }
    }

    /// The values of `In` and `NotIn`; none for the others.
    pub fn values(&self) -> impl Iterator<Item = &LabelValue> {
        match &self.test {
            Test::In(values) | Test::NotIn(values) => Some(values),
            Test::Exists | Test::DoesNotExist => None,
        }
        .into_iter()
        .flatten()
    }

    /// Whether labels meet it. A missing label meets `NotIn` and `DoesNotExist`.
    pub fn matches(&self, labels: &Labels) -> bool {
        self.test.accepts(labels.get(&self.key))
    }
}

impl Test {
    /// Whether the label may have a value, or be missing.
    fn accepts(&self, value: Option<&LabelValue>) -> bool {
        match self {
            Self::In(values) => value.is_some_and(|value| values.binary_search(value).is_ok()),
            Self::NotIn(values) => value.is_none_or(|value| values.binary_search(value).is_err()),
            Self::Exists => value.is_some(),
            Self::DoesNotExist => value.is_none(),
        }
    }
}

fn sorted<T: Ord>(items: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut items: Vec<T> = items.into_iter().collect();
    items.sort();
    items.dedup();
    items
}

/// As `kubectl` writes it: `app=db,tier in (a,b),!old`; `*` for everything.
impl fmt::Display for LabelSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("*");
        }
        for (index, requirement) in self.0.iter().enumerate() {
            write!(f, "{}{requirement}", if index == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = &self.key;
        let list =
            |values: &[LabelValue]| values.iter().map(LabelValue::as_str).collect::<Vec<_>>().join(",");
        match &self.test {
            Test::In(values) if values.len() == 1 => write!(f, "{key}={}", list(values)),
            Test::In(values) => write!(f, "{key} in ({})", list(values)),
            Test::NotIn(values) if values.len() == 1 => write!(f, "{key}!={}", list(values)),
            Test::NotIn(values) => write!(f, "{key} notin ({})", list(values)),
            Test::Exists => write!(f, "{key}"),
            Test::DoesNotExist => write!(f, "!{key}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs.iter().map(|(k, v)| (LabelKey::new(k).unwrap(), LabelValue::new(v).unwrap())).collect()
    }

    fn requirement(key: &str, operator: &str, values: &[&str]) -> Result<Requirement, SelectorError> {
        Requirement::new(
            LabelKey::new(key).unwrap(),
            operator,
            values.iter().map(|v| LabelValue::new(v).unwrap()),
        )
    }

    #[test]
    fn operators() {
        let db = labels(&[("app", "db"), ("empty", "")]);
        let cases = [
            ("app", "In", &["db", "x"][..], true),
            ("app", "In", &["x"], false),
            ("none", "In", &["x"], false),
            ("app", "NotIn", &["db"], false),
            ("app", "NotIn", &["x"], true),
            ("none", "NotIn", &["x"], true),
            ("app", "Exists", &[], true),
            ("none", "Exists", &[], false),
            ("none", "DoesNotExist", &[], true),
            ("app", "DoesNotExist", &[], false),
            ("empty", "In", &[""], true),
            ("none", "In", &[""], false),
        ];
        for (key, operator, values, expected) in cases {
            let requirement = requirement(key, operator, values).unwrap();
            assert_eq!(requirement.matches(&db), expected, "{requirement}");
        }
        assert!(LabelSelector::everything().matches(&db));
    }

    #[test]
    fn refused() {
        assert_eq!(requirement("a", "In", &[]), Err(SelectorError::ValuesMissing("In")));
        assert_eq!(requirement("a", "Exists", &["x"]), Err(SelectorError::ValuesGiven("Exists")));
        assert_eq!(requirement("a", "Equals", &["x"]), Err(SelectorError::Operator("Equals".into())));
    }

    #[test]
    fn display() {
        let selector = LabelSelector::new([
            requirement("tier", "NotIn", &["b", "a"]).unwrap(),
            requirement("app", "In", &["db"]).unwrap(),
            requirement("old", "DoesNotExist", &[]).unwrap(),
        ]);
        assert_eq!(selector.to_string(), "app=db,!old,tier notin (a,b)");
        assert_eq!(LabelSelector::everything().to_string(), "*");
    }
}
