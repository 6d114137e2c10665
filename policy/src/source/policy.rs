//! The spanned tree of one NetworkPolicy.

use std::sync::Arc;

use crate::model::{Direction, NetworkPolicy};
use crate::span::{Span, Spanned};

use super::problem::Problem;

/// A key and a value, both texts.
pub type TextPair = (Spanned<Box<str>>, Spanned<Box<str>>);

/// A NetworkPolicy object in a text.
#[derive(Debug, Clone)]
pub struct PolicySource {
    /// The whole object.
    pub span: Span,
    /// `apiVersion` as written.
    pub api_version: Spanned<Box<str>>,
    /// `kind: NetworkPolicy`, the value's place.
    pub kind: Span,
    /// `metadata`.
    pub metadata: ObjectMeta,
    /// `spec`. Absent or null: the API server refuses nothing, and an empty spec selects every pod for ingress.
    pub spec: Slot<SpecSource>,
    /// What the API server would reject or silently drop, in the order of the text.
    pub problems: Vec<Problem>,
    /// What it means; `None` when the API server would reject it.
    /// Unknown fields don't prevent this: the API server drops them, and so does this.
    pub model: Option<Arc<NetworkPolicy>>,
}

/// The parts of `metadata` that matter here.
#[derive(Debug, Clone, Default)]
pub struct ObjectMeta {
    /// The whole value of `metadata`, empty when absent.
    pub span: Span,
    /// `name`.
    pub name: Option<Spanned<Box<str>>>,
    /// `namespace`.
    pub namespace: Option<Spanned<Box<str>>>,
    /// `annotations`: pairs of key and value.
    pub annotations: Vec<TextPair>,
}

/// A field that may be missing. "Not there", "there but null" and "there" are three different things to an author.
#[derive(Debug, Clone, Default)]
pub enum Slot<T> {
    /// Not written.
    #[default]
    Absent,
    /// Written with no value, `null` or `~`. The value's span is empty and stands after the colon when nothing is written.
    Null(Field<()>),
    /// Written with a value of the right shape (the value itself may still have problems inside).
    Present(Field<T>),
    /// Written with a value of the wrong shape; a problem says so.
    Wrong(Field<()>),
}

/// A key and its value.
#[derive(Debug, Clone)]
pub struct Field<T> {
    /// The key.
    pub key: Span,
    /// The value, without the key.
    pub span: Span,
    /// It came through an alias or a merge key: its text also serves other places, so it can't be edited here.
    pub shared: bool,
    /// The value.
    pub value: T,
}

/// A sequence.
#[derive(Debug, Clone)]
pub struct List<T> {
    /// Block or flow.
    pub style: ListStyle,
    /// Its items, in order, null ones included (see [`Item::value`]).
    pub items: Vec<Item<T>>,
}

/// How a sequence is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListStyle {
    /// `- a` on lines of their own.
    Block,
    /// `[a, b]`.
    Flow,
}

/// An item of a sequence.
#[derive(Debug, Clone)]
pub struct Item<T> {
    /// The `-` of a block sequence; `None` in a flow sequence.
    pub dash: Option<Span>,
    /// The value's place; empty for a null that isn't written.
    pub span: Span,
    /// It came through an alias: it can't be edited here.
    pub shared: bool,
    /// `None` when it is null or of the wrong shape; a problem says so.
    pub value: Option<T>,
}

/// A field that the API doesn't have at this place.
#[derive(Debug, Clone)]
pub struct StrayField {
    /// Its key.
    pub key: Spanned<Box<str>>,
    /// Its value's place.
    pub value: Span,
}

/// `spec`.
#[derive(Debug, Clone, Default)]
pub struct SpecSource {
    /// `podSelector`.
    pub pod_selector: Slot<Box<SelectorSource>>,
    /// `ingress`.
    pub ingress: Slot<List<RuleSource>>,
    /// `egress`.
    pub egress: Slot<List<RuleSource>>,
    /// `policyTypes`; the items' text as written.
    pub policy_types: Slot<List<Box<str>>>,
    /// Fields that `spec` doesn't have.
    pub stray: Vec<StrayField>,
}

/// A rule.
#[derive(Debug, Clone)]
pub struct RuleSource {
    /// The direction of the list it is in.
    pub direction: Direction,
    /// `from` under ingress, `to` under egress.
    pub peers: Slot<List<PeerSource>>,
    /// `to` under ingress, `from` under egress: the API server drops it.
    pub wrong_peers: Option<StrayField>,
    /// `ports`.
    pub ports: Slot<List<PortSource>>,
    /// Other fields that a rule doesn't have.
    pub stray: Vec<StrayField>,
}

/// A peer.
#[derive(Debug, Clone, Default)]
pub struct PeerSource {
    /// `podSelector`.
    pub pod_selector: Slot<Box<SelectorSource>>,
    /// `namespaceSelector`.
    pub namespace_selector: Slot<Box<SelectorSource>>,
    /// `ipBlock`.
    pub ip_block: Slot<Box<IpBlockSource>>,
    /// Fields that a peer doesn't have.
    pub stray: Vec<StrayField>,
}

/// A label selector.
#[derive(Debug, Clone, Default)]
pub struct SelectorSource {
    /// `matchLabels`: pairs of key and value.
    pub match_labels: Slot<Vec<TextPair>>,
    /// `matchExpressions`.
    pub match_expressions: Slot<List<Expression>>,
    /// Fields that a selector doesn't have.
    pub stray: Vec<StrayField>,
    /// What it means; `None` when something in it is invalid.
    pub model: Option<crate::model::LabelSelector>,
}

/// An item of `matchExpressions`.
#[derive(Debug, Clone, Default)]
pub struct Expression {
    /// `key`.
    pub key: Option<Spanned<Box<str>>>,
    /// `operator`.
    pub operator: Option<Spanned<Box<str>>>,
    /// `values`.
    pub values: Slot<List<Box<str>>>,
}

/// An `ipBlock`.
#[derive(Debug, Clone, Default)]
pub struct IpBlockSource {
    /// `cidr` as written.
    pub cidr: Option<Spanned<Box<str>>>,
    /// `except` as written.
    pub except: Slot<List<Box<str>>>,
    /// What it means; `None` when something in it is invalid.
    pub model: Option<crate::model::IpBlock>,
}

/// An item of `ports`.
#[derive(Debug, Clone, Default)]
pub struct PortSource {
    /// `protocol` as written.
    pub protocol: Slot<Box<str>>,
    /// `port`.
    pub port: Slot<PortValue>,
    /// `endPort`.
    pub end_port: Slot<i64>,
    /// Fields that a port doesn't have.
    pub stray: Vec<StrayField>,
}

/// The value of `port`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PortValue {
    /// A number.
    Number(i64),
    /// A text: a port's name, or a number in quotes.
    Text(Box<str>),
}

impl<T> Slot<T> {
    /// The field when it has a value of the right shape.
    pub fn present(&self) -> Option<&Field<T>> {
        match self {
            Self::Present(field) => Some(field),
            _ => None,
        }
    }

    /// The value when it has one of the right shape.
    pub fn value(&self) -> Option<&T> {
        self.present().map(|field| &field.value)
    }

    /// True when the key isn't written.
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }

    /// The key's place when the key is written.
    pub fn key(&self) -> Option<Span> {
        match self {
            Self::Absent => None,
            Self::Null(field) | Self::Wrong(field) => Some(field.key),
            Self::Present(field) => Some(field.key),
        }
    }

    /// From the key to the end of the value, when the key is written.
    pub fn whole(&self) -> Option<Span> {
        match self {
            Self::Absent => None,
            Self::Null(field) | Self::Wrong(field) => Some(field.key.to(field.span)),
            Self::Present(field) => Some(field.key.to(field.span)),
        }
    }
}

impl SpecSource {
    /// The rule list of a direction.
    pub fn rules(&self, direction: Direction) -> &Slot<List<RuleSource>> {
        match direction {
            Direction::Ingress => &self.ingress,
            Direction::Egress => &self.egress,
        }
    }
}

impl PolicySource {
    /// Every rule of both directions with its index in its list.
    pub fn rules(&self) -> impl Iterator<Item = (usize, &Item<RuleSource>, &RuleSource)> {
        let lists = self.spec.value().into_iter().flat_map(|spec| [&spec.ingress, &spec.egress]);
        lists
            .filter_map(Slot::value)
            .flat_map(|list| list.items.iter().enumerate())
            .filter_map(|(index, item)| item.value.as_ref().map(|rule| (index, item, rule)))
    }
}
