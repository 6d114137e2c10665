//! What the API server rejects or silently drops.

use crate::span::Span;

/// A problem of one policy, with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// What is wrong.
    pub kind: ProblemKind,
    /// The characters at fault.
    pub span: Span,
    /// Related place: the first of two equal keys, the block of an exception.
    pub related: Option<Span>,
    /// JSON path in the object, such as `spec.ingress[0].from[1].ipBlock.cidr`.
    pub path: Box<str>,
    /// What is wrong, in a sentence without a full stop.
    pub message: Box<str>,
    /// What to do about it, where that is known.
    pub help: Option<Box<str>>,
}

/// The kinds of problems; each is one rule of the linter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProblemKind {
    /// The same key twice in one mapping.
    DuplicateKey,
    /// A field that the API doesn't have; the server drops it.
    UnknownField,
    /// `to` under ingress or `from` under egress; the server drops it.
    WrongDirectionField,
    /// An empty peer, or `ipBlock` beside a selector.
    InvalidPeer,
    /// A null rule, peer, port or list item.
    NullItem,
    /// A selector that can't be built.
    InvalidSelector,
    /// A port out of range, a bad port name, a number in quotes.
    InvalidPort,
    /// `endPort` without a numeric port or below it.
    InvalidEndPort,
    /// Wrong protocol or policy type.
    InvalidEnum,
    /// No CIDR, or an exception outside its block.
    InvalidCidr,
    /// An API version that is gone.
    RemovedApiVersion,
    /// A label value that YAML reads as something else than text.
    NonStringLabel,
    /// A value of another type than the field has.
    WrongType,
    /// `metadata.name` missing or no DNS subdomain, a namespace that is no DNS label.
    InvalidName,
}

impl ProblemKind {
    /// Whether the API server refuses an object for it. The others it accepts and drops the field (unless asked for
    /// strict field validation, as `kubectl` does by default).
    ///
    /// It is lenient with a few of these: it takes a null rule or port as an empty one, a null label value as an empty
    /// text, and a policy type that is there twice. Whether a policy is refused is known by
    /// [`PolicySource::model`](super::PolicySource::model).
    pub fn rejects(self) -> bool {
        !matches!(self, Self::UnknownField | Self::WrongDirectionField | Self::DuplicateKey)
    }
}
