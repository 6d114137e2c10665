//! The same as [`compile`](super::compile), change by change: the cost of a change is that of what it touches.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use netpol_policy::model::{Direction, Pod, PortName, Protocol, WorkloadName};

use super::classes::{Signature, blocks, clauses_of, named, names_of};
use super::clause::{Clause, ClauseId, Clauses};
use super::kinds::{Answer, KindId, Kinds};
use super::set::PolicySet;
use super::{Desired, Endpoint, LocalNode, services, set};
use crate::prefix_map::PrefixMap;
use crate::world::{Touched, World};

/// What the node must enforce, kept up to date.
#[derive(Debug, Default)]
pub struct Compiler {
    clauses: Clauses,
    node: LocalNode,
    desired: Desired,
    /// What each pod says are its addresses.
    claims: HashMap<WorkloadName, Claim>,
    /// Who says so of each address.
    claimants: HashMap<IpAddr, Vec<WorkloadName>>,
    /// Whose each address is.
    owners: BTreeMap<IpAddr, WorkloadName>,
    kinds: Kinds,
    /// Pods that no object gives a node.
    nodeless: BTreeSet<WorkloadName>,
    /// What the objects say of the addresses of pods that are not known to be on another node.
    nearby: BTreeMap<WorkloadName, Vec<IpAddr>>,
    sets: BTreeSet<Arc<PolicySet>>,
    /// What this node's sets ask of addresses.
    asked: Asked,
    /// The clauses that can match pods of a namespace, by its labels.
    of_namespace: HashMap<Box<str>, Vec<ClauseId>>,
    signatures: HashSet<Arc<Signature>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Claim {
    attached: bool,
    created: Option<Box<str>>,
    addresses: Vec<IpAddr>,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Asked {
    clauses: BTreeSet<ClauseId>,
    names: BTreeSet<(Protocol, PortName)>,
    blocks: PrefixMap<Arc<Signature>>,
}

impl Compiler {
    /// What the node must enforce.
    #[must_use]
    pub fn desired(&self) -> &Desired {
        &self.desired
    }

    /// The numbers of the clauses.
    #[must_use]
    pub fn clauses(&self) -> &Clauses {
        &self.clauses
    }

    /// The addresses of pods that are known and not known to be on another node.
    pub fn nearby(&self) -> impl Iterator<Item = IpAddr> {
        self.nearby.values().flatten().copied()
    }

    /// Follows what was touched since the last time. Returns whether the node must enforce something else now.
    pub fn update(&mut self, world: &World, touched: &Touched, node: &LocalNode) -> bool {
        let pods = self.touched_pods(world, touched, node);
        self.node = node.clone();
        let (affected, mut addresses) = self.follow_claims(world, &pods);
        let mut changed = self.follow_endpoints(world, touched, &affected);
        let asked_before = changed.then(|| self.follow_asked());
        if let Some(before) = asked_before.flatten() {
            changed |= self.ask_anew(world, &before, &mut addresses);
        }
        for namespace in &touched.namespaces {
            if self.of_namespace.contains_key(namespace) {
                self.follow_namespace(world, namespace, &mut addresses);
            }
        }
        changed |= self.follow_classes(world, addresses);
        if touched.services {
            let services = services::services(world.services());
            if *self.desired.services != services {
                self.desired.services = Arc::new(services);
                changed = true;
            }
        }
        changed
    }

    /// The pods whose addresses or place may be other than before.
    fn touched_pods(&self, world: &World, touched: &Touched, node: &LocalNode) -> BTreeSet<WorkloadName> {
        let mut pods = touched.pods.clone();
        // A namespace may be one that its pods waited for.
        for namespace in &touched.namespaces {
            pods.extend(world.pods_of(namespace).map(|pod| pod.name.clone()));
            pods.extend(self.claims.keys().filter(|pod| pod.namespace == *namespace).cloned());
        }
        let attached = node.attached.iter().chain(&self.node.attached).map(|(pod, _)| pod);
        pods.extend(attached.filter(|pod| node.attached.get(pod) != self.node.attached.get(pod)).cloned());
        if node.pod_addresses != self.node.pod_addresses {
            pods.extend(self.nodeless.iter().cloned());
        }
        pods
    }

    /// Finds out whose each address is now. Returns the pods that have others than before, or are other pods, and the
    /// addresses of both.
    fn follow_claims(
        &mut self,
        world: &World,
        pods: &BTreeSet<WorkloadName>,
    ) -> (BTreeSet<WorkloadName>, Vec<IpAddr>) {
        let mut addresses = BTreeSet::new();
        for name in pods {
            let pod = world.pod(name).filter(|pod| pod.is_subject());
            let now = pod.map(|pod| self.claim(pod));
            match pod.is_some_and(|pod| pod.node.is_none()) {
                true => _ = self.nodeless.insert(name.clone()),
                false => _ = self.nodeless.remove(name),
            }
            let near = |pod: &&Pod| pod.node.as_ref().is_none_or(|node| *node == self.node.name);
            match pod.filter(near) {
                Some(pod) => _ = self.nearby.insert(name.clone(), pod.addresses.clone()),
                None => _ = self.nearby.remove(name),
            }
            let before = self.claims.get(name);
            for address in before.iter().flat_map(|claim| &claim.addresses) {
                addresses.insert(*address);
                if let Some(claimants) = self.claimants.get_mut(address) {
                    claimants.retain(|claimant| claimant != name);
                    if claimants.is_empty() {
                        self.claimants.remove(address);
                    }
                }
            }
            match now {
                Some(claim) => {
                    for address in &claim.addresses {
                        addresses.insert(*address);
                        self.claimants.entry(*address).or_default().push(name.clone());
                    }
                    self.claims.insert(name.clone(), claim);
                }
                None => _ = self.claims.remove(name),
            }
        }
        let mut affected = pods.clone();
        for address in &addresses {
            let now = self.owner(*address).cloned();
            self.kinds.place(*address, now.as_ref().and_then(|owner| world.pod(owner)));
            let before = match &now {
                Some(owner) => self.owners.insert(*address, owner.clone()),
                None => self.owners.remove(address),
            };
            affected.extend(before);
            affected.extend(now);
        }
        (affected, addresses.into_iter().collect())
    }

    fn claim(&self, pod: &Pod) -> Claim {
        let attached = self.node.attached.get(&pod.name);
        let mut addresses: Vec<IpAddr> =
            attached.map_or_else(|| pod.addresses.clone(), |addresses| addresses.iter().copied().collect());
        addresses.sort();
        addresses.dedup();
        Claim { attached: attached.is_some(), created: pod.created.clone(), addresses }
    }

    /// The same choice as from scratch.
    fn owner(&self, address: IpAddr) -> Option<&WorkloadName> {
        let claims =
            self.claimants.get(&address)?.iter().filter_map(|name| Some((name, self.claims.get(name)?)));
        let best = claims.max_by(|(a_name, a), (b_name, b)| {
            (a.attached, &a.created).cmp(&(b.attached, &b.created)).then_with(|| b_name.cmp(a_name))
        });
        best.map(|(name, _)| name)
    }

    /// Brings the endpoints up to date. Returns whether any is other than before.
    fn follow_endpoints(
        &mut self,
        world: &World,
        touched: &Touched,
        affected: &BTreeSet<WorkloadName>,
    ) -> bool {
        let mut names = affected.clone();
        for namespace in touched.policies.iter().chain(&touched.namespaces) {
            let here = self.desired.endpoints.keys().filter(|pod| pod.namespace == *namespace);
            names.extend(here.cloned());
        }
        let mut changed = false;
        for name in names {
            let now = self.endpoint(world, &name);
            if self.desired.endpoints.get(&name) == now.as_ref() {
                continue;
            }
            changed = true;
            match now {
                Some(endpoint) => _ = self.desired.endpoints.insert(name, endpoint),
                None => _ = self.desired.endpoints.remove(&name),
            }
        }
        changed
    }

    /// What holds for a pod, if it is one of this node.
    fn endpoint(&mut self, world: &World, name: &WorkloadName) -> Option<Endpoint> {
        let pod = world.pod(name)?;
        let here = match &pod.node {
            _ if self.node.attached.contains_key(name) => true,
            Some(node) => **node == *self.node.name,
            None => pod.addresses.iter().any(|address| self.node.pod_addresses.contains(address)),
        };
        let claimed = self.claims.get(name).filter(|_| here)?;
        let own = |address: &&IpAddr| self.owners.get(*address) == Some(name);
        let addresses: BTreeSet<IpAddr> = claimed.addresses.iter().filter(own).copied().collect();
        if addresses.is_empty() {
            return None;
        }
        let namespace = world.namespace(&name.namespace);
        let mut isolation = |direction| {
            let policies = world.policies_of(&name.namespace);
            set::isolation(&namespace, policies, pod, direction, &mut self.clauses, &mut self.sets)
        };
        let (ingress, egress) = (isolation(Direction::Ingress), isolation(Direction::Egress));
        Some(Endpoint { addresses, ingress, egress })
    }

    /// Finds out what the sets ask. Returns what they asked before, if that is something else.
    fn follow_asked(&mut self) -> Option<Asked> {
        let isolations =
            self.desired.endpoints.values().flat_map(|endpoint| [&endpoint.ingress, &endpoint.egress]);
        let used: BTreeSet<*const PolicySet> =
            isolations.flatten().map(|isolation| Arc::as_ptr(&isolation.set)).collect();
        self.sets.retain(|set| used.contains(&Arc::as_ptr(set)));
        let (clauses, names) = (clauses_of(&self.sets), names_of(&self.sets));
        if clauses == self.asked.clauses && names == self.asked.names {
            return None;
        }
        self.clauses.retain(&self.asked.clauses.union(&clauses).copied().collect());
        let numbered: Vec<(ClauseId, &Clause)> =
            clauses.iter().map(|id| (*id, self.clauses.clause(*id))).collect();
        let blocks = blocks(&numbered);
        Some(std::mem::replace(&mut self.asked, Asked { clauses, names, blocks }))
    }

    /// Finds the addresses that may be of another class now that something else is asked. Returns whether the class of a
    /// block is another one.
    fn ask_anew(&mut self, world: &World, before: &Asked, addresses: &mut Vec<IpAddr>) -> bool {
        let other_blocks = before.blocks != self.asked.blocks;
        if other_blocks {
            self.replace_blocks(before);
            addresses.extend(self.owners.keys());
        }
        let other_names = before.names != self.asked.names;
        let added: Vec<ClauseId> = self.asked.clauses.difference(&before.clauses).copied().collect();
        let gone: BTreeSet<ClauseId> = before.clauses.difference(&self.asked.clauses).copied().collect();
        let mut other = Vec::new();
        for (namespace, clauses) in &mut self.of_namespace {
            let count = clauses.len();
            clauses.retain(|id| !gone.contains(id));
            let mut changed = clauses.len() != count || other_names;
            let labels = world.namespace(namespace);
            for id in &added {
                if self.clauses.clause(*id).can_match_in(namespace, labels.labels()) {
                    clauses.push(*id);
                    changed = true;
                }
            }
            if changed {
                other.push(namespace.clone());
            }
        }
        for namespace in other {
            self.ask_namespace(world, &namespace, addresses);
        }
        other_blocks
    }

    /// Puts the entries of blocks in the place of those before. Those of pods come after.
    fn replace_blocks(&mut self, before: &Asked) {
        let classes = Arc::make_mut(&mut self.desired.classes);
        for net in before.blocks.nets() {
            classes.remove(net);
        }
        for (net, signature) in self.asked.blocks.iter() {
            classes.insert(*net, Arc::clone(signature));
        }
    }

    fn follow_namespace(&mut self, world: &World, namespace: &str, addresses: &mut Vec<IpAddr>) {
        if world.pods_of(namespace).next().is_none() {
            self.of_namespace.remove(namespace);
            return;
        }
        let now = self.clauses_in(world, namespace);
        if self.of_namespace.get(namespace) != Some(&now) {
            self.of_namespace.insert(namespace.into(), now);
            self.ask_namespace(world, namespace, addresses);
        }
    }

    fn clauses_in(&self, world: &World, namespace: &str) -> Vec<ClauseId> {
        let labels = world.namespace(namespace);
        let can_match = |id: &&ClauseId| self.clauses.clause(**id).can_match_in(namespace, labels.labels());
        self.asked.clauses.iter().filter(can_match).copied().collect()
    }

    /// Finds the addresses of a namespace's pods of which something else is to be said.
    fn ask_namespace(&mut self, world: &World, namespace: &str, addresses: &mut Vec<IpAddr>) {
        for kind in self.kinds.of_namespace(namespace).collect::<Vec<_>>() {
            let answer = self.ask(world, kind);
            if self.kinds.set_answer(kind, answer) {
                addresses.extend(self.kinds.addresses(kind));
            }
        }
    }

    /// Gives addresses the classes that they are of now. Returns whether any is of another one.
    fn follow_classes(&mut self, world: &World, mut addresses: Vec<IpAddr>) -> bool {
        // In order, so that what is next to each other is looked up one after the other: many are far quicker so.
        addresses.sort_unstable();
        addresses.dedup();
        let mut changed = false;
        let no_blocks = self.asked.blocks.is_empty();
        for address in addresses {
            let net = IpNet::from(address);
            let wanted = match self.kinds.at(address) {
                None => self.asked.blocks.exact(net).cloned(),
                Some(kind) => {
                    if self.kinds.answer(kind).is_none() {
                        let answer = self.ask(world, kind);
                        self.kinds.set_answer(kind, answer);
                    }
                    let around =
                        (!no_blocks).then(|| self.asked.blocks.longest_match(net).cloned()).flatten();
                    let answer = self.kinds.answer(kind).expect("asked a moment ago");
                    match around {
                        None => answer.outside.clone(),
                        Some(around) => {
                            let signature = answer.signature.clone();
                            self.class(net, &around, &signature)
                        }
                    }
                }
            };
            if self.desired.classes.exact(net) == wanted.as_ref() {
                continue;
            }
            changed = true;
            let classes = Arc::make_mut(&mut self.desired.classes);
            match wanted {
                Some(signature) => classes.insert(net, signature),
                None => classes.remove(net),
            }
        }
        if changed && self.signatures.len() > 2 * self.desired.classes.len() {
            self.signatures.retain(|signature| Arc::strong_count(signature) > 1);
        }
        changed
    }

    /// What is asked of pods of a kind, their addresses aside.
    fn ask(&mut self, world: &World, kind: KindId) -> Answer {
        let kind = Arc::clone(self.kinds.kind(kind));
        if !self.of_namespace.contains_key(&kind.namespace) {
            let clauses = self.clauses_in(world, &kind.namespace);
            self.of_namespace.insert(kind.namespace.clone(), clauses);
        }
        let clauses = &self.of_namespace[&kind.namespace];
        let matches = |id: &&ClauseId| self.clauses.clause(**id).matches_labels(&kind.labels);
        let signature = Signature {
            clauses: clauses.iter().filter(matches).copied().collect(),
            named: named(&kind.ports, &self.asked.names),
        };
        let outside = (signature != Signature::default()).then(|| self.shared(&signature));
        Answer { signature, outside }
    }

    /// The entry that an address inside a block needs, given what is asked of the pod there.
    fn class(&mut self, net: IpNet, around: &Arc<Signature>, of_pod: &Signature) -> Option<Arc<Signature>> {
        let clauses = of_pod.clauses.union(&around.clauses).copied().collect();
        let signature = Signature { clauses, named: of_pod.named.clone() };
        if **around == signature {
            return self.asked.blocks.exact(net).cloned();
        }
        Some(self.shared(&signature))
    }

    /// One for all that are the same.
    fn shared(&mut self, signature: &Signature) -> Arc<Signature> {
        if let Some(shared) = self.signatures.get(signature) {
            return Arc::clone(shared);
        }
        let shared = Arc::new(signature.clone());
        self.signatures.insert(Arc::clone(&shared));
        shared
    }
}
