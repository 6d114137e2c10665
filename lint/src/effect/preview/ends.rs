//! The ends of the connections that a change may open or close, and what decides between them.

use std::borrow::Cow;
use std::cell::OnceCell;

use netpol_policy::evaluate::{Connections, Endpoint, Evaluator, families};
use netpol_policy::model::{Direction, NetworkPolicy, Node, Peer, Peers};

use crate::hash::HashSet;
use crate::index::{Index, PODS, PodAt};
use crate::matrix::world;

/// The pods of one workload that a policy selects.
pub(super) struct Subject<'i> {
    pub(super) first: PodAt<'i, 'i>,
    pub(super) pods: usize,
}

/// Pods and addresses, before and after.
pub(super) struct Ends<'i> {
    index: &'i Index<'i>,
    evaluator: Evaluator<'i>,
    /// Before and after.
    policies: [Option<&'i NetworkPolicy>; 2],
    /// The subjects, then those that rules name, then the others of the namespace, then addresses.
    pub(super) all: Vec<End<'i>>,
    /// How many of them are subjects.
    pub(super) subjects: usize,
    /// How many of them are subjects or have labels that rules name.
    named: usize,
    /// There are more.
    pub(super) cut: bool,
}

/// One end. One pod of a workload stands for all of them.
pub(super) struct End<'i> {
    pub(super) name: Cow<'i, str>,
    pub(super) endpoint: Endpoint<'i>,
    at: Option<PodAt<'i, 'i>>,
    /// What isolates it for ingress and for egress beside the policy; `None` when nothing does.
    others: [OnceCell<Option<Vec<&'i NetworkPolicy>>>; 2],
    /// Whether the policy selects it, before and after.
    selected: OnceCell<[bool; 2]>,
}

/// What passes before and after; `None` for everything.
type Passing = [Option<Connections>; 2];

impl<'i> Ends<'i> {
    /// At most so many that there are no more `pairs` of a subject and another end.
    pub(super) fn new(
        policies: [Option<&'i NetworkPolicy>; 2],
        index: &'i Index<'i>,
        subjects: &[Subject<'i>],
        pairs: usize,
    ) -> Self {
        let evaluator = Evaluator::without_policies(index.cluster(), Vec::new());
        let mut ends = Self {
            index,
            evaluator,
            policies,
            all: Vec::with_capacity(32),
            subjects: 0,
            named: 0,
            cut: false,
        };
        let most = ((pairs as f64).sqrt() as usize).max(1);
        ends.cut = subjects.len() > most;
        ends.all.extend(subjects.iter().take(most).map(|subject| End::pod(subject.first)));
        ends.subjects = ends.all.len();
        let Some(most) = pairs.checked_div(ends.subjects) else { return ends };
        ends.cut |= !ends.add_pods(most.max(1));
        ends.add_addresses();
        let nodes = ends.nodes();
        ends.evaluator = Evaluator::without_policies(index.cluster(), nodes);
        ends
    }

    /// Pods at the other end: first those that rules name, then one of each other workload of the namespace. `false` when
    /// there are more pods or workloads than are looked at.
    fn add_pods(&mut self, most: usize) -> bool {
        let (index, Some(own)) = (self.index, self.policies[1].map(|after| &*after.name.namespace)) else {
            return true;
        };
        // All pods of a workload have one and the same text as its name.
        let name = |at: PodAt<'i, 'i>| at.workload().as_ptr();
        let mut known: HashSet<_> = self.all.iter().filter_map(|end| end.at.map(name)).collect();
        let mut seen = 0;
        let rules = self.policies.into_iter().flatten().flat_map(|policy| {
            Direction::ALL.into_iter().filter_map(|direction| policy.rules(direction)).flatten()
        });
        for peer in rules.flat_map(|rule| rule.peers.items()) {
            let Peer::Pods { namespaces, pods } = peer else { continue };
            for place in index.places(namespaces, own) {
                let workloads = index.workloads_of(place, pods);
                let count = workloads.pods + usize::from(workloads.more);
                for group in &workloads.all {
                    let before = group.at as usize;
                    if self.all.len() >= most || seen + before >= PODS {
                        return false;
                    }
                    let at = index.pod_at(place, group.pod);
                    if known.insert(name(at)) {
                        self.all.push(End::pod(at));
                        self.named = self.all.len();
                        if self.all.len() >= most && before + 1 < count {
                            return false;
                        }
                    }
                }
                seen += count;
                if seen > PODS {
                    return false;
                }
            }
        }
        self.named = self.all.len();
        for at in index.place(own).into_iter().flat_map(|place| index.workloads(place)) {
            if self.all.len() >= most || seen >= PODS {
                return false;
            }
            if known.insert(name(at)) {
                self.all.push(End::pod(at));
            }
            seen += 1;
        }
        true
    }

    /// Addresses outside that rules name.
    fn add_addresses(&mut self) {
        let policies = || self.policies.into_iter().flatten();
        if policies().any(names_blocks) {
            for block in world::blocks_of(policies(), self.index.taken()) {
                let (name, endpoint) = (block.cidr.to_string().into(), Endpoint::outside(block.sample));
                let (others, selected) = Default::default();
                self.all.push(End { name, endpoint, at: None, others, selected });
            }
        }
    }

    /// The nodes of the pods, in the cluster's order.
    fn nodes(&self) -> Vec<&'i Node> {
        let pods = self.all.iter().filter_map(|end| end.at);
        let mut nodes: Vec<_> = pods.filter_map(|at| self.index.node(at.pod().node.as_deref()?)).collect();
        nodes.sort_by_key(|node| std::ptr::from_ref(*node));
        nodes.dedup_by_key(|node| std::ptr::from_ref(*node));
        nodes
    }

    /// Whether a pod is isolated in a direction from now on, or no longer.
    pub(super) fn isolates(&self, subject: usize, direction: Direction) -> bool {
        let end = &self.all[subject];
        let [before, after] = self.selects(end, direction);
        before != after && self.others(end, direction).is_none()
    }

    /// Whether some rule of a direction may mean an end, before or after: only then it can make a difference there.
    pub(super) fn is_named(&self, direction: Direction, far: usize) -> bool {
        let means = |policy: &NetworkPolicy, peer: &Peer| match peer {
            // Pods have addresses too.
            Peer::Block(_) => true,
            Peer::Pods { .. } => {
                far < self.named && self.evaluator.peer_matches(policy, peer, self.all[far].endpoint)
            }
        };
        self.policies.into_iter().flatten().any(|policy| {
            let mut rules = policy.rules(direction).unwrap_or_default().iter();
            rules.any(|rule| match &rule.peers {
                Peers::All => true,
                Peers::Only(peers) => peers.iter().any(|peer| means(policy, peer)),
            })
        })
    }

    /// What passes from one end to another before and after, when that is not the same.
    pub(super) fn difference(&self, from: usize, to: usize) -> Option<[Connections; 2]> {
        let (from, to) = (&self.all[from], &self.all[to]);
        let mut over = families(from.endpoint, to.endpoint);
        let (first, second) = (over.next()?, over.next());
        let mut all = self.between(from, to, first, second.is_none())?;
        if let Some(second) = second {
            all = union(all, &self.between(from, to, second, false)?);
        }
        let [before, after] = all;
        (before != after).then(|| [before, after].map(|passing| passing.unwrap_or_else(Connections::all)))
    }

    /// What passes between two ends at some addresses; `None` when that is the same before and after, which is only looked
    /// for where these addresses `alone` count.
    fn between(
        &self,
        from: &End<'i>,
        to: &End<'i>,
        (source, destination): (Endpoint<'i>, Endpoint<'i>),
        alone: bool,
    ) -> Option<Passing> {
        let (mut near, mut far) = ((from, Direction::Egress), (to, Direction::Ingress));
        let changes = |(end, direction): (&End<'i>, Direction)| self.selects(end, direction) != [false; 2];
        if !changes(near) {
            (near, far) = (far, near);
        }
        let passing = |(end, direction)| self.passing(end, source, destination, direction);
        let [before, after] = passing(near);
        if alone && before == after && !changes(far) {
            return None;
        }
        Some(intersection([before, after], &passing(far)))
    }

    /// What one end lets pass.
    fn passing(
        &self,
        end: &End<'i>,
        source: Endpoint<'i>,
        destination: Endpoint<'i>,
        direction: Direction,
    ) -> Passing {
        let (others, selects) = (self.others(end, direction), self.selects(end, direction));
        if others.is_none() && selects == [false; 2] {
            return [None, None];
        }
        let granted = |policies: &[&'i NetworkPolicy]| {
            self.evaluator.granted(policies.iter().copied(), source, destination, direction)
        };
        let by_others = others.map(&granted);
        if selects == [false; 2] {
            let by_others = by_others.flatten();
            return [by_others.clone(), by_others];
        }
        let [before, after] = [0, 1].map(|version| {
            let own = self.policies[version].filter(|_| selects[version]).map(|policy| granted(&[policy]));
            match (own, &by_others) {
                (None, None) => None,
                (Some(own), None) => own,
                (None, Some(others)) => others.clone(),
                (Some(own), Some(others)) => Some(own?.union(others.as_ref()?)),
            }
        });
        [before, after]
    }

    /// The other policies that isolate an end; `None` when it isn't isolated without the policy.
    fn others<'e>(&self, end: &'e End<'i>, direction: Direction) -> Option<&'e [&'i NetworkPolicy]> {
        let others = end.others[usize::from(direction == Direction::Egress)].get_or_init(|| {
            let (at, own) = (end.at?, self.policies[1].map(|after| &after.name));
            let others = self.index.isolating_at(at, direction).filter(|policy| Some(&policy.name) != own);
            let others: Vec<_> = others.collect();
            (at.is_isolated_by_label(direction) || !others.is_empty()).then_some(others)
        });
        others.as_deref()
    }

    /// Whether the policy isolates an end in a direction, before and after.
    fn selects(&self, end: &End<'i>, direction: Direction) -> [bool; 2] {
        let selected = *end.selected.get_or_init(|| {
            self.policies.map(|policy| {
                let (Some(policy), Some(at)) = (policy, end.at) else { return false };
                at.pod().name.namespace == policy.name.namespace
                    && policy.pod_selector.matches(&at.pod().labels)
            })
        });
        [0, 1].map(|version| {
            selected[version]
                && self.policies[version].is_some_and(|policy| policy.rules(direction).is_some())
        })
    }
}

impl<'i> End<'i> {
    fn pod(at: PodAt<'i, 'i>) -> Self {
        let (others, selected) = Default::default();
        let endpoint = Endpoint::pod(at.pod());
        Self { name: at.workload().into(), endpoint, at: Some(at), others, selected }
    }
}

fn intersection(one: Passing, other: &Passing) -> Passing {
    let mut other = other.iter();
    one.map(|one| match (one, other.next().and_then(Option::as_ref)) {
        (Some(one), Some(other)) => Some(one.intersection(other)),
        (Some(some), None) => Some(some),
        (None, some) => some.cloned(),
    })
}

fn union(one: Passing, other: &Passing) -> Passing {
    let mut other = other.iter();
    one.map(|one| Some(one?.union(other.next()?.as_ref()?)))
}

fn names_blocks(policy: &NetworkPolicy) -> bool {
    let mut rules = Direction::ALL.into_iter().filter_map(|direction| policy.rules(direction)).flatten();
    rules.any(|rule| rule.peers.items().iter().any(|peer| matches!(peer, Peer::Block(_))))
}
