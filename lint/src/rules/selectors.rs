//! Every selector of a policy with its place.

use netpol_policy::model::LabelSelector;
use netpol_policy::source::{Field, SelectorSource};
use netpol_policy::span::Span;

use super::contradictory_selector;
use crate::context::{Context, PeerAt};

/// What a selector is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Selects {
    Pods,
    Namespaces,
}

/// A selector with its place.
#[derive(Clone, Copy)]
pub(super) struct SelectorAt<'a> {
    /// What it is about.
    pub(super) selects: Selects,
    /// The field that it is the value of.
    pub(super) field: &'a Field<SelectorSource>,
    /// The peer that it belongs to; `None` for that of the policy.
    pub(super) peer: Option<PeerAt<'a>>,
}

/// The policy's own selector, and those of all peers that have an effect.
pub(super) fn all<'a>(cx: &Context<'a>) -> impl Iterator<Item = SelectorAt<'a>> + use<'a> {
    let own = cx.spec().and_then(|spec| spec.pod_selector.present());
    let own = own.map(|field| SelectorAt { selects: Selects::Pods, field, peer: None });
    own.into_iter().chain(cx.effective_peers().flat_map(|at| {
        let of = |selects, field| SelectorAt { selects, field, peer: Some(at) };
        let namespaces = at.peer.namespace_selector.present().map(|f| of(Selects::Namespaces, f));
        let pods = at.peer.pod_selector.present().map(|f| of(Selects::Pods, f));
        [namespaces, pods].into_iter().flatten()
    }))
}

/// Whether a rule about selectors alone says why this one matches nothing, so that others needn't.
pub(super) fn explained(cx: &Context<'_>, selector: &LabelSelector, selects: Selects) -> bool {
    contradictory_selector::explains(cx, selector, selects)
}

impl SelectorAt<'_> {
    /// Its JSON path.
    pub(super) fn path(&self) -> String {
        let parent = self.peer.map_or_else(|| "spec".to_owned(), |peer| peer.path());
        format!("{parent}.{}", self.field_name())
    }

    /// The field that it stands in.
    pub(super) fn field_name(&self) -> &'static str {
        match self.selects {
            Selects::Pods => "podSelector",
            Selects::Namespaces => "namespaceSelector",
        }
    }

    /// Where a label's key is written, in `matchLabels` and in `matchExpressions`.
    pub(super) fn keys(&self, key: &str) -> Vec<Span> {
        let selector = &self.field.value;
        let labels = selector.match_labels.value().into_iter().flatten().map(|(key, _)| key);
        let expressions = selector.match_expressions.value().into_iter().flat_map(|list| &list.items);
        let expressions = expressions.filter_map(|item| item.value.as_ref()?.key.as_ref());
        labels
            .chain(expressions)
            .filter(|written| &*written.value == key)
            .map(|written| written.span)
            .collect()
    }
}
