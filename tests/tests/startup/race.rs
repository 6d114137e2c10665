//! A new pod is flooded, and floods, from the first moment.

use std::io::Write as _;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};
use std::{env, thread};

use netpol_tests::cni::{FIRST, Sandbox};
use netpol_tests::lab::address::{self, Family, Pair};
use netpol_tests::lab::netns::NetNs;

use super::{Started, coming, deny, skip};
use crate::common::{CONVERGENCE, eventually};

/// Where the peer listens.
const PEER: u16 = 9001;
/// Where the namespace of the new pod listens before the network plugins have run: no container does that.
const EARLY: u16 = 9000;
/// Where a container of the pod listens, as soon as it may run.
const LATE: u16 = 9002;
/// How many datagrams each side sends each way once the pod runs.
const FLOOD: u64 = 1_000;

/// How many pods start; many with `NETPOL_STARTS`.
fn starts() -> u8 {
    env::var("NETPOL_STARTS").ok().and_then(|number| number.parse().ok()).unwrap_or(8).min(100)
}

#[test]
fn no_packet_passes_before_policy() {
    if skip("the start-up race") {
        return;
    }
    // A policy that isolates, and the label of a namespace that has no policy at all.
    for (plugin, isolation) in [
        ("bridge", deny("closed").replace("metadata: {", "metadata: {namespace: racers, ")),
        ("ptp", label("all")),
    ] {
        let names = (0..starts()).map(|number| format!("racer-{number}")).collect::<Vec<_>>();
        let pods = names.iter().map(|name| (name.as_str(), "closed")).collect::<Vec<_>>();
        let mut started = Started::new(plugin, "1.0.0", &(racers(&pods) + &isolation));
        started.chain(10.0, "fail");
        started.enforced.start_agents();
        started.enforced.wait_until_programmed();
        let mut early = Counts::default();
        let mut times = Vec::new();
        for (number, name) in (FIRST..).zip(&names) {
            let race = Race::run(&started, &format!("racers/{name}"), number);
            assert_eq!(
                race.late,
                Counts::default(),
                "{name} by {plugin}: packets passed{}",
                started.enforced.explain()
            );
            early.add(&race.early);
            times.push(race.took);
            if *name == names[names.len() - 1] {
                race.opens_with_the_policy(&mut started);
            }
        }
        times.sort();
        let waited = waited(&started);
        let _ = writeln!(
            std::io::stderr(),
            "start-up race by {plugin}: {} pods, at least {} datagrams each way per pod: 0 passed from the moment a container could run; before \
             that, in the namespace without containers: {} in, {} out; ADD of all plugins took {:.1} ms, of which the agent {:.1} ms (medians)",
            times.len(),
            FLOOD,
            early.received,
            early.sent,
            times[times.len() / 2].as_secs_f64() * 1e3,
            waited[waited.len() / 2] / 1e3,
        );
    }
}

/// The namespace `racers` with the label that isolates.
fn label(value: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Namespace\nmetadata: {{name: racers, labels: {{netpol.dev/default-deny: {value}}}}}\n---\n"
    )
}

/// Pods of the namespace `racers`.
fn racers(pods: &[(&str, &str)]) -> String {
    coming(pods).replace("metadata: {name: ", "metadata: {namespace: racers, name: ")
}

/// How long the pods waited for the agent, in microseconds: what it says itself.
fn waited(started: &Started) -> Vec<f64> {
    let log = std::fs::read_to_string(&started.enforced.agents[0].log).unwrap();
    let attached = log.lines().filter(|line| line.contains("pod attached"));
    let mut times: Vec<f64> =
        attached.map(|line| line.split_once("microseconds=").unwrap().1.trim().parse().unwrap()).collect();
    times.sort_by(f64::total_cmp);
    times
}

/// What got through.
#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    /// To the pod.
    received: u64,
    /// From the pod.
    sent: u64,
}

impl Counts {
    fn add(&mut self, other: &Self) {
        self.received += other.received;
        self.sent += other.sent;
    }
}

/// A start of a pod.
struct Race {
    early: Counts,
    late: Counts,
    took: Duration,
    namespace: NetNs,
    peer: [UdpSocket; 2],
    address: Pair,
}

impl Race {
    fn run(started: &Started, pod: &str, number: u8) -> Self {
        let address = address::pod(0, number);
        let namespace = NetNs::new(pod).unwrap();
        let container = pod.replace('/', "-");
        let sandbox = Sandbox { container: &container, pod: Some(pod), namespace: &namespace };
        let lab = &started.enforced.running.lab;
        let other = &lab.pods["default/peer"];
        let peer = sockets(&other.namespace, Some(other.address), PEER);
        let (in_peer, added) = (Counter::default(), AtomicBool::new(false));
        let (over, ended) = (AtomicBool::new(false), AtomicBool::new(false));
        let flags = [&added, &over, &ended];
        let (early, late) = (Counter::default(), Counter::default());
        let (early_in, late_in, took) = thread::scope(|scope| {
            let _ends = Ends(flags);
            scope.spawn(|| flood(&peer, address, &[EARLY, LATE], &in_peer, &over));
            let inside = sockets(&namespace, None, EARLY);
            let first = scope.spawn({
                let (early, added) = (&early, &added);
                let to = other.address;
                move || {
                    flood(&inside, to, &[PEER], early, added);
                    early.received()
                }
            });
            let since = Instant::now();
            let result = started.add(sandbox);
            let took = since.elapsed();
            added.store(true, Relaxed);
            let early_in = first.join().unwrap();
            result.unwrap_or_else(|error| panic!("{error:#}{}", started.enforced.explain()));
            // Now a container would start.
            let inside = sockets(&namespace, Some(address), LATE);
            let container = scope.spawn({
                let (late, ended) = (&late, &ended);
                let to = other.address;
                move || {
                    flood(&inside, to, &[PEER], late, ended);
                    late.received()
                }
            });
            let before = in_peer.attempts.load(Relaxed);
            eventually("the flood is over", CONVERGENCE, || {
                in_peer.attempts.load(Relaxed) > before + 4 * FLOOD && late.attempts.load(Relaxed) > 2 * FLOOD
            });
            ended.store(true, Relaxed);
            let late_in = container.join().unwrap();
            over.store(true, Relaxed);
            (early_in, late_in, took)
        });
        let early = Counts { received: early_in, sent: in_peer.from(EARLY) };
        let late = Counts { received: late_in, sent: in_peer.from(LATE) };
        Self { early, late, took, namespace, peer, address }
    }

    /// The same sockets, without the policy: otherwise nothing would have been shown.
    fn opens_with_the_policy(&self, started: &mut Started) {
        started.enforced.edit(&[(
            "start.yaml",
            &(label("none") + &racers(&[(self.namespace.name().trim_start_matches("racers/"), "open")])),
        )]);
        let inside = sockets(&self.namespace, Some(self.address), LATE);
        for (family, (peer, inside)) in Family::BOTH.into_iter().zip(self.peer.iter().zip(&inside)) {
            let there = SocketAddr::new(self.address.of(family), LATE);
            eventually("the flood arrives without the policy", CONVERGENCE, || {
                let _ = peer.send_to(b"x", there);
                inside.recv_from(&mut [0; 8]).is_ok()
            });
        }
    }
}

/// Ends the threads when a check fails: their scope waits for them.
struct Ends<'f>([&'f AtomicBool; 3]);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.iter().for_each(|flag| flag.store(true, Relaxed));
    }
}

/// What a flooding thread counts.
#[derive(Default)]
struct Counter {
    attempts: AtomicU64,
    from_early: AtomicU64,
    from_late: AtomicU64,
    from_peer: AtomicU64,
}

impl Counter {
    fn from(&self, port: u16) -> u64 {
        let counter = if port == EARLY { &self.from_early } else { &self.from_late };
        counter.load(Relaxed)
    }

    fn received(&self) -> u64 {
        self.from_peer.load(Relaxed)
    }
}

/// One socket per family that does not block.
fn sockets(namespace: &NetNs, address: Option<Pair>, port: u16) -> [UdpSocket; 2] {
    let any: [std::net::IpAddr; 2] =
        [std::net::Ipv4Addr::UNSPECIFIED.into(), std::net::Ipv6Addr::UNSPECIFIED.into()];
    let [v4, v6] = address.map_or(any, Pair::both);
    namespace.run(|| {
        [v4, v6].map(|address| {
            let kind = if address.is_ipv4() { socket2::Domain::IPV4 } else { socket2::Domain::IPV6 };
            let socket = socket2::Socket::new(kind, socket2::Type::DGRAM, None).unwrap();
            socket.set_reuse_address(true).unwrap();
            if address.is_ipv6() {
                socket.set_only_v6(true).unwrap();
            }
            socket.set_nonblocking(true).unwrap();
            socket.bind(&SocketAddr::new(address, port).into()).unwrap();
            UdpSocket::from(socket)
        })
    })
}

/// Sends as fast as it can and takes in what comes until told to end.
fn flood(sockets: &[UdpSocket; 2], to: Pair, ports: &[u16], counter: &Counter, end: &AtomicBool) {
    loop {
        let last = end.load(Relaxed);
        for (family, socket) in Family::BOTH.into_iter().zip(sockets) {
            for port in ports {
                // Fails as long as there is no way there.
                let _ = socket.send_to(b"x", SocketAddr::new(to.of(family), *port));
                counter.attempts.fetch_add(1, Relaxed);
            }
            while let Ok((_, from)) = socket.recv_from(&mut [0; 8]) {
                let counted = match from.port() {
                    EARLY => &counter.from_early,
                    LATE => &counter.from_late,
                    _ => &counter.from_peer,
                };
                counted.fetch_add(1, Relaxed);
            }
        }
        if last {
            return;
        }
        thread::yield_now();
    }
}
