//! How long a change takes: from the write to the last packet that it denies.

use std::io::Write as _;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use netpol_tests::lab::address::Family;
use netpol_tests::lab::requirements::skip;

use super::traffic::{PODS, POLICIES};
use crate::common::{CONVERGENCE, Enforced, eventually, plain};
use crate::kube::InCluster;

const ROUNDS: usize = 8;
const PORT: u16 = 5_000;

#[test]
fn a_flow_that_the_api_server_revokes_ends() {
    let test = "the time from the API to the last denied packet";
    let Some(mut cluster) = InCluster::new(test, plain(), PODS, &[("policies.yaml", POLICIES)]) else {
        return;
    };
    let flow = Flow::start(&cluster.enforced);
    let nothing = POLICIES.replace("role: client", "role: nobody");
    let by_policy = measure(&flow, |allow| {
        cluster.edit(&[("policies.yaml", if allow { POLICIES } else { &nothing })]);
    });
    report("a policy, by the API", by_policy);
    let by_label = measure(&flow, |allow| {
        let mut objects = cluster.enforced.running.cluster.clone();
        let role = if allow { "client" } else { "retired" };
        objects.pods.get_mut("default/client").unwrap().labels.insert("role".into(), role.into());
        cluster.enforced.running.apply(&objects).unwrap();
        cluster.mirror.write(&cluster.server, &cluster.enforced.running).unwrap();
    });
    report("a label, by the API", by_label);
}

#[test]
fn a_flow_that_a_file_revokes_ends() {
    if skip("the time from a file to the last denied packet") {
        return;
    }
    let mut enforced = Enforced::new(plain(), PODS, &[("policies.yaml", POLICIES)]);
    let flow = Flow::start(&enforced);
    let nothing = POLICIES.replace("role: client", "role: nobody");
    let times =
        measure(&flow, |allow| enforced.edit(&[("policies.yaml", if allow { POLICIES } else { &nothing })]));
    report("a policy, by a file", times);
}

fn report(what: &str, mut times: Vec<Duration>) {
    times.sort();
    let [first, .., last] = times[..] else { panic!("several rounds") };
    let _ = writeln!(
        std::io::stderr(),
        "{what}: from the write to the last denied packet {:.1} ms (median of {}; {:.1} to {:.1})",
        times[times.len() / 2].as_secs_f64() * 1e3,
        times.len(),
        first.as_secs_f64() * 1e3,
        last.as_secs_f64() * 1e3,
    );
}

/// Revokes and allows again, several times. A packet that was sent before the write is not denied, whenever it arrives.
fn measure(flow: &Flow, mut write: impl FnMut(bool)) -> Vec<Duration> {
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        eventually("the flow is open", CONVERGENCE, || flow.is_open());
        let written = flow.now();
        write(false);
        eventually("the flow is closed", CONVERGENCE, || !flow.is_open());
        times.push(Duration::from_micros(flow.delivered().saturating_sub(written)));
        write(true);
    }
    times
}

/// Datagrams from `client` to `server`, each with the time at which it was sent.
struct Flow {
    start: Instant,
    sent: Arc<AtomicU64>,
    delivered: Arc<AtomicU64>,
    end: Arc<AtomicBool>,
}

impl Flow {
    fn start(enforced: &Enforced) -> Self {
        let pods = &enforced.running.lab.pods;
        let bind = |name: &str, port| {
            let pod = &pods[name];
            let address = SocketAddr::new(pod.address.of(Family::V4), port);
            pod.namespace.run(|| UdpSocket::bind(address)).unwrap()
        };
        let (client, server) = (bind("default/client", 0), bind("default/server", PORT));
        let flow = Self {
            start: Instant::now(),
            sent: Arc::default(),
            delivered: Arc::default(),
            end: Arc::default(),
        };
        server.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        let to = server.local_addr().unwrap();
        let (start, sent, end) = (flow.start, Arc::clone(&flow.sent), Arc::clone(&flow.end));
        thread::spawn(move || {
            while !end.load(Relaxed) {
                let now = micros(start);
                if client.send_to(&now.to_be_bytes(), to).is_ok() {
                    sent.store(now, Relaxed);
                }
                thread::sleep(Duration::from_micros(200));
            }
        });
        let (delivered, end) = (Arc::clone(&flow.delivered), Arc::clone(&flow.end));
        thread::spawn(move || {
            let mut bytes = [0; 8];
            while !end.load(Relaxed) {
                if server.recv_from(&mut bytes).is_ok() {
                    delivered.fetch_max(u64::from_be_bytes(bytes), Relaxed);
                }
            }
        });
        flow
    }

    fn now(&self) -> u64 {
        micros(self.start)
    }

    /// When the last datagram that arrived was sent.
    fn delivered(&self) -> u64 {
        self.delivered.load(Relaxed)
    }

    /// Whether anything arrives of what is sent from now on, within a while.
    fn is_open(&self) -> bool {
        let (asked, deadline) = (self.now(), Instant::now() + Duration::from_millis(300));
        while Instant::now() < deadline {
            if self.delivered() > asked {
                return true;
            }
            thread::sleep(Duration::from_millis(1));
        }
        // A sender that got no turn has shown nothing.
        self.sent.load(Relaxed) <= asked
    }
}

impl Drop for Flow {
    fn drop(&mut self) {
        self.end.store(true, Relaxed);
    }
}

fn micros(start: Instant) -> u64 {
    u64::try_from(start.elapsed().as_micros()).expect("not for so long")
}
