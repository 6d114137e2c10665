//! Sets of connections as machines read them.

use netpol_policy::evaluate::Connections;
use netpol_policy::model::Protocol;
use serde::{Serialize, Serializer};

/// `"all"`, or a list of `{"protocol": "TCP", "ports": ["80", "8000-8100"]}`, empty when nothing passes.
///
/// A list never holds ICMP or another protocol without ports: only rules without ports allow those, and such rules
/// allow everything. Every port of a protocol is `"1-65535"`.
#[derive(Debug, Clone, Copy)]
pub struct ConnectionsJson<'a>(pub &'a Connections);

#[derive(Serialize)]
struct Item {
    protocol: &'static str,
    ports: Vec<String>,
}

impl Serialize for ConnectionsJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.is_all() {
            return serializer.serialize_str("all");
        }
        let protocols = Protocol::ALL.into_iter().filter(|protocol| !self.0.ports(*protocol).is_empty());
        serializer.collect_seq(protocols.map(|protocol| Item {
            protocol: protocol.as_str(),
            ports: self.0.ports(protocol).ranges().iter().map(|&(first, last)| range(first, last)).collect(),
        }))
    }
}

fn range(first: u16, last: u16) -> String {
    if first == last { first.to_string() } else { format!("{first}-{last}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        let json = |connections: &Connections| serde_json::to_string(&ConnectionsJson(connections)).unwrap();
        assert_eq!(json(&Connections::all()), r#""all""#);
        assert_eq!(json(&Connections::none()), "[]");
        let mut some = Connections::none();
        some.insert(Protocol::Tcp, 8000, 8100);
        some.insert(Protocol::Tcp, 80, 80);
        some.insert(Protocol::Udp, 1, 65535);
        assert_eq!(
            json(&some),
            r#"[{"protocol":"TCP","ports":["80","8000-8100"]},{"protocol":"UDP","ports":["1-65535"]}]"#
        );
    }
}
