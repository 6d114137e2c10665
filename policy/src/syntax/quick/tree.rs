//! Puts together the tree of a document without aliases, tags and merge keys.

use std::borrow::Cow;

use super::super::limits::Limits;
use super::super::node::{Data, Document, NO_DASH, NodeData, ScalarStyle, Style};
use super::super::scalar::{self, Tag};
use super::LONGEST_KEY;
use super::scan::Scalar;
use crate::span::Span;

/// The documents of one text, one after the other.
pub(super) struct Tree<'t> {
    length: usize,
    depth: usize,
    /// How many nodes more are allowed.
    room: usize,
    nodes: Vec<NodeData<'t>>,
    pairs: Vec<(u32, u32)>,
    open: Vec<Open>,
    /// Pairs of the collections that are open, innermost last.
    pending: Vec<(u32, u32)>,
    root: u32,
    /// Where the content so far ends.
    end: u32,
}

/// A collection that is open.
struct Open {
    id: u32,
    is_sequence: bool,
    style: Style,
    start: u32,
    /// Of its pairs in `pending`.
    first: usize,
    /// The first half of its next pair: a key's number or the place of a dash.
    half: u32,
}

impl<'t> Tree<'t> {
    pub(super) fn new(text: &'t str, limits: &Limits) -> Self {
        Self {
            length: text.len(),
            depth: limits.depth,
            room: limits.nodes,
            nodes: Vec::new(),
            pairs: Vec::new(),
            open: Vec::with_capacity(16),
            pending: Vec::with_capacity(32),
            root: 0,
            end: 0,
        }
    }

    /// Begins a document whose content stands after `offset`.
    pub(super) fn start(&mut self, offset: u32) {
        self.end = offset;
        // About as many as manifests have; a text of many documents must not take room for all of it in each.
        let expected = (self.length.saturating_sub(offset as usize) / 8).min(128);
        self.nodes = Vec::with_capacity(expected);
        self.pairs = Vec::with_capacity(expected);
    }

    /// The finished document. `None` when the text holds too much.
    pub(super) fn finish(&mut self, index: usize) -> Option<Document<'t>> {
        if self.nodes.is_empty() {
            self.scalar("", ScalarStyle::Plain, Span::new(self.end, self.end))?;
        }
        self.room = self.room.checked_sub(self.nodes.len())?;
        Some(Document {
            index,
            span: self.nodes[self.root as usize].span,
            nodes: std::mem::take(&mut self.nodes),
            pairs: std::mem::take(&mut self.pairs),
            anchors: Vec::new(),
            root: self.root,
        })
    }

    /// The dash of the next item.
    pub(super) fn dash(&mut self, at: u32) {
        if let Some(open) = self.open.last_mut() {
            open.half = at;
        }
    }

    /// The key of the next entry. `None` for what only the full parser knows.
    pub(super) fn key(&mut self, key: &Scalar<'t>) -> Option<()> {
        let (text, style) = (key.text, key.style);
        let tag = Tag::of_untagged(text, style);
        // Merge keys are rare enough.
        if text == "<<" || key.span.len() > LONGEST_KEY || scalar::is_null(text, style, tag) {
            return None;
        }
        let id = self.push(key.span, Data::Scalar { text: Cow::Borrowed(text), style, tag })?;
        self.end = key.span.end;
        self.open.last_mut()?.half = id;
        Some(())
    }

    /// The same in double quotes.
    pub(super) fn quoted_key(&mut self, text: Cow<'t, str>, span: Span) -> Option<()> {
        if text == "<<" || span.len() > LONGEST_KEY {
            return None;
        }
        let id = self.push(span, Data::Scalar { text, style: ScalarStyle::DoubleQuoted, tag: Tag::Text })?;
        self.end = span.end;
        self.open.last_mut()?.half = id;
        Some(())
    }

    /// A value in double quotes.
    pub(super) fn text(&mut self, text: Cow<'t, str>, span: Span) -> Option<()> {
        let id = self.push(span, Data::Scalar { text, style: ScalarStyle::DoubleQuoted, tag: Tag::Text })?;
        self.end = span.end;
        self.complete(id);
        Some(())
    }

    /// A value.
    pub(super) fn scalar(&mut self, text: &'t str, style: ScalarStyle, span: Span) -> Option<()> {
        let tag = Tag::of_untagged(text, style);
        let id = self.push(span, Data::Scalar { text: Cow::Borrowed(text), style, tag })?;
        self.end = span.end;
        self.complete(id);
        Some(())
    }

    pub(super) fn open(&mut self, is_sequence: bool, style: Style, start: u32) -> Option<()> {
        if self.open.len() >= self.depth {
            return None;
        }
        // Replaced when the collection ends.
        let id = self.push(Span::new(start, start), Data::Alias { target: 0 })?;
        let first = self.pending.len();
        self.open.push(Open { id, is_sequence, style, start, first, half: NO_DASH });
        Some(())
    }

    /// Ends the innermost collection: a flow collection after its bracket, a block collection with its content.
    pub(super) fn close(&mut self, end: Option<u32>) -> Option<()> {
        let Open { id, is_sequence, style, start, first, .. } = self.open.pop()?;
        self.end = end.unwrap_or(self.end);
        let children = &self.pending[first..];
        let (begin, len) = (narrow(self.pairs.len()), narrow(children.len()));
        self.pairs.extend_from_slice(children);
        self.pending.truncate(first);
        let data = if is_sequence {
            Data::Sequence { style, first: begin, len }
        } else {
            Data::Mapping { style, first: begin, own: len, merged: 0 }
        };
        self.nodes[id as usize] = NodeData { span: Span::new(start, self.end), data };
        self.complete(id);
        Some(())
    }

    fn push(&mut self, span: Span, data: Data<'t>) -> Option<u32> {
        if self.nodes.len() >= self.room {
            return None;
        }
        self.nodes.push(NodeData { span, data });
        Some(narrow(self.nodes.len() - 1))
    }

    /// Hands a complete node to the collection around it.
    fn complete(&mut self, id: u32) {
        match self.open.last() {
            Some(open) => self.pending.push((open.half, id)),
            None => self.root = id,
        }
    }
}

/// There are fewer nodes than bytes.
#[allow(clippy::cast_possible_truncation, reason = "see above")]
fn narrow(number: usize) -> u32 {
    number as u32
}
