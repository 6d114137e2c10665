//! NP101 and its evidence.

mod evidence;
mod known;
#[cfg(test)]
mod tests;

use netpol_policy::model::{Direction, LabelSelector, NetworkPolicy, Peer, PodNamespaces};
use netpol_policy::source::{PeerSource, Slot};

use crate::context::{Context, PeerAt, Reporter, RuleAt};
use crate::edits::join_items;
use crate::finding::{Fix, Severity};
use crate::rule::rule;
use crate::words;

use evidence::Evidence;

rule! {
    /// ## What it does
    /// Finds `namespaceSelector` and `podSelector` as two items of one `from` or `to` list where one item was meant; and,
    /// with the workloads at hand, the reverse.
    ///
    /// ## Why it matters
    /// Items of the list are alternatives (OR). Selectors within one item must both match (AND). One dash makes the
    /// difference: with it, every pod of those namespaces may connect, and so may pods of the policy's own namespace.
    ///
    /// It is an error when the second reading can't be meant: the namespace item already covers the policy's own
    /// namespace, so the pod item changes nothing; the pods that the labels name live in the selected namespace only; or
    /// the pair is a well-known one, such as `k8s-app: kube-dns` in `kube-system`. It is a warning when two such items
    /// stand alone without further evidence. It says nothing of `podSelector: {}` ("and my own namespace"), of lists with
    /// an `ipBlock` or several items of a kind, and of items that each carry a comment.
    ///
    /// ## Example
    /// ```yaml
    /// apiVersion: networking.k8s.io/v1
    /// kind: NetworkPolicy
    /// metadata: {name: db, namespace: shop}
    /// spec:
    ///   podSelector: {matchLabels: {app: db}}
    ///   policyTypes: [Ingress]
    ///   ingress:
    ///     - from:
    ///         - namespaceSelector:
    ///             matchLabels:
    ///               kubernetes.io/metadata.name: office
    ///         - podSelector:
    ///             matchLabels:
    ///               app: backend
    /// ```
    ///
    /// ## Fix
    /// `--unsafe-fixes` joins the two items. Where both are meant, say so with a comment on each of them.
    /// ```yaml
    /// apiVersion: networking.k8s.io/v1
    /// kind: NetworkPolicy
    /// metadata: {name: db, namespace: shop}
    /// spec:
    ///   podSelector: {matchLabels: {app: db}}
    ///   policyTypes: [Ingress]
    ///   ingress:
    ///     - from:
    ///         - namespaceSelector:
    ///             matchLabels:
    ///               kubernetes.io/metadata.name: office
    ///           podSelector:
    ///             matchLabels:
    ///               app: backend
    /// ```
    NP101 "split-peer-selectors" {
        severity: Warning,
        scope: Documents,
        fix: Unsafe,
        check: Policy(check),
    }
}

/// Two neighbours of a list, one with only a namespace selector, the other with only a pod selector.
struct Pair<'a> {
    rule: RuleAt<'a>,
    first: PeerAt<'a>,
    second: PeerAt<'a>,
    /// Of the item that selects namespaces.
    namespaces: &'a LabelSelector,
    /// Of the item that selects pods.
    pods: &'a LabelSelector,
    /// The list has no other item.
    alone: bool,
}

fn check(cx: &Context<'_>, out: &mut Reporter<'_>) {
    for rule in cx.effective_rules() {
        if let Some(pair) = Pair::of(rule)
            && let Some(evidence) = evidence::weigh(cx, &pair)
        {
            report_pair(cx, &pair, evidence, out);
        }
        for peer in rule.peers() {
            if let Some(halves) = joined_in_vain(cx, &peer) {
                report_joined(&peer, &halves, out);
            }
        }
    }
}

/// Whether this rule has something to say about a peer, so that others needn't.
pub(super) fn explains(cx: &Context<'_>, peer: &PeerAt<'_>) -> bool {
    let in_pair = Pair::of(peer.rule).is_some_and(|pair| {
        [pair.first.index, pair.second.index].contains(&peer.index) && evidence::weigh(cx, &pair).is_some()
    });
    in_pair || joined_in_vain(cx, peer).is_some()
}

impl<'a> Pair<'a> {
    /// The pair of a rule: exactly one item of each kind, next to each other, and no `ipBlock` in the list.
    fn of(rule: RuleAt<'a>) -> Option<Self> {
        let list = rule.rule.peers.value()?;
        let peers: Vec<_> = rule.peers().collect();
        let unsuitable = |at: &PeerAt<'_>| !at.peer.ip_block.is_absent() || !at.peer.stray.is_empty();
        if peers.len() != list.items.len() || peers.iter().any(unsuitable) {
            return None;
        }
        let mut namespaces = peers.iter().filter_map(|at| Some((at, only_namespaces(at.peer)?)));
        let mut pods = peers.iter().filter_map(|at| Some((at, only_pods(at.peer)?)));
        let ((namespace_item, namespace_selector), (pod_item, pod_selector)) =
            (namespaces.next()?, pods.next()?);
        if namespaces.next().is_some() || pods.next().is_some() {
            return None;
        }
        let (first, second) = if namespace_item.index < pod_item.index {
            (*namespace_item, *pod_item)
        } else {
            (*pod_item, *namespace_item)
        };
        (first.index + 1 == second.index).then_some(Self {
            rule,
            first,
            second,
            namespaces: namespace_selector,
            pods: pod_selector,
            alone: peers.len() == 2,
        })
    }

    /// The policy with the two items as one.
    fn joined(&self, cx: &Context<'_>) -> Option<NetworkPolicy> {
        let mut policy = cx.policy.model.as_deref().cloned()?;
        let rules = match self.rule.direction {
            Direction::Ingress => policy.ingress.as_mut()?,
            Direction::Egress => policy.egress.as_mut()?,
        };
        let netpol_policy::model::Peers::Only(peers) = &mut rules.get_mut(self.rule.index)?.peers else {
            return None;
        };
        if self.second.index >= peers.len() {
            return None;
        }
        peers.remove(self.second.index);
        peers[self.first.index] = Peer::Pods {
            namespaces: PodNamespaces::Selected(self.namespaces.clone()),
            pods: self.pods.clone(),
        };
        Some(policy)
    }
}

fn report_pair(cx: &Context<'_>, pair: &Pair<'_>, evidence: Evidence, out: &mut Reporter<'_>) {
    let own =
        cx.written_namespace().map_or("its own namespace".to_owned(), |name| format!("namespace {name}"));
    let (there, pods) = (words::namespaces(pair.namespaces), pair.pods);
    let known = |namespaces: &PodNamespaces, pods: &LabelSelector| -> String {
        let matched = cx.index.pods_of(namespaces, evidence::own_namespace(cx), pods);
        matched.map(|pods| format!(" ({})", words::pod_names(pods))).unwrap_or_default()
    };
    let selected = PodNamespaces::Selected(pair.namespaces.clone());
    let message = format!(
        "two peers (OR) where one (AND) {}; as written: every pod of {there}{}, and every {pods} pod of {own}{}; \
         joined: only the {pods} pods of {there}{}",
        if evidence.severity() == Severity::Error { "was meant" } else { "was probably meant" },
        known(&selected, &LabelSelector::everything()),
        known(&PodNamespaces::Own, pods),
        known(&selected, pods),
    );
    let edits = join_items(&cx.file.text, pair.first.item, pair.second.item);
    let shared = pair.rule.shared || matches!(&pair.rule.rule.peers, Slot::Present(field) if field.shared);
    let fix = edits
        .filter(|_| !shared)
        .map(|edits| Fix::changing("join the two items into one peer", edits).expecting(pair.joined(cx)));
    let (second_begins, way_to_join) = match pair.second.item.dash {
        Some(_) => ("this dash begins a second peer", "remove the dash"),
        None => ("these braces begin a second peer", "write both selectors into one pair of braces"),
    };
    let finding = out.report(pair.second.head(cx.file), pair.second.path(), message);
    finding
        .severity(evidence.severity())
        .label(second_begins)
        .near(pair.first.head(cx.file), "the first peer")
        .help(format!(
            "{}; {way_to_join} to require both, or keep both items and say why with a comment on each",
            evidence.reason(&own)
        ))
        .fix(fix);
    if evidence == Evidence::PodsElsewhere
        && let Some(pod) =
            cx.index.pods_of(&selected, evidence::own_namespace(cx), pods).and_then(|mut p| p.next())
    {
        finding.at_workload(cx, pod, "a pod that was meant");
    }
}

/// A joined peer that matches nothing although each half alone would.
struct Halves {
    namespaces: String,
    pods: String,
}

fn joined_in_vain(cx: &Context<'_>, at: &PeerAt<'_>) -> Option<Halves> {
    let (namespaces, pods) = (selector(&at.peer.namespace_selector)?, selector(&at.peer.pod_selector)?);
    if pods.is_everything() || !at.peer.ip_block.is_absent() {
        return None;
    }
    let own = evidence::own_namespace(cx);
    let selected = PodNamespaces::Selected(namespaces.clone());
    let everything = LabelSelector::everything();
    let matches = |namespaces: &PodNamespaces, pods| evidence::matches_any(cx, namespaces, pods);
    let in_vain = matches(&selected, pods) == Some(false)
        && matches(&selected, &everything) == Some(true)
        && matches(&PodNamespaces::Own, pods) == Some(true);
    in_vain.then(|| Halves {
        namespaces: words::namespaces(namespaces),
        pods: words::pod_names(cx.index.pods(own, pods)),
    })
}

fn report_joined(at: &PeerAt<'_>, halves: &Halves, out: &mut Reporter<'_>) {
    let (Some(namespaces), Some(pods)) = (at.peer.namespace_selector.key(), at.peer.pod_selector.key())
    else {
        return;
    };
    let (first, second) = if namespaces < pods { (namespaces, pods) } else { (pods, namespaces) };
    let Halves { namespaces, pods } = halves;
    out.report(
        second,
        at.path(),
        format!(
            "no pod matches both selectors of this peer (AND), but each of them matches alone: {namespaces} has pods, \
             and the labels are those of {pods} in the policy's own namespace"
        ),
    )
    .label("required as well")
    .near(first, "required")
    .help("where either is meant (OR), make two list items of them, with a dash before each selector");
}

fn only_namespaces(peer: &PeerSource) -> Option<&LabelSelector> {
    if peer.pod_selector.is_absent() { selector(&peer.namespace_selector) } else { None }
}

fn only_pods(peer: &PeerSource) -> Option<&LabelSelector> {
    if peer.namespace_selector.is_absent() { selector(&peer.pod_selector) } else { None }
}

fn selector(slot: &Slot<Box<netpol_policy::source::SelectorSource>>) -> Option<&LabelSelector> {
    slot.value()?.model.as_ref()
}
