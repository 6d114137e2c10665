//! The tree and how to walk it.

use std::borrow::Cow;

use super::scalar::{self, Tag, Value};
use crate::span::Span;

/// One document.
#[derive(Debug)]
pub struct Document<'t> {
    /// Its number in the text, from 0; broken documents count.
    pub index: usize,
    /// Its content, from the root's first to its last character.
    pub span: Span,
    pub(super) nodes: Vec<NodeData<'t>>,
    /// Pairs: key and value of a mapping, dash and value of a sequence.
    pub(super) pairs: Vec<(u32, u32)>,
    /// Anchors by the node that carries them, sorted.
    pub(super) anchors: Vec<(u32, Span)>,
    pub(super) root: u32,
}

#[derive(Debug)]
pub(super) struct NodeData<'t> {
    pub(super) span: Span,
    pub(super) data: Data<'t>,
}

#[derive(Debug)]
pub(super) enum Data<'t> {
    Scalar {
        text: Cow<'t, str>,
        style: ScalarStyle,
        tag: Tag,
    },
    Sequence {
        style: Style,
        /// Of the first pair: its dash and its node.
        first: u32,
        len: u32,
    },
    Mapping {
        style: Style,
        /// Of the first pair. Pairs that come from merge keys follow the mapping's own.
        first: u32,
        own: u32,
        merged: u32,
    },
    Alias {
        target: u32,
    },
}

/// A pair's first half where a sequence has no dash.
pub(super) const NO_DASH: u32 = u32::MAX;

/// A node of a [`Document`]; an alias is seen as the node that it stands for.
#[derive(Clone, Copy)]
pub struct Node<'a> {
    document: &'a Document<'a>,
    /// Of the node itself, never of an alias.
    id: u32,
    /// The alias or the merged key that led here.
    via: Option<Span>,
}

/// Which node of its document a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodeId(u32);

/// What a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind<'a> {
    /// A text, a number, a bool or null: its characters after unquoting and unfolding.
    Scalar(&'a str, ScalarStyle),
    /// A list.
    Sequence(Style),
    /// Keys and values.
    Mapping(Style),
}

/// How a collection is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// By indentation.
    Block,
    /// By brackets or braces, as in JSON.
    Flow,
}

/// How a scalar is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScalarStyle {
    /// Without quotes.
    Plain,
    /// `'…'`
    SingleQuoted,
    /// `"…"`
    DoubleQuoted,
    /// `|`
    Literal,
    /// `>`
    Folded,
}

/// A key of a mapping with its value.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    /// The key, always a scalar.
    pub key: Node<'a>,
    /// The value.
    pub value: Node<'a>,
}

/// An item of a sequence.
#[derive(Debug, Clone, Copy)]
pub struct Item<'a> {
    /// The `-` of a block sequence.
    pub dash: Option<Span>,
    /// The value.
    pub value: Node<'a>,
}

impl<'t> Document<'t> {
    /// The outermost node. A document without content has a null as root.
    pub fn root(&self) -> Node<'_> {
        Node { document: self, id: self.root, via: None }
    }

    /// The node of an id that [`Node::id`] gave of this document.
    ///
    /// # Panics
    ///
    /// When asked about it, if the document has no such node.
    pub fn node(&self, id: NodeId) -> Node<'_> {
        Node { document: self, id: id.0, via: None }
    }
}

impl<'a> Node<'a> {
    /// Its bytes: from the first to the last character that belong to it, quotes and brackets included, without
    /// anchor, tag, comments and line breaks around it. Empty where a null isn't written: after its colon or dash.
    ///
    /// Of an alias, the bytes of the node that it stands for; see [`Node::shared`].
    #[inline]
    pub fn span(self) -> Span {
        self.data().span
    }

    /// Which node of its document it is.
    pub fn id(self) -> NodeId {
        NodeId(self.id)
    }

    /// Where the node is used, if its text stands elsewhere: the alias, or the mapping that merges it.
    /// Such a text serves other places too, so it should not be edited for the sake of this one.
    pub fn shared(self) -> Option<Span> {
        self.via
    }

    /// What it is.
    #[inline]
    pub fn kind(self) -> Kind<'a> {
        match &self.data().data {
            Data::Scalar { text, style, .. } => Kind::Scalar(text, *style),
            Data::Sequence { style, .. } => Kind::Sequence(*style),
            Data::Mapping { style, .. } => Kind::Mapping(*style),
            Data::Alias { .. } => unreachable!("a handle never points at an alias"),
        }
    }

    /// What Kubernetes reads in a scalar; `None` for collections.
    #[inline]
    pub fn value(self) -> Option<Value<'a>> {
        match &self.data().data {
            Data::Scalar { text, style, tag } => Some(scalar::resolve(text, *style, *tag)),
            _ => None,
        }
    }

    /// The text of a scalar that is read as a text.
    #[inline]
    pub fn as_str(self) -> Option<&'a str> {
        match self.value() {
            Some(Value::Str(text)) => Some(text),
            _ => None,
        }
    }

    /// True for `null`, `~` and nothing at all.
    #[inline]
    pub fn is_null(self) -> bool {
        match &self.data().data {
            Data::Scalar { text, style, tag } => scalar::is_null(text, *style, *tag),
            _ => false,
        }
    }

    /// The name that a key has in JSON, where every key is a text: `on` is `true`, `010` is `8`.
    #[inline]
    pub fn key_text(self) -> Cow<'a, str> {
        self.value().map_or(Cow::Borrowed(""), scalar::key_text)
    }

    /// The anchor, `&name`, that the node carries.
    pub fn anchor(self) -> Option<Span> {
        let anchors = &self.document.anchors;
        anchors.binary_search_by_key(&self.id, |(id, _)| *id).ok().map(|found| anchors[found].1)
    }

    /// The items of a sequence; none of anything else.
    #[inline]
    pub fn items(self) -> impl DoubleEndedIterator<Item = Item<'a>> + ExactSizeIterator {
        let range = match self.data().data {
            Data::Sequence { first, len, .. } => first as usize..(first + len) as usize,
            _ => 0..0,
        };
        self.document.pairs[range].iter().map(move |&(dash, id)| Item {
            dash: (dash != NO_DASH).then(|| Span::new(dash, dash + 1)),
            value: self.child(id, None),
        })
    }

    /// The entries of a mapping in the order of the text, repeated keys included, then those that merge keys bring.
    /// A merge key itself is none of them. None of anything else than a mapping.
    #[inline]
    pub fn entries(self) -> impl DoubleEndedIterator<Item = Entry<'a>> + ExactSizeIterator {
        let (range, own) = match self.data().data {
            Data::Mapping { first, own, merged, .. } => {
                (first as usize..(first + own + merged) as usize, own as usize)
            }
            _ => (0..0, 0),
        };
        self.document.pairs[range].iter().enumerate().map(move |(index, &(key, value))| {
            let via = (index >= own).then(|| self.span());
            Entry { key: self.child(key, via), value: self.child(value, via) }
        })
    }

    /// The value of a key. Of a key that is there twice the last, as `kubectl` and the API server take it.
    pub fn get(self, key: &str) -> Option<Node<'a>> {
        self.entry(key).map(|entry| entry.value)
    }

    /// The entry of a key; see [`Node::get`].
    pub fn entry(self, key: &str) -> Option<Entry<'a>> {
        self.entries().rfind(|entry| entry.key.key_text() == key)
    }

    #[inline]
    fn data(self) -> &'a NodeData<'a> {
        &self.document.nodes[self.id as usize]
    }

    #[inline]
    fn child(self, id: u32, via: Option<Span>) -> Node<'a> {
        let node = &self.document.nodes[id as usize];
        let via = self.via.or(via);
        match node.data {
            Data::Alias { target } => {
                Node { document: self.document, id: target, via: via.or(Some(node.span)) }
            }
            _ => Node { document: self.document, id, via },
        }
    }
}

impl std::fmt::Debug for Node<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Node").field("span", &self.span()).field("kind", &self.kind()).finish_non_exhaustive()
    }
}

impl Entry<'_> {
    /// From the key's first to the value's last character. Where either came through an alias or a merge key, the
    /// key alone.
    pub fn span(&self) -> Span {
        let value = self.value.span();
        if self.value.shared().is_some() || value.end < self.key.span().start {
            return self.key.span();
        }
        self.key.span().to(value)
    }
}

impl Item<'_> {
    /// From the dash, or in a flow sequence from the value, to the value's last character.
    pub fn span(&self) -> Span {
        match (self.dash, self.value.shared()) {
            (Some(dash), Some(alias)) => dash.to(alias),
            (Some(dash), None) => dash.to(self.value.span()),
            (None, Some(alias)) => alias,
            (None, None) => self.value.span(),
        }
    }
}
