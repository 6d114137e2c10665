//! Where metrics are served.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

/// `:9470` for all addresses of the node, `127.0.0.1:9470`, `[::1]:9470`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    ip: Option<IpAddr>,
    port: u16,
}

impl Address {
    /// What to listen on, the first that works.
    pub(super) fn candidates(&self) -> impl Iterator<Item = SocketAddr> {
        let any = [IpAddr::V6(Ipv6Addr::UNSPECIFIED), IpAddr::V4(Ipv4Addr::UNSPECIFIED)];
        let ips = match self.ip {
            Some(ip) => vec![ip],
            // The former listens for IPv4, too.
            None => any.into(),
        };
        let port = self.port;
        ips.into_iter().map(move |ip| SocketAddr::new(ip, port))
    }
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(port) = text.strip_prefix(':')
            && let Ok(port) = port.parse()
        {
            return Ok(Self { ip: None, port });
        }
        let address: SocketAddr = text.parse().map_err(|_| {
            format!("`{text}` is no address: write `:9470`, `127.0.0.1:9470` or `[::1]:9470`")
        })?;
        Ok(Self { ip: Some(address.ip()), port: address.port() })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.ip {
            Some(ip) => SocketAddr::new(ip, self.port).fmt(f),
            None => write!(f, ":{}", self.port),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for text in [":9470", "127.0.0.1:9470", "[::1]:0"] {
            assert_eq!(text.parse::<Address>().expect("an address").to_string(), text);
        }
        for text in ["", "9470", ":", "localhost:9470", "::1:9470:", ":70000"] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
        let any: Vec<String> =
            ":80".parse::<Address>().expect("an address").candidates().map(|it| it.to_string()).collect();
        assert_eq!(any, ["[::]:80", "0.0.0.0:80"]);
    }
}
