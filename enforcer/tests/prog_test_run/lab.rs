//! The programs and their maps, filled by hand.

use std::{net::IpAddr, path::Path};

use aya::{
    Ebpf, EbpfLoader, Pod,
    maps::{Array, HashMap, LpmTrie, MapData, PerCpuArray, PerCpuHashMap, RingBuf, lpm_trie::Key},
    programs::{ProgramError, SchedClassifier},
};
use netpol_enforcer::{
    object::OBJECT,
    test_run::{self, Outcome, Surroundings},
};
use netpol_enforcer_common::{
    Address, Direction, FIRST_EPOCH,
    config::{Config, EVENTS_ALLOWED},
    conntrack::{DEFERRED, Flow, FlowKey, Link, LinkKey, tick},
    denied::DeniedKey,
    endpoint::{Brief, Endpoint, SET_NONE, Sets},
    event::Event,
    identity::{BANK_BITS, CidrV4Key, CidrV6Key, IdentityKey},
    maps,
    mark::{self, MarkMask},
    policy::{PolicyPrefix, PolicyValue},
    programs,
    reason::{COUNTERS_LEN, Counter, Reason},
    service::ServiceKey,
    trace,
};

/// The pod behind interface 1, which is the only one that surely exists.
pub(crate) const POD: &str = "10.0.0.2";
pub(crate) const POD6: &str = "fd00::2";
/// Its MAC address.
pub(crate) const MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];
/// Another pod of the node.
pub(crate) const OTHER: &str = "10.0.0.3";
pub(crate) const OTHER6: &str = "fd00::3";
/// The node.
pub(crate) const NODE: &str = "10.0.0.1";
pub(crate) const NODE6: &str = "fd00::1";
/// Somewhere else.
pub(crate) const REMOTE: &str = "192.0.2.7";
pub(crate) const REMOTE6: &str = "2001:db8::7";
/// A Service: TCP and UDP port 80.
pub(crate) const SERVICE: &str = "10.96.0.10";

/// The pod's slot, generation and interface.
pub(crate) const SLOT: u16 = 5;
pub(crate) const GENERATION: u32 = 1005;
pub(crate) const IFINDEX: u32 = 1;
/// The other's.
pub(crate) const OTHER_SLOT: u16 = 6;
pub(crate) const OTHER_GENERATION: u32 = 1006;
pub(crate) const OTHER_IFINDEX: u32 = 1_000_006;

/// Set ids.
pub(crate) const INGRESS: u32 = 11;
pub(crate) const EGRESS: u32 = 12;
pub(crate) const OTHER_EGRESS: u32 = 13;

/// Where a packet that another host sent came in.
pub(crate) const UPLINK: u32 = 2;

pub(crate) struct Lab {
    ebpf: Ebpf,
    events: RingBuf<MapData>,
    pub(crate) epoch: u32,
    pub(crate) config: Config,
    /// The flags of endpoints that are written from here on.
    pub(crate) flags: u32,
}

impl Lab {
    /// Both pods are known and isolated by nothing; the pod's set ids are set with [`Lab::isolate`].
    pub(crate) fn new() -> Option<Self> {
        Self::load(false, true)
    }

    /// The same with programs in which approved flows take the long way.
    pub(crate) fn long_way() -> Option<Self> {
        Self::load(false, false)
    }

    /// The same with programs that only answer.
    pub(crate) fn tracing() -> Option<Self> {
        Self::load(true, true)
    }

    fn load(tracing: bool, short_way: bool) -> Option<Self> {
        if let Err(reason) = possible() {
            assert!(
                std::env::var_os("NETPOL_REQUIRE_ROOT").is_none_or(|value| value != "1"),
                "NETPOL_REQUIRE_ROOT=1, but {reason}"
            );
            eprintln!("skipped: {reason}");
            return None;
        }
        let mut ebpf = EbpfLoader::new()
            .map_max_entries(maps::CONNTRACK, 4096)
            .map_max_entries(maps::LINKS, 1024)
            .override_global(trace::VARIABLE, &u32::from(tracing), true)
            .override_global(trace::SHORT_WAY, &u32::from(short_way), true)
            .load(OBJECT)
            .expect("the object loads");
        for name in programs::ALL {
            let program: &mut SchedClassifier =
                ebpf.program_mut(name).expect(name).try_into().expect("a classifier");
            match program.load() {
                Ok(()) => {}
                Err(ProgramError::LoadError { io_error, verifier_log }) => {
                    let log = verifier_log.to_string();
                    panic!("{name}: {io_error}\n{}", &log[log.len().saturating_sub(8000)..]);
                }
                Err(error) => panic!("{name}: {error}"),
            }
        }
        let events = RingBuf::try_from(ebpf.take_map(maps::EVENTS).expect("events")).expect("a ring buffer");
        let mut lab = Self { ebpf, events, epoch: FIRST_EPOCH, config: Config::default(), flags: 0 };
        lab.config.flags = EVENTS_ALLOWED;
        lab.configure();
        lab.set_epoch(FIRST_EPOCH);
        lab.array(maps::SLOTS, u32::from(SLOT), IFINDEX);
        lab.array(maps::SLOTS, u32::from(OTHER_SLOT), OTHER_IFINDEX);
        lab.isolate(SET_NONE, SET_NONE);
        lab.isolate_other(SET_NONE);
        lab.node(NODE);
        lab.node(NODE6);
        for protocol in [6, 17] {
            lab.service(SERVICE, protocol, 80);
        }
        Some(lab)
    }

    /// Writes the settings.
    pub(crate) fn configure(&mut self) {
        let config = self.config;
        self.array(maps::CONFIG, 0, config);
    }

    pub(crate) fn set_epoch(&mut self, epoch: u32) {
        self.epoch = epoch;
        self.array(maps::EPOCH, 0, epoch);
    }

    /// A change of policy takes effect.
    pub(crate) fn next_epoch(&mut self) {
        self.set_epoch(self.epoch + 1);
    }

    /// Gives the pod its sets, in both banks.
    pub(crate) fn isolate(&mut self, ingress: u32, egress: u32) {
        self.endpoint(IFINDEX, SLOT, GENERATION, MAC, POD, POD6, Sets { ingress, egress });
    }

    /// Gives the other pod its egress set.
    pub(crate) fn isolate_other(&mut self, egress: u32) {
        let sets = Sets { ingress: SET_NONE, egress };
        self.endpoint(OTHER_IFINDEX, OTHER_SLOT, OTHER_GENERATION, [0; 6], OTHER, OTHER6, sets);
    }

    #[allow(clippy::too_many_arguments)]
    fn endpoint(
        &mut self,
        ifindex: u32,
        slot: u16,
        generation: u32,
        mac: [u8; 6],
        v4: &str,
        v6: &str,
        sets: Sets,
    ) {
        let endpoint = Endpoint {
            generation,
            slot,
            mac,
            sets: [sets; 2],
            v4: [address(v4).0[3], 0],
            v6: [address(v6), address("fe80::2"), Address::NONE],
            flags: self.flags,
        };
        self.hash(maps::ENDPOINTS, ifindex, endpoint);
        self.array(maps::BRIEFS, Brief::place(ifindex), Brief::of(ifindex, &endpoint));
    }

    /// Gives the pod's address to another generation.
    pub(crate) fn isolate_as(&mut self, generation: u32, ingress: u32, egress: u32) {
        self.endpoint(IFINDEX, SLOT, generation, MAC, POD, POD6, Sets { ingress, egress });
    }

    /// Lets time pass for all tracked flows.
    pub(crate) fn age_flows(&mut self, seconds: u32) {
        let mut flows: HashMap<_, FlowKey, Flow> =
            self.ebpf.map_mut(maps::CONNTRACK).expect("flows").try_into().expect("a hash");
        let all: Vec<_> = flows.iter().map(|entry| entry.expect("a flow")).collect();
        for (key, mut flow) in all {
            flow.last_seen = flow.last_seen.wrapping_sub(seconds);
            flow.jiffy = flow.jiffy.wrapping_sub(1);
            flows.insert(key, flow, 0).expect("a flow");
        }
    }

    /// All tracked flows, each with how long it was quiet, in the clock's ticks.
    pub(crate) fn flows(&mut self) -> Vec<(FlowKey, Flow, i32)> {
        let uptime = std::fs::read_to_string("/proc/uptime").expect("the time since boot");
        let seconds: f64 = uptime.split(' ').next().and_then(|text| text.parse().ok()).expect("seconds");
        let now = tick((seconds * 1e9) as u64);
        let flows: HashMap<_, FlowKey, Flow> =
            self.ebpf.map_mut(maps::CONNTRACK).expect("flows").try_into().expect("a hash");
        let mut all: Vec<_> = flows
            .iter()
            .map(|entry| {
                let (key, flow) = entry.expect("a flow");
                (key, Flow { last_seen: 0, jiffy: 0, ..flow }, now.wrapping_sub(flow.last_seen).cast_signed())
            })
            .collect();
        all.sort_by_key(|(key, ..)| format!("{key:?}"));
        all
    }

    /// How many packets and bytes were counted at each place.
    pub(crate) fn counters(&mut self) -> Vec<Counter> {
        let counters: PerCpuArray<_, Counter> =
            self.ebpf.map_mut(maps::COUNTERS).expect("counters").try_into().expect("an array");
        let sum = |index| {
            let values = counters.get(&index, 0).expect("a counter");
            values.iter().fold(Counter::default(), |sum, one| Counter {
                packets: sum.packets + one.packets,
                bytes: sum.bytes + one.bytes,
            })
        };
        (0..COUNTERS_LEN).map(sum).collect()
    }

    /// Notes for all deferred flows where they went.
    pub(crate) fn link_flows(&mut self, ip: &str, port: u16) {
        let flows: HashMap<_, FlowKey, Flow> =
            self.ebpf.map_mut(maps::CONNTRACK).expect("flows").try_into().expect("a hash");
        let all: Vec<_> = flows.iter().map(|entry| entry.expect("a flow")).collect();
        for (key, flow) in all {
            if flow.flags & DEFERRED != 0 {
                let link_key = LinkKey { generation: key.generation, hash: flow.hash };
                let link = Link { address: address(ip), port, protocol: key.protocol, reserved: 0 };
                self.hash(maps::LINKS, link_key, link);
            }
        }
    }

    /// Forgets the pod.
    pub(crate) fn forget(&mut self) {
        self.brief(Brief::default());
        let mut endpoints: HashMap<_, u32, Endpoint> =
            self.ebpf.map_mut(maps::ENDPOINTS).expect("endpoints").try_into().expect("a hash");
        endpoints.remove(&IFINDEX).expect("an endpoint");
    }

    /// Writes what is where the pod's brief would be.
    pub(crate) fn brief(&mut self, brief: Brief) {
        self.array(maps::BRIEFS, Brief::place(IFINDEX), brief);
    }

    /// Adds a rule to a set.
    pub(crate) fn allow(&mut self, prefix: PolicyPrefix) {
        self.trie(maps::POLICIES, prefix.bits, prefix.data, PolicyValue { rule: 1 });
    }

    /// Takes a rule out of a set, which an agent never does.
    pub(crate) fn disallow(&mut self, prefix: PolicyPrefix) {
        let mut trie: LpmTrie<_, _, PolicyValue> =
            self.ebpf.map_mut(maps::POLICIES).expect("policies").try_into().expect("a trie");
        trie.remove(&Key::new(prefix.bits, prefix.data)).expect("a rule");
    }

    /// Gives an address an identity, in both banks.
    pub(crate) fn identity(&mut self, ip: &str, identity: u32) {
        for bank in 0..2 {
            self.identity_in(bank, ip, identity);
        }
    }

    /// Gives an address an identity in one bank.
    pub(crate) fn identity_in(&mut self, bank: u32, ip: &str, identity: u32) {
        self.hash(maps::IDENTITIES, IdentityKey { bank, address: address(ip) }, identity);
    }

    /// Gives a block an identity, in both banks.
    pub(crate) fn block(&mut self, network: &str, bits: u32, identity: u32) {
        for bank in 0..2 {
            match network.parse().expect("an address") {
                IpAddr::V4(v4) => {
                    let key = CidrV4Key { bank, address: v4.octets() };
                    self.trie(maps::CIDRS_V4, BANK_BITS + bits, key, identity);
                }
                IpAddr::V6(v6) => {
                    let key = CidrV6Key { bank, address: v6.octets() };
                    self.trie(maps::CIDRS_V6, BANK_BITS + bits, key, identity);
                }
            }
        }
    }

    pub(crate) fn service(&mut self, ip: &str, protocol: u8, port: u16) {
        self.hash(maps::SERVICES, ServiceKey::new(address(ip), protocol, port), 1);
    }

    pub(crate) fn node(&mut self, ip: &str) {
        self.hash(maps::NODE_ADDRESSES, address(ip), 1);
    }

    /// A packet from the pod.
    pub(crate) fn send(&mut self, packet: &[u8]) -> Outcome {
        self.run(
            programs::POD_INGRESS,
            packet,
            Surroundings { ingress_ifindex: IFINDEX, ..Surroundings::default() },
        )
    }

    /// A packet from elsewhere to the pod.
    pub(crate) fn receive(&mut self, packet: &[u8]) -> Outcome {
        self.receive_marked(packet, 0)
    }

    /// A packet to the pod with a mark.
    pub(crate) fn receive_marked(&mut self, packet: &[u8], mark: u32) -> Outcome {
        let surroundings = Surroundings { mark, ingress_ifindex: UPLINK, ..Surroundings::default() };
        self.run(programs::POD_EGRESS, packet, surroundings)
    }

    /// A packet that leaves through an uplink.
    pub(crate) fn leave(&mut self, packet: &[u8], mark: u32) -> Outcome {
        let surroundings = Surroundings { mark, ingress_ifindex: IFINDEX, ..Surroundings::default() };
        self.run(programs::UPLINK_EGRESS, packet, surroundings)
    }

    pub(crate) fn run(&mut self, program: &str, packet: &[u8], surroundings: Surroundings) -> Outcome {
        self.run_repeatedly(program, packet, surroundings, 1)
    }

    /// As [`Lab::run`], for surroundings that the kernel may refuse.
    pub(crate) fn try_run(
        &mut self,
        program: &str,
        packet: &[u8],
        surroundings: Surroundings,
    ) -> Result<Outcome, ProgramError> {
        let program: &mut SchedClassifier =
            self.ebpf.program_mut(program).expect("a program").try_into().expect("a classifier");
        test_run::run(program, packet, surroundings, 1)
    }

    pub(crate) fn run_repeatedly(
        &mut self,
        program: &str,
        packet: &[u8],
        surroundings: Surroundings,
        repeat: u32,
    ) -> Outcome {
        let program: &mut SchedClassifier =
            self.ebpf.program_mut(program).expect("a program").try_into().expect("a classifier");
        test_run::run(program, packet, surroundings, repeat).expect("the program runs")
    }

    /// Our field of an outcome's mark.
    pub(crate) fn field(&self, outcome: Outcome) -> u32 {
        mark::field(outcome.mark, self.config.mark_mask, self.config.mark_shift)
    }

    /// The events since the last call.
    pub(crate) fn events(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        while let Some(record) = self.events.next() {
            events.push(Event::read(&record).expect("a whole record"));
        }
        events
    }

    /// The reason of the last event.
    pub(crate) fn reason(&mut self) -> Option<Reason> {
        self.events().last().map(|event| Reason::from_number(event.reason).expect("a known reason"))
    }

    /// How many packets were counted under a reason.
    pub(crate) fn count(&mut self, reason: Reason, direction: Direction) -> u64 {
        self.packets(reason.counter(direction))
    }

    fn packets(&mut self, counter: u32) -> u64 {
        let counters: PerCpuArray<_, Counter> =
            self.ebpf.map_mut(maps::COUNTERS).expect("counters").try_into().expect("an array");
        let values = counters.get(&counter, 0).expect("a counter");
        values.iter().map(|counter| counter.packets).sum()
    }

    /// How many packets were counted as audited under a reason.
    pub(crate) fn count_audited(&mut self, reason: Reason, direction: Direction) -> u64 {
        self.packets(reason.audited_counter(direction))
    }

    /// How many packets were denied to the pod for a reason.
    pub(crate) fn denied(&mut self, reason: Reason, direction: Direction, audited: bool) -> u64 {
        let denied: PerCpuHashMap<_, DeniedKey, Counter> =
            self.ebpf.map_mut(maps::DENIED).expect("denied").try_into().expect("a hash");
        let key = DeniedKey {
            generation: GENERATION,
            direction: direction as u8,
            audited: audited.into(),
            reason: reason as u8,
            reserved: 0,
        };
        denied.get(&key, 0).map_or(0, |values| values.iter().map(|counter| counter.packets).sum())
    }

    /// How many entries the tables have that only programs write, and how many packets were counted.
    pub(crate) fn traces(&mut self) -> (usize, usize, u64) {
        let flows: HashMap<_, FlowKey, Flow> =
            self.ebpf.map_mut(maps::CONNTRACK).expect("flows").try_into().expect("a hash");
        let flows = flows.keys().count();
        let links: HashMap<_, LinkKey, Link> =
            self.ebpf.map_mut(maps::LINKS).expect("links").try_into().expect("a hash");
        let links = links.keys().count();
        (flows, links, (0..COUNTERS_LEN).map(|index| self.packets(index)).sum())
    }

    fn array<V: Pod>(&mut self, map: &str, index: u32, value: V) {
        let mut array: Array<_, V> = self.ebpf.map_mut(map).expect(map).try_into().expect("an array");
        array.set(index, value, 0).expect(map);
    }

    fn hash<K: Pod, V: Pod>(&mut self, map: &str, key: K, value: V) {
        let mut hash: HashMap<_, K, V> = self.ebpf.map_mut(map).expect(map).try_into().expect("a hash");
        hash.insert(key, value, 0).expect(map);
    }

    fn trie<K: Pod, V: Pod>(&mut self, map: &str, bits: u32, key: K, value: V) {
        let mut trie: LpmTrie<_, K, V> = self.ebpf.map_mut(map).expect(map).try_into().expect("a trie");
        trie.insert(&Key::new(bits, key), value, 0).expect(map);
    }
}

/// A mark with our field.
pub(crate) fn marked(field: u32) -> u32 {
    mark::with_field(0, MarkMask::DEFAULT.bits(), MarkMask::DEFAULT.shift(), field)
}

/// The field of a packet from a pod.
pub(crate) fn forwarded(slot: u16) -> u32 {
    mark::FORWARDED | u32::from(slot) << mark::SLOT_SHIFT
}

pub(crate) fn address(ip: &str) -> Address {
    ip.parse::<IpAddr>().expect("an address").into()
}

fn possible() -> Result<(), String> {
    if !Path::new("/sys/kernel/btf/vmlinux").exists() {
        return Err("the kernel has no BTF".into());
    }
    let status = std::fs::read_to_string("/proc/self/status").map_err(|error| error.to_string())?;
    let root =
        status.lines().any(|line| line.starts_with("Uid:") && line.split_whitespace().nth(2) == Some("0"));
    if root { Ok(()) } else { Err("the programs can only be loaded as root".into()) }
}
