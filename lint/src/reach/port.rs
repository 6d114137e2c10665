//! The port of a question.

use std::fmt;
use std::str::FromStr;

use netpol_policy::model::{PortName, Protocol, Traffic};
use thiserror::Error;

/// What is asked for: `3306/TCP`, `53/udp`, `http`, `icmp`. Without a protocol it is TCP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// Some traffic.
    Traffic(Traffic),
    /// A port by its name: that of a container, or of a Service's port.
    Named(Protocol, PortName),
}

/// A text that is no port.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{0}` is no port: write a number or a name, such as 3306/TCP, 53/UDP or http, or icmp")]
pub struct PortError(String);

impl FromStr for Ask {
    type Err = PortError;

    fn from_str(text: &str) -> Result<Self, PortError> {
        let error = || PortError(text.to_owned());
        if matches!(text.to_ascii_lowercase().as_str(), "icmp" | "icmpv6") {
            return Ok(Self::Traffic(Traffic::Icmp));
        }
        let (port, protocol) = text.split_once('/').unwrap_or((text, "TCP"));
        let protocol: Protocol = protocol.to_ascii_uppercase().parse().map_err(|_| error())?;
        if port.bytes().all(|byte| byte.is_ascii_digit()) {
            let number = port.parse().map_err(|_| error())?;
            return Traffic::port(protocol, number).map(Self::Traffic).map_err(|_| error());
        }
        PortName::new(port).map(|name| Self::Named(protocol, name)).map_err(|_| error())
    }
}

impl fmt::Display for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Traffic(traffic) => write!(f, "{traffic}"),
            Self::Named(protocol, name) => write!(f, "{name}/{protocol}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts() {
        let read = |text: &str| text.parse::<Ask>().map(|ask| ask.to_string());
        for (text, expected) in [
            ("3306/TCP", "3306/TCP"),
            ("53/udp", "53/UDP"),
            ("80", "80/TCP"),
            ("http", "http/TCP"),
            ("dns/UDP", "dns/UDP"),
            ("ICMP", "ICMP"),
            ("icmpv6", "ICMP"),
        ] {
            assert_eq!(read(text).unwrap(), expected);
        }
        for bad in
            ["", "/TCP", "0", "65536/TCP", "80/HTTP", "80/", "-1", "99999999999999999999", "a_b", "80/TCP/x"]
        {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
