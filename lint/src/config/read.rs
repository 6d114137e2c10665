//! Reading the file: every mistake with its place.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use netpol_policy::source::nearest;
use netpol_policy::span::Span;
use netpol_policy::syntax::LineIndex;
use serde::Deserialize;
use thiserror::Error;
use toml::Spanned;
use toml::de::{DeTable, Deserializer};

use super::Options;
use super::resolve::from_here;
use super::schema::keys;

/// A file with its keys.
#[derive(Debug, Clone, PartialEq)]
pub struct ConfigFile {
    /// Its path.
    pub path: PathBuf,
    /// What it says.
    pub options: Options,
}

/// Why there is no configuration.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file can't be read.
    #[error("can't read the configuration {}", crate::output::printable::shown(.path))]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file says what it can't.
    #[error(transparent)]
    Invalid(#[from] InvalidConfig),
}

/// A file with mistakes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidConfig {
    /// What to call it.
    pub name: Box<str>,
    /// Its text.
    pub text: Box<str>,
    /// The mistakes in the order of the text; one at least.
    pub problems: Vec<ConfigProblem>,
}

/// A mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigProblem {
    /// Where.
    pub span: Span,
    /// What is wrong, in a sentence without a full stop.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

impl ConfigFile {
    /// Looks for the configuration of some paths, which need not exist: in the folder that has them all or in one
    /// above, up to the root of the repository.
    pub fn find<'p>(paths: impl IntoIterator<Item = &'p Path>) -> Result<Option<Self>, ConfigError> {
        super::find::find(paths).map(|path| Self::read(&path)).transpose()
    }

    /// Reads a file.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let unreadable = |source| ConfigError::Unreadable { path: path.to_owned(), source };
        let text = std::fs::read_to_string(path).map_err(unreadable)?;
        let options = Options::parse(&from_here(path).to_string_lossy(), &text)?;
        Ok(Self { path: path.to_owned(), options })
    }
}

impl Options {
    /// Reads a text; `name` is what to call it.
    pub fn parse(name: &str, text: &str) -> Result<Self, InvalidConfig> {
        let mut problems = Vec::new();
        let options = match DeTable::parse(text) {
            Ok(table) => from_table(table, &mut problems),
            Err(error) => {
                problems.push(problem(&error, Span::new(0, 0)));
                Self::default()
            }
        };
        if problems.is_empty() {
            return Ok(options);
        }
        problems.sort_by_key(|problem| problem.span);
        Err(InvalidConfig { name: name.into(), text: text.into(), problems })
    }
}

/// Takes the keys one by one, so that a mistake hides no other.
fn from_table(table: Spanned<DeTable<'_>>, problems: &mut Vec<ConfigProblem>) -> Options {
    let whole = table.span();
    let mut options = Options::default();
    for (key, value) in table.into_inner() {
        let span = span(&key.span());
        let name = key.get_ref().as_ref().to_owned();
        if !keys().contains(&name) {
            problems.push(unknown(&name, span));
            continue;
        }
        let single = Spanned::new(whole.clone(), DeTable::from_iter([(key, value)]));
        match Options::deserialize(Deserializer::from(single)) {
            Ok(one) => options = options.or(one),
            Err(error) => problems.push(problem(&error, span)),
        }
    }
    options
}

fn unknown(name: &str, span: Span) -> ConfigProblem {
    let help = match nearest(name, keys().iter().map(String::as_str)) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("the keys are {}", keys().join(", ")),
    };
    ConfigProblem { span, message: format!("unknown key `{name}`"), help: Some(help) }
}

fn problem(error: &toml::de::Error, otherwise: Span) -> ConfigProblem {
    let message = error
        .message()
        .replace("a sequence", "a list")
        .replace("a map", "a table")
        .replace("a nonzero u16", "a number from 1 to 65535");
    ConfigProblem { span: error.span().map_or(otherwise, |range| span(&range)), message, help: None }
}

fn span(range: &std::ops::Range<usize>) -> Span {
    let narrow = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
    Span::new(narrow(range.start), narrow(range.end))
}

/// One line for each mistake, with its place.
impl fmt::Display for InvalidConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = LineIndex::new(&self.text);
        for (index, ConfigProblem { span, message, help }) in self.problems.iter().enumerate() {
            let at = lines.position(&self.text, span.start);
            let name = &self.name;
            write!(f, "{}{name}:{}:{}: {message}", if index == 0 { "" } else { "\n" }, at.line, at.column)?;
            if let Some(help) = help {
                write!(f, "; {help}")?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for InvalidConfig {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_have_their_places() {
        let text = "\
selct = ['NP101']
ignore = 'NP1'
extend-select = ['NP101', 'split-peer-selector', 3]
fail-on = 'warn'
output_format = 'json'
wide-port-range = 0
namespace = 'A b'
external-pods = ['monitoring:app=a', 'app']
colour = true

[per-file-ignores]
'!a' = ['NP1']

[severity]
NP999 = 'error'
";
        insta::assert_snapshot!(Options::parse("c.toml", text).unwrap_err().to_string(), @r#"
        c.toml:1:1: unknown key `selct`; did you mean `select`?
        c.toml:2:10: invalid type: string "NP1", expected a list
        c.toml:3:27: `split-peer-selector` is no rule: did you mean `split-peer-selectors`? Or use a code (NP101), a name (split-peer-selectors), a group (NP1), a severity (info) or ALL
        c.toml:4:11: `warn` is not a severity: use info, warning, error
        c.toml:5:1: unknown key `output_format`; did you mean `output-format`?
        c.toml:6:19: invalid value: integer `0`, expected a number from 1 to 65535
        c.toml:7:13: `A b` is no name of a namespace: use lower-case letters, digits and dashes inside, 63 at most
        c.toml:8:38: `app` is no label: write `key=value`, with commas between several
        c.toml:9:1: unknown key `colour`; the keys are baseline, dual-stack, exclude, extend-select, external-namespaces, external-pods, fail-on, ignore, include, namespace, output-format, per-file-ignores, select, severity, wide-port-range
        c.toml:12:1: `!a`: patterns with `!` are not supported here
        c.toml:15:1: `NP999` is no rule: use a code (NP101), a name (split-peer-selectors), a group (NP1), a severity (info) or ALL
        "#);
        insta::assert_snapshot!(Options::parse("c.toml", "select = ['NP1'\nignore = []").unwrap_err().to_string(), @"c.toml:2:1: missing comma between array elements, expected `,`");
        insta::assert_snapshot!(Options::parse("c.toml", "dual-stack = 'yes'\ndual-stack = true").unwrap_err().to_string(), @"c.toml:2:1: duplicate key");
    }

    #[test]
    fn nothing_is_fine() {
        assert_eq!(Options::parse("c.toml", "").unwrap(), Options::default());
        assert_eq!(Options::parse("c.toml", "# nothing\n").unwrap(), Options::default());
    }
}
