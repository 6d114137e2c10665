//! Ports and protocols.

use std::fmt;
use std::num::NonZeroU16;

use thiserror::Error;

/// Transport protocols that a policy can name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "the API's own names")]
pub enum Protocol {
    Tcp,
    Udp,
    Sctp,
}

/// What a packet asks for at its destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Traffic {
    /// A protocol with ports, to a destination port.
    Port(Protocol, NonZeroU16),
    /// ICMP or ICMPv6, of any type that opens a flow.
    Icmp,
    /// Another IP protocol, by its number.
    Other(u8),
}

/// The ports of a rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ports {
    /// No ports named: every port of every protocol, ICMP included.
    All,
    /// Only these; never empty.
    Only(Vec<PortMatch>),
}

/// One item of a rule's `ports`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PortMatch {
    /// Every port of a protocol.
    Every(Protocol),
    /// A closed range of ports, first not above last; a single port is a range of one.
    Range(Protocol, NonZeroU16, NonZeroU16),
    /// A port by the name that the destination pod's containers give it.
    Named(Protocol, PortName),
}

/// An IANA service name: at most 15 of `[a-z0-9-]`, at least one letter, no `-` at the ends or doubled.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortName(Box<str>);

/// Why a port can't be built.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PortError {
    /// Outside 1..=65535.
    #[error("{0} is no port: ports are 1 to 65535")]
    Number(i64),
    /// Not a service name.
    #[error(
        "`{0}` is no port name: at most 15 lower case letters, digits and `-`, with at least one letter, no `-` at an end or doubled"
    )]
    Name(Box<str>),
    /// A range that ends before it begins.
    #[error("endPort {last} is below port {first}")]
    Range {
        /// `port`.
        first: NonZeroU16,
        /// `endPort`.
        last: NonZeroU16,
    },
    /// Not TCP, UDP or SCTP.
    #[error("`{0}` is no protocol: use TCP, UDP or SCTP")]
    Protocol(Box<str>),
}

impl Protocol {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Tcp, Self::Udp, Self::Sctp];

    /// As the API writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
            Self::Sctp => "SCTP",
        }
    }

    /// The IP protocol number.
    pub fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
            Self::Sctp => 132,
        }
    }
}

impl std::str::FromStr for Protocol {
    type Err = PortError;

    /// Exactly as the API spells it; `tcp` is none.
    fn from_str(text: &str) -> Result<Self, PortError> {
        Self::ALL.into_iter().find(|p| p.as_str() == text).ok_or_else(|| PortError::Protocol(text.into()))
    }
}

impl PortName {
    /// Checks a name as `validation.IsValidPortName` does.
    pub fn new(name: &str) -> Result<Self, PortError> {
        let good = (1..=15).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && name.bytes().any(|b| b.is_ascii_lowercase())
            && !name.starts_with('-')
            && !name.ends_with('-')
            && !name.contains("--");
        if good { Ok(Self(name.into())) } else { Err(PortError::Name(name.into())) }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl PortMatch {
    /// A single port.
    pub fn number(protocol: Protocol, port: NonZeroU16) -> Self {
        Self::Range(protocol, port, port)
    }

    /// A closed range.
    pub fn range(protocol: Protocol, first: NonZeroU16, last: NonZeroU16) -> Result<Self, PortError> {
        if first > last {
            Err(PortError::Range { first, last })
        } else {
            Ok(Self::Range(protocol, first, last))
        }
    }

    /// The protocol.
    pub fn protocol(&self) -> Protocol {
        match self {
            Self::Every(protocol) | Self::Range(protocol, ..) | Self::Named(protocol, _) => *protocol,
        }
    }
}

impl Ports {
    /// The items that must be looked at; none when everything matches.
    pub fn items(&self) -> &[PortMatch] {
        match self {
            Self::All => &[],
            Self::Only(items) => items,
        }
    }
}

/// Checks a number as a port.
pub(crate) fn port_number(number: i64) -> Result<NonZeroU16, PortError> {
    u16::try_from(number).ok().and_then(NonZeroU16::new).ok_or(PortError::Number(number))
}

impl Traffic {
    /// Traffic to a port.
    pub fn port(protocol: Protocol, number: i64) -> Result<Self, PortError> {
        Ok(Self::Port(protocol, port_number(number)?))
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for PortName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `80/TCP`, `8000-8100/TCP`, `http/TCP`, `UDP`.
impl fmt::Display for PortMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Every(protocol) => write!(f, "{protocol}"),
            Self::Range(protocol, first, last) if first == last => write!(f, "{first}/{protocol}"),
            Self::Range(protocol, first, last) => write!(f, "{first}-{last}/{protocol}"),
            Self::Named(protocol, name) => write!(f, "{name}/{protocol}"),
        }
    }
}

/// `3306/TCP`, `ICMP`, `IP protocol 47`.
impl fmt::Display for Traffic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Port(protocol, port) => write!(f, "{port}/{protocol}"),
            Self::Icmp => f.write_str("ICMP"),
            Self::Other(number) => write!(f, "IP protocol {number}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for good in ["http", "a", "8080-tcp", "x-1"] {
            assert!(PortName::new(good).is_ok(), "{good}");
        }
        for bad in ["", "80", "-a", "a-", "a--b", "HTTP", "a_b", "abcdefghijklmnop"] {
            assert!(PortName::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn numbers() {
        assert!(port_number(1).is_ok() && port_number(65535).is_ok());
        for bad in [0, -1, 65536, i64::MAX] {
            assert_eq!(port_number(bad), Err(PortError::Number(bad)));
        }
    }
}
