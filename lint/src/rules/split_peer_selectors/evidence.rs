//! What speaks for one peer instead of two.

use netpol_policy::model::{LabelSelector, PodNamespaces};

use super::{Pair, known};
use crate::context::Context;
use crate::finding::Severity;
use crate::rules::comments;
use crate::words;

/// Why a pair is reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Evidence {
    /// The namespace item covers the policy's own namespace, so that the pod item changes nothing.
    PodsCovered,
    /// The pods with these labels live in the selected namespaces and not in the policy's own.
    PodsElsewhere,
    /// Known software by the label and the namespace that it usually has.
    KnownPair(&'static str),
    /// Nothing but the form.
    Form,
}

/// Weighs a pair; `None` when the two items are probably meant.
pub(super) fn weigh(cx: &Context<'_>, pair: &Pair<'_>) -> Option<Evidence> {
    let commented = [&pair.first, &pair.second].iter().all(|at| comments::on_item(cx.file, at.item));
    if pair.pods.is_everything() || commented {
        return None;
    }
    if covers_own_namespace(cx, pair.namespaces) {
        return Some(Evidence::PodsCovered);
    }
    if !pair.alone {
        return None;
    }
    let selected = PodNamespaces::Selected(pair.namespaces.clone());
    let (here, there) =
        (matches_any(cx, &PodNamespaces::Own, pair.pods), matches_any(cx, &selected, pair.pods));
    match (here, there) {
        (Some(false), Some(true)) => Some(Evidence::PodsElsewhere),
        // Joined, it would allow nobody: the two items are meant.
        (Some(true), Some(false)) => None,
        _ => Some(known::pair(pair.namespaces, pair.pods).map_or(Evidence::Form, Evidence::KnownPair)),
    }
}

/// Whether labels match a pod of some namespaces; `None` when nobody can tell, as the files don't show all of them.
pub(super) fn matches_any(
    cx: &Context<'_>,
    namespaces: &PodNamespaces,
    pods: &LabelSelector,
) -> Option<bool> {
    let own = own_namespace(cx);
    let any = cx.index.pods_of(namespaces, own, pods)?.next().is_some();
    let hidden = || cx.settings.may_match_external_pods(cx.index, namespaces, own, pods);
    if any || !hidden() { Some(any) } else { None }
}

/// The policy's namespace: the one written, or where objects go that name none.
pub(super) fn own_namespace<'a>(cx: &Context<'a>) -> &'a str {
    let meant = cx.policy.model.as_ref().map(|policy| &*policy.name.namespace);
    meant.or(cx.written_namespace()).unwrap_or("default")
}

/// Whether a namespace selector surely matches the policy's own namespace.
fn covers_own_namespace(cx: &Context<'_>, namespaces: &LabelSelector) -> bool {
    let by_name = cx.written_namespace().is_some_and(|own| {
        words::only_name(namespaces) == Some(own) || cx.index.namespace_surely_matches(own, namespaces)
    });
    namespaces.is_everything() || by_name
}

impl Evidence {
    /// How sure it makes.
    pub(super) fn severity(self) -> Severity {
        if self == Self::Form { Severity::Warning } else { Severity::Error }
    }

    /// The reason in words, for a policy of that namespace.
    pub(super) fn reason(self, own: &str) -> String {
        match self {
            Self::PodsCovered => {
                format!(
                    "the namespace item already covers every pod of {own}, so the pod item changes nothing"
                )
            }
            Self::PodsElsewhere => {
                format!("no workload of {own} has these labels, but workloads of the selected namespace do")
            }
            Self::KnownPair(what) => format!("this looks like {what}"),
            Self::Form => "each item of the list is a peer of its own".to_owned(),
        }
    }
}
