//! YAML and JSON as a tree in which every node keeps its place.
//!
//! [`read`] takes a text of any number of documents, and JSON objects one after the other. A document that can't be read is an error of its own and
//! hides none of the others. What Kubernetes' own reader (`sigs.k8s.io/yaml`) makes of a scalar is what
//! [`Node::value`] says: YAML 1.1 booleans such as `yes` and `on`, octal `0644`, quoted text always a text.
//!
//! Aliases and merge keys are followed by every accessor. Nothing is copied for it, so memory stays bounded by the
//! text, and [`Limits`] bounds what a walk over the tree may cost.

mod build;
mod diagnose;
mod encoding;
mod error;
mod limits;
mod lines;
mod node;
mod parse;
mod quick;
mod scalar;

pub use error::{SyntaxError, SyntaxErrorKind};
pub use limits::Limits;
pub use lines::{LineIndex, Position};
pub use node::{Document, Entry, Item, Kind, Node, NodeId, ScalarStyle, Style};
pub use scalar::Value;

use crate::span::Span;

/// Everything that a text holds.
#[derive(Debug, Default)]
pub struct Stream<'t> {
    /// The documents that could be read, empty ones included, in the order of the text.
    pub documents: Vec<Document<'t>>,
    /// What could not be read, in the order of the text. At most one for a document.
    pub errors: Vec<SyntaxError>,
    /// Every comment from its `#` to the end of its line, sorted. Those of broken documents may be missing.
    pub comments: Vec<Span>,
}

/// Reads a text within the default [`Limits`].
pub fn read(text: &str) -> Stream<'_> {
    read_within(text, &Limits::default())
}

/// Reads a text within the given limits. The time is linear in the length of the text.
pub fn read_within<'t>(text: &'t str, limits: &Limits) -> Stream<'t> {
    if let Some(error) = encoding::refuse(text, limits) {
        return Stream { errors: vec![error], ..Stream::default() };
    }
    quick::parse(text, limits)
        .or_else(|| quick::json::objects(text, limits))
        .unwrap_or_else(|| parse::parse(text, limits))
}

/// Reads a text that is one JSON value, as programs write it: quicker than [`read`], which takes it too. `None` where JSON
/// and YAML may differ, as in numbers with fractions, in what is nested deeply, and when it isn't JSON.
pub fn read_json(text: &str) -> Option<Stream<'_>> {
    quick::json::parse(text, &Limits::default())
}

/// The text in some bytes, or a located error: only UTF-8 is read. A leading byte order mark is fine.
pub fn decode(bytes: &[u8]) -> Result<&str, SyntaxError> {
    encoding::decode(bytes)
}

/// [`decode`] and [`read`] in one.
pub fn read_bytes(bytes: &[u8]) -> Stream<'_> {
    match decode(bytes) {
        Ok(text) => read(text),
        Err(error) => Stream { errors: vec![error], ..Stream::default() },
    }
}

impl Stream<'_> {
    /// The comments that lie inside a span.
    pub fn comments_in(&self, span: Span) -> &[Span] {
        let first = self.comments.partition_point(|comment| comment.start < span.start);
        let last = self.comments.partition_point(|comment| comment.end <= span.end);
        &self.comments[first..last.max(first)]
    }
}
