//! A file with what it holds.

use std::sync::{Arc, OnceLock};

use netpol_policy::source::{Content, Manifest, PolicySource, StoredPolicy};
use netpol_policy::span::Span;
use netpol_policy::syntax::{self, LineIndex, Node, Position, SyntaxError};

/// A text that has been read.
#[derive(Debug)]
pub struct SourceFile {
    /// What to call it: its path as given.
    pub name: Box<str>,
    /// Its text.
    pub text: Box<str>,
    /// Its objects, errors and comments.
    pub manifest: Manifest,
    /// Known only so that others can be judged: nothing is reported about it and nothing repaired in it.
    pub context: bool,
    /// Of two files with one object the higher one's counts: see [`in_order`](crate::input::in_order).
    pub(crate) rank: usize,
    default_namespace: Arc<str>,
    lines: OnceLock<LineIndex>,
}

impl SourceFile {
    /// Reads a text. Namespaced objects that name no namespace go to `default_namespace`.
    pub fn read(name: impl Into<Box<str>>, text: impl Into<Box<str>>, default_namespace: &Arc<str>) -> Self {
        let text = text.into();
        let manifest = Manifest::read(&text, default_namespace);
        Self::with(name.into(), text, manifest, default_namespace)
    }

    /// Reads some bytes; what isn't UTF-8 is an error of the manifest, at its place.
    pub fn read_bytes(name: impl Into<Box<str>>, bytes: Vec<u8>, default_namespace: &Arc<str>) -> Self {
        match String::from_utf8(bytes) {
            Ok(text) => Self::read(name, text, default_namespace),
            Err(error) => {
                let text = String::from_utf8_lossy(error.as_bytes()).into_owned().into_boxed_str();
                let mut manifest = Manifest::lower(syntax::read_bytes(error.as_bytes()), default_namespace);
                // Each bad sequence is now one character of three bytes; before the first one nothing has moved.
                let place = Span::new(
                    error.utf8_error().valid_up_to() as u32,
                    error.utf8_error().valid_up_to() as u32 + 3,
                );
                for error in &mut manifest.errors {
                    error.span = if error.span.end <= place.start { error.span } else { place };
                }
                Self::with(name.into(), text, manifest, default_namespace)
            }
        }
    }

    /// A policy that is about to be stored: a node of a text, or why it can't be read.
    pub(crate) fn stored(
        name: &str,
        text: &str,
        node: Result<Node<'_>, &[SyntaxError]>,
        stored: &StoredPolicy<'_>,
        default_namespace: &Arc<str>,
    ) -> Self {
        let manifest = match node {
            Ok(node) => Manifest::of_policy(node, stored, default_namespace),
            Err(errors) => Manifest { errors: errors.to_vec(), ..Manifest::default() },
        };
        Self::with(name.into(), text.into(), manifest, default_namespace)
    }

    /// The same file with another text.
    pub(crate) fn reread(&self, text: String) -> Self {
        let (context, rank) = (self.context, self.rank);
        Self { context, rank, ..Self::read(self.name.clone(), text, &self.default_namespace) }
    }

    fn with(name: Box<str>, text: Box<str>, manifest: Manifest, default_namespace: &Arc<str>) -> Self {
        let (default_namespace, lines) = (default_namespace.clone(), OnceLock::new());
        Self { name, text, manifest, context: false, rank: 0, default_namespace, lines }
    }

    /// Its policies with the numbers of their documents, in the order of the text.
    pub fn policies(&self) -> impl Iterator<Item = (usize, &PolicySource)> {
        self.manifest.objects.iter().filter_map(|object| match &object.content {
            Content::Policy(policy) => Some((object.document, &**policy)),
            _ => None,
        })
    }

    /// The folder that it is in, with a slash at its end; empty when its name has none.
    pub fn folder(&self) -> &str {
        self.name.rfind(['/', '\\']).map_or("", |end| &self.name[..=end])
    }

    /// Where objects go that name no namespace.
    pub fn default_namespace(&self) -> &str {
        &self.default_namespace
    }

    /// The namespace of a policy of it: the one written, or where objects go that name none.
    pub fn namespace_of<'a>(&'a self, policy: &'a PolicySource) -> &'a str {
        policy.metadata.namespace.as_ref().map_or(&*self.default_namespace, |name| &name.value)
    }

    /// Line and column of a byte offset.
    pub fn position(&self, offset: u32) -> Position {
        self.lines().position(&self.text, offset)
    }

    /// The bytes of a line, counted from 1, without its line break.
    pub fn line(&self, line: u32) -> Option<Span> {
        self.lines().line(&self.text, line)
    }

    fn lines(&self) -> &LineIndex {
        self.lines.get_or_init(|| LineIndex::new(&self.text))
    }

    /// The characters of a span.
    pub fn slice(&self, span: Span) -> &str {
        self.text.get(span.range()).unwrap_or_default()
    }

    /// The comments that lie inside a span.
    pub fn comments_in(&self, span: Span) -> &[Span] {
        let comments = &self.manifest.comments;
        let first = comments.partition_point(|comment| comment.start < span.start);
        let last = comments.partition_point(|comment| comment.end <= span.end);
        &comments[first..last.max(first)]
    }
}
