//! The short way of approved flows against the long one: random packets, among random changes, through the programs with the short way and
//! without it. Verdict, mark, flows, counters and events must be the same.

use netpol_enforcer::test_run::{Outcome, Surroundings};
use netpol_enforcer_common::{
    config::EVENTS_ALLOWED,
    endpoint::{AUDIT, SET_CLOSED, SET_NONE},
    event::Event,
    identity::ANY,
    mark::DEFER,
    policy::{PolicyPrefix, port_prefixes},
    programs,
};

use crate::{
    lab::{
        EGRESS, INGRESS, Lab, NODE, NODE6, OTHER, OTHER_SLOT, OTHER6, POD, POD6, REMOTE, REMOTE6, SERVICE,
        SLOT, UPLINK, forwarded, marked,
    },
    packets::{ACK, FIN, RST, SYN, TCP, UDP, V4, V6, echo, ip, tcp_header, udp_header},
};

/// How many packets and changes, for each seed.
const STEPS: u32 = 6_000;
/// Timeouts lie half-way between what flows age by, so that the clock's own pace decides nothing.
const AGE: u32 = 1_000_000;

#[test]
fn it_is_the_long_way_for_random_packets() {
    for seed in 1..=3 {
        let (Some(short), Some(long)) = (Lab::new(), Lab::long_way()) else { return };
        let mut labs = [short, long];
        let mut random = Random(seed);
        both(&mut labs, prepare);
        let (mut passed, mut short_cuts) = (0, 0);
        for step in 0..STEPS {
            if random.one_in(12) {
                let change = Change::any(&mut random);
                both(&mut labs, |lab| change.make(lab));
                continue;
            }
            let packet = Packet::any(&mut random);
            let [short, long] = labs.each_mut().map(|lab| packet.run(lab));
            let what = || format!("seed {seed}, step {step}: {packet:02x?}");
            assert_eq!((short.action, short.mark), (long.action, long.mark), "{}", what());
            let [told, expected] = labs.each_mut().map(events);
            assert_eq!(told, expected, "{}", what());
            passed += u32::from(short.passed());
            // What passes and is told of nobody was established, or nothing to tell.
            short_cuts += u32::from(short.passed() && told.is_empty());
            if step % 16 == 0 {
                let [short, long] = labs.each_mut().map(flows);
                assert_eq!(short, long, "{}", what());
            }
        }
        let [short, long] = labs.each_mut().map(|lab| (flows(lab), lab.counters()));
        assert_eq!(short, long, "seed {seed}");
        // The comparison is worth something only if there was something to compare.
        assert!(passed > STEPS / 10 && passed < STEPS * 9 / 10, "{passed} of {STEPS} passed");
        assert!(short_cuts > STEPS / 20, "{short_cuts} of {STEPS} belonged to flows");
    }
}

fn both(labs: &mut [Lab; 2], act: impl Fn(&mut Lab)) {
    for lab in labs {
        act(lab);
    }
}

/// Rules for some ports, and timeouts of which each has its own length.
fn prepare(lab: &mut Lab) {
    let config = &mut lab.config;
    config.event_limit = 0;
    config.tcp_fin = AGE + AGE / 2;
    config.tcp_syn = 2 * AGE + AGE / 2;
    config.udp = 3 * AGE + AGE / 2;
    config.icmp = AGE / 2;
    config.tcp_established = 5 * AGE + AGE / 2;
    config.other = 4 * AGE + AGE / 2;
    config.overlay_ports = [PORTS[3], 0, 0, 0];
    lab.configure();
    lab.identity(OTHER, 100);
    lab.identity(OTHER6, 100);
    lab.block("192.0.2.0", 24, 200);
    lab.block("2001:db8::", 32, 200);
    for set in [INGRESS, EGRESS] {
        for (identity, protocol, port) in
            [(100, TCP, PORTS[0]), (100, UDP, PORTS[0]), (200, TCP, PORTS[1]), (ANY, UDP, PORTS[2])]
        {
            for prefix in port_prefixes(port, port) {
                lab.allow(PolicyPrefix::ports(set, identity, protocol, prefix));
            }
        }
    }
    lab.isolate(INGRESS, EGRESS);
}

const PORTS: [u16; 4] = [80, 443, 53, 8472];

/// Flows without their time, but with how old they are.
fn flows(lab: &mut Lab) -> Vec<String> {
    lab.flows()
        .into_iter()
        .map(|(key, flow, age)| format!("{key:?} {flow:?} {}", (age + AGE as i32 / 2) / AGE as i32))
        .collect()
}

fn events(lab: &mut Lab) -> Vec<Event> {
    lab.events().into_iter().map(|event| Event { time: 0, ..event }).collect()
}

/// What happens besides packets.
#[derive(Clone, Copy, Debug)]
enum Change {
    Epoch,
    Sets(u32, u32),
    Audit(bool),
    Generation(u32),
    Settings(u32),
    Age(u32),
    Links,
}

impl Change {
    fn any(random: &mut Random) -> Self {
        match random.below(10) {
            0..=2 => Self::Epoch,
            3 => Self::Sets(
                random.of(&[SET_NONE, INGRESS, INGRESS, SET_CLOSED]),
                random.of(&[SET_NONE, EGRESS, EGRESS, SET_CLOSED]),
            ),
            4 => Self::Audit(random.one_in(3)),
            5 => Self::Generation(1005 + random.below(2)),
            6 => Self::Settings(random.of(&[EVENTS_ALLOWED, 0])),
            7 | 8 => Self::Age(AGE * (1 + random.below(3))),
            _ => Self::Links,
        }
    }

    fn make(self, lab: &mut Lab) {
        match self {
            Self::Epoch => lab.next_epoch(),
            Self::Sets(ingress, egress) => {
                lab.isolate(ingress, egress);
                lab.next_epoch();
            }
            Self::Audit(audited) => {
                lab.flags = if audited { AUDIT } else { 0 };
                lab.isolate(INGRESS, EGRESS);
                lab.next_epoch();
            }
            Self::Generation(generation) => lab.isolate_as(generation, INGRESS, EGRESS),
            Self::Settings(flags) => {
                lab.config.flags = flags;
                lab.configure();
            }
            Self::Age(ticks) => lab.age_flows(ticks),
            Self::Links => lab.link_flows(OTHER, PORTS[0]),
        }
    }
}

/// A packet, where it is seen, and with which mark.
#[derive(Debug)]
struct Packet {
    program: &'static str,
    bytes: Vec<u8>,
    mark: u32,
    ingress_ifindex: u32,
}

impl Packet {
    fn any(random: &mut Random) -> Self {
        let outward = random.one_in(2);
        let v6 = random.one_in(3);
        let pod = match random.below(16) {
            0 if v6 => OTHER6,
            0 => OTHER,
            _ if v6 => POD6,
            _ => POD,
        };
        let peer = if v6 {
            random.of(&[OTHER6, OTHER6, REMOTE6, REMOTE6, NODE6, POD6])
        } else {
            random.of(&[OTHER, OTHER, OTHER, REMOTE, REMOTE, SERVICE, NODE, POD])
        };
        // Either side may be the one with the known port. Few of the others, so that packets meet in flows.
        let (known, other) = (random.of(&PORTS), 40_000 + random.below(2) as u16);
        let (pod_port, peer_port) = if random.one_in(2) { (known, other) } else { (other, known) };
        let (source, destination) = if outward { (pod, peer) } else { (peer, pod) };
        let (source_port, destination_port) =
            if outward { (pod_port, peer_port) } else { (peer_port, pod_port) };
        let (protocol, payload) = if random.one_in(3) {
            (UDP, udp_header(source_port, destination_port))
        } else {
            let flags =
                random.of(&[SYN, SYN | ACK, ACK, ACK, ACK, FIN | ACK, RST, RST | ACK, FIN, SYN | FIN]);
            (TCP, tcp_header(source_port, destination_port, flags))
        };
        let mut bytes = match random.below(24) {
            0 if !v6 => {
                let mut header = V4::new(source, destination, protocol);
                // Options that look like the ports of a flow.
                header.options = payload[..4].to_vec();
                header.frame(&payload)
            }
            0 => V6::new(source, destination).fragment(0, 7).frame(protocol, &payload),
            1 => echo(source, destination, if v6 { 128 } else { 8 }, 5),
            _ => ip(source, destination, protocol, &payload),
        };
        match random.below(32) {
            // Padding, a tail that is missing, a bit that is wrong.
            0 => bytes.extend([0; 8]),
            1 => {
                // The kernel makes no packets that are shorter than their network header.
                let least = if v6 { 54 } else { 34 };
                bytes.truncate(least + random.below(bytes.len() as u32 - least as u32) as usize);
            }
            2 => {
                let at = 6 + random.below(bytes.len() as u32 - 6) as usize;
                bytes[at] ^= 1 << random.below(8);
            }
            _ => {}
        }
        let marks = [0, 0, 0, forwarded(OTHER_SLOT), forwarded(SLOT), forwarded(OTHER_SLOT) | DEFER];
        Self {
            program: if outward { programs::POD_INGRESS } else { programs::POD_EGRESS },
            bytes,
            mark: if outward { 0x4000 } else { 0x8000 | marked(random.of(&marks)) },
            ingress_ifindex: if outward { 1 } else { random.of(&[UPLINK, UPLINK, 0]) },
        }
    }

    fn run(&self, lab: &mut Lab) -> Outcome {
        let surroundings = Surroundings {
            mark: self.mark,
            ingress_ifindex: self.ingress_ifindex,
            ..Surroundings::default()
        };
        lab.run(self.program, &self.bytes, surroundings)
    }
}

/// Numbers in an order without order, the same each time.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u32) -> u32 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((bits ^ (bits >> 31)) % u64::from(limit)) as u32
    }

    fn one_in(&mut self, count: u32) -> bool {
        self.below(count) == 0
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u32) as usize]
    }
}
