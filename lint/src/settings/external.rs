//! Pods and namespaces of the cluster that the files don't show.

use std::fmt;
use std::str::FromStr;

use netpol_policy::model::{
    LabelError, LabelKey, LabelSelector, LabelValue, Labels, METADATA_NAME, PodNamespaces,
};
use thiserror::Error;

use crate::index::Index;

/// Namespaces of which the files don't show everything: `monitoring`, or all with the labels `team=ops,stage=live`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExternalNamespaces {
    labels: Labels,
}

/// Pods that the files don't show: `app=prometheus` in any namespace, or `monitoring:app=prometheus` in one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExternalPods {
    namespace: Option<LabelValue>,
    labels: Labels,
}

/// Why a text names no namespaces or pods.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ExternalError {
    /// Labels are `key=value`, with commas between them.
    #[error("`{0}` is no label: write `key=value`, with commas between several")]
    NoLabel(Box<str>),
    /// Not a key or not a value of a label.
    #[error("`{text}` is no label: {error}")]
    Label {
        /// The label.
        text: Box<str>,
        /// Why.
        error: LabelError,
    },
    /// Not a name of a namespace.
    #[error("`{0}` is no name of a namespace")]
    Namespace(Box<str>),
}

impl ExternalNamespaces {
    /// Whether a selector may mean one of them: it asks for something that is known of them and contradicts none of it.
    pub(super) fn may_match(&self, selector: &LabelSelector) -> bool {
        compatible(selector, &self.labels)
    }

    pub(super) fn is_name(&self, name: &str) -> bool {
        self.labels.iter().any(|(key, value)| key.as_str() == METADATA_NAME && value.as_str() == name)
    }
}

impl ExternalPods {
    pub(super) fn may_match(
        &self,
        index: &Index<'_>,
        namespaces: &PodNamespaces,
        own: &str,
        pods: &LabelSelector,
    ) -> bool {
        let there = match (&self.namespace, namespaces) {
            (None, _) => true,
            (Some(name), PodNamespaces::Own) => name.as_str() == own,
            (Some(name), PodNamespaces::Selected(selector)) => {
                index.namespace_may_match(name.as_str(), selector)
            }
        };
        there && compatible(pods, &self.labels)
    }
}

/// Whether a selector asks for at least one of the labels and none of them is against it. What other labels there are
/// nobody knows.
fn compatible(selector: &LabelSelector, labels: &Labels) -> bool {
    let mut known =
        selector.requirements().filter(|requirement| labels.contains_key(requirement.key())).peekable();
    known.peek().is_some() && known.all(|requirement| requirement.matches(labels))
}

impl FromStr for ExternalNamespaces {
    type Err = ExternalError;

    fn from_str(text: &str) -> Result<Self, ExternalError> {
        if text.contains('=') {
            return Ok(Self { labels: labels(text)? });
        }
        let name = namespace(text)?;
        let key = LabelKey::new(METADATA_NAME).expect("a valid key");
        Ok(Self { labels: Labels::from_iter([(key, name)]) })
    }
}

impl FromStr for ExternalPods {
    type Err = ExternalError;

    fn from_str(text: &str) -> Result<Self, ExternalError> {
        match text.split_once(':') {
            Some((name, rest)) => Ok(Self { namespace: Some(namespace(name)?), labels: labels(rest)? }),
            None => Ok(Self { namespace: None, labels: labels(text)? }),
        }
    }
}

fn namespace(name: &str) -> Result<LabelValue, ExternalError> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let ok = !name.is_empty() && name.chars().all(fits) && !name.starts_with('-') && !name.ends_with('-');
    let value = LabelValue::new(name).ok().filter(|_| ok);
    value.ok_or_else(|| ExternalError::Namespace(name.into()))
}

fn labels(text: &str) -> Result<Labels, ExternalError> {
    let label = |text: &str| {
        let text = text.trim();
        let pair = text.split_once('=').filter(|(_, value)| !value.starts_with('='));
        let (key, value) = pair.ok_or_else(|| ExternalError::NoLabel(text.into()))?;
        let wrong = |error| ExternalError::Label { text: text.into(), error };
        Ok((LabelKey::new(key).map_err(wrong)?, LabelValue::new(value).map_err(wrong)?))
    };
    text.split(',').map(label).collect()
}

impl fmt::Display for ExternalNamespaces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut labels = self.labels.iter();
        match (labels.next(), labels.next()) {
            (Some((key, name)), None) if key.as_str() == METADATA_NAME => f.write_str(name.as_str()),
            _ => write_labels(&self.labels, f),
        }
    }
}

impl fmt::Display for ExternalPods {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(namespace) = &self.namespace {
            write!(f, "{}:", namespace.as_str())?;
        }
        write_labels(&self.labels, f)
    }
}

fn write_labels(labels: &Labels, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for (index, (key, value)) in labels.iter().enumerate() {
        write!(f, "{}{}={}", if index == 0 { "" } else { "," }, key.as_str(), value.as_str())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use netpol_policy::model::Requirement;

    use super::*;

    fn selector(text: &str) -> LabelSelector {
        let labels = if text.is_empty() { Labels::new() } else { labels(text).unwrap() };
        LabelSelector::new(labels.into_iter().map(|(key, value)| Requirement::equals(key, value)))
    }

    #[test]
    fn written_and_shown() {
        for text in ["monitoring", "team=ops", "stage=live,team=ops"] {
            assert_eq!(text.parse::<ExternalNamespaces>().unwrap().to_string(), text);
        }
        for text in ["app=prometheus", "monitoring:app=prometheus", "a/b=,app.kubernetes.io/name=x"] {
            assert_eq!(text.parse::<ExternalPods>().unwrap().to_string(), text);
        }
        for (text, message) in [
            ("app", "`app` is no label: write `key=value`, with commas between several"),
            ("app==x", "`app==x` is no label: write `key=value`, with commas between several"),
            ("A b:app=x", "`A b` is no name of a namespace"),
        ] {
            assert_eq!(text.parse::<ExternalPods>().unwrap_err().to_string(), message);
        }
        for text in ["", "-a", "team=ops,", "team=a b"] {
            assert!(text.parse::<ExternalNamespaces>().is_err(), "{text}");
        }
    }

    #[test]
    fn what_may_match() {
        for (external, asked, expected) in [
            ("team=ops", "team=ops", true),
            ("team=ops", "team=ops,stage=live", true),
            ("team=ops,stage=live", "team=ops", true),
            ("team=ops", "team=dev", false),
            ("team=ops,stage=live", "team=ops,stage=test", false),
            ("team=ops", "stage=live", false),
            ("team=ops", "", false),
            ("monitoring", "kubernetes.io/metadata.name=monitoring", true),
            ("monitoring", "kubernetes.io/metadata.name=other", false),
        ] {
            let external: ExternalNamespaces = external.parse().unwrap();
            assert_eq!(external.may_match(&selector(asked)), expected, "{external} {asked}");
        }
    }
}
