//! Why a text, or one of its documents, could not be read.

use thiserror::Error;

use crate::span::Span;

/// A text or a document that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct SyntaxError {
    /// Which document of the text, from 0.
    pub document: usize,
    /// The characters at fault.
    pub span: Span,
    /// What kind of trouble it is.
    pub kind: SyntaxErrorKind,
    /// What is wrong, in a sentence without a full stop.
    pub message: Box<str>,
    /// What to do about it.
    pub help: Option<Box<str>>,
}

/// Kinds of trouble with a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SyntaxErrorKind {
    /// Not YAML.
    Yaml,
    /// A template of Helm or of Go, which is YAML only once it is rendered.
    HelmTemplate,
    /// A manifest that lost its indentation.
    Flattened,
    /// Not UTF-8, or a NUL byte.
    Encoding,
    /// Longer, deeper or more repetitive than the limits allow.
    Limit,
    /// An alias without an anchor before it, or one inside its own anchor.
    Alias,
    /// A merge key whose value is no mapping.
    Merge,
    /// A key that is a mapping or a sequence, which JSON does not have.
    Key,
}
