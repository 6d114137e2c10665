//! Everything that is allowed between two endpoints.

use std::fmt;

use crate::model::{Protocol, Traffic};

use super::port_set::PortSet;

/// The traffic that passes between two endpoints.
#[derive(Debug, Clone, PartialEq, Eq, Default, Hash, PartialOrd, Ord)]
pub struct Connections {
    tcp: PortSet,
    udp: PortSet,
    sctp: PortSet,
    /// ICMP and protocols without ports; only rules without ports allow them.
    other: bool,
}

impl Connections {
    /// Nothing passes.
    pub fn none() -> Self {
        Self::default()
    }

    /// Everything passes.
    pub fn all() -> Self {
        Self { tcp: PortSet::all(), udp: PortSet::all(), sctp: PortSet::all(), other: true }
    }

    /// Adds a closed range of ports of a protocol.
    pub fn insert(&mut self, protocol: Protocol, first: u16, last: u16) {
        match protocol {
            Protocol::Tcp => &mut self.tcp,
            Protocol::Udp => &mut self.udp,
            Protocol::Sctp => &mut self.sctp,
        }
        .insert(first, last);
    }

    /// What passes in both.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        Self {
            tcp: self.tcp.intersection(&other.tcp),
            udp: self.udp.intersection(&other.udp),
            sctp: self.sctp.intersection(&other.sctp),
            other: self.other && other.other,
        }
    }

    /// What passes in one of them.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        Self {
            tcp: self.tcp.union(&other.tcp),
            udp: self.udp.union(&other.udp),
            sctp: self.sctp.union(&other.sctp),
            other: self.other || other.other,
        }
    }

    /// What passes here and not in the other.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        Self {
            tcp: self.tcp.difference(&other.tcp),
            udp: self.udp.difference(&other.udp),
            sctp: self.sctp.difference(&other.sctp),
            other: self.other && !other.other,
        }
    }

    /// Whether some traffic passes.
    pub fn contains(&self, traffic: Traffic) -> bool {
        match traffic {
            Traffic::Port(protocol, port) => self.ports(protocol).contains(port.get()),
            Traffic::Icmp | Traffic::Other(_) => self.other,
        }
    }

    /// The ports of a protocol.
    pub fn ports(&self, protocol: Protocol) -> &PortSet {
        match protocol {
            Protocol::Tcp => &self.tcp,
            Protocol::Udp => &self.udp,
            Protocol::Sctp => &self.sctp,
        }
    }

    /// Whether ICMP and protocols without ports pass.
    pub fn portless(&self) -> bool {
        self.other
    }

    /// True when nothing passes.
    pub fn is_none(&self) -> bool {
        *self == Self::none()
    }

    /// True when everything passes.
    pub fn is_all(&self) -> bool {
        *self == Self::all()
    }
}

/// `all`, `none`, or `TCP 80,8000-8100; UDP 53`.
impl fmt::Display for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_all() {
            return f.write_str("all");
        }
        if self.is_none() {
            return f.write_str("none");
        }
        let mut parts: Vec<String> = Protocol::ALL
            .into_iter()
            .filter(|protocol| !self.ports(*protocol).is_empty())
            .map(|protocol| match self.ports(protocol) {
                ports if ports.is_all() => format!("{protocol}"),
                ports => format!("{protocol} {ports}"),
            })
            .collect();
        if self.other {
            parts.push("ICMP and others".to_owned());
        }
        f.write_str(&parts.join("; "))
    }
}
