//! Who may connect before and after.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use netpol_policy::evaluate::{Endpoint, Evaluator};
use netpol_policy::model::{Cluster, Direction, NetworkPolicy, Peer, Peers, Pod, PodNamespaces, Rule};
use serde::Serialize;

use super::groups::{Flows, Pairs};
use crate::index::Index;
use crate::matrix::{have_common_family, world};

/// Who may connect then who could not, and the reverse.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reach {
    /// With every other policy that is known.
    #[serde(flatten)]
    pub beside_others: Flows,
    /// As if there were no other policy.
    pub alone: Flows,
}

/// The most pairs to ask about for one fix.
pub(super) const PAIRS: usize = 20_000;

/// Compares one policy in the place of another. `None` when it selects no workload that is known, or when there are more
/// pairs to look at than `pairs` has, from which they are taken.
pub(super) fn reach(
    before: Option<&NetworkPolicy>,
    after: &NetworkPolicy,
    index: &Index<'_>,
    pairs: &mut usize,
) -> Option<Reach> {
    let mut asked = Asked::new(index);
    let selecting = before.into_iter().chain([after]);
    let own = &*after.name.namespace;
    selecting.for_each(|policy| index.pods(own, &policy.pod_selector).for_each(|pod| asked.add(pod)));
    let subjects = asked.pods.len();
    let most = PAIRS.min(*pairs).checked_div(subjects)?;
    let mut directions = Vec::new();
    for direction in Direction::ALL {
        if asked.far_ends(before, after, direction, most)? {
            directions.push(direction);
        }
    }
    let (base, others) = asked.surroundings(after);
    let with = |policy: Option<&NetworkPolicy>, others: &[&NetworkPolicy]| {
        let policies = others.iter().copied().chain(policy).map(|policy| Arc::new(policy.clone())).collect();
        Cluster { policies, ..base.clone() }
    };
    let clusters =
        [with(before, &[]), with(Some(after), &[]), with(before, &others), with(Some(after), &others)];
    let mut ends: Vec<_> = base.pods.iter().map(|pod| (pod.name.to_string(), Endpoint::pod(pod))).collect();
    if asked.world {
        let mut all = with(before, &others);
        all.policies.push(Arc::new(after.clone()));
        let blocks = world::blocks(&all);
        for (number, block) in blocks.iter().enumerate() {
            let is_wider = blocks.iter().any(|other| other.within == Some(number));
            let name = if is_wider { format!("the rest of {}", block.cidr) } else { block.cidr.to_string() };
            ends.push((name, Endpoint::outside(block.sample)));
        }
    }
    let far = ends.len();
    *pairs = pairs.checked_sub(subjects * far * directions.len()).filter(|_| subjects * far <= PAIRS * 2)?;
    let evaluators = clusters.each_ref().map(Evaluator::new);
    let endpoints: Vec<_> = ends.iter().map(|(_, endpoint)| *endpoint).collect();
    let all = evaluators.each_ref().map(|evaluator| evaluator.reachability(endpoints.clone()));
    let (mut alone, mut beside_others, mut done) = (Pairs::default(), Pairs::default(), HashSet::new());
    for direction in directions {
        for (subject, far) in (0..subjects).flat_map(|subject| (0..far).map(move |far| (subject, far))) {
            let (from, to) = if direction == Direction::Ingress { (far, subject) } else { (subject, far) };
            if !done.insert((from, to)) || !have_common_family(endpoints[from], endpoints[to]) {
                continue;
            }
            let [a, b, c, d] = all.each_ref().map(|reachability| reachability.connections(from, to));
            alone.add(&ends[from].0, &ends[to].0, &a, &b);
            beside_others.add(&ends[from].0, &ends[to].0, &c, &d);
        }
    }
    Some(Reach { beside_others: beside_others.group(), alone: alone.group() })
}

/// The ends to ask about: first the pods that the policy selects, then those at the other end.
pub(super) struct Asked<'i, 'c> {
    pub(super) index: &'i Index<'c>,
    pub(super) pods: Vec<&'c Pod>,
    ids: HashSet<*const Pod>,
    /// Addresses outside count too.
    world: bool,
}

impl<'i, 'c> Asked<'i, 'c> {
    pub(super) fn new(index: &'i Index<'c>) -> Self {
        Self { index, pods: Vec::new(), ids: HashSet::new(), world: false }
    }

    pub(super) fn add(&mut self, pod: &'c Pod) {
        if !pod.finished && self.ids.insert(std::ptr::from_ref(pod)) {
            self.pods.push(pod);
        }
    }

    /// Adds whoever may be concerned at the other end of a direction; `None` when there are more than `most`. Returns
    /// whether something changes in that direction.
    fn far_ends(
        &mut self,
        before: Option<&NetworkPolicy>,
        after: &NetworkPolicy,
        direction: Direction,
        most: usize,
    ) -> Option<bool> {
        let (old, new) = (before.and_then(|before| before.rules(direction)), after.rules(direction));
        let same_pods = before.is_some_and(|before| before.pod_selector == after.pod_selector);
        if old == new && (same_pods || new.is_none()) {
            return Some(false);
        }
        let (Some(old), Some(new), true) = (old, new, same_pods) else {
            return self.everyone(most).map(|()| true);
        };
        let changed = old.iter().filter(|rule| !new.contains(rule));
        for rule in changed.chain(new.iter().filter(|rule| !old.contains(rule))) {
            self.peers(rule, &after.name.namespace, most)?;
        }
        Some(true)
    }

    fn peers(&mut self, rule: &Rule, own: &str, most: usize) -> Option<()> {
        let Peers::Only(peers) = &rule.peers else { return self.everyone(most) };
        for peer in peers {
            let Peer::Pods { namespaces, pods } = peer else {
                // Pods have addresses too.
                self.everyone(most)?;
                continue;
            };
            let names = match namespaces {
                PodNamespaces::Own => vec![own],
                PodNamespaces::Selected(selector) => self.index.namespaces(selector).names,
            };
            for name in names {
                for pod in self.index.pods(name, pods) {
                    self.add(pod);
                    if self.pods.len() > most {
                        return None;
                    }
                }
            }
        }
        Some(())
    }

    fn everyone(&mut self, most: usize) -> Option<()> {
        self.world = true;
        let pods = &self.index.cluster().pods;
        if pods.len() > most {
            return None;
        }
        pods.iter().for_each(|pod| self.add(pod));
        Some(())
    }

    /// The part of the cluster that decides for them, and the policies there but one.
    pub(super) fn surroundings(&self, but: &NetworkPolicy) -> (Cluster, Vec<&'c NetworkPolicy>) {
        let all = self.index.cluster();
        let mut part =
            Cluster { pods: self.pods.iter().map(|pod| (*pod).clone()).collect(), ..Cluster::default() };
        let (mut nodes, mut policies) = (BTreeSet::new(), BTreeSet::new());
        for pod in &self.pods {
            let name = &*pod.name.namespace;
            if !part.namespaces.contains_key(name)
                && let Some(namespace) = all.namespaces.get(name)
            {
                part.add_namespace(namespace.clone());
            }
            nodes.extend(&pod.node);
            for direction in Direction::ALL {
                policies
                    .extend(self.index.isolating(pod, direction).filter(|policy| policy.name != but.name));
            }
        }
        part.nodes = all.nodes.iter().filter(|node| nodes.contains(&node.name)).cloned().collect();
        (part, policies.into_iter().collect())
    }
}
