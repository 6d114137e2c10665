//! From text to keys.

use std::path::Path;

use netpol_policy::source::nearest;

use super::{Config, Options};

/// A configuration that can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Invalid(String);

impl Invalid {
    pub(super) fn new(text: String) -> Self {
        Self(text)
    }
}

impl Config {
    /// Reads YAML. An empty text says nothing.
    ///
    /// # Errors
    /// Where it can't be read, and what to write instead.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let said = |line: &str| {
            !line.trim().is_empty() && !line.trim_start().starts_with('#') && line.trim() != "---"
        };
        let options = if text.lines().any(said) {
            serde_saphyr::from_str::<Options>(text)
                .map_err(|error| Invalid(with_suggestion(&error.to_string())))?
        } else {
            Options::default()
        };
        Self::new(options)
    }

    /// Reads a file.
    ///
    /// # Errors
    /// As [`Self::parse`], and when there is no such file.
    pub fn read(path: &Path) -> Result<Self, Invalid> {
        let text = std::fs::read_to_string(path).map_err(|error| Invalid(error.to_string()))?;
        Self::parse(&text)
    }
}

/// Names the key that was probably meant.
fn with_suggestion(message: &str) -> String {
    let Some(rest) = message.split("unknown field `").nth(1).or(message.split("unknown variant `").nth(1))
    else {
        return message.to_owned();
    };
    let unknown = rest.split('`').next().unwrap_or_default();
    let known = rest.lines().next().and_then(|line| line.split("expected ").nth(1)).unwrap_or_default();
    let known = known.trim_start_matches("one of ").split(", ").map(|word| word.trim_matches('`'));
    match nearest(unknown, known) {
        Some(meant) => format!("did you mean `{meant}`? {message}"),
        None => message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_as_usual() {
        for text in ["", "\n# nothing\n", "---\n", "{}"] {
            let config = Config::parse(text).unwrap();
            assert_eq!(config.preview, Config::default().preview, "{text:?}");
        }
    }

    #[test]
    fn everything_at_once() {
        let text = "
effects: {error: deny, NP1: warn, split-peer-selectors: off, 'NP305': audit}
unenforceable: deny
namespaces:
  - names: [kube-*, infra]
    effects: {ALL: warn}
  - selector: {matchLabels: {stage: test}, matchExpressions: [{key: team, operator: Exists}]}
    effects: {NP103: audit}
    unenforceable: warn
break-glass: {enabled: true, groups: [sre], reason-length: 20}
preview: {pairs: 100}
external-namespaces: [monitoring, team=ops]
external-pods: ['app=prometheus']
dual-stack: true
wide-port-range: 50
";
        let config = Config::parse(text).unwrap();
        assert_eq!(config.settings.external_namespaces.len(), 2);
        assert_eq!(config.break_glass.groups, ["sre"]);
    }

    #[test]
    fn mistakes_are_explained() {
        for (text, expected) in [
            ("efects: {}", "did you mean `effects`?"),
            ("effects: {NP101: dney}", "did you mean `deny`?"),
            ("effects: {NP999: deny}", "`NP999` is no rule"),
            ("effects: {split-peer-selector: deny}", "did you mean `split-peer-selectors`?"),
            ("break-glass: {group: [a]}", "did you mean `groups`?"),
            ("break-glass: {reason-length: 0}", "nonzero"),
            ("namespaces: [{effects: {}}]", "namespaces[0]: say which namespaces"),
            (
                "namespaces: [{selector: {matchExpressions: [{key: a, operator: in}]}}]",
                "`in` is no operator: use In, NotIn",
            ),
            ("external-pods: [app]", "`app` is no label"),
            ("- a", "expected"),
            ("effects: {NP101: deny, NP101: warn}", "duplicate"),
        ] {
            let error = Config::parse(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
