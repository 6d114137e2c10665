//! The programs' time per packet, by `BPF_PROG_TEST_RUN`, next to yardsticks of the same run: an empty program and single operations on
//! maps (`ebpf/src/bin/yardsticks.rs`).
//!
//! All packets are TCP over IPv4 to an isolated pod. What changes nothing is run again and again; what does is run once for
//! each of many packets with other sources, with whatever the caches hold then, and so are its yardsticks.
//! `NETPOL_BENCH_OBJECTS` names a folder with other objects (`netpol-ebpf`, `yardsticks`) to measure.

mod frame;
mod object;
mod world;
mod yards;

use std::time::Duration;

use anyhow::Result;
use aya::programs::SchedClassifier;
use netpol_enforcer::preflight;
use netpol_enforcer::test_run::{self, Surroundings};

use crate::frame::{ACK, SYN, tcp};
use crate::world::{PEER, PORT, Size, World};
use crate::yards::Yards;

/// The loopback link: the one that exists in every network namespace.
const LINK: u32 = 1;
/// Runs within one call, for packets that change nothing.
const REPEAT: u32 = 100_000;
/// Calls with another packet each.
const PACKETS: u32 = 20_000;
/// How often everything is measured, in turn.
const ROUNDS: usize = 7;

const SMALL: Size = Size { pods: 100, policies: 10 };
const LARGE: Size = Size { pods: 100_000, policies: 10_000 };

fn main() -> Result<()> {
    if let Err(missing) = preflight::check() {
        println!("Data path: skipped, {missing}.");
        return Ok(());
    }
    let small = measure(SMALL)?;
    let large = measure(LARGE)?;

    println!("Data path: nanoseconds per packet, medians of {ROUNDS} rounds\n");
    println!("One packet again and again ({} pods, {} policies):\n", LARGE.pods, LARGE.policies);
    println!("| what | time | yardstick | ratio | goal |\n|---|---:|---:|---:|---:|");
    row("an empty program", large.empty, None, "");
    row("one look-up of the flow in an LRU hash, and the clock", large.flow, None, "");
    row("leaves through an uplink, nothing deferred", large.passing, None, "");
    row("to the pod, established", large.established, Some(large.flow), "≤ 1.50");
    row("from the pod, established", large.established_out, Some(large.flow), "≤ 1.50");

    for (size, found) in [(SMALL, &small), (LARGE, &large)] {
        println!(
            "\nAnother source each time ({} pods, {} policies), cold caches and the call's own cost included:\n",
            size.pods, size.policies
        );
        println!("| what | time | yardstick | ratio | goal |\n|---|---:|---:|---:|---:|");
        row("an empty program", found.once.empty, None, "");
        row("a look-up in a hash of all pods", found.once.hash, None, "");
        row("a look-up in a trie of all policies", found.once.trie, None, "");
        row("a look-up in an LRU hash that finds nothing", found.once.miss, None, "");
        row("the same, and a new entry", found.once.insert, None, "");
        row("allowed, a new flow: identity, policy, new entry", found.new, Some(found.new_sum()), "≤ 1.30");
        row("denied, a pod: identity, policy twice", found.denied, Some(found.denied_sum()), "≤ 1.30");
        row(
            "denied, a stranger: identity, trie, policy",
            found.stranger,
            Some(found.stranger_sum()),
            "≤ 1.30",
        );
    }
    println!(
        "\nGrowth from {} pods and {} policies to {} and {}:\n",
        SMALL.pods, SMALL.policies, LARGE.pods, LARGE.policies
    );
    println!("| what | growth | its look-ups grow | ratio | goal |\n|---|---:|---:|---:|---:|");
    growth("established", [small.established, large.established], [small.flow, large.flow]);
    growth("allowed, a new flow", [small.new, large.new], [small.new_sum(), large.new_sum()]);
    growth("denied, a pod", [small.denied, large.denied], [small.denied_sum(), large.denied_sum()]);
    growth(
        "denied, a stranger",
        [small.stranger, large.stranger],
        [small.stranger_sum(), large.stranger_sum()],
    );
    Ok(())
}

/// What was measured in a world of one size.
struct Found {
    empty: Duration,
    flow: Duration,
    passing: Duration,
    established: Duration,
    established_out: Duration,
    once: Once,
    new: Duration,
    denied: Duration,
    stranger: Duration,
}

/// The yardsticks for packets that are run once each.
struct Once {
    empty: Duration,
    miss: Duration,
    insert: Duration,
    hash: Duration,
    trie: Duration,
}

impl Found {
    /// The time of an empty program and these operations.
    fn sum(&self, operations: &[Duration]) -> Duration {
        operations.iter().fold(self.once.empty, |sum, one| sum + one.saturating_sub(self.once.empty))
    }

    fn new_sum(&self) -> Duration {
        self.sum(&[self.once.insert, self.once.hash, self.once.trie])
    }

    fn denied_sum(&self) -> Duration {
        self.sum(&[self.once.miss, self.once.hash, self.once.trie, self.once.trie])
    }

    fn stranger_sum(&self) -> Duration {
        self.sum(&[self.once.miss, self.once.hash, self.once.trie, self.once.trie])
    }
}

fn measure(size: Size) -> Result<Found> {
    let mut world = World::new(size)?;
    let mut yards = Yards::new(size)?;
    // The flow that will be the established one, in both directions.
    let opening = tcp(PEER, 40_000, PORT, SYN);
    anyhow::ensure!(
        test_run::run(world.towards_pod()?, &opening, surroundings(), 1)?.passed(),
        "the allowed connection must be let in"
    );
    let denied = test_run::run(world.towards_pod()?, &tcp(PEER, 40_000, PORT + 1, SYN), surroundings(), 1)?;
    anyhow::ensure!(!denied.passed(), "another port must be closed");

    let mut rounds: [Vec<Duration>; 13] = Default::default();
    for round in 0..ROUNDS as u32 {
        let pods = Sources { size, round, pods: true };
        let policies = Sources { size: Size { pods: size.policies, ..size }, round, pods: true };
        let strangers = Sources { size, round, pods: false };
        let within = tcp(PEER, 40_000, PORT, ACK);
        let reply = frame::reply(PEER, 40_000, PORT, ACK);
        let found = [
            repeated(yards.program("yard_empty")?, &within)?,
            repeated(yards.program("yard_flow")?, &within)?,
            repeated(world.uplink()?, &within)?,
            repeated(world.towards_pod()?, &within)?,
            repeated(world.out_of_pod()?, &reply)?,
            once(yards.program("yard_empty")?, &pods, PORT)?,
            once(yards.program("yard_miss")?, &pods, PORT)?,
            once(yards.program("yard_insert")?, &pods, PORT)?,
            once(yards.program("yard_hash")?, &pods, PORT)?,
            once(yards.program("yard_trie")?, &policies, PORT)?,
            once(world.towards_pod()?, &pods, PORT)?,
            once(world.towards_pod()?, &pods, PORT + 1)?,
            once(world.towards_pod()?, &strangers, PORT)?,
        ];
        for (all, one) in rounds.iter_mut().zip(found) {
            all.push(one);
        }
    }
    let [
        empty,
        flow,
        passing,
        established,
        established_out,
        empty_once,
        miss,
        insert,
        hash,
        trie,
        new,
        denied,
        stranger,
    ] = rounds.map(median);
    Ok(Found {
        empty,
        flow,
        passing,
        established,
        established_out,
        once: Once { empty: empty_once, miss, insert, hash, trie },
        new,
        denied,
        stranger,
    })
}

/// Sources of packets in an order without order.
struct Sources {
    size: Size,
    round: u32,
    pods: bool,
}

impl Sources {
    fn packet(&self, index: u32, port: u16) -> Vec<u8> {
        let number = index.wrapping_add(self.round * PACKETS).wrapping_mul(2_654_435_761) % self.size.pods;
        let source = if self.pods { world::pod(number) } else { world::stranger(number) };
        // A flow of its own each time.
        let source_port = 1024 + ((index + self.round * PACKETS) % 60_000) as u16;
        tcp(source, source_port, port, SYN)
    }
}

/// The mean of many runs of one packet.
fn repeated(program: &SchedClassifier, packet: &[u8]) -> Result<Duration> {
    test_run::run(program, packet, surroundings(), REPEAT / 10)?;
    Ok(test_run::run(program, packet, surroundings(), REPEAT)?.duration)
}

/// The median of runs of one packet each.
fn once(program: &SchedClassifier, sources: &Sources, port: u16) -> Result<Duration> {
    let times = (0..PACKETS)
        .map(|index| Ok(test_run::run(program, &sources.packet(index, port), surroundings(), 1)?.duration));
    Ok(median(times.collect::<Result<_>>()?))
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn row(what: &str, time: Duration, yardstick: Option<Duration>, goal: &str) {
    let (yard, ratio) = yardstick.map_or_else(Default::default, |yard| {
        (yard.as_nanos().to_string(), format!("{:.2}", time.as_secs_f64() / yard.as_secs_f64()))
    });
    println!("| {what} | {} | {yard} | {ratio} | {goal} |", time.as_nanos());
}

fn growth(what: &str, ours: [Duration; 2], yard: [Duration; 2]) {
    let [ours, yard] = [ours, yard].map(|[small, large]| large.as_secs_f64() / small.as_secs_f64());
    println!("| {what} | {ours:.2} | {yard:.2} | {:.2} | ≤ 1.00 |", ours / yard);
}

fn surroundings() -> Surroundings {
    Surroundings { ifindex: LINK, ingress_ifindex: LINK, ..Surroundings::default() }
}
