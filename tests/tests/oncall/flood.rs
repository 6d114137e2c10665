//! A flood of denied packets while nobody reads the events.

use std::ffi::OsStr;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use netpol_tests::agent::Agent;
use netpol_tests::lab::address::Family;
use netpol_tests::lab::requirements::skip;
use netpol_tests::programs;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::monitor::Monitor;
use super::{json, three_tier};
use crate::behaviour::revocation::{all_alive, connections};
use crate::common::{CONVERGENCE, Enforced, eventually};

/// More than the buffer of events holds.
const FLOOD: u64 = 30_000;

const ROUNDS: usize = 3;

/// Packets of the frontend to the database's pod that nobody listens for, as fast as they go.
fn flood(enforced: &Enforced, packets: u64) -> Duration {
    let lab = &enforced.running.lab;
    let to = SocketAddr::new(lab.pods["default/db"].address.of(Family::V4), 9);
    lab.pods["default/frontend"].namespace.run(|| {
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        let started = Instant::now();
        for _ in 0..packets {
            socket.send_to(&[0; 32], to).unwrap();
        }
        started.elapsed()
    })
}

/// Packets that were dropped on account of the database's policy, read from the kernel without the agent.
fn dropped(enforced: &Enforced) -> u64 {
    let maps = json(enforced, &["dump", "counters"]);
    let is = |row: &&Value| {
        row["verdict"] == "dropped" && row["direction"] == "ingress" && row["reason"] == "not-allowed"
    };
    maps["counters"].as_array().unwrap().iter().find(is).map_or(0, |row| row["packets"].as_u64().unwrap())
}

fn lost(enforced: &Enforced, cause: &str) -> u64 {
    json(enforced, &["status"])["lost"][cause].as_u64().unwrap()
}

#[test]
fn a_reader_that_stops_holds_up_nobody() {
    if skip("a flood without a reader") {
        return;
    }
    let mut enforced = three_tier();
    enforced.agents.pop().unwrap().stop().unwrap();
    let all: [&OsStr; 2] = ["--event-limit".as_ref(), "0".as_ref()];
    let agent = Agent::start_with(&enforced.running, 0, programs::enforcer().unwrap(), &all).unwrap();
    enforced.agents.push(agent);
    enforced.wait_until_programmed();
    let mut kept = connections(&enforced, "backend");
    all_alive(&mut kept);
    // The neighbours are known, so that every packet goes out.
    let before = dropped(&enforced);
    eventually("the first packet arrives", CONVERGENCE, || {
        flood(&enforced, 1);
        dropped(&enforced) > before
    });

    let agent = Pid::from_raw(enforced.agents[0].pid()).unwrap();
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        let before = dropped(&enforced);
        times[0].push(flood(&enforced, FLOOD));
        assert_eq!(dropped(&enforced) - before, FLOOD, "all are counted while the agent reads");

        kill_process(agent, Signal::STOP).unwrap();
        // Until nothing fits any more; what is measured then is a full buffer.
        flood(&enforced, FLOOD);
        let before = (dropped(&enforced), lost(&enforced, "buffer_full"));
        times[1].push(flood(&enforced, FLOOD));
        assert_eq!(dropped(&enforced) - before.0, FLOOD, "all are counted while nobody reads");
        assert_eq!(lost(&enforced, "buffer_full") - before.1, FLOOD, "all of them are lost");
        // What is allowed goes on as ever, old and new.
        all_alive(&mut kept);
        enforced.expect(&["backend -> db:3306"], &[]);
        kill_process(agent, Signal::CONT).unwrap();
    }
    let [read, unread] = times.map(|mut times| {
        times.sort();
        times[ROUNDS / 2]
    });
    println!(
        "{FLOOD} denied packets, median of {ROUNDS}: {read:?} with a reader, {unread:?} with a full buffer"
    );

    let monitor = Monitor::start(&enforced, "after", &["--to", "default/db"]);
    eventually("events are told again", CONVERGENCE, || {
        flood(&enforced, 1);
        monitor.lines().iter().any(|line| line["destination"]["port"] == 9)
    });
}

#[test]
fn a_flood_is_told_in_part_and_the_monitor_says_so() {
    if skip("a flood and a monitor") {
        return;
    }
    let enforced = three_tier();
    let monitor = Monitor::start(&enforced, "flood", &["--to", "default/db"]);
    eventually("the monitor sees what happens", CONVERGENCE, || {
        flood(&enforced, 1);
        !monitor.lines().is_empty()
    });
    let before = (dropped(&enforced), lost(&enforced, "rate_limited"));
    flood(&enforced, FLOOD);
    assert_eq!(dropped(&enforced) - before.0, FLOOD);
    let limited = lost(&enforced, "rate_limited") - before.1;
    assert!(limited > FLOOD / 2, "{limited} of {FLOOD}");
    eventually("the monitor says that it does not show all", CONVERGENCE, || {
        let lines = monitor.lines();
        let told: u64 = lines.iter().filter_map(|line| line["lost"]["rate_limited"].as_u64()).sum();
        told >= limited
    });
    let shown = monitor.lines().iter().filter(|line| line["verdict"] == "drop").count() as u64;
    assert!(shown < FLOOD / 2, "{shown} of {FLOOD}");
}
