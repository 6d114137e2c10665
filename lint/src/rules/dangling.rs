//! Selectors that match no pod, and what they may have meant instead.

use netpol_policy::model::{Direction, LabelSelector, Labelled, Peer, Pod, PodNamespaces};
use netpol_policy::span::Span;

use super::selectors;
use crate::context::{Context, PeerAt};
use crate::words;

/// A selector of pods that matches none, although workloads of every namespace that it is about were given.
pub(crate) struct Dangling<'a> {
    /// The place of the labels.
    pub(super) span: Span,
    /// The JSON path of the policy's selector or of the peer.
    pub(super) path: String,
    /// The direction of a peer; `None` for what the policy itself selects.
    pub(super) peer: Option<Direction>,
    /// The namespaces that it is about.
    pub(super) namespaces: PodNamespaces,
    /// The namespace of the policy.
    pub(super) own: &'a str,
    /// The labels that it asks for.
    pub(super) pods: &'a LabelSelector,
    /// Where the same peer stands again: it has the same cause.
    pub(super) again: Vec<Span>,
}

/// Why a selector matches nothing, where that can be told.
pub(super) enum Cause<'a> {
    /// A workload of the namespace has the labels itself, but its pods don't.
    OnWorkload(&'a Pod),
    /// Pods of other namespaces have them: the first of each.
    Elsewhere(Vec<(&'a str, &'a Pod)>),
    /// Nobody knows.
    Unknown,
}

/// More namespaces than this are not looked for.
const MANY_NAMESPACES: usize = 4;

/// The policy's own selector if it matches nothing.
pub(super) fn target<'a>(cx: &Context<'a>) -> Option<Dangling<'a>> {
    let policy = cx.policy.model.as_ref()?;
    let (own, pods) = (&*policy.name.namespace, &policy.pod_selector);
    if pods.is_everything()
        || !cx.index.knows_workloads_of(own)
        || cx.index.is_some_pod(&PodNamespaces::Own, own, pods) == Some(true)
        || selectors::explained(cx, pods, Labelled::Pod)
        || super::targets_host_network::explains(cx)
        || cx.settings.may_match_external_pods(cx.index, &PodNamespaces::Own, own, pods)
        || is_of_other_kind(cx, &PodNamespaces::Own, own, pods)
    {
        return None;
    }
    let span = super::place::of_selector(cx.spec()?.pod_selector.present()?);
    let (path, namespaces) = ("spec.podSelector".to_owned(), PodNamespaces::Own);
    Some(Dangling { span, path, peer: None, namespaces, own, pods, again: Vec::new() })
}

/// The peers that match nothing, each once. Several rules ask.
pub(super) fn peers<'a>(cx: &Context<'a>) -> &'a [Dangling<'a>] {
    cx.rules.dangling.get_or_init(|| find(cx))
}

/// Whether a selector matches pods of the same file whose workload is of a kind that isn't known, such as a Rollout.
fn is_of_other_kind(cx: &Context<'_>, namespaces: &PodNamespaces, own: &str, pods: &LabelSelector) -> bool {
    cx.file.manifest.templates.iter().any(|template| {
        pods.matches(&template.labels)
            && match namespaces {
                PodNamespaces::Own => *template.namespace == *own,
                PodNamespaces::Selected(selector) => {
                    cx.index.namespace_may_match(&template.namespace, selector)
                }
            }
    })
}

fn find<'a>(cx: &Context<'a>) -> Vec<Dangling<'a>> {
    let policy = cx.policy.model.as_ref().filter(|_| cx.index.knows_workloads());
    let Some(policy) = policy else { return Vec::new() };
    let own = &*policy.name.namespace;
    let told = cx.selection.contains(&super::split_peer_selectors::RULE);
    let mut dangling: Vec<(&Peer, Dangling<'a>)> = Vec::new();
    for at in cx.effective_peers() {
        let rules = policy.rules(at.rule.direction).unwrap_or_default();
        let peer = rules.get(at.rule.index).and_then(|rule| rule.peers.items().get(at.index));
        let Some(peer @ Peer::Pods { namespaces, pods }) = peer else { continue };
        if cx.index.is_some_pod(namespaces, own, pods) != Some(false)
            || (told && super::split_peer_selectors::explains(cx, &at))
            || selectors::explained(cx, pods, Labelled::Pod)
            || super::peer_is_host_network::explains(cx, &at, peer)
            || cx.settings.may_match_external_pods(cx.index, namespaces, own, pods)
            || is_of_other_kind(cx, namespaces, own, pods)
        {
            continue;
        }
        if let Some((_, known)) = dangling.iter_mut().find(|(known, _)| *known == peer) {
            known.again.push(at.head(cx.file));
            continue;
        }
        let (path, namespaces, again) = (at.path(), namespaces.clone(), Vec::new());
        let peer_of = Some(at.rule.direction);
        dangling
            .push((peer, Dangling { span: span(&at), path, peer: peer_of, namespaces, own, pods, again }));
    }
    dangling.into_iter().map(|(_, dangling)| dangling).collect()
}

/// The pod selector of a peer, which is what doesn't match.
fn span(at: &PeerAt<'_>) -> Span {
    match at.peer.pod_selector.present() {
        Some(field) => super::place::of_selector(field),
        None => at.item.span,
    }
}

impl<'a> Dangling<'a> {
    /// What it may have meant. Causes whose rules are off don't count.
    pub(super) fn cause(&self, cx: &Context<'a>) -> Cause<'a> {
        let names = match &self.namespaces {
            PodNamespaces::Own => vec![self.own],
            PodNamespaces::Selected(selector) => cx.index.namespaces(selector).names,
        };
        let on_host = |name: &&str| cx.index.host_network_pods(name, self.pods).next().is_some();
        if names.iter().any(on_host) {
            return Cause::Unknown;
        }
        if cx.selection.contains(&super::selects_workload_not_pod::RULE) {
            let mut workloads =
                names.iter().filter_map(|name| cx.index.workload_beside_its_pods(name, self.pods));
            if let Some(workload) = workloads.next() {
                return Cause::OnWorkload(workload);
            }
        }
        if cx.selection.contains(&super::wrong_namespace::RULE) {
            let mut elsewhere = cx.index.everywhere(self.pods, MANY_NAMESPACES);
            // Workloads whose manifests name no namespace may as well be meant for the policy's.
            elsewhere.retain(|(name, _)| *name != cx.file.default_namespace() && !names.contains(name));
            if !elsewhere.is_empty() {
                return Cause::Elsewhere(elsewhere);
            }
        }
        Cause::Unknown
    }

    /// Its namespaces in words, and the name of the namespace when it is one.
    pub(super) fn place(&self) -> (String, Option<&str>) {
        match &self.namespaces {
            PodNamespaces::Own => (format!("namespace {}", self.own), Some(self.own)),
            PodNamespaces::Selected(selector) => (words::namespaces(selector), words::only_name(selector)),
        }
    }

    /// What comes of it.
    pub(super) fn consequence(&self) -> &'static str {
        match self.peer {
            None => "the policy protects nothing",
            Some(Direction::Ingress) => "this peer allows nobody",
            Some(Direction::Egress) => "this peer allows nothing",
        }
    }

    /// What the policy or a peer selects: a workload, a pod.
    pub(super) fn selected(&self) -> &'static str {
        if self.peer.is_none() { "workload" } else { "pod" }
    }
}
