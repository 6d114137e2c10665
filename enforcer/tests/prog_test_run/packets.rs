//! Packets, byte by byte. Checksums are left out: the programs don't look at them, the kernel's stack does.

use std::net::IpAddr;

pub(crate) const ICMP: u8 = 1;
pub(crate) const TCP: u8 = 6;
pub(crate) const UDP: u8 = 17;
pub(crate) const ICMPV6: u8 = 58;
pub(crate) const SCTP: u8 = 132;

pub(crate) const FIN: u8 = 1;
pub(crate) const SYN: u8 = 2;
pub(crate) const RST: u8 = 4;
pub(crate) const ACK: u8 = 16;

/// A frame with the pod's MAC address as its source.
pub(crate) fn frame(ether_type: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![2, 0, 0, 0, 0, 1];
    bytes.extend(crate::lab::MAC);
    bytes.extend(ether_type.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// An IP packet in a frame.
pub(crate) fn ip(source: &str, destination: &str, protocol: u8, payload: &[u8]) -> Vec<u8> {
    match (source.parse().expect("an address"), destination.parse().expect("an address")) {
        (IpAddr::V4(_), IpAddr::V4(_)) => V4::new(source, destination, protocol).frame(payload),
        (IpAddr::V6(_), IpAddr::V6(_)) => V6::new(source, destination).frame(protocol, payload),
        _ => panic!("{source} and {destination} are of different families"),
    }
}

pub(crate) fn tcp(source: (&str, u16), destination: (&str, u16), flags: u8) -> Vec<u8> {
    ip(source.0, destination.0, TCP, &tcp_header(source.1, destination.1, flags))
}

pub(crate) fn udp(source: (&str, u16), destination: (&str, u16)) -> Vec<u8> {
    ip(source.0, destination.0, UDP, &udp_header(source.1, destination.1))
}

/// An echo request or reply, by its type.
pub(crate) fn echo(source: &str, destination: &str, message: u8, id: u16) -> Vec<u8> {
    let protocol = if source.contains(':') { ICMPV6 } else { ICMP };
    ip(source, destination, protocol, &echo_header(message, id))
}

pub(crate) fn tcp_header(source: u16, destination: u16, flags: u8) -> Vec<u8> {
    let mut bytes = ports(source, destination);
    bytes.extend([0, 0, 0, 1, 0, 0, 0, 0, 0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
    bytes
}

pub(crate) fn udp_header(source: u16, destination: u16) -> Vec<u8> {
    let mut bytes = ports(source, destination);
    bytes.extend([0, 12, 0, 0, 1, 2, 3, 4]);
    bytes
}

/// SCTP's common header and the beginning of an INIT chunk.
pub(crate) fn sctp_header(source: u16, destination: u16) -> Vec<u8> {
    sctp_chunk(source, destination, 1)
}

/// SCTP's common header and the beginning of a chunk.
pub(crate) fn sctp_chunk(source: u16, destination: u16, chunk: u8) -> Vec<u8> {
    let mut bytes = ports(source, destination);
    bytes.extend([0, 0, 0, 0, 0, 0, 0, 0, chunk, 0, 0, 20]);
    bytes
}

pub(crate) fn echo_header(message: u8, id: u16) -> Vec<u8> {
    let mut bytes = vec![message, 0, 0, 0];
    bytes.extend(id.to_be_bytes());
    bytes.extend([0, 1, 0xab, 0xcd]);
    bytes
}

/// An ICMP error about a frame's IP packet.
pub(crate) fn error(source: &str, destination: &str, message: u8, about: &[u8]) -> Vec<u8> {
    let protocol = if source.contains(':') { ICMPV6 } else { ICMP };
    let mut bytes = vec![message, 1, 0, 0, 0, 0, 0, 0];
    bytes.extend(&about[14..]);
    ip(source, destination, protocol, &bytes)
}

fn ports(source: u16, destination: u16) -> Vec<u8> {
    [source.to_be_bytes(), destination.to_be_bytes()].concat()
}

/// An IPv4 header.
pub(crate) struct V4 {
    source: [u8; 4],
    destination: [u8; 4],
    protocol: u8,
    /// A multiple of four bytes.
    pub(crate) options: Vec<u8>,
    pub(crate) id: u16,
    /// Flags and offset, as in the header.
    pub(crate) fragment: u16,
}

impl V4 {
    pub(crate) fn new(source: &str, destination: &str, protocol: u8) -> Self {
        let octets = |ip: &str| match ip.parse().expect("an address") {
            IpAddr::V4(v4) => v4.octets(),
            IpAddr::V6(_) => panic!("{ip} is not IPv4"),
        };
        Self {
            source: octets(source),
            destination: octets(destination),
            protocol,
            options: vec![],
            id: 0,
            fragment: 0x4000,
        }
    }

    pub(crate) fn frame(&self, payload: &[u8]) -> Vec<u8> {
        let header = 20 + self.options.len();
        let mut bytes = vec![0x40 | (header / 4) as u8, 0];
        bytes.extend(((header + payload.len()) as u16).to_be_bytes());
        bytes.extend(self.id.to_be_bytes());
        bytes.extend(self.fragment.to_be_bytes());
        bytes.extend([64, self.protocol, 0, 0]);
        bytes.extend(self.source);
        bytes.extend(self.destination);
        bytes.extend(&self.options);
        bytes.extend(payload);
        frame(0x0800, &bytes)
    }
}

/// An IPv6 header with extension headers.
pub(crate) struct V6 {
    source: [u8; 16],
    destination: [u8; 16],
    /// Type and bytes of each extension header; the first byte of each is filled in.
    pub(crate) extensions: Vec<(u8, Vec<u8>)>,
    pub(crate) hop_limit: u8,
}

impl V6 {
    pub(crate) fn new(source: &str, destination: &str) -> Self {
        let octets = |ip: &str| match ip.parse().expect("an address") {
            IpAddr::V6(v6) => v6.octets(),
            IpAddr::V4(_) => panic!("{ip} is not IPv6"),
        };
        Self { source: octets(source), destination: octets(destination), extensions: vec![], hop_limit: 64 }
    }

    /// A fragment header.
    pub(crate) fn fragment(mut self, offset_and_more: u16, id: u32) -> Self {
        let mut bytes = vec![0, 0];
        bytes.extend(offset_and_more.to_be_bytes());
        bytes.extend(id.to_be_bytes());
        self.extensions.push((44, bytes));
        self
    }

    pub(crate) fn frame(&self, protocol: u8, payload: &[u8]) -> Vec<u8> {
        let mut body = vec![];
        let mut next: Vec<u8> = self.extensions.iter().map(|(kind, _)| *kind).collect();
        next.push(protocol);
        for (index, (_, bytes)) in self.extensions.iter().enumerate() {
            body.push(next[index + 1]);
            body.extend(&bytes[1..]);
        }
        body.extend(payload);
        let mut bytes = vec![0x60, 0, 0, 0];
        bytes.extend((body.len() as u16).to_be_bytes());
        bytes.extend([next[0], self.hop_limit]);
        bytes.extend(self.source);
        bytes.extend(self.destination);
        bytes.extend(body);
        frame(0x86dd, &bytes)
    }
}
