//! Puts a document's tree together from a parser's events.

mod merge;

use std::borrow::Cow;
use std::collections::HashMap;

use super::error::SyntaxErrorKind;
use super::limits::Limits;
use super::node::{Data, Document, NO_DASH, NodeData, ScalarStyle, Style};
use super::scalar::{self, Tag};
use crate::span::Span;

/// Builds the documents of one text.
pub(super) struct Builder<'t> {
    text: &'t str,
    limits: Limits,
    nodes: Vec<NodeData<'t>>,
    pairs: Vec<(u32, u32)>,
    anchors: Vec<(u32, Span)>,
    /// By the parser's number of an anchor.
    targets: HashMap<usize, Target>,
    frames: Vec<Frame>,
    /// Pairs of the collections that are open, innermost last.
    pending: Vec<(u32, u32)>,
    root: Option<u32>,
    /// Where the last piece of content ended: what lies between there and the next is indicators and comments.
    last_end: u32,
    /// Over all documents.
    node_count: usize,
    alias_count: u64,
}

/// What is wrong, as far as the builder sees it.
#[derive(Debug, Clone)]
pub(super) struct Fault {
    pub(super) kind: SyntaxErrorKind,
    pub(super) span: Span,
    pub(super) message: Cow<'static, str>,
    pub(super) help: &'static str,
}

/// An anchored node that is complete.
#[derive(Clone, Copy)]
struct Target {
    id: u32,
    size: Size,
}

/// What following a node costs, its aliases included.
#[derive(Clone, Copy, Default)]
struct Size {
    nodes: u64,
    height: usize,
}

/// A collection that is open.
struct Frame {
    id: u32,
    anchor: usize,
    style: Style,
    shape: Shape,
    /// Of its pairs in `pending`.
    first: usize,
    size: Size,
}

enum Shape {
    Sequence {
        dash: u32,
    },
    Mapping {
        /// A key that waits for its value.
        key: Option<u32>,
        merges: bool,
    },
}

pub(super) struct ScalarEvent<'t> {
    pub(super) text: Cow<'t, str>,
    pub(super) style: ScalarStyle,
    pub(super) tag: Tag,
    pub(super) anchor: usize,
    /// It carries an anchor or a tag, which stand before it.
    pub(super) has_property: bool,
    pub(super) span: Span,
}

impl<'t> Builder<'t> {
    pub(super) fn new(text: &'t str, limits: &Limits) -> Self {
        Self {
            text,
            limits: limits.clone(),
            nodes: Vec::new(),
            pairs: Vec::new(),
            anchors: Vec::new(),
            targets: HashMap::new(),
            frames: Vec::new(),
            pending: Vec::new(),
            root: None,
            last_end: 0,
            node_count: 0,
            alias_count: 0,
        }
    }

    /// Begins a document whose content stands after `offset`.
    pub(super) fn start(&mut self, offset: u32) {
        self.nodes.clear();
        self.pairs.clear();
        self.anchors.clear();
        self.targets.clear();
        self.frames.clear();
        self.pending.clear();
        self.root = None;
        self.last_end = offset;
        // About as many as manifests have; a text of many documents must not take room for all of it in each.
        let expected = (self.text.len().saturating_sub(offset as usize) / 8).min(128);
        self.nodes.reserve(expected);
        self.pairs.reserve(expected);
    }

    /// The finished document.
    pub(super) fn finish(&mut self, index: usize) -> Document<'t> {
        let root = self.root.unwrap_or_else(|| {
            let at = Span::new(self.last_end, self.last_end);
            let data = Data::Scalar { text: Cow::Borrowed(""), style: ScalarStyle::Plain, tag: Tag::None };
            self.nodes.push(NodeData { span: at, data });
            narrow(self.nodes.len() - 1)
        });
        self.anchors.sort_unstable_by_key(|(id, _)| *id);
        Document {
            index,
            span: self.nodes[root as usize].span,
            nodes: std::mem::take(&mut self.nodes),
            pairs: std::mem::take(&mut self.pairs),
            anchors: std::mem::take(&mut self.anchors),
            root,
        }
    }

    pub(super) fn scalar(&mut self, event: ScalarEvent<'t>) -> Result<(), Fault> {
        let written = event.span;
        self.enter(written)?;
        let span = match event.style {
            ScalarStyle::Literal | ScalarStyle::Folded => self.block_scalar_span(written),
            ScalarStyle::Plain if written.is_empty() => self.null_span(written, event.has_property),
            _ => written,
        };
        // The parser's own text for a value that isn't written.
        let unwritten = written.is_empty() && event.style == ScalarStyle::Plain;
        let text = if unwritten { Cow::Borrowed("") } else { event.text };
        let tag = match event.tag {
            Tag::None => Tag::of_untagged(&text, event.style),
            tag => tag,
        };
        let id = self.push(span, Data::Scalar { text, style: event.style, tag })?;
        self.last_end = self.last_end.max(span.end);
        self.complete(id, event.anchor, Size { nodes: 1, height: 0 })
    }

    pub(super) fn alias(&mut self, anchor: usize, span: Span) -> Result<(), Fault> {
        self.enter(span)?;
        let Some(target) = self.targets.get(&anchor).copied() else {
            let message = "this alias stands inside the value that its anchor names";
            return Err(fault(SyntaxErrorKind::Alias, span, message, "write the value out"));
        };
        self.alias_count = self.alias_count.saturating_add(target.size.nodes);
        if self.alias_count > self.limits.alias_nodes {
            let message = format!("aliases repeat more than {} values", self.limits.alias_nodes);
            return Err(fault(SyntaxErrorKind::Limit, span, message, "write fewer aliases of aliases"));
        }
        if self.frames.len() + target.size.height > self.limits.depth {
            return Err(self.too_deep(span));
        }
        let id = self.push(span, Data::Alias { target: target.id })?;
        self.last_end = self.last_end.max(span.end);
        self.complete(id, 0, target.size)
    }

    /// An anchor whose node began just now.
    pub(super) fn anchor_name(&mut self, span: Span) {
        let id = self.nodes.len().saturating_sub(1);
        self.anchors.push((narrow(id), span));
        self.last_end = self.last_end.max(span.end);
    }

    pub(super) fn start_sequence(&mut self, style: Style, anchor: usize, span: Span) -> Result<(), Fault> {
        self.open(style, anchor, span, Shape::Sequence { dash: NO_DASH })
    }

    pub(super) fn start_mapping(&mut self, style: Style, anchor: usize, span: Span) -> Result<(), Fault> {
        self.open(style, anchor, span, Shape::Mapping { key: None, merges: false })
    }

    /// The end of the innermost collection.
    pub(super) fn end_collection(&mut self, span: Span) -> Result<(), Fault> {
        let Some(frame) = self.frames.pop() else { return Ok(()) };
        let children = &self.pending[frame.first..];
        let end = match frame.style {
            Style::Flow => span.end,
            Style::Block => self.last_end,
        };
        let begin = match (frame.style, &frame.shape, children.first()) {
            (Style::Block, Shape::Sequence { .. }, Some((dash, _))) if *dash != NO_DASH => *dash,
            (Style::Block, Shape::Mapping { .. }, Some((key, _))) => self.nodes[*key as usize].span.start,
            _ => self.nodes[frame.id as usize].span.start,
        };
        self.last_end = self.last_end.max(end);
        let first = narrow(self.pairs.len());
        let data = match frame.shape {
            Shape::Sequence { .. } => {
                self.pairs.extend_from_slice(children);
                let len = narrow(children.len());
                Data::Sequence { style: frame.style, first, len }
            }
            Shape::Mapping { merges: false, .. } => {
                self.pairs.extend_from_slice(children);
                let own = narrow(children.len());
                Data::Mapping { style: frame.style, first, own, merged: 0 }
            }
            Shape::Mapping { merges: true, .. } => {
                let (own, merged) = self.merge(frame.first)?;
                Data::Mapping { style: frame.style, first, own, merged }
            }
        };
        self.pending.truncate(frame.first);
        self.nodes[frame.id as usize] = NodeData { span: Span::new(begin.min(end), end), data };
        let size = Size { nodes: frame.size.nodes.saturating_add(1), height: frame.size.height + 1 };
        self.complete(frame.id, frame.anchor, size)
    }

    /// Moves past indicators that stand before a node.
    fn enter(&mut self, span: Span) -> Result<(), Fault> {
        let Some(frame) = self.frames.last_mut() else { return Ok(()) };
        if let (Style::Block, Shape::Sequence { dash }) = (frame.style, &mut frame.shape) {
            *dash = indicator(self.text, self.last_end, b"-").unwrap_or(NO_DASH);
            if *dash != NO_DASH {
                self.last_end = *dash + 1;
            }
        }
        self.node_count += 1;
        if self.node_count > self.limits.nodes {
            let message = format!("the text has more than {} values", self.limits.nodes);
            return Err(fault(SyntaxErrorKind::Limit, span, message, "split the file"));
        }
        Ok(())
    }

    fn open(&mut self, style: Style, anchor: usize, span: Span, shape: Shape) -> Result<(), Fault> {
        self.enter(span)?;
        if self.frames.len() >= self.limits.depth {
            return Err(self.too_deep(span));
        }
        let waits = matches!(self.frames.last(), Some(Frame { shape: Shape::Mapping { key: None, .. }, .. }));
        if waits {
            let help = "write a text as key; braces in a template need quotes";
            return Err(fault(SyntaxErrorKind::Key, span, "a mapping or a sequence can't be a key", help));
        }
        if style == Style::Flow {
            self.last_end = self.last_end.max(span.end);
        }
        // Replaced when the collection ends.
        let id = self.push(span, Data::Alias { target: 0 })?;
        let first = self.pending.len();
        self.frames.push(Frame { id, anchor, style, shape, first, size: Size::default() });
        Ok(())
    }

    fn push(&mut self, span: Span, data: Data<'t>) -> Result<u32, Fault> {
        self.nodes.push(NodeData { span, data });
        Ok(narrow(self.nodes.len() - 1))
    }

    /// Hands a complete node to the collection around it.
    fn complete(&mut self, id: u32, anchor: usize, size: Size) -> Result<(), Fault> {
        if anchor != 0 {
            self.targets.insert(anchor, Target { id, size });
        }
        let Some(frame) = self.frames.last_mut() else {
            self.root = Some(id);
            return Ok(());
        };
        frame.size.nodes = frame.size.nodes.saturating_add(size.nodes);
        frame.size.height = frame.size.height.max(size.height);
        match &mut frame.shape {
            Shape::Sequence { dash } => self.pending.push((*dash, id)),
            Shape::Mapping { key, merges } => match key.take() {
                Some(key) => self.pending.push((key, id)),
                None => {
                    let node = &self.nodes[id as usize];
                    match &node.data {
                        data if merge::is_merge_key(data) => *merges = true,
                        Data::Scalar { text, style, tag } if scalar::is_null(text, *style, *tag) => {
                            return Err(fault(
                                SyntaxErrorKind::Key,
                                node.span,
                                "null can't be a key",
                                "write a text as key",
                            ));
                        }
                        Data::Alias { target } if !is_scalar(&self.nodes[*target as usize]) => {
                            let message = "a mapping or a sequence can't be a key";
                            return Err(fault(
                                SyntaxErrorKind::Key,
                                node.span,
                                message,
                                "write a text as key",
                            ));
                        }
                        _ => {}
                    }
                    *key = Some(id);
                }
            },
        }
        Ok(())
    }

    fn too_deep(&self, span: Span) -> Fault {
        let message = format!("values are nested more than {} deep", self.limits.depth);
        fault(SyntaxErrorKind::Limit, span, message, "no Kubernetes object is that deep; check the brackets")
    }

    /// From the `|` or `>` to the last character that is no line break.
    fn block_scalar_span(&self, written: Span) -> Span {
        let start = indicator(self.text, self.last_end, b"|>").unwrap_or(written.start);
        let trimmed = self.text[..written.end as usize].trim_end().len();
        Span::new(start, narrow(trimmed).max(start + 1).min(written.end.max(start + 1)))
    }

    /// After the colon or the dash that a value should follow.
    fn null_span(&self, written: Span, has_property: bool) -> Span {
        let at = match self.frames.last() {
            _ if has_property => written.start,
            Some(Frame { style: Style::Block, shape: Shape::Sequence { dash }, .. }) if *dash != NO_DASH => {
                dash + 1
            }
            Some(Frame { style: Style::Block, shape: Shape::Mapping { key: Some(_), .. }, .. }) => {
                let rest = self.text.as_bytes().get(self.last_end as usize..).unwrap_or_default();
                let blanks = rest.iter().take_while(|b| matches!(b, b' ' | b'\t')).count();
                match rest.get(blanks) {
                    Some(b':') => self.last_end + narrow(blanks) + 1,
                    _ => written.start,
                }
            }
            _ => written.start,
        };
        Span::new(at, at)
    }
}

fn is_scalar(node: &NodeData<'_>) -> bool {
    matches!(node.data, Data::Scalar { .. })
}

/// Where the next of some indicators stands, past white space, comments, anchors, tags and other indicators.
/// `None` when content comes first.
fn indicator(text: &str, from: u32, wanted: &[u8]) -> Option<u32> {
    let bytes = text.as_bytes();
    let mut at = from as usize;
    loop {
        let byte = *bytes.get(at)?;
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' => at += 1,
            _ if wanted.contains(&byte) => return Some(narrow(at)),
            b'#' => at += memchr::memchr(b'\n', &bytes[at..])?,
            b':' | b'-' | b'?' => at += 1,
            b'&' | b'!' => {
                at += bytes[at..].iter().position(u8::is_ascii_whitespace).unwrap_or(bytes.len() - at);
            }
            _ => return None,
        }
    }
}

fn fault(
    kind: SyntaxErrorKind,
    span: Span,
    message: impl Into<Cow<'static, str>>,
    help: &'static str,
) -> Fault {
    Fault { kind, span, message: message.into(), help }
}

/// Texts longer than 4 GiB are refused before this, and there are fewer nodes than bytes.
fn narrow(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX - 1)
}
