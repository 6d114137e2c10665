//! Probes: many at once, each with its own deadline, all waited for on one thread.

use std::fmt;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use socket2::{Domain, Protocol, Socket, Type};

use super::packet::{ABORT, INIT, INIT_ACK, SCTP, Sctp, echo_request, is_echo_reply, without_ip_header};
use super::server::{Port, Transport};
use crate::lab::netns::NetNs;

/// What a probe talks to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Target {
    /// A port of an address.
    Port(IpAddr, Port),
    /// An address, by ICMP echo.
    Echo(IpAddr),
}

impl Target {
    /// The address.
    #[must_use]
    pub fn address(self) -> IpAddr {
        match self {
            Self::Port(address, _) | Self::Echo(address) => address,
        }
    }
}

/// One attempt to reach something.
#[derive(Debug, Clone, Copy)]
pub struct Probe<'a> {
    /// Where it starts.
    pub from: &'a NetNs,
    /// The source address, when the kernel shall not choose. It need not be the namespace's own: that is how a pod lies.
    pub source: Option<IpAddr>,
    /// What it talks to.
    pub to: Target,
    /// How many bytes a datagram or an echo request carries.
    pub payload: usize,
    /// How long it waits for an answer.
    pub patience: Duration,
}

impl<'a> Probe<'a> {
    /// How many bytes a probe carries if nothing else is said.
    pub const PAYLOAD: usize = 32;

    /// A small probe.
    #[must_use]
    pub fn new(from: &'a NetNs, to: Target, patience: Duration) -> Self {
        Self { from, source: None, to, payload: Self::PAYLOAD, patience }
    }
}

/// What became of a probe.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Something answered; a TCP or UDP server says its name.
    Connected(Option<String>),
    /// The other side has nothing there and said so (a TCP reset, an ICMP port unreachable, an SCTP abort).
    Refused,
    /// Somebody on the way said that it can't be reached.
    Unreachable,
    /// Nothing came back in time.
    TimedOut,
    /// The probe could not even be sent.
    NotSent(String),
}

impl Outcome {
    /// Whether the packet arrived: refused is an answer too.
    #[must_use]
    pub fn arrived(&self) -> bool {
        matches!(self, Self::Connected(_) | Self::Refused)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connected(Some(name)) => write!(f, "connected to {name}"),
            Self::Connected(None) => f.write_str("connected"),
            Self::Refused => f.write_str("refused"),
            Self::Unreachable => f.write_str("unreachable"),
            Self::TimedOut => f.write_str("timed out"),
            Self::NotSent(why) => write!(f, "not sent: {why}"),
        }
    }
}

/// How often a datagram is sent again while nothing comes back.
const RESEND: Duration = Duration::from_millis(250);
/// How many sockets are open at a time.
const AT_ONCE: usize = 800;

/// Runs all probes side by side; the outcomes are in the probes' order.
#[must_use]
pub fn run(probes: &[Probe<'_>]) -> Vec<Outcome> {
    probes.chunks(AT_ONCE).flat_map(run_at_once).collect()
}

fn run_at_once(probes: &[Probe<'_>]) -> Vec<Outcome> {
    let mut outcomes = vec![None; probes.len()];
    let mut waiting = Vec::new();
    for (index, probe) in probes.iter().enumerate() {
        match Attempt::start(probe) {
            Ok(attempt) => waiting.push((index, attempt)),
            Err(error) => outcomes[index] = Some(outcome_of(&error)),
        }
    }
    while !waiting.is_empty() {
        let now = Instant::now();
        let wake = waiting.iter().map(|(_, attempt)| attempt.wakes_at()).min().unwrap_or(now);
        let timeout = Timespec::try_from(wake.saturating_duration_since(now)).ok();
        let mut fds = waiting.iter().map(|(_, attempt)| attempt.poll_fd()).collect::<Vec<_>>();
        // An interrupted poll reports nothing ready, and the loop comes round again.
        let _ = poll(&mut fds, timeout.as_ref());
        let ready = fds.iter().map(|fd| !fd.revents().is_empty()).collect::<Vec<_>>();
        drop(fds);
        let now = Instant::now();
        let mut ready = ready.into_iter();
        waiting.retain_mut(|(index, attempt)| {
            let outcome = if ready.next() == Some(true) { attempt.advance() } else { None };
            let outcome = outcome.or_else(|| attempt.time_passed(now));
            let waits = outcome.is_none();
            outcomes[*index] = outcome.or_else(|| outcomes[*index].take());
            waits
        });
    }
    outcomes.into_iter().map(|outcome| outcome.expect("every probe ended")).collect()
}

/// A source port that was not used a moment ago: the kernel may still track what was there, and lead the same port to the same pod behind a
/// Service. Below the range from which the kernel chooses.
fn fresh_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    10_000 + NEXT.fetch_add(1, Ordering::Relaxed) % 20_000
}

fn bind_to_fresh_port(socket: &Socket, source: IpAddr) -> std::io::Result<()> {
    // Somebody may listen on one.
    for _ in 0..3 {
        match socket.bind(&SocketAddr::from((source, fresh_port())).into()) {
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {}
            bound => return bound,
        }
    }
    socket.bind(&SocketAddr::from((source, 0)).into())
}

struct Attempt {
    socket: Socket,
    to: Target,
    deadline: Instant,
    stage: Stage,
}

enum Stage {
    /// A TCP connection is being made.
    Connecting,
    /// It is made; the server's name is yet to come.
    Greeting(Vec<u8>),
    /// A datagram is out.
    Sent { packet: Vec<u8>, again_at: Instant, source_port: u16 },
}

impl Attempt {
    fn start(probe: &Probe<'_>) -> std::io::Result<Self> {
        let address = probe.to.address();
        let domain = if address.is_ipv4() { Domain::IPV4 } else { Domain::IPV6 };
        let (kind, protocol, port) = match probe.to {
            Target::Port(_, Port { transport: Transport::Tcp, number }) => {
                (Type::STREAM, Protocol::TCP, number)
            }
            Target::Port(_, Port { transport: Transport::Udp, number }) => {
                (Type::DGRAM, Protocol::UDP, number)
            }
            Target::Port(_, Port { transport: Transport::Sctp, .. }) => (Type::RAW, Protocol::from(SCTP), 0),
            Target::Echo(IpAddr::V4(_)) => (Type::DGRAM, Protocol::ICMPV4, 0),
            Target::Echo(IpAddr::V6(_)) => (Type::DGRAM, Protocol::ICMPV6, 0),
        };
        let socket = probe.from.run(|| Socket::new(domain, kind, Some(protocol)))?;
        socket.set_nonblocking(true)?;
        if kind == Type::RAW && domain == Domain::IPV6 {
            without_flow_label(&socket)?;
        }
        if let Some(source) = probe.source {
            match source {
                IpAddr::V4(_) => socket.set_ip_transparent_v4(true)?,
                IpAddr::V6(_) => socket.set_ip_transparent_v6(true)?,
            }
            if port == 0 {
                socket.bind(&SocketAddr::from((source, 0)).into())?;
            } else {
                bind_to_fresh_port(&socket, source)?;
            }
        }
        let now = Instant::now();
        let connected = socket.connect(&SocketAddr::from((address, port)).into());
        let stage = match probe.to {
            Target::Port(_, Port { transport: Transport::Tcp, .. }) => {
                match connected {
                    Err(error) if error.raw_os_error() != Some(Errno::INPROGRESS.raw_os_error()) => {
                        return Err(error);
                    }
                    _ => {}
                }
                Stage::Connecting
            }
            _ => {
                connected?;
                // Raw sockets leave the choice of a port to us.
                let source_port = fresh_port();
                let packet = match probe.to {
                    Target::Echo(to) => echo_request(to, probe.payload),
                    Target::Port(_, Port { transport: Transport::Sctp, number }) => {
                        Sctp { source: source_port, destination: number, chunk: INIT }.bytes(0)
                    }
                    Target::Port(..) => vec![b'.'; probe.payload],
                };
                { &socket }.write_all(&packet)?;
                Stage::Sent { packet, again_at: now + RESEND, source_port }
            }
        };
        Ok(Self { socket, to: probe.to, deadline: now + probe.patience, stage })
    }

    fn wakes_at(&self) -> Instant {
        match &self.stage {
            Stage::Sent { again_at, .. } => self.deadline.min(*again_at),
            _ => self.deadline,
        }
    }

    fn poll_fd(&self) -> PollFd<'_> {
        let events = if matches!(self.stage, Stage::Connecting) { PollFlags::OUT } else { PollFlags::IN };
        PollFd::new(&self.socket, events)
    }

    /// The socket is ready for what the attempt waits for.
    fn advance(&mut self) -> Option<Outcome> {
        if matches!(self.stage, Stage::Connecting) {
            match self.socket.take_error() {
                Ok(None) => self.stage = Stage::Greeting(Vec::new()),
                Ok(Some(error)) | Err(error) => return Some(outcome_of(&error)),
            }
        }
        let mut buffer = vec![0; 65_536];
        let length = match { &self.socket }.read(&mut buffer) {
            Ok(length) => length,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return None,
            Err(error) => return Some(outcome_of(&error)),
        };
        let received = &buffer[..length];
        match (&mut self.stage, self.to) {
            (Stage::Greeting(greeting), _) => {
                greeting.extend(received);
                // A connection that ends before its greeting leads to something that isn't ours, or broken.
                let done = length == 0 || greeting.contains(&b'\n');
                done.then(|| Outcome::Connected(first_line(greeting)))
            }
            (Stage::Sent { .. }, Target::Echo(to)) => {
                is_echo_reply(to, received).then_some(Outcome::Connected(None))
            }
            (Stage::Sent { source_port, .. }, Target::Port(to, port))
                if port.transport == Transport::Sctp =>
            {
                let packet = Sctp::read(without_ip_header(to.is_ipv4(), received))?;
                let ours = packet.source == port.number && packet.destination == *source_port;
                match packet.chunk {
                    INIT_ACK if ours => Some(Outcome::Connected(None)),
                    ABORT if ours => Some(Outcome::Refused),
                    _ => None,
                }
            }
            (Stage::Sent { packet, .. }, _) => {
                let whole = length > packet.len() && received.ends_with(packet);
                whole.then(|| Outcome::Connected(first_line(received)))
            }
            (Stage::Connecting, _) => None,
        }
    }

    fn time_passed(&mut self, now: Instant) -> Option<Outcome> {
        if now >= self.deadline {
            return Some(Outcome::TimedOut);
        }
        if let Stage::Sent { packet, again_at, .. } = &mut self.stage
            && now >= *again_at
        {
            *again_at = now + RESEND;
            if let Err(error) = { &self.socket }.write_all(packet) {
                return Some(outcome_of(&error));
            }
        }
        None
    }
}

/// The kernel labels the packets of a raw IPv6 socket by their addresses alone, so that all flows between two addresses look
/// like one. A real SCTP socket has a label for each.
#[allow(unsafe_code)]
fn without_flow_label(socket: &Socket) -> std::io::Result<()> {
    // From linux/in6.h; the libc crate doesn't have it.
    const IPV6_AUTOFLOWLABEL: libc::c_int = 70;
    let (off, length) = (0 as libc::c_int, size_of::<libc::c_int>() as libc::socklen_t);
    let fd = std::os::fd::AsRawFd::as_raw_fd(socket);
    // SAFETY: the option's value is an int that lives across the call, and its length is given.
    let result = unsafe {
        libc::setsockopt(fd, libc::IPPROTO_IPV6, IPV6_AUTOFLOWLABEL, (&raw const off).cast(), length)
    };
    if result == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}

fn first_line(bytes: &[u8]) -> Option<String> {
    let line = bytes.split(|byte| *byte == b'\n').next()?;
    Some(String::from_utf8_lossy(line).into_owned()).filter(|name| !name.is_empty())
}

fn outcome_of(error: &std::io::Error) -> Outcome {
    match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::CONNREFUSED | Errno::CONNRESET) => Outcome::Refused,
        Some(
            Errno::HOSTUNREACH | Errno::NETUNREACH | Errno::ACCESS | Errno::NOPROTOOPT | Errno::HOSTDOWN,
        ) => Outcome::Unreachable,
        Some(Errno::TIMEDOUT) => Outcome::TimedOut,
        _ => Outcome::NotSent(error.to_string()),
    }
}
