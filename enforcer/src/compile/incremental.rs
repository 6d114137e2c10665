//! The same as [`compile`](super::compile), change by change: the cost of a change is that of what it touches.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use netpol_policy::model::{Direction, Pod, PortName, Protocol, WorkloadName};

use super::class_map::ClassId;
use super::classes::{Signature, blocks, clauses_of, named, names_of};
use super::clause::{Clause, ClauseId, Clauses};
use super::kinds::{CellId, KindId, Kinds};
use super::partition::Partition;
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
    claimants: HashMap<IpAddr, Vec<Arc<WorkloadName>>>,
    /// Whose each address is.
    owners: BTreeMap<IpAddr, Arc<WorkloadName>>,
    kinds: Kinds,
    partition: Partition,
    /// The classes of blocks, which no pod is of: these change with the blocks only.
    block_classes: HashMap<Arc<Signature>, ClassId>,
    /// Up to how many addresses of pods have an entry each. Beyond, those have none of which nothing is asked.
    room: Option<usize>,
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

/// What may be of another class than before.
#[derive(Debug, Default)]
struct News {
    /// Addresses that other pods have than before, or pods of another kind, in order, and what was asked of them.
    touched: Vec<(IpAddr, Option<Arc<Signature>>)>,
    /// Cells of which something else may be asked.
    cells: BTreeSet<CellId>,
    /// Other addresses that may be of another class.
    addresses: Vec<IpAddr>,
}

impl Compiler {
    /// One that knows of nothing yet. Up to so many addresses of pods each have an entry, whether or not anything is asked
    /// of them: they are in one class until somebody asks, and whoever asks it of all of them has no entry to write.
    #[must_use]
    pub fn with_room(addresses: usize) -> Self {
        Self { room: Some(addresses), ..Self::default() }
    }

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
        let mut news = News::default();
        let affected = self.follow_claims(world, &pods, &mut news);
        let mut changed = self.follow_endpoints(world, touched, &affected);
        let asked_before = changed.then(|| self.follow_asked());
        if let Some(before) = asked_before.flatten() {
            changed |= self.ask_anew(world, &before, &mut news);
        }
        for namespace in &touched.namespaces {
            if self.of_namespace.contains_key(namespace) {
                self.follow_namespace(world, namespace, &mut news);
            }
        }
        changed |= self.follow_classes(world, news);
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
            for pod in world.pods_of(namespace).map(|pod| &pod.name) {
                if !pods.contains(pod) {
                    pods.insert(pod.clone());
                }
            }
            pods.extend(self.claims.keys().filter(|pod| pod.namespace == *namespace).cloned());
        }
        let attached = node.attached.iter().chain(&self.node.attached).map(|(pod, _)| pod);
        pods.extend(attached.filter(|pod| node.attached.get(pod) != self.node.attached.get(pod)).cloned());
        if node.pod_addresses != self.node.pod_addresses {
            pods.extend(self.nodeless.iter().cloned());
        }
        pods
    }

    /// Finds out whose each address is now. Returns the pods that may be endpoints and have others than before, or are
    /// other pods.
    fn follow_claims(
        &mut self,
        world: &World,
        pods: &BTreeSet<WorkloadName>,
        news: &mut News,
    ) -> BTreeSet<WorkloadName> {
        let mut addresses = Vec::new();
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
                addresses.push(*address);
                if let Some(claimants) = self.claimants.get_mut(address) {
                    claimants.retain(|claimant| **claimant != *name);
                    if claimants.is_empty() {
                        self.claimants.remove(address);
                    }
                }
            }
            match now {
                Some(claim) => {
                    let shared = Arc::new(name.clone());
                    for address in &claim.addresses {
                        addresses.push(*address);
                        self.claimants.entry(*address).or_default().push(Arc::clone(&shared));
                    }
                    self.claims.insert(name.clone(), claim);
                }
                None => _ = self.claims.remove(name),
            }
        }
        addresses.sort_unstable();
        addresses.dedup();
        // Most pods are on other nodes: those are never endpoints.
        let mut affected: BTreeSet<WorkloadName> =
            pods.iter().filter(|pod| self.may_be_endpoint(pod)).cloned().collect();
        for address in addresses {
            news.touched.push((address, self.asked_of(address)));
            let now = self.owner(address).cloned();
            let pod = now.as_ref().and_then(|owner| world.pod(owner));
            self.kinds.place(address, pod, around(&self.asked.blocks, address));
            let before = match &now {
                Some(owner) => self.owners.insert(address, Arc::clone(owner)),
                None => self.owners.remove(&address),
            };
            if before != now {
                let both = before.iter().chain(&now).filter(|pod| self.may_be_endpoint(pod));
                affected.extend(both.map(|pod| WorkloadName::clone(pod)));
            }
        }
        affected
    }

    fn may_be_endpoint(&self, pod: &WorkloadName) -> bool {
        self.nearby.contains_key(pod)
            || self.desired.endpoints.contains_key(pod)
            || self.node.attached.contains_key(pod)
    }

    /// What is asked of an address; nothing where nothing is.
    fn asked_of(&self, address: IpAddr) -> Option<Arc<Signature>> {
        let asked = self.desired.classes.longest_match(address.into());
        asked.filter(|asked| ***asked != Signature::default()).cloned()
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
    fn owner(&self, address: IpAddr) -> Option<&Arc<WorkloadName>> {
        let claimants = self.claimants.get(&address)?;
        if let [only] = &**claimants {
            return Some(only);
        }
        let claims = claimants.iter().filter_map(|name| Some((name, self.claims.get(&**name)?)));
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
        let own = |address: &&IpAddr| self.owners.get(*address).is_some_and(|owner| **owner == *name);
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

    /// Finds what may be of another class now that something else is asked. Returns whether something else is asked of a
    /// block.
    fn ask_anew(&mut self, world: &World, before: &Asked, news: &mut News) -> bool {
        let other_blocks = before.blocks != self.asked.blocks;
        if other_blocks {
            self.replace_blocks(before, news);
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
            self.ask_namespace(world, &namespace, news);
        }
        other_blocks
    }

    /// Puts the entries of blocks in the place of those before. Those of pods come after.
    fn replace_blocks(&mut self, before: &Asked, news: &mut News) {
        let classes = Arc::make_mut(&mut self.desired.classes);
        let (former, now) = (&before.blocks, &self.asked.blocks);
        for net in former.nets().filter(|net| now.exact(*net).is_none()) {
            classes.remove(net);
        }
        let used: HashSet<&Arc<Signature>> = now.iter().map(|(_, signature)| signature).collect();
        for (net, signature) in now.iter() {
            let class = self.block_classes.entry(Arc::clone(signature));
            let class = *class.or_insert_with(|| classes.add_class(Arc::clone(signature)));
            if classes.class(*net) != Some(class) {
                classes.insert(*net, class);
            }
        }
        self.block_classes.retain(|signature, class| {
            let used = used.contains(signature);
            if !used {
                classes.remove_class(*class);
            }
            used
        });
        let whole = former.nets().chain(now.nets()).filter(|net| net.prefix_len() == net.max_prefix_len());
        news.addresses.extend(whole.map(|net| net.addr()));
        news.cells.extend(self.kinds.cells_in_blocks());
        for address in self.owners.keys() {
            let before = self.kinds.at(*address);
            if self.kinds.surround(*address, around(now, *address)) {
                news.addresses.push(*address);
                news.cells.extend(self.kinds.at(*address));
                // The last one of a cell takes it along.
                if let Some(before) = before.filter(|before| !self.kinds.has(*before)) {
                    news.cells.remove(&before);
                }
            }
        }
    }

    fn follow_namespace(&mut self, world: &World, namespace: &str, news: &mut News) {
        if world.pods_of(namespace).next().is_none() {
            self.of_namespace.remove(namespace);
            return;
        }
        let now = self.clauses_in(world, namespace);
        if self.of_namespace.get(namespace) != Some(&now) {
            self.of_namespace.insert(namespace.into(), now);
            self.ask_namespace(world, namespace, news);
        }
    }

    fn clauses_in(&self, world: &World, namespace: &str) -> Vec<ClauseId> {
        let labels = world.namespace(namespace);
        let can_match = |id: &&ClauseId| self.clauses.clause(**id).can_match_in(namespace, labels.labels());
        self.asked.clauses.iter().filter(can_match).copied().collect()
    }

    /// Finds the pods of a namespace of which something else is to be said.
    fn ask_namespace(&mut self, world: &World, namespace: &str, news: &mut News) {
        for kind in self.kinds.of_namespace(namespace).collect::<Vec<_>>() {
            let answer = self.ask(world, kind);
            if self.kinds.set_answer(kind, answer) {
                news.cells.extend(self.kinds.cells_of(kind));
            }
        }
    }

    /// Gives addresses the classes that they are of now. Returns whether something else is asked of any.
    fn follow_classes(&mut self, world: &World, news: News) -> bool {
        let News { touched, mut cells, mut addresses } = news;
        cells.extend(touched.iter().filter_map(|(address, _)| self.kinds.at(*address)));
        self.partition.leave(self.kinds.take_gone());
        let is_touched = |address: &IpAddr| touched.binary_search_by(|(one, _)| one.cmp(address)).is_ok();
        let (mut changed, mut affected, mut homeless) = (false, BTreeSet::new(), Vec::new());
        for id in cells {
            let signature = self.signature(world, id);
            let cell = self.kinds.cell_mut(id);
            if cell.signature.as_ref() == Some(&signature) {
                continue;
            }
            // Those that were touched are compared at the end.
            let known = cell.signature.replace(signature).is_some();
            changed |= known && cell.addresses.iter().any(|address| !is_touched(address));
            match cell.class {
                Some(class) => _ = affected.insert(class),
                None => homeless.push(id),
            }
            if cell.sparse {
                addresses.extend(&cell.addresses);
            }
        }
        if !affected.is_empty() || !homeless.is_empty() {
            let classes = Arc::make_mut(&mut self.desired.classes);
            homeless.extend(self.partition.split(affected, &mut self.kinds, classes));
            homeless.extend(self.partition.tidy(&mut self.kinds, classes));
            for cell in homeless {
                self.partition.join(cell, &mut self.kinds, classes);
                addresses.extend(&self.kinds.cell(cell).addresses);
            }
        }
        addresses.extend(touched.iter().map(|(address, _)| *address));
        self.write_classes(addresses);
        changed = changed || touched.iter().any(|(address, before)| self.asked_of(*address) != *before);
        self.partition.drop_empty(Arc::make_mut(&mut self.desired.classes));
        if self.signatures.len() > 2 * self.desired.classes.count() + FEW_SIGNATURES {
            self.signatures.retain(|signature| Arc::strong_count(signature) > 1);
        }
        changed
    }

    /// Writes down of which classes these addresses are.
    fn write_classes(&mut self, mut addresses: Vec<IpAddr>) {
        // In order, so that what is next to each other is looked up one after the other: many are far quicker so.
        addresses.sort_unstable();
        addresses.dedup();
        let roomy = self.room.is_none_or(|room| self.owners.len() <= room);
        for address in addresses {
            let net = IpNet::from(address);
            let of_block = self.asked.blocks.exact(net).map(|signature| self.block_classes[signature]);
            let wanted = match self.kinds.at(address) {
                None => of_block,
                Some(id) if roomy => self.kinds.cell(id).class,
                Some(id) => {
                    let cell = self.kinds.cell_mut(id);
                    let around = cell.around.and_then(|net| self.asked.blocks.exact(net));
                    if cell.signature.as_deref() == Some(around.map_or(&Signature::default(), |asked| asked))
                    {
                        cell.sparse = true;
                        of_block
                    } else {
                        cell.class
                    }
                }
            };
            if self.desired.classes.class(net) == wanted {
                continue;
            }
            let classes = Arc::make_mut(&mut self.desired.classes);
            match wanted {
                Some(class) => classes.insert(net, class),
                None => classes.remove(net),
            }
        }
    }

    /// What is asked of the addresses of a cell.
    fn signature(&mut self, world: &World, cell: CellId) -> Arc<Signature> {
        let (kind, around) = (self.kinds.cell(cell).kind, self.kinds.cell(cell).around);
        let answer = match self.kinds.answer(kind) {
            Some(answer) => Arc::clone(answer),
            None => {
                let answer = self.ask(world, kind);
                self.kinds.set_answer(kind, Arc::clone(&answer));
                answer
            }
        };
        let Some(around) = around.and_then(|net| self.asked.blocks.exact(net)) else { return answer };
        let clauses = answer.clauses.union(&around.clauses).copied().collect();
        self.shared(Signature { clauses, named: answer.named.clone() })
    }

    /// What is asked of pods of a kind, their addresses aside.
    fn ask(&mut self, world: &World, kind: KindId) -> Arc<Signature> {
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
        self.shared(signature)
    }

    /// One for all that are the same.
    fn shared(&mut self, signature: Signature) -> Arc<Signature> {
        if let Some(shared) = self.signatures.get(&signature) {
            return Arc::clone(shared);
        }
        let shared = Arc::new(signature);
        self.signatures.insert(Arc::clone(&shared));
        shared
    }
}

/// So many signatures may be kept that nothing has.
const FEW_SIGNATURES: usize = 64;

/// The smallest of these blocks that an address is in.
fn around(blocks: &PrefixMap<Arc<Signature>>, address: IpAddr) -> Option<IpNet> {
    blocks.longest_entry(address.into()).map(|(net, _)| net)
}
