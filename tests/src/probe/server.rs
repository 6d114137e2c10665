//! What answers in a pod: a greeting with the pod's name over TCP, an echo over UDP, and SCTP's first answer.

use std::collections::HashMap;
use std::fmt;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use anyhow::{Context as _, Result};
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use socket2::{Domain, Protocol, Socket, Type};

use super::packet::{ABORT, INIT, INIT_ACK, SCTP, Sctp, without_ip_header};
use crate::lab::netns::NetNs;

/// A protocol with ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Transport {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        })
    }
}

/// A port of a protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Port {
    /// The protocol.
    pub transport: Transport,
    /// The number.
    pub number: u16,
}

impl Port {
    /// A TCP port.
    #[must_use]
    pub fn tcp(number: u16) -> Self {
        Self { transport: Transport::Tcp, number }
    }

    /// A UDP port.
    #[must_use]
    pub fn udp(number: u16) -> Self {
        Self { transport: Transport::Udp, number }
    }

    /// An SCTP port.
    #[must_use]
    pub fn sctp(number: u16) -> Self {
        Self { transport: Transport::Sctp, number }
    }
}

/// A datagram that arrived, with the sender's address as the server saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// Who sent it.
    pub from: SocketAddr,
    /// What it said.
    pub payload: Vec<u8>,
}

/// Servers on a set of ports, on one thread; they end when this is dropped.
#[derive(Debug)]
pub struct Server {
    stop: Arc<OwnedFd>,
    thread: Option<JoinHandle<()>>,
    datagrams: Arc<Mutex<Vec<Received>>>,
}

impl Server {
    /// Starts servers in a namespace.
    ///
    /// # Errors
    /// When a port is taken.
    pub fn start(namespace: &NetNs, name: &str, addresses: &[IpAddr], ports: &[Port]) -> Result<Self> {
        let listening =
            namespace.run(|| listen(addresses, ports)).with_context(|| format!("starting {name}"))?;
        let stop = Arc::new(eventfd(0, EventfdFlags::CLOEXEC)?);
        let datagrams = Arc::new(Mutex::new(Vec::new()));
        let mut worker = Worker {
            name: name.to_owned(),
            listening,
            connections: HashMap::new(),
            next: 0,
            sctp_ports: ports.iter().filter(|p| p.transport == Transport::Sctp).map(|p| p.number).collect(),
            datagrams: Arc::clone(&datagrams),
        };
        let stopped = Arc::clone(&stop);
        let thread = std::thread::Builder::new()
            .name(format!("serve {name}"))
            .stack_size(256 * 1024)
            .spawn(move || worker.serve(&stopped))?;
        Ok(Self { stop, thread: Some(thread), datagrams })
    }

    /// The datagrams that arrived so far.
    ///
    /// # Panics
    /// When the server's thread panicked.
    #[must_use]
    pub fn datagrams(&self) -> Vec<Received> {
        self.datagrams.lock().expect("the server's thread is well").clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Writing to an eventfd that nobody else writes to can't fail.
        let _ = rustix::io::write(&*self.stop, &1_u64.to_ne_bytes());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

enum Listening {
    Tcp(Socket),
    Udp(UdpSocket),
    Sctp { socket: Socket, ipv4: bool },
}

fn listen(addresses: &[IpAddr], ports: &[Port]) -> Result<Vec<Listening>> {
    let mut listening = Vec::new();
    for port in ports {
        match port.transport {
            Transport::Tcp => {
                let socket = Socket::new(Domain::IPV6, Type::STREAM, None)?;
                socket.set_only_v6(false)?;
                socket.set_reuse_address(true)?;
                let any = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port.number));
                socket.bind(&any.into()).with_context(|| format!("listening on TCP port {}", port.number))?;
                socket.listen(128)?;
                socket.set_nonblocking(true)?;
                listening.push(Listening::Tcp(socket));
            }
            Transport::Udp => {
                // One socket per address: the answer must come from the address that was asked.
                for address in addresses {
                    let socket = UdpSocket::bind((*address, port.number))
                        .with_context(|| format!("listening on UDP port {} of {address}", port.number))?;
                    socket.set_nonblocking(true)?;
                    listening.push(Listening::Udp(socket));
                }
            }
            Transport::Sctp => {}
        }
    }
    if ports.iter().any(|port| port.transport == Transport::Sctp) {
        for (domain, any) in [
            (Domain::IPV4, IpAddr::from(Ipv4Addr::UNSPECIFIED)),
            (Domain::IPV6, IpAddr::from(Ipv6Addr::UNSPECIFIED)),
        ] {
            let socket = Socket::new(domain, Type::RAW, Some(Protocol::from(SCTP)))?;
            socket.bind(&SocketAddr::from((any, 0)).into())?;
            socket.set_nonblocking(true)?;
            listening.push(Listening::Sctp { socket, ipv4: any.is_ipv4() });
        }
    }
    Ok(listening)
}

struct Worker {
    name: String,
    listening: Vec<Listening>,
    connections: HashMap<usize, Socket>,
    next: usize,
    sctp_ports: Vec<u16>,
    datagrams: Arc<Mutex<Vec<Received>>>,
}

impl Worker {
    fn serve(&mut self, stop: &OwnedFd) {
        loop {
            let connections = self.connections.keys().copied().collect::<Vec<_>>();
            let mut fds = vec![PollFd::new(stop, PollFlags::IN)];
            fds.extend(
                self.listening.iter().map(|each| PollFd::from_borrowed_fd(each.as_fd(), PollFlags::IN)),
            );
            fds.extend(connections.iter().map(|id| PollFd::new(&self.connections[id], PollFlags::IN)));
            match poll(&mut fds, None) {
                Ok(_) => {}
                Err(rustix::io::Errno::INTR) => continue,
                Err(_) => return,
            }
            let ready = fds.iter().map(|fd| !fd.revents().is_empty()).collect::<Vec<_>>();
            drop(fds);
            if ready[0] {
                return;
            }
            for (index, _) in self.listening.iter().enumerate().filter(|(index, _)| ready[index + 1]) {
                // A client that went away meanwhile is no reason to stop serving.
                let accepted = answer(&self.listening[index], &self.name, &self.sctp_ports, &self.datagrams);
                if let Ok(Some(connection)) = accepted {
                    self.connections.insert(self.next, connection);
                    self.next += 1;
                }
            }
            let first = 1 + self.listening.len();
            for (id, _) in connections.iter().zip(&ready[first..]).filter(|(_, ready)| **ready) {
                if !echo(&self.connections[id]) {
                    self.connections.remove(id);
                }
            }
        }
    }
}

impl Listening {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        match self {
            Self::Tcp(socket) | Self::Sctp { socket, .. } => socket.as_fd(),
            Self::Udp(socket) => socket.as_fd(),
        }
    }
}

fn answer(
    listening: &Listening,
    name: &str,
    sctp_ports: &[u16],
    datagrams: &Mutex<Vec<Received>>,
) -> std::io::Result<Option<Socket>> {
    match listening {
        Listening::Tcp(socket) => {
            let (connection, _) = socket.accept()?;
            connection.set_nonblocking(true)?;
            (&connection).write_all(format!("{name}\n").as_bytes())?;
            return Ok(Some(connection));
        }
        Listening::Udp(socket) => {
            let mut payload = vec![0; 65_536];
            let (length, from) = socket.recv_from(&mut payload)?;
            payload.truncate(length);
            let mut reply = format!("{name}\n").into_bytes();
            reply.extend(&payload);
            datagrams.lock().expect("nobody panics with the lock").push(Received { from, payload });
            socket.send_to(&reply, from)?;
        }
        Listening::Sctp { socket, ipv4 } => {
            let mut buffer = [0; 2048];
            let (length, from) =
                rustix::net::recvfrom(socket, &mut buffer[..], rustix::net::RecvFlags::empty())
                    .map(|(length, _, from)| (length, from))?;
            let from = from.and_then(|from| SocketAddr::try_from(from).ok());
            let asked = Sctp::read(without_ip_header(*ipv4, &buffer[..length]));
            if let (Some(from), Some(asked @ Sctp { chunk: INIT, .. })) = (from, asked) {
                let chunk = if sctp_ports.contains(&asked.destination) { INIT_ACK } else { ABORT };
                let reply = Sctp { source: asked.destination, destination: asked.source, chunk };
                socket.send_to(&reply.bytes(0x5eed_0001), &SocketAddr::from((from.ip(), 0)).into())?;
            }
        }
    }
    Ok(None)
}

/// Sends back what arrived; false once the connection is over.
fn echo(connection: &Socket) -> bool {
    let mut buffer = [0; 4096];
    match { connection }.read(&mut buffer) {
        Ok(0) => false,
        Ok(length) => send_all(connection, &buffer[..length]),
        Err(error) => error.kind() == ErrorKind::WouldBlock || error.kind() == ErrorKind::Interrupted,
    }
}

/// Sends everything, waiting a while for a client that is slow to read.
fn send_all(connection: &Socket, mut bytes: &[u8]) -> bool {
    while !bytes.is_empty() {
        match { connection }.write(bytes) {
            Ok(sent) => bytes = &bytes[sent..],
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                let mut fds = [PollFd::new(connection, PollFlags::OUT)];
                let patience = Timespec { tv_sec: 5, tv_nsec: 0 };
                if !matches!(poll(&mut fds, Some(&patience)), Ok(1..)) {
                    return false;
                }
            }
            Err(_) => return false,
        }
    }
    true
}
