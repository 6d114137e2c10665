//! Which parts of a policy others cover.

use ipnet::IpNet;
use netpol_policy::cover::Cover;
use netpol_policy::model::{Direction, LabelSelector, METADATA_NAME, Peer, PodNamespaces, PortMatch, Rule};
use netpol_policy::source::{List, ProblemKind, RuleSource, Slot};

use crate::context::{Context, PeerAt};
use crate::edits::remove_item;
use crate::finding::Edit;
use crate::hash::HashMap;

/// Compares what parts of a policy allow. `None` where that is [not what it seems to be](is_as_it_seems).
pub(super) fn cover(cx: &Context<'_>) -> Option<Cover> {
    is_as_it_seems(cx).then(|| Cover::new(cx.written_namespace()))
}

/// Whether a policy allows what it seems to. Otherwise the API server refuses it, or drops some of it, which has rules
/// of its own.
pub(super) fn is_as_it_seems(cx: &Context<'_>) -> bool {
    let misread = [
        ProblemKind::DuplicateKey,
        ProblemKind::UnknownField,
        ProblemKind::WrongDirectionField,
        ProblemKind::NullItem,
    ];
    cx.policy.model.is_some() && !cx.policy.problems.iter().any(|problem| misread.contains(&problem.kind))
}

/// Whether a list that is there is empty, which allows more than it seems to.
pub(super) fn is_empty_list<T>(slot: &Slot<List<T>>) -> bool {
    match slot {
        Slot::Absent => false,
        Slot::Null(_) | Slot::Wrong(_) => true,
        Slot::Present(field) => field.value.items.is_empty(),
    }
}

/// The rules of a direction, unless their text also serves other places.
pub(super) fn editable_list<'a>(cx: &Context<'a>, direction: Direction) -> Option<&'a List<RuleSource>> {
    let spec = cx.policy.spec.present().filter(|spec| !spec.shared)?;
    spec.value.rules(direction).present().filter(|field| !field.shared).map(|field| &field.value)
}

/// Whether two rules say the same in whatever order.
pub(super) fn same_rule(one: &Rule, other: &Rule) -> bool {
    // The least ones tell most rules apart without sorting all.
    one.peers.items().iter().min() == other.peers.items().iter().min()
        && one.ports.items().iter().min() == other.ports.items().iter().min()
        && content(one) == content(other)
}

/// What a rule says, in whatever order.
pub(super) fn content(rule: &Rule) -> (Vec<&Peer>, Vec<&PortMatch>) {
    let mut peers: Vec<_> = rule.peers.items().iter().collect();
    let mut ports: Vec<_> = rule.ports.items().iter().collect();
    peers.sort();
    peers.dedup();
    ports.sort();
    ports.dedup();
    (peers, ports)
}

/// A peer with its place.
pub(super) struct Placed<'a> {
    pub(super) peer: &'a Peer,
    pub(super) at: PeerAt<'a>,
}

/// Calls `found` with every peer that another peer of its rule covers, and with that one. Repeats and peers that mean
/// nobody are left out.
pub(super) fn covered_peers<'a>(cx: &Context<'a>, mut found: impl FnMut(Placed<'a>, Placed<'a>)) {
    let Some(model) = &cx.policy.model else { return };
    for at in cx.effective_rules() {
        let rules = model.rules(at.direction).unwrap_or_default();
        let peers = rules.get(at.index).map_or(&[][..], |rule| rule.peers.items());
        if peers.len() < 2 {
            continue;
        }
        let Some(cover) = cover(cx) else { return };
        let places: Vec<_> = at.peers().collect();
        if places.len() != peers.len() {
            continue;
        }
        let index = PeerIndex::new(cx.written_namespace(), peers.iter().enumerate());
        let candidates = |inner: usize| {
            let peer = (!cover.is_empty(&peers[inner])).then_some(&peers[inner]);
            peer.into_iter().flat_map(|peer| index.candidates(peer))
        };
        let redundant = redundant(peers.len(), candidates, |a, b| cover.peer(&peers[a], &peers[b]));
        for (inner, outer) in redundant.into_iter().filter(|(inner, outer)| peers[*inner] != peers[*outer]) {
            let placed = |index: usize| Placed { peer: &peers[index], at: places[index] };
            found(placed(inner), placed(outer));
        }
    }
}

/// Takes a peer out of its list.
pub(super) fn remove_peer(cx: &Context<'_>, at: &PeerAt<'_>) -> Option<Vec<Edit>> {
    let field = at.rule.rule.peers.present().filter(|field| !field.shared && !at.rule.shared)?;
    remove_item(cx.file, &field.value, at.index)
}

/// The parts that others cover, each with the one to keep, by their indexes. Of parts that cover each other the first
/// stays. `candidates` are those that may cover a part.
pub(super) fn redundant<I: IntoIterator<Item = usize>>(
    count: usize,
    candidates: impl Fn(usize) -> I,
    covers: impl Fn(usize, usize) -> bool,
) -> Vec<(usize, usize)> {
    let better = |inner: usize| {
        candidates(inner)
            .into_iter()
            .find(|&outer| outer != inner && covers(outer, inner) && (outer < inner || !covers(inner, outer)))
    };
    let keeper: Vec<_> = (0..count).map(better).collect();
    let found = keeper.iter().enumerate().filter_map(|(inner, outer)| {
        let mut outer = (*outer)?;
        // Covering is transitive: what covers the other one covers this one.
        while let Some(next) = keeper[outer] {
            outer = next;
        }
        Some((inner, outer))
    });
    found.collect()
}

/// Finds the peers that may cover one without looking at all. Those of one owner, such as a rule, have its number.
pub(super) struct PeerIndex<'p> {
    own_namespace: &'p str,
    blocks: HashMap<IpNet, Vec<usize>>,
    /// By a label that the peer asks for.
    labelled: HashMap<Label<'p>, Vec<usize>>,
    /// Peers that ask for no single value.
    wide: Vec<usize>,
}

/// Whether it is the namespace's; key and value.
type Label<'p> = (bool, &'p str, &'p str);

impl<'p> PeerIndex<'p> {
    /// Of peers with their owners.
    pub(super) fn new(
        own_namespace: Option<&'p str>,
        peers: impl IntoIterator<Item = (usize, &'p Peer)>,
    ) -> Self {
        // No namespace has an empty name.
        let own_namespace = own_namespace.unwrap_or_default();
        let (blocks, labelled, wide) = Default::default();
        let mut index = Self { own_namespace, blocks, labelled, wide };
        for (owner, peer) in peers {
            let owners = match (peer, labels(peer, own_namespace).next()) {
                (Peer::Block(block), _) => index.blocks.entry(block.cidr()).or_default(),
                (_, Some(label)) => index.labelled.entry(label).or_default(),
                (_, None) => &mut index.wide,
            };
            if owners.last() != Some(&owner) {
                owners.push(owner);
            }
        }
        index
    }

    /// The owners of peers that may cover a peer alone, in no order; some are there twice.
    pub(super) fn candidates<'s>(&'s self, inner: &'s Peer) -> Box<dyn Iterator<Item = usize> + 's> {
        match inner {
            Peer::Block(block) => {
                let around = std::iter::successors(Some(block.cidr()), IpNet::supernet);
                Box::new(around.filter_map(|net| self.blocks.get(&net)).flatten().copied())
            }
            Peer::Pods { .. } => {
                let labelled =
                    labels(inner, self.own_namespace).filter_map(|label| self.labelled.get(&label));
                Box::new(labelled.flatten().chain(&self.wide).copied())
            }
        }
    }
}

/// The labels that a peer's pods and their namespaces surely have.
fn labels<'p>(peer: &'p Peer, own: &'p str) -> impl Iterator<Item = Label<'p>> {
    let (own, namespaces, pods) = match peer {
        Peer::Block(_) => (None, None, None),
        Peer::Pods { namespaces: PodNamespaces::Own, pods } => {
            (Some((true, METADATA_NAME, own)), None, Some(pods))
        }
        Peer::Pods { namespaces: PodNamespaces::Selected(namespaces), pods } => {
            (None, Some(namespaces), Some(pods))
        }
    };
    let single = |of_namespace: bool, selector: Option<&'p LabelSelector>| {
        selector.into_iter().flat_map(LabelSelector::requirements).filter_map(move |requirement| {
            let mut values = requirement.values();
            match (requirement.operator(), values.next(), values.next()) {
                ("In", Some(value), None) => Some((of_namespace, requirement.key().as_str(), value.as_str())),
                _ => None,
            }
        })
    };
    single(false, pods).chain(own).chain(single(true, namespaces))
}
