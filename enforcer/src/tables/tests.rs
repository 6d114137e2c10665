//! Changes on a model of the kernel's tables, looked at after every single write.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use netpol_enforcer_common::bank_of;
use netpol_enforcer_common::endpoint::{SET_CLOSED, SET_NONE};
use netpol_policy::model::{Cluster, Direction, Protocol, Traffic};
use proptest::prelude::*;

use super::{EndpointRecord, Gate, Programmer, SetId, State, TableError, Tables, Target, TargetEndpoint};
use crate::compile::tests::{cluster, flow, nodes, step, take};
use crate::compile::{
    Clauses, Compiler, Desired, Entry, Identity, Isolation, LocalNode, ServiceAddress, TrafficPrefix, compile,
};
use crate::world::World;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    /// Until the epoch is raised, no write changes what programs decide; from then on they decide as they should. A new
    /// run of the agent, which finds the tables as they are, does no worse.
    #[test]
    fn changes_are_atomic(
        clusters in prop::collection::vec(cluster(), 1..5),
        flows in prop::collection::vec(flow(), 30),
        restarts in any::<u8>(),
        settles in any::<u8>(),
    ) {
        let mut clauses = Clauses::default();
        let mut programmer = Programmer::new(Model::new(&flows, usize::MAX), State::default(), 1, 1023);
        for (round, cluster) in clusters.iter().enumerate() {
            if restarts >> (round % 8) & 1 == 1 {
                let model = std::mem::replace(programmer.tables(), Model::new(&[], usize::MAX));
                let state = model.state.clone();
                programmer = Programmer::new(model, state, 1_000 * (u32::try_from(round).expect("few") + 1), 1023);
                clauses = Clauses::default();
            }
            let (desired, target) = target(cluster, &mut clauses);
            programmer.tables().begin();
            let outcome = programmer.apply(&target).expect("the model has room");
            prop_assert!(outcome.problems.is_empty());
            prop_assert_eq!(recorded(programmer.state()), recorded(&programmer.tables().state.clone()));
            check(programmer.tables(), &desired, &target, &flows, Exactly)?;
            if settles >> (round % 8) & 1 == 1 {
                programmer.settle().expect("the model has room");
                let state = programmer.state();
                prop_assert_eq!(&state.banks[0], &state.banks[1], "the next change finds the banks alike");
                prop_assert_eq!(recorded(programmer.state()), recorded(&programmer.tables().state.clone()));
                check(programmer.tables(), &desired, &target, &flows, Exactly)?;
            }
            programmer.tables().begin();
            prop_assert!(!programmer.apply(&target).expect("the model has room").changed, "nothing was left to do");
        }
    }

    /// The same for what is compiled change by change, where classes keep their addresses and are asked something else. Not
    /// every change is written, and not every write comes to its end.
    #[test]
    fn changes_one_by_one_are_atomic(
        clusters in prop::collection::vec(cluster(), 1..4),
        steps in prop::collection::vec((step(), 0..8_u8, 0..40_usize), 1..25),
        flows in prop::collection::vec(flow(), 30),
        room in prop::option::of(0..6_usize),
    ) {
        let mut world = World::default();
        let mut compiler = room.map_or_else(Compiler::default, Compiler::with_room);
        let mut programmer = Programmer::new(Model::new(&flows, usize::MAX), State::default(), 1, 1023);
        let nodes = nodes(&clusters);
        for (step, how, writes) in steps {
            take(&mut world, &step, &clusters);
            let touched = world.take_touched();
            compiler.update(&world, &touched, &nodes[step.node]);
            if how < 2 {
                continue;
            }
            // What was compiled is shared while it is written, and not copied.
            let desired = compiler.desired();
            let target = target_of(desired);
            programmer.tables().begin();
            if how == 2 {
                programmer.tables().fails_after = Some(writes);
                let failed = programmer.apply(&target).is_err();
                programmer.tables().fails_after = None;
                if failed {
                    continue;
                }
            }
            programmer.tables().begin();
            let outcome = programmer.apply(&target).expect("the model has room");
            prop_assert!(outcome.problems.is_empty());
            prop_assert_eq!(recorded(programmer.state()), recorded(&programmer.tables().state.clone()));
            check(programmer.tables(), desired, &target, &flows, Exactly)?;
            if how > 5 {
                programmer.settle().expect("the model has room");
                let state = programmer.state();
                prop_assert_eq!(&state.banks[0], &state.banks[1], "the next change finds the banks alike");
                check(programmer.tables(), desired, &target, &flows, Exactly)?;
            }
            programmer.tables().begin();
            prop_assert!(!programmer.apply(&target).expect("the model has room").changed, "nothing was left to do");
        }
    }

    /// What does not fit is closed: nothing passes that should not.
    #[test]
    fn full_tables_close(cluster in cluster(), flows in prop::collection::vec(flow(), 30), room in 0..12_usize) {
        let (desired, target) = target(&cluster, &mut Clauses::default());
        let mut programmer = Programmer::new(Model::new(&flows, room), State::default(), 1, 1023);
        programmer.tables().begin();
        let outcome = programmer.apply(&target).expect("a full table is no error");
        let how = if outcome.problems.is_empty() { Exactly } else { AtMost };
        check(programmer.tables(), &desired, &target, &flows, how)?;
    }
}

#[test]
fn slots_are_reused_as_late_as_possible() {
    let mut programmer = Programmer::new(Model::new(&[], usize::MAX), State::default(), 1, 3);
    let mut target = Target::default();
    let mut slots = Vec::new();
    for link in 10..16 {
        target.endpoints = BTreeMap::from([(link, endpoint("10.0.0.1"))]);
        programmer.apply(&target).expect("the model has room");
        slots.push(programmer.state().endpoints[&link].slot);
        assert_eq!(programmer.state().slots.len(), 1);
    }
    assert_eq!(slots, [1, 2, 3, 1, 2, 3]);
}

#[test]
fn a_pod_that_takes_anothers_link_leaves_no_slot_behind() {
    let mut programmer = Programmer::new(Model::new(&[], usize::MAX), State::default(), 1, 3);
    for number in 0..6 {
        let mut pod = endpoint("10.0.0.1");
        pod.pod.name = format!("web-{number}").into();
        let target = Target { endpoints: BTreeMap::from([(10, pod)]), ..Target::default() };
        let outcome = programmer.apply(&target).expect("the model has room");
        assert_eq!(outcome.problems, Vec::<String>::new(), "pod {number}");
        let slot = programmer.state().endpoints[&10].slot;
        assert_eq!(programmer.state().slots, BTreeMap::from([(slot, 10)]));
    }
}

/// Flows that were approved go on, and the other bank is not in use, until the epoch is raised.
#[test]
fn whatever_packets_can_see_raises_the_epoch() {
    fn pod(target: &mut Target) -> &mut TargetEndpoint {
        target.endpoints.get_mut(&10).expect("it is there")
    }
    let service = |target: &mut Target, port| {
        let address = "10.96.0.1".parse().expect("an address");
        let service = ServiceAddress { address, protocol: Protocol::Tcp, port };
        target.services = Arc::new(BTreeSet::from([service]));
    };
    type Change<'c> = (&'c str, &'c dyn Fn(&mut Target));
    let changes: [Change<'_>; 11] = [
        ("ingress", &|target| pod(target).ingress = Gate::Closed),
        ("egress", &|target| pod(target).egress = Gate::Closed),
        ("ingress, open again", &|target| pod(target).ingress = Gate::Open),
        ("an address", &|target| {
            pod(target).addresses.insert("10.0.0.9".parse().expect("an address"));
        }),
        ("the hardware address", &|target| pod(target).mac = Some([2, 0, 0, 0, 0, 1])),
        ("audit", &|target| pod(target).audited = true),
        ("a Service", &|target| service(target, 80)),
        ("another Service", &|target| service(target, 81)),
        ("an address of the node that goes", &|target| target.node_addresses.clear()),
        ("another pod", &|target| pod(target).pod.name = "other".into()),
        ("no pod", &|target| target.endpoints.clear()),
    ];
    let mut programmer = Programmer::new(Model::new(&[], usize::MAX), State::default(), 1, 1023);
    let mut target = Target {
        endpoints: BTreeMap::from([(10, endpoint("10.0.0.1"))]),
        node_addresses: BTreeSet::from(["172.18.0.2".parse().expect("an address")]),
        ..Target::default()
    };
    let mut apply = |target: &Target| {
        programmer.apply(target).expect("the model has room");
        programmer.state().epoch
    };
    let mut epoch = apply(&target);
    for (what, change) in changes {
        change(&mut target);
        let now = apply(&target);
        assert_eq!(now, epoch + 1, "{what}");
        assert_eq!(apply(&target), now, "{what}: once is enough");
        epoch = now;
    }
}

#[test]
fn without_a_slot_a_pod_is_closed() {
    let mut programmer = Programmer::new(Model::new(&[], usize::MAX), State::default(), 1, 1);
    let target = Target {
        endpoints: BTreeMap::from([(10, endpoint("10.0.0.1")), (11, endpoint("10.0.0.2"))]),
        ..Target::default()
    };
    let outcome = programmer.apply(&target).expect("the model has room");
    assert_eq!(outcome.problems.len(), 1);
    let state = programmer.state();
    let gates = |link: u32| state.endpoints[&link].gates[state.active()];
    assert_eq!((gates(10).ingress, gates(10).egress), (SET_NONE, SET_NONE));
    assert_eq!((gates(11).ingress, gates(11).egress), (SET_CLOSED, SET_CLOSED));

    // It is told as long as it lasts, and ends when there is room.
    assert_eq!(programmer.apply(&target).expect("the model has room").problems.len(), 1);
    let rest = Target { endpoints: BTreeMap::from([(11, endpoint("10.0.0.2"))]), ..Target::default() };
    assert_eq!(programmer.apply(&rest).expect("the model has room").problems, Vec::<String>::new());
    let state = programmer.state();
    let gates = state.endpoints[&11].gates[state.active()];
    assert_eq!((gates.ingress, gates.egress), (SET_NONE, SET_NONE));
}

#[test]
fn an_endpoint_that_does_not_fit_keeps_no_slot() {
    let mut programmer = Programmer::new(Model::new(&[], 0), State::default(), 1, 3);
    let target = Target { endpoints: BTreeMap::from([(10, endpoint("10.0.0.1"))]), ..Target::default() };
    for _ in 0..5 {
        let outcome = programmer.apply(&target).expect("a full table is a problem, not an error");
        assert_eq!(outcome.problems.len(), 1, "{:?}", outcome.problems);
        assert_eq!(programmer.state().slots, BTreeMap::new());
    }
}

#[test]
fn a_generation_belongs_to_one_pod() {
    let mut programmer = Programmer::new(Model::new(&[], usize::MAX), State::default(), 7, 1023);
    let mut apply = |endpoint| {
        let target = Target { endpoints: BTreeMap::from([(10, endpoint)]), ..Target::default() };
        programmer.apply(&target).expect("the model has room");
        programmer.state().endpoints[&10].generation
    };
    let first = endpoint("10.0.0.1");
    assert_eq!(apply(first.clone()), 7);
    let mut more = first.clone();
    more.addresses.insert("fe80::1".parse().expect("an address"));
    assert_eq!(apply(more), 7, "a link-local address that appears later changes nothing");
    let mut other = first;
    other.pod.name = "other".into();
    assert_eq!(apply(other), 8);
}

fn endpoint(address: &str) -> TargetEndpoint {
    use netpol_policy::model::{WorkloadKind, WorkloadName};
    TargetEndpoint {
        pod: WorkloadName::new("shop", WorkloadKind::Pod, "web"),
        addresses: BTreeSet::from([address.parse().expect("an address")]),
        mac: None,
        audited: false,
        ingress: Gate::Open,
        egress: Gate::Open,
    }
}

fn target(cluster: &Cluster, clauses: &mut Clauses) -> (Desired, Target) {
    let node = LocalNode { name: "here".into(), ..LocalNode::default() };
    let desired = compile(cluster, &node, clauses);
    let target = target_of(&desired);
    (desired, target)
}

fn target_of(desired: &Desired) -> Target {
    let gate = |isolation: &Option<Isolation>| {
        isolation.as_ref().map_or(Gate::Open, |isolation| Gate::Set(Arc::clone(&isolation.set)))
    };
    let endpoints = desired.endpoints.iter().map(|(pod, endpoint)| {
        // A link that depends on the pod only, so that pods of the same name keep theirs.
        let link = pod.to_string().bytes().fold(0_u32, |hash, byte| hash.wrapping_mul(31) ^ u32::from(byte));
        (
            link,
            TargetEndpoint {
                pod: pod.clone(),
                addresses: endpoint.addresses.clone(),
                mac: None,
                audited: false,
                ingress: gate(&endpoint.ingress),
                egress: gate(&endpoint.egress),
            },
        )
    });
    Target {
        classes: desired.classes.clone(),
        endpoints: endpoints.collect(),
        services: desired.services.clone(),
        node_addresses: BTreeSet::new(),
    }
}

/// The state without sets that have no entries: the kernel does not know of those.
fn recorded(state: &State) -> State {
    let mut state = state.clone();
    state.sets.retain(|_, entries| !entries.is_empty());
    state
}

#[derive(Clone, Copy, PartialEq)]
enum How {
    Exactly,
    AtMost,
}
use How::{AtMost, Exactly};

/// Compares what the tables decide with what the sets say.
fn check(
    model: &Model,
    desired: &Desired,
    target: &Target,
    flows: &[(IpAddr, IpAddr, Traffic)],
    how: How,
) -> Result<(), TestCaseError> {
    for (near, far, traffic) in flows {
        for (link, endpoint) in &target.endpoints {
            if !endpoint.addresses.contains(near) {
                continue;
            }
            for direction in Direction::ALL {
                let isolation = desired.endpoints[&endpoint.pod].isolation(direction);
                let expected = isolation.is_none_or(|isolation| {
                    let number = Identity(1);
                    let class = desired.classes.longest_match(IpNet::from(*far)).cloned().unwrap_or_default();
                    let numbers = [(number, class)].into_iter().collect();
                    crate::compile::entries(&isolation.set, &numbers)
                        .iter()
                        .any(|entry| covers(entry, *traffic))
                });
                let decided = model.decide(*link, direction, *far, *traffic);
                match how {
                    Exactly => prop_assert_eq!(decided, Some(expected)),
                    AtMost => prop_assert!(expected || decided != Some(true)),
                }
            }
        }
    }
    Ok(())
}

/// The kernel's tables, with an eye on what they decide.
struct Model {
    state: State,
    flows: Vec<(IpAddr, IpAddr, Traffic)>,
    /// How many entries fit in each table.
    room: usize,
    /// What programs decided when the change began.
    before: Vec<Option<bool>>,
    /// What a packet decides that began under the epoch before, until there is none.
    late: Option<Late>,
    links: BTreeSet<u32>,
    /// After so many writes every one fails.
    fails_after: Option<usize>,
}

struct Late {
    epoch: u32,
    links: BTreeSet<u32>,
    decisions: Vec<Option<bool>>,
}

impl Model {
    fn new(flows: &[(IpAddr, IpAddr, Traffic)], room: usize) -> Self {
        Self {
            state: State::default(),
            flows: flows.to_vec(),
            room,
            before: Vec::new(),
            late: None,
            links: BTreeSet::new(),
            fails_after: None,
        }
    }

    fn write(&mut self) -> Result<(), TableError> {
        match &mut self.fails_after {
            Some(0) => Err(TableError::Failed { table: "ANY", source: std::io::ErrorKind::Other.into() }),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn begin(&mut self) {
        self.links = self.state.endpoints.keys().copied().collect();
        self.before = self.decisions(self.state.epoch, &self.links);
    }

    /// Every decision about these links under an epoch.
    fn decisions(&self, epoch: u32, links: &BTreeSet<u32>) -> Vec<Option<bool>> {
        let mut decisions = Vec::new();
        for link in links {
            for (_, far, traffic) in &self.flows {
                for direction in Direction::ALL {
                    decisions.push(self.decide_under(epoch, *link, direction, *far, *traffic));
                }
            }
        }
        decisions
    }

    fn decide(&self, link: u32, direction: Direction, far: IpAddr, traffic: Traffic) -> Option<bool> {
        self.decide_under(self.state.epoch, link, direction, far, traffic)
    }

    /// As a program does it; `None`: no such endpoint.
    fn decide_under(
        &self,
        epoch: u32,
        link: u32,
        direction: Direction,
        far: IpAddr,
        traffic: Traffic,
    ) -> Option<bool> {
        let bank = bank_of(epoch) as usize;
        let gates = self.state.endpoints.get(&link)?.gates[bank];
        let set = match direction {
            Direction::Ingress => gates.ingress,
            Direction::Egress => gates.egress,
        };
        if set == SET_NONE || set == SET_CLOSED {
            return Some(set == SET_NONE);
        }
        let classes = &self.state.banks[bank].classes;
        let identity = classes.longest_match(IpNet::from(far)).copied().unwrap_or(Identity::ANY);
        Some(self.state.sets.get(&SetId(set)).is_some_and(|entries| {
            entries.iter().any(|entry| {
                (entry.identity == identity || entry.identity == Identity::ANY) && covers(entry, traffic)
            })
        }))
    }

    /// After a write: nothing decides otherwise than before, but for endpoints that are gone or closed.
    fn unchanged(&self) {
        same(&self.before, &self.decisions(self.state.epoch, &self.links), "before the new epoch");
        if let Some(Late { epoch, links, decisions }) = &self.late {
            same(
                decisions,
                &self.decisions(*epoch, links),
                "while packets are decided under the former epoch",
            );
        }
    }
}

fn same(before: &[Option<bool>], now: &[Option<bool>], when: &str) {
    for (before, now) in before.iter().zip(now) {
        assert!(
            before == now || now.is_none() || *now == Some(false) && before.is_none(),
            "a write {when} changed a decision: {before:?} -> {now:?}"
        );
    }
}

fn covers(entry: &Entry, traffic: Traffic) -> bool {
    match (entry.traffic, traffic) {
        (TrafficPrefix::All, _) => true,
        (TrafficPrefix::Protocol(number), Traffic::Port(protocol, _)) => protocol.number() == number,
        (TrafficPrefix::Ports { protocol: number, port, bits }, Traffic::Port(protocol, wanted)) => {
            let ignored = 16 - u32::from(bits);
            protocol.number() == number && u32::from(wanted.get()) >> ignored == u32::from(port) >> ignored
        }
        _ => false,
    }
}

impl Tables for Model {
    fn add_entry(&mut self, set: SetId, entry: Entry) -> Result<(), TableError> {
        self.write()?;
        if self.state.sets.values().map(BTreeSet::len).sum::<usize>() >= self.room {
            return Err(TableError::Full("POLICIES"));
        }
        self.state.sets.entry(set).or_default().insert(entry);
        self.unchanged();
        Ok(())
    }

    fn remove_entry(&mut self, set: SetId, entry: Entry) -> Result<(), TableError> {
        self.write()?;
        let entries = self.state.sets.get_mut(&set).expect("a set that has the entry");
        assert!(entries.remove(&entry), "an entry that is there");
        self.unchanged();
        Ok(())
    }

    fn set_class(&mut self, bank: u32, net: IpNet, identity: Identity) -> Result<(), TableError> {
        self.write()?;
        let classes = &mut self.state.banks[bank as usize].classes;
        if classes.exact(net).is_none() && classes.iter().count() >= self.room {
            return Err(TableError::Full("IDENTITIES"));
        }
        classes.insert(net, identity);
        self.unchanged();
        Ok(())
    }

    fn remove_class(&mut self, bank: u32, net: IpNet) -> Result<(), TableError> {
        self.write()?;
        self.state.banks[bank as usize].classes.remove(net);
        self.unchanged();
        Ok(())
    }

    fn set_endpoint(&mut self, link: u32, endpoint: &EndpointRecord) -> Result<(), TableError> {
        self.write()?;
        if !self.state.endpoints.contains_key(&link) && self.state.endpoints.len() >= self.room {
            return Err(TableError::Full("ENDPOINTS"));
        }
        let replaced = self.state.endpoints.insert(link, endpoint.clone());
        if replaced.is_some_and(|replaced| replaced.generation != endpoint.generation) {
            // Another pod, and closed: what was decided for the one before does not matter any more.
            assert!(self.late.is_none(), "a write while packets are decided under the former epoch");
            self.links.remove(&link);
            self.before = self.decisions(self.state.epoch, &self.links);
        }
        self.unchanged();
        Ok(())
    }

    fn remove_endpoint(&mut self, link: u32) -> Result<(), TableError> {
        self.state.endpoints.remove(&link);
        self.unchanged();
        Ok(())
    }

    fn set_slot(&mut self, slot: u16, link: u32) -> Result<(), TableError> {
        if link == 0 {
            self.state.slots.remove(&slot);
        } else {
            assert_eq!(self.state.slots.insert(slot, link), None, "a slot that is free");
        }
        Ok(())
    }

    fn set_service(&mut self, service: ServiceAddress, present: bool) -> Result<(), TableError> {
        if present {
            self.state.services.insert(service);
        } else {
            self.state.services.remove(&service);
        }
        Ok(())
    }

    fn set_node_address(&mut self, address: IpAddr, present: bool) -> Result<(), TableError> {
        if present {
            self.state.node_addresses.insert(address);
        } else {
            self.state.node_addresses.remove(&address);
        }
        Ok(())
    }

    fn set_epoch(&mut self, epoch: u32) -> Result<(), TableError> {
        self.write()?;
        self.unchanged();
        assert!(self.late.is_none(), "an epoch is raised only when all is decided under the one before");
        let (before, links) = (self.state.epoch, self.state.endpoints.keys().copied().collect());
        self.late = Some(Late { epoch: before, decisions: self.decisions(before, &links), links });
        self.state.epoch = epoch;
        // From here on nothing decides otherwise than in the new epoch.
        self.begin();
        Ok(())
    }

    fn wait_for_packets(&mut self) {
        self.late = None;
    }
}
