//! Bringing the tables from what they hold to what they should hold.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use netpol_enforcer_common::endpoint::{MAX_V4, MAX_V6, SET_CLOSED, SET_NONE};
use netpol_policy::model::WorkloadName;

use super::banks::Banks;
use super::numbers::Numbers;
use super::{EndpointRecord, Gate, Gates, SetId, State, TableError, Tables, Target, TargetEndpoint};
use crate::compile::{Entry, Identity, Numbered, PolicySet, entries};

/// Writes targets into tables and remembers what they hold.
pub struct Programmer<T> {
    pub(super) tables: T,
    pub(super) state: State,
    pub(super) numbers: Numbers,
    /// The pods that this run bound; one that an earlier run bound is recognised by its addresses.
    pods: BTreeMap<u32, WorkloadName>,
    next_generation: u32,
    last_slot: u16,
    max_slot: u16,
    /// Up to which number of classes each set has all its entries.
    complete: BTreeMap<SetId, Identity>,
    pub(super) banks: Banks,
    /// The epoch was raised, and packets may still be decided under the one before.
    unsettled: bool,
    /// There may be more in the tables than the bank in use needs.
    unclean: bool,
}

/// What came of a change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Whether anything was written.
    pub changed: bool,
    /// What did not fit, and so what is closed instead.
    pub problems: Vec<String>,
}

impl<T: Tables> Programmer<T> {
    /// Starts from what the tables hold.
    ///
    /// `next_generation` must be above every generation that tracked flows know; `max_slot` is what the mark can hold.
    pub fn new(tables: T, state: State, next_generation: u32, max_slot: u16) -> Self {
        let numbers = Numbers::above(&state);
        let last_slot = state.slots.last_key_value().map_or(0, |(slot, _)| *slot);
        Self {
            tables,
            state,
            numbers,
            pods: BTreeMap::new(),
            next_generation,
            last_slot,
            max_slot,
            complete: BTreeMap::new(),
            banks: Banks::default(),
            unsettled: false,
            unclean: true,
        }
    }

    /// What the tables hold.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The tables.
    pub fn tables(&mut self) -> &mut T {
        &mut self.tables
    }

    /// The number of the set that was given this content.
    pub fn set_id(&mut self, set: &Arc<PolicySet>) -> SetId {
        self.numbers.set(set)
    }

    /// Writes a target. It is in force when this returns; [`Self::settle`] is to follow, best when nothing else is to be done.
    ///
    /// What does not fit is closed, and the outcome says so.
    ///
    /// # Errors
    /// When the tables refuse for another reason than that they are full. What was enforced before still is.
    pub fn apply(&mut self, target: &Target) -> Result<Outcome, TableError> {
        let result = self.write(target);
        if result.is_err() {
            self.numbers.begin_anew();
        }
        result
    }

    fn write(&mut self, target: &Target) -> Result<Outcome, TableError> {
        let mut outcome = Outcome::default();
        self.settle()?;
        if std::mem::replace(&mut self.unclean, true) {
            self.drop_unused()?;
        }
        let lacking = self.compare_classes(target, &mut outcome)?;
        let failed = self.write_sets(target, &mut outcome)?;
        let classes_fit = self.write_classes(&lacking, target, &mut outcome)?;
        self.write_addresses(target, &mut outcome)?;
        self.write_endpoints(target, &failed, classes_fit, &mut outcome)?;
        if outcome.changed {
            let epoch = next_epoch(self.state.epoch);
            self.tables.set_epoch(epoch)?;
            self.state.epoch = epoch;
            self.unsettled = true;
        }
        self.unclean = !outcome.problems.is_empty();
        Ok(outcome)
    }

    /// Makes room for the next change, once no packet is decided by what was enforced before the last one.
    ///
    /// # Errors
    /// When the tables refuse. What is enforced still is.
    pub fn settle(&mut self) -> Result<(), TableError> {
        if !self.unsettled {
            return Ok(());
        }
        self.tables.wait_for_packets();
        self.unsettled = false;
        let unclean = std::mem::replace(&mut self.unclean, true);
        self.catch_up()?;
        self.drop_unused()?;
        self.unclean = unclean;
        Ok(())
    }

    /// Removes sets, and entries of sets, that the bank in use does not need.
    fn drop_unused(&mut self) -> Result<(), TableError> {
        let sets = self.state.active_sets();
        let active = &self.state.banks[self.state.active()].classes;
        let mut identities = HashSet::from([Identity::ANY]);
        let mut last = Identity::ANY;
        for (_, identity) in active.iter() {
            // Neighbours are mostly of one class.
            if std::mem::replace(&mut last, *identity) != *identity {
                identities.insert(*identity);
            }
        }
        let unused: Vec<(SetId, Entry)> = self
            .state
            .sets
            .iter()
            .flat_map(|(id, entries)| entries.iter().map(|entry| (*id, *entry)))
            .filter(|(id, entry)| !sets.contains(id) || !identities.contains(&entry.identity))
            .collect();
        for (id, entry) in unused {
            self.tables.remove_entry(id, entry)?;
            if let Some(entries) = self.state.sets.get_mut(&id) {
                entries.remove(&entry);
            }
        }
        self.state.sets.retain(|id, _| sets.contains(id));
        self.complete.retain(|id, _| sets.contains(id));
        self.numbers.retain(&identities, &sets);
        Ok(())
    }

    /// Writes the entries that the target's sets lack. Returns the sets that do not fit.
    fn write_sets(&mut self, target: &Target, outcome: &mut Outcome) -> Result<BTreeSet<SetId>, TableError> {
        let next = self.numbers.next_class();
        // A set that was complete before lacks entries for new classes only: numbers rise.
        let mut classes: BTreeMap<Identity, Numbered> = BTreeMap::new();
        let mut failed = BTreeSet::new();
        for set in wanted_sets(target) {
            let id = self.numbers.set(&set);
            let first = self.complete.get(&id).copied().unwrap_or(Identity::ANY);
            if first == next && self.state.sets.contains_key(&id) {
                continue;
            }
            let new = classes.entry(first).or_insert_with(|| self.numbers.classes_from(first));
            let present = self.state.sets.entry(id).or_default();
            let mut fits = true;
            for entry in entries(&set, new) {
                if present.contains(&entry) {
                    continue;
                }
                match self.tables.add_entry(id, entry) {
                    Ok(()) => {
                        present.insert(entry);
                    }
                    Err(TableError::Full(table)) => {
                        outcome.problems.push(format!(
                            "the table {table} is full: pods under policy set {} are closed",
                            id.0
                        ));
                        fits = false;
                        break;
                    }
                    Err(error) => return Err(error),
                }
            }
            if fits {
                self.complete.insert(id, next);
            } else {
                self.complete.remove(&id);
                failed.insert(id);
            }
        }
        Ok(failed)
    }

    /// Writes what is the same for both banks: Services and the node's own addresses.
    fn write_addresses(&mut self, target: &Target, outcome: &mut Outcome) -> Result<(), TableError> {
        // Removals first, to make room. A missing Service is decided as an ordinary address, a missing address of the
        // node as somebody else's: both fail closed.
        let changes = |from: &BTreeSet<_>, to: &BTreeSet<_>| -> Vec<(_, bool)> {
            let gone = from.difference(to).map(|item| (*item, false));
            gone.chain(to.difference(from).map(|item| (*item, true))).collect()
        };
        for (service, present) in changes(&self.state.services, &target.services) {
            if fits(
                self.tables.set_service(service, present),
                "a Service is decided by its own address",
                outcome,
            )? {
                set_membership(&mut self.state.services, service, present);
                outcome.changed = true;
            }
        }
        let changes = |from: &BTreeSet<IpAddr>, to: &BTreeSet<IpAddr>| -> Vec<(IpAddr, bool)> {
            let gone = from.difference(to).map(|item| (*item, false));
            gone.chain(to.difference(from).map(|item| (*item, true))).collect()
        };
        for (address, present) in changes(&self.state.node_addresses, &target.node_addresses) {
            let without = "an address of the node is not known to be its own";
            if fits(self.tables.set_node_address(address, present), without, outcome)? {
                set_membership(&mut self.state.node_addresses, address, present);
                // Every new veth brings an address of its own to the node. No flow was approved for the lack of it.
                outcome.changed |= !present;
            }
        }
        Ok(())
    }

    fn write_endpoints(
        &mut self,
        target: &Target,
        failed: &BTreeSet<SetId>,
        classes_fit: bool,
        outcome: &mut Outcome,
    ) -> Result<(), TableError> {
        let gone: Vec<u32> = self
            .state
            .endpoints
            .keys()
            .copied()
            .filter(|link| !target.endpoints.contains_key(link))
            .collect();
        for link in gone {
            self.remove_endpoint(link)?;
            outcome.changed = true;
        }
        for (link, endpoint) in &target.endpoints {
            let mut id = |gate: &Gate<Arc<PolicySet>>| match gate {
                Gate::Open => SET_NONE,
                Gate::Closed => SET_CLOSED,
                Gate::Set(_) if !classes_fit => SET_CLOSED,
                Gate::Set(set) => match self.numbers.set(set) {
                    id if failed.contains(&id) => SET_CLOSED,
                    id => id.0,
                },
            };
            let gates = Gates { ingress: id(&endpoint.ingress), egress: id(&endpoint.egress) };
            outcome.changed |= self.write_endpoint(*link, endpoint, gates, outcome)?;
        }
        Ok(())
    }

    /// Writes one endpoint. Returns whether the programs will see a difference.
    fn write_endpoint(
        &mut self,
        link: u32,
        endpoint: &TargetEndpoint,
        gates: Gates,
        outcome: &mut Outcome,
    ) -> Result<bool, TableError> {
        let (active, standby) = (self.state.active(), self.state.standby());
        let addresses = fitting(endpoint, outcome);
        let same_pod = |record: &&EndpointRecord| match self.pods.get(&link) {
            Some(pod) => *pod == endpoint.pod,
            None => global(&record.addresses).any(|address| addresses.contains(&address)),
        };
        let before = self.state.endpoints.get(&link).filter(same_pod).cloned();
        let mut record = match &before {
            Some(before) => {
                EndpointRecord { addresses, mac: endpoint.mac, audited: endpoint.audited, ..before.clone() }
            }
            // Closed until the epoch is raised: the bank in use knows nothing of this pod.
            None => EndpointRecord {
                generation: self.new_generation(),
                slot: self.new_slot(link, outcome)?,
                addresses,
                mac: endpoint.mac,
                audited: endpoint.audited,
                gates: [Gates::CLOSED; 2],
            },
        };
        if before.is_some() && record.slot == 0 {
            record.slot = self.new_slot(link, outcome)?;
        }
        // Without a slot nothing can be decided after translation, nor told from what the node sends itself.
        let gates = if record.slot == 0 { Gates::CLOSED } else { gates };
        record.gates[standby] = gates;
        let seen = before.is_none_or(|before| {
            before.gates[active] != gates
                || before.addresses != record.addresses
                || before.mac != record.mac
                || before.audited != record.audited
        });
        if self.state.endpoints.get(&link) != Some(&record) {
            match self.tables.set_endpoint(link, &record) {
                Ok(()) => {}
                Err(TableError::Full(table)) => {
                    outcome.problems.push(format!(
                        "the table {table} is full: {} is treated as an unknown endpoint",
                        endpoint.pod
                    ));
                    let had = self.state.endpoints.get(&link).map_or(0, |present| present.slot);
                    if record.slot != had {
                        self.free_slot(record.slot)?;
                    }
                    return Ok(false);
                }
                Err(error) => return Err(error),
            }
            let slot = record.slot;
            if let Some(replaced) = self.state.endpoints.insert(link, record)
                && replaced.slot != slot
            {
                self.free_slot(replaced.slot)?;
            }
        }
        self.pods.insert(link, endpoint.pod.clone());
        Ok(seen)
    }

    fn remove_endpoint(&mut self, link: u32) -> Result<(), TableError> {
        self.tables.remove_endpoint(link)?;
        self.pods.remove(&link);
        match self.state.endpoints.remove(&link) {
            Some(record) => self.free_slot(record.slot),
            None => Ok(()),
        }
    }

    fn free_slot(&mut self, slot: u16) -> Result<(), TableError> {
        if self.state.slots.remove(&slot).is_some() {
            self.tables.set_slot(slot, 0)?;
        }
        Ok(())
    }

    fn new_generation(&mut self) -> u32 {
        let generation = self.next_generation;
        self.next_generation = generation.wrapping_add(1).max(1);
        generation
    }

    /// The next free slot after the one given last, so that a freed one stays free as long as possible; 0: none.
    fn new_slot(&mut self, link: u32, outcome: &mut Outcome) -> Result<u16, TableError> {
        let after = self.last_slot + 1..=self.max_slot;
        let free = after.chain(1..=self.last_slot).find(|slot| !self.state.slots.contains_key(slot));
        let Some(slot) = free else {
            outcome.problems.push(format!(
                "all {} slots of the mark are in use: the pod behind link {link} is closed; widen --mark-mask",
                self.max_slot
            ));
            return Ok(0);
        };
        self.tables.set_slot(slot, link)?;
        self.state.slots.insert(slot, link);
        self.last_slot = slot;
        Ok(slot)
    }
}

fn next_epoch(epoch: u32) -> u32 {
    // Epochs below the first mean that nothing was programmed; the bank must alternate.
    let next = epoch.wrapping_add(1);
    let first = netpol_enforcer_common::FIRST_EPOCH;
    if next < first { first + (next & 1) } else { next }
}

pub(super) fn wanted_sets(target: &Target) -> BTreeSet<Arc<PolicySet>> {
    let gates = target.endpoints.values().flat_map(|endpoint| [&endpoint.ingress, &endpoint.egress]);
    gates
        .filter_map(|gate| match gate {
            Gate::Set(set) => Some(Arc::clone(set)),
            Gate::Open | Gate::Closed => None,
        })
        .collect()
}

/// Whether a write went through; one that does not fit is a problem, not an error.
fn fits(result: Result<(), TableError>, otherwise: &str, outcome: &mut Outcome) -> Result<bool, TableError> {
    match result {
        Ok(()) => Ok(true),
        Err(TableError::Full(table)) => {
            outcome.problems.push(format!("the table {table} is full: {otherwise}"));
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

fn set_membership<V: Ord>(set: &mut BTreeSet<V>, item: V, present: bool) {
    if present {
        set.insert(item);
    } else {
        set.remove(&item);
    }
}

/// The addresses that the kernel's record has room for.
fn fitting(endpoint: &TargetEndpoint, outcome: &mut Outcome) -> BTreeSet<IpAddr> {
    let v4 = endpoint.addresses.iter().filter(|address| address.is_ipv4()).take(MAX_V4);
    let v6 = endpoint.addresses.iter().filter(|address| address.is_ipv6()).take(MAX_V6);
    let fitting: BTreeSet<IpAddr> = v4.chain(v6).copied().collect();
    for address in endpoint.addresses.difference(&fitting) {
        outcome.problems.push(format!(
            "{} has more addresses than an endpoint can have: {address} is refused",
            endpoint.pod
        ));
    }
    fitting
}

fn global(addresses: &BTreeSet<IpAddr>) -> impl Iterator<Item = IpAddr> {
    addresses.iter().copied().filter(|address| !crate::netlink::is_link_local(*address))
}
