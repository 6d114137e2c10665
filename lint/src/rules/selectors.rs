//! Every selector of a policy with its place.

use netpol_policy::model::{LabelSelector, Labelled};
use netpol_policy::source::{Field, SelectorSource};
use netpol_policy::span::Span;

use super::{contradictory_selector, namespace_label_on_pods};
use crate::context::{Context, PeerAt};

/// A selector with its place.
#[derive(Clone, Copy)]
pub(super) struct SelectorAt<'a> {
    /// What it is about.
    pub(super) of: Labelled,
    /// The field that it is the value of.
    pub(super) field: &'a Field<Box<SelectorSource>>,
    /// The peer that it belongs to; `None` for that of the policy.
    pub(super) peer: Option<PeerAt<'a>>,
}

/// The policy's own selector, and those of all peers that have an effect.
pub(super) fn all<'a>(cx: &Context<'a>) -> impl Iterator<Item = SelectorAt<'a>> + use<'a> {
    let own = cx.spec().and_then(|spec| spec.pod_selector.present());
    let own = own.map(|field| SelectorAt { of: Labelled::Pod, field, peer: None });
    own.into_iter().chain(cx.effective_peers().flat_map(|at| {
        let select = |of, field| SelectorAt { of, field, peer: Some(at) };
        let namespaces = at.peer.namespace_selector.present().map(|f| select(Labelled::Namespace, f));
        let pods = at.peer.pod_selector.present().map(|f| select(Labelled::Pod, f));
        [namespaces, pods].into_iter().flatten()
    }))
}

/// Whether a rule about selectors alone says why this one matches nothing, so that others needn't.
pub(super) fn explained(cx: &Context<'_>, selector: &LabelSelector, of: Labelled) -> bool {
    let contradictory = cx.selection.contains(&contradictory_selector::RULE) && selector.is_contradictory(of);
    let misplaced = cx.selection.contains(&namespace_label_on_pods::RULE)
        && of == Labelled::Pod
        && namespace_label_on_pods::is_misplaced(selector);
    contradictory || misplaced
}

impl SelectorAt<'_> {
    /// Its JSON path.
    pub(super) fn path(&self) -> String {
        let parent = self.peer.map_or_else(|| "spec".to_owned(), |peer| peer.path());
        format!("{parent}.{}", self.field_name())
    }

    /// The field that it stands in.
    pub(super) fn field_name(&self) -> &'static str {
        match self.of {
            Labelled::Pod => "podSelector",
            Labelled::Namespace => "namespaceSelector",
        }
    }

    /// Some of its text also serves other places: it can't be edited.
    pub(super) fn is_shared(&self, cx: &Context<'_>) -> bool {
        let of_peer = |at: PeerAt<'_>| {
            at.rule.shared || at.item.shared || at.rule.rule.peers.present().is_some_and(|list| list.shared)
        };
        let selector = &self.field.value;
        self.field.shared
            || selector.match_labels.present().is_some_and(|labels| labels.shared)
            || selector
                .match_expressions
                .present()
                .is_some_and(|list| list.shared || list.value.items.iter().any(|item| item.shared))
            || match self.peer {
                Some(at) => of_peer(at),
                None => cx.policy.spec.present().is_some_and(|spec| spec.shared),
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
