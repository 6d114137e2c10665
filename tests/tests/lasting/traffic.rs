//! Traffic whose every packet is accounted for.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use netpol_tests::lab::address::Family;
use netpol_tests::lab::netns::NetNs;

use crate::common::{CONVERGENCE, Enforced, look_again};

const STREAM: u16 = 5_000;
const STREAM_BY_SERVICE: u16 = 5_004;
const ECHO: u16 = 5_001;
const BYTES: u16 = 5_002;
const SINK: u16 = 5_003;

/// `client` may open flows to `server` and to nothing else, and nobody to it; `server` accepts `client` only and opens nothing itself.
pub(super) const PODS: &str = r"
apiVersion: v1
kind: Pod
metadata: {name: client, labels: {role: client}}
spec: {containers: [{name: c, image: client}]}
---
apiVersion: v1
kind: Pod
metadata: {name: server, labels: {role: server}}
spec: {containers: [{name: c, image: server}]}
---
apiVersion: v1
kind: Pod
metadata: {name: denied, labels: {role: denied}}
spec: {containers: [{name: c, image: denied}]}
---
apiVersion: v1
kind: Service
metadata: {name: server}
spec: {selector: {role: server}, ports: [{port: 5004, protocol: UDP}, {port: 5002, protocol: TCP}]}
";

pub(super) const POLICIES: &str = r"
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: client}
spec: {podSelector: {matchLabels: {role: client}}, policyTypes: [Ingress, Egress], egress: [{to: [{podSelector: {matchLabels: {role: server}}}]}]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: server}
spec: {podSelector: {matchLabels: {role: server}}, policyTypes: [Ingress, Egress], ingress: [{from: [{podSelector: {matchLabels: {role: client}}}]}]}
";

/// One at a time: two of them keep a small machine so busy that the kernel's own threads get no turn for a minute, and programs that wait
/// for them neither.
static TURN: Mutex<()> = Mutex::new(());

/// Flows that run.
pub(super) struct Traffic {
    counts: Arc<Counts>,
    end: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
    _turn: MutexGuard<'static, ()>,
}

/// What is counted, over all flows.
#[derive(Debug, Default)]
struct Counts {
    /// Datagrams of servers to a client that asked once and then is silent.
    streamed: AtomicU64,
    stream_lost: AtomicU64,
    /// Datagrams there and back, one after another.
    echoed: AtomicU64,
    echo_lost: AtomicU64,
    /// Blocks there and back by TCP, every byte of them compared.
    blocks: AtomicU64,
    broken: AtomicU64,
    /// Denied datagrams that were sent, and that arrived.
    denied: AtomicU64,
    passed: AtomicU64,
    /// The longest time without any progress of a TCP connection, in microseconds.
    pause: AtomicU64,
}

/// The counts at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Count {
    pub(super) streamed: u64,
    pub(super) echoed: u64,
    pub(super) blocks: u64,
    pub(super) denied: u64,
    pub(super) lost: u64,
    pub(super) broken: u64,
    pub(super) passed: u64,
    pub(super) pause: Duration,
}

impl Traffic {
    /// Starts it. All that is allowed flows when this returns.
    pub(super) fn start(enforced: &Enforced) -> Self {
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let (counts, end) = (Arc::<Counts>::default(), Arc::<AtomicBool>::default());
        let mut traffic = Self { counts, end, threads: Vec::new(), _turn: turn };
        let pods = &enforced.running.lab.pods;
        let [client, server, denied] =
            ["client", "server", "denied"].map(|name| &pods[&format!("default/{name}")]);
        let service = enforced.running.service_address("default/server");
        for family in Family::BOTH {
            let address = server.address.of(family);
            for to in [address, service.of(family)] {
                traffic.stream(&client.namespace, client.address.of(family), &server.namespace, address, to);
                traffic.bytes(&client.namespace, &server.namespace, address, to);
            }
            traffic.echo(&client.namespace, client.address.of(family), &server.namespace, address);
            // Neither may these open a flow to those.
            let from_denied = (&denied.namespace, denied.address.of(family));
            let from_server = (&server.namespace, address);
            for ((from, source), (to, target)) in [
                (from_denied, (&server.namespace, address)),
                (from_denied, (&client.namespace, client.address.of(family))),
                (from_server, (&denied.namespace, denied.address.of(family))),
                (from_server, (&client.namespace, client.address.of(family))),
            ] {
                traffic.denied(from, source, to, target);
            }
        }
        let before = traffic.count();
        traffic.flows_on(before, enforced);
        traffic
    }

    pub(super) fn count(&self) -> Count {
        let of = |counter: &AtomicU64| counter.load(Relaxed);
        let counts = &self.counts;
        Count {
            streamed: of(&counts.streamed),
            echoed: of(&counts.echoed),
            blocks: of(&counts.blocks),
            denied: of(&counts.denied),
            lost: of(&counts.stream_lost) + of(&counts.echo_lost),
            broken: of(&counts.broken),
            passed: of(&counts.passed),
            pause: Duration::from_micros(of(&counts.pause)),
        }
    }

    /// Waits until much more of everything has gone through, and checks that nothing was lost and nothing passed.
    #[track_caller]
    pub(super) fn flows_on(&self, before: Count, enforced: &Enforced) -> Count {
        let deadline = Instant::now() + CONVERGENCE;
        loop {
            let now = self.count();
            let wrong = (now.lost, now.broken, now.passed);
            assert_eq!(wrong, (0, 0, 0), "lost, broken, passed: {now:?}{}", enforced.explain());
            if now.streamed > before.streamed + 400
                && now.echoed > before.echoed + 100
                && now.blocks > before.blocks + 200
                && now.denied > before.denied + 800
            {
                return now;
            }
            assert!(Instant::now() < deadline, "no more progress: {before:?}, {now:?}{}", enforced.explain());
            look_again();
        }
    }

    /// Waits until much more has gone through TCP connections and was denied.
    #[track_caller]
    pub(super) fn connections_go_on(&self, enforced: &Enforced) -> Count {
        let before = self.count();
        let deadline = Instant::now() + CONVERGENCE;
        loop {
            let now = self.count();
            if now.blocks > before.blocks + 400 && now.denied > before.denied + 800 {
                return now;
            }
            assert!(Instant::now() < deadline, "no more progress: {before:?}, {now:?}{}", enforced.explain());
            look_again();
        }
    }

    /// Ends it.
    pub(super) fn stop(mut self) -> Count {
        self.end.store(true, Relaxed);
        let count = self.count();
        for thread in std::mem::take(&mut self.threads) {
            thread.join().expect("its threads do not panic");
        }
        count
    }

    fn spawn(&mut self, work: impl FnOnce(&Counts, &AtomicBool) + Send + 'static) {
        let (counts, end) = (Arc::clone(&self.counts), Arc::clone(&self.end));
        self.threads.push(thread::spawn(move || work(&counts, &end)));
    }

    /// The client asks once; the server, which may open nothing, numbers what it sends from then on.
    fn stream(&mut self, client: &NetNs, own: IpAddr, server: &NetNs, address: IpAddr, to: IpAddr) {
        let port = if to == address { STREAM } else { STREAM_BY_SERVICE };
        let listener = shared(server, SocketAddr::new(address, port));
        let asking = shared(client, SocketAddr::new(own, 0));
        asking.connect(SocketAddr::new(to, port)).expect("a route");
        let peer = ask(&asking, &listener);
        self.spawn(move |_, end| {
            let mut number = 0_u64;
            while !end.load(Relaxed) {
                if listener.send_to(&number.to_be_bytes(), peer).is_ok() {
                    number += 1;
                }
                thread::sleep(Duration::from_millis(2));
            }
        });
        self.spawn(move |counts, end| {
            let (mut expected, mut bytes) = (0, [0; 8]);
            while !end.load(Relaxed) {
                if let Ok(8) = asking.recv(&mut bytes) {
                    let number = u64::from_be_bytes(bytes);
                    counts.stream_lost.fetch_add(number.abs_diff(expected), Relaxed);
                    counts.streamed.fetch_add(1, Relaxed);
                    expected = number + 1;
                }
            }
        });
    }

    /// One datagram there and back, then the next one.
    fn echo(&mut self, client: &NetNs, own: IpAddr, server: &NetNs, address: IpAddr) {
        let listener = shared(server, SocketAddr::new(address, ECHO));
        let asking = shared(client, SocketAddr::new(own, 0));
        asking.connect(SocketAddr::new(address, ECHO)).expect("a route");
        self.spawn(move |_, end| {
            let mut bytes = [0; 8];
            while !end.load(Relaxed) {
                if let Ok((length, from)) = listener.recv_from(&mut bytes) {
                    let _ = listener.send_to(&bytes[..length], from);
                }
            }
        });
        self.spawn(move |counts, end| {
            asking.set_read_timeout(Some(Duration::from_secs(2))).expect("a timeout");
            for number in 0_u64.. {
                if end.load(Relaxed) {
                    return;
                }
                let _ = asking.send(&number.to_be_bytes());
                let mut bytes = [0; 8];
                let came = asking.recv(&mut bytes).is_ok_and(|_| u64::from_be_bytes(bytes) == number);
                if came || end.load(Relaxed) {
                    counts.echoed.fetch_add(1, Relaxed);
                } else {
                    counts.echo_lost.fetch_add(1, Relaxed);
                }
                thread::sleep(Duration::from_millis(2));
            }
        });
    }

    /// One connection for the whole time; every byte comes back and is compared.
    fn bytes(&mut self, client: &NetNs, server: &NetNs, address: IpAddr, to: IpAddr) {
        let listener = server.run(|| {
            let kind = if address.is_ipv4() { socket2::Domain::IPV4 } else { socket2::Domain::IPV6 };
            let socket = socket2::Socket::new(kind, socket2::Type::STREAM, None).expect("a socket");
            socket.set_reuse_port(true).expect("two listen");
            socket.bind(&SocketAddr::new(address, BYTES).into()).expect("the port is free");
            socket.listen(4).expect("it listens");
            TcpListener::from(socket)
        });
        let connecting = || TcpStream::connect_timeout(&SocketAddr::new(to, BYTES), CONVERGENCE);
        let mut stream = client.run(connecting).expect("the connection is allowed");
        let (mut served, _) = listener.accept().expect("it was connected");
        drop(listener);
        for socket in [&stream, &served] {
            socket.set_nodelay(true).expect("no delay");
            socket.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
        }
        self.spawn(move |_, _| {
            // Until the client closes.
            let _ = io::copy(&mut served.try_clone().expect("another handle"), &mut served);
        });
        self.spawn(move |counts, end| {
            for number in 0_u64.. {
                if end.load(Relaxed) {
                    return;
                }
                let block: Vec<u8> =
                    (0..64).flat_map(|word: u64| (number ^ word << 32).to_be_bytes()).collect();
                let since = Instant::now();
                let mut back = vec![0; block.len()];
                let result = stream.write_all(&block).and_then(|()| stream.read_exact(&mut back));
                let pause = u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX);
                counts.pause.fetch_max(pause, Relaxed);
                if result.is_err() || back != block {
                    counts.broken.fetch_add(1, Relaxed);
                    return;
                }
                counts.blocks.fetch_add(1, Relaxed);
                thread::sleep(Duration::from_millis(2));
            }
        });
    }

    /// Datagrams that are never to arrive.
    fn denied(&mut self, from: &NetNs, source: IpAddr, to: &NetNs, target: IpAddr) {
        let sink = shared(to, SocketAddr::new(target, SINK));
        let sender = shared(from, SocketAddr::new(source, 0));
        self.spawn(move |counts, end| {
            while !end.load(Relaxed) {
                match sink.recv(&mut [0; 8]) {
                    Ok(_) => drop(counts.passed.fetch_add(1, Relaxed)),
                    Err(error) => assert!(matches!(
                        error.kind(),
                        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::ConnectionRefused
                    )),
                }
            }
        });
        self.spawn(move |counts, end| {
            while !end.load(Relaxed) {
                let _ = sender.send_to(b"denied", SocketAddr::new(target, SINK));
                counts.denied.fetch_add(1, Relaxed);
                thread::sleep(Duration::from_millis(1));
            }
        });
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.end.store(true, Relaxed);
    }
}

/// A socket that several may share, with room for a burst.
fn shared(namespace: &NetNs, address: SocketAddr) -> UdpSocket {
    namespace.run(|| {
        let kind = if address.is_ipv4() { socket2::Domain::IPV4 } else { socket2::Domain::IPV6 };
        let socket = socket2::Socket::new(kind, socket2::Type::DGRAM, None).expect("a socket");
        socket.set_reuse_port(true).expect("several share it");
        // As far as it may be raised.
        let _ = socket.set_recv_buffer_size(1 << 22);
        socket.bind(&address.into()).expect("the address is the pod's own");
        let socket = UdpSocket::from(socket);
        socket.set_read_timeout(Some(Duration::from_millis(100))).expect("a timeout");
        socket
    })
}

/// The client asks until the server has heard it; returns who the client is to the server.
fn ask(client: &UdpSocket, server: &UdpSocket) -> SocketAddr {
    let deadline = Instant::now() + CONVERGENCE;
    loop {
        assert!(Instant::now() < deadline, "the server hears nothing");
        client.send(b"go").expect("the question leaves");
        if let Ok((_, from)) = server.recv_from(&mut [0; 8]) {
            return from;
        }
    }
}
