//! The programs' time per packet, by `BPF_PROG_TEST_RUN`.
//!
//! The baseline is `uplink_egress` on a packet without a deferred mark: it reads the settings and passes, so it is what
//! any program on the hook costs. All packets are TCP over IPv4, from a peer to an isolated pod.

use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use aya::maps::lpm_trie::Key;
use aya::maps::{Array, HashMap, LpmTrie};
use aya::programs::SchedClassifier;
use aya::{Ebpf, EbpfLoader};
use netpol_enforcer::object::OBJECT;
use netpol_enforcer::preflight;
use netpol_enforcer::test_run::{self, Surroundings};
use netpol_enforcer_common::config::{Config, NO_DROP_EVENTS};
use netpol_enforcer_common::endpoint::{Endpoint, Sets};
use netpol_enforcer_common::identity::{BANK_BITS, CidrV4Key, IdentityKey};
use netpol_enforcer_common::policy::{PolicyKey, PolicyPrefix, PolicyValue, port_prefixes};
use netpol_enforcer_common::{Address, FIRST_EPOCH, bank_of, maps, programs};

/// The loopback link: the one that exists in every network namespace.
const LINK: u32 = 1;
const SET: u32 = 1;
const POD: [u8; 4] = [10, 244, 1, 2];
const PEER: [u8; 4] = [10, 244, 2, 3];
const STRANGER: [u8; 4] = [192, 0, 2, 7];
const PORT: u16 = 3306;
/// Runs within one call, for packets that change nothing.
const REPEAT: u32 = 200_000;
/// Calls with a new flow each.
const FLOWS: u16 = 20_000;

fn main() -> Result<()> {
    if let Err(missing) = preflight::check() {
        println!("Data path: skipped, {missing}.");
        return Ok(());
    }
    let mut ebpf = EbpfLoader::new().load(OBJECT).context("cannot load the eBPF object")?;
    fill(&mut ebpf)?;
    for name in [programs::POD_EGRESS, programs::UPLINK_EGRESS] {
        program(&mut ebpf, name)?.load().with_context(|| format!("the kernel refuses {name}"))?;
    }
    let empty = repeated(program(&mut ebpf, programs::UPLINK_EGRESS)?, &tcp(PEER, 40_000, SYN))?;
    let empty_once = fresh(program(&mut ebpf, programs::UPLINK_EGRESS)?, PEER)?;

    let ingress = program(&mut ebpf, programs::POD_EGRESS)?;
    let opening = test_run::run(ingress, &tcp(PEER, 40_000, SYN), surroundings(), 1)?;
    anyhow::ensure!(opening.passed(), "the allowed connection must be let in");
    let established = repeated(ingress, &tcp(PEER, 40_000, ACK))?;
    let new = fresh(ingress, PEER)?;
    let denied = repeated(ingress, &tcp(STRANGER, 40_000, SYN))?;
    anyhow::ensure!(
        !test_run::run(ingress, &tcp(STRANGER, 40_000, SYN), surroundings(), 1)?.passed(),
        "the stranger must be kept out"
    );

    println!("Data path, {REPEAT} runs of one packet\n");
    print(&[
        ("a packet that is none of our business", empty),
        ("established: one look-up of the flow", established),
        ("denied, no entry: identity by trie, policy twice", denied),
    ]);
    println!("\nData path, {FLOWS} packets run once each: cold caches, and the call's own cost included\n");
    print(&[
        ("a packet that is none of our business", median(empty_once)),
        ("allowed, no entry: identity, policy, a new entry", median(new)),
    ]);
    Ok(())
}

/// A table of times and their ratio to the first.
fn print(rows: &[(&str, Duration)]) {
    println!("| what | time | ratio |\n|---|---:|---:|");
    for (what, time) in rows {
        println!("| {what} | {} ns | {:.1} |", time.as_nanos(), time.as_secs_f64() / rows[0].1.as_secs_f64());
    }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// A pod under one set: a peer may reach a port; ten thousand blocks and other peers make the tables realistic.
fn fill(ebpf: &mut Ebpf) -> Result<()> {
    let bank = bank_of(FIRST_EPOCH);
    let config = Config { flags: NO_DROP_EVENTS, ..Config::default() };
    Array::try_from(map(ebpf, maps::CONFIG)?)?.set(0, config, 0)?;
    Array::try_from(map(ebpf, maps::EPOCH)?)?.set(0, FIRST_EPOCH, 0)?;
    let mut sets = [Sets::default(); 2];
    sets[bank as usize].ingress = SET;
    let endpoint = Endpoint {
        generation: 1,
        slot: 1,
        mac: [0; 6],
        sets,
        v4: [u32::from_ne_bytes(POD), 0],
        v6: [Address::NONE; 3],
        flags: 0,
    };
    HashMap::try_from(map(ebpf, maps::ENDPOINTS)?)?.insert(LINK, endpoint, 0)?;

    let mut identities = HashMap::try_from(map(ebpf, maps::IDENTITIES)?)?;
    identities.insert(IdentityKey { bank, address: Address::from_v4(PEER) }, 1, 0)?;
    for index in 0..10_000_u32 {
        let [_, _, c, d] = index.to_be_bytes();
        let address = Address::from_v4([10, 245, c, d]);
        identities.insert(IdentityKey { bank, address }, 2 + index % 50, 0)?;
    }
    let mut blocks = LpmTrie::try_from(map(ebpf, maps::CIDRS_V4)?)?;
    for index in 0..10_000_u32 {
        let [_, _, c, d] = index.to_be_bytes();
        let data = CidrV4Key { bank, address: [172, c, d, 0] };
        blocks.insert(&Key::new(BANK_BITS + 24, data), 60 + index % 50, 0)?;
    }
    let mut policies: LpmTrie<_, PolicyKey, PolicyValue> = LpmTrie::try_from(map(ebpf, maps::POLICIES)?)?;
    for identity in 1..60 {
        for ports in port_prefixes(PORT, PORT).chain(port_prefixes(8000, 8100)) {
            let PolicyPrefix { bits, data } = PolicyPrefix::ports(SET, identity, 6, ports);
            policies.insert(&Key::new(bits, data), PolicyValue { rule: 1 }, 0)?;
        }
    }
    Ok(())
}

/// The mean of many runs of one packet.
fn repeated(program: &SchedClassifier, packet: &[u8]) -> Result<Duration> {
    test_run::run(program, packet, surroundings(), REPEAT / 10)?;
    Ok(test_run::run(program, packet, surroundings(), REPEAT)?.duration)
}

/// The times of packets that each open a connection of their own.
fn fresh(program: &SchedClassifier, source: [u8; 4]) -> Result<Vec<Duration>> {
    (0..FLOWS)
        .map(|index| {
            let packet = tcp(source, 1024 + index, SYN);
            Ok(test_run::run(program, &packet, surroundings(), 1)?.duration)
        })
        .collect()
}

fn surroundings() -> Surroundings {
    Surroundings { ifindex: LINK, ingress_ifindex: LINK, ..Surroundings::default() }
}

fn map<'e>(ebpf: &'e mut Ebpf, name: &str) -> Result<&'e mut aya::maps::Map> {
    ebpf.map_mut(name).ok_or_else(|| anyhow!("the eBPF object has no map {name}"))
}

fn program<'e>(ebpf: &'e mut Ebpf, name: &str) -> Result<&'e mut SchedClassifier> {
    let program = ebpf.program_mut(name).ok_or_else(|| anyhow!("the eBPF object has no program {name}"))?;
    Ok(program.try_into()?)
}

const SYN: u8 = 0x02;
const ACK: u8 = 0x10;

/// A TCP segment without data to the pod, in an Ethernet frame.
fn tcp(source: [u8; 4], source_port: u16, flags: u8) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x08, 0x00];
    frame.extend([0x45, 0, 0, 40, 0, 1, 0, 0, 64, 6, 0, 0]);
    frame.extend(source);
    frame.extend(POD);
    frame.extend(source_port.to_be_bytes());
    frame.extend(PORT.to_be_bytes());
    frame.extend([0, 0, 0, 1, 0, 0, 0, 1, 0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
    frame
}
