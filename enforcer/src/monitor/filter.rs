//! Which verdicts a client wants to see.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use netpol_enforcer_common::event::Event;
use netpol_enforcer_common::reason::Reason;
use netpol_policy::model::Protocol;
use serde::{Deserialize, Serialize};

use super::explain::verdict;
use super::{Notice, Side};

/// All of them must hold; what is empty always does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Filter {
    /// `drop`, `audit`, `allow`. Empty: `drop` and `audit`.
    pub verdicts: Vec<String>,
    /// Short names of reasons.
    pub reasons: Vec<String>,
    /// `ingress` or `egress`.
    pub direction: Option<String>,
    /// One of the two sides is a pod of one of these namespaces.
    pub namespaces: Vec<String>,
    /// One of the two sides is one of these.
    pub pods: Vec<Who>,
    /// The source is one of these.
    pub from: Vec<Who>,
    /// The destination is one of these.
    pub to: Vec<Who>,
    /// The destination port is one of these.
    pub ports: Vec<PortFilter>,
}

/// A side of a flow: `NAMESPACE/POD`, `NAMESPACE/` for all its pods, an address or a block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Who {
    /// A pod.
    Pod(String, String),
    /// All pods of a namespace.
    Namespace(String),
    /// Addresses.
    Net(IpNet),
}

/// `80`, `80/TCP`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PortFilter {
    /// The number.
    pub port: u16,
    /// The protocol; `None`: any.
    pub protocol: Option<Protocol>,
}

impl Filter {
    /// Whether allowed flows are wanted.
    #[must_use]
    pub fn wants_allowed(&self) -> bool {
        self.verdicts.iter().any(|verdict| verdict == "allow")
    }

    /// Whether an event can match, by what is known before anything is looked up.
    pub(super) fn may_match(&self, event: &Event) -> bool {
        let verdict = verdict(event);
        let verdicts = if self.verdicts.is_empty() {
            verdict != "allow"
        } else {
            self.verdicts.iter().any(|wanted| wanted == verdict)
        };
        let direction = if event.direction == 0 { "ingress" } else { "egress" };
        let reason = Reason::from_number(event.reason).map_or("", Reason::code);
        let port = |port: &PortFilter| {
            port.port == event.destination_port
                && match port.protocol {
                    Some(protocol) => protocol.number() == event.protocol,
                    None => Protocol::ALL.iter().any(|known| known.number() == event.protocol),
                }
        };
        verdicts
            && self.direction.as_ref().is_none_or(|wanted| wanted == direction)
            && (self.reasons.is_empty() || self.reasons.iter().any(|wanted| wanted == reason))
            && (self.ports.is_empty() || self.ports.iter().any(port))
    }

    /// Whether a notice of an event that may match does.
    #[must_use]
    pub fn matches(&self, notice: &Notice) -> bool {
        let sides = [&notice.source, &notice.destination];
        let subject = notice.pod.as_deref();
        let of = |namespace: &String| {
            sides
                .iter()
                .filter_map(|side| side.pod.as_deref())
                .chain(subject)
                .any(|pod| pod.split_once('/').is_some_and(|(of, _)| of == namespace))
        };
        let either =
            |who: &Who| sides.iter().any(|side| who.is(side)) || subject.is_some_and(|pod| who.is_pod(pod));
        (self.namespaces.is_empty() || self.namespaces.iter().any(of))
            && (self.pods.is_empty() || self.pods.iter().any(either))
            && (self.from.is_empty() || self.from.iter().any(|who| who.is(&notice.source)))
            && (self.to.is_empty() || self.to.iter().any(|who| who.is(&notice.destination)))
    }
}

impl Who {
    fn is(&self, side: &Side) -> bool {
        match self {
            Self::Net(net) => side.address.is_some_and(|address| net.contains(&address)),
            Self::Pod(..) | Self::Namespace(_) => side.pod.as_deref().is_some_and(|pod| self.is_pod(pod)),
        }
    }

    fn is_pod(&self, pod: &str) -> bool {
        match (self, pod.split_once('/')) {
            (Self::Pod(namespace, name), Some((of, pod))) => namespace == of && name == pod,
            (Self::Namespace(namespace), Some((of, _))) => namespace == of,
            _ => false,
        }
    }
}

impl FromStr for Who {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self::Net(address.into()));
        }
        if let Ok(net) = text.parse::<IpNet>() {
            return Ok(Self::Net(net));
        }
        match text.split_once('/') {
            Some((namespace, "" | "*")) if is_name(namespace) && !namespace.contains('.') => {
                Ok(Self::Namespace(namespace.into()))
            }
            Some((namespace, pod)) if is_name(namespace) && !namespace.contains('.') && is_name(pod) => {
                Ok(Self::Pod(namespace.into(), pod.into()))
            }
            _ => Err(format!(
                "`{text}` is neither NAMESPACE/POD, NAMESPACE/ for all its pods, an address nor a block"
            )),
        }
    }
}

/// Whether this can be the name of a pod or a namespace.
fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 253
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte))
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pod(namespace, name) => write!(f, "{namespace}/{name}"),
            Self::Namespace(namespace) => write!(f, "{namespace}/"),
            Self::Net(net) => write!(f, "{net}"),
        }
    }
}

impl FromStr for PortFilter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (port, protocol) = text.split_once('/').map_or((text, None), |(port, name)| (port, Some(name)));
        let port = port.parse().ok().filter(|port| *port != 0);
        let known = |name: &str| {
            Protocol::ALL.into_iter().find(|protocol| protocol.as_str().eq_ignore_ascii_case(name))
        };
        match (port, protocol, protocol.and_then(known)) {
            (Some(port), None, _) => Ok(Self { port, protocol: None }),
            (Some(port), Some(_), Some(protocol)) => Ok(Self { port, protocol: Some(protocol) }),
            _ => Err(format!(
                "`{text}` is no port: give its number, with /TCP, /UDP or /SCTP behind it if that matters"
            )),
        }
    }
}

impl fmt::Display for PortFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.protocol {
            Some(protocol) => write!(f, "{}/{}", self.port, protocol.as_str()),
            None => write!(f, "{}", self.port),
        }
    }
}

impl TryFrom<String> for Who {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Who> for String {
    fn from(who: Who) -> Self {
        who.to_string()
    }
}

impl TryFrom<String> for PortFilter {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<PortFilter> for String {
    fn from(port: PortFilter) -> Self {
        port.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notice() -> Notice {
        let side = |address: &str, pod: Option<&str>| Side {
            address: Some(address.parse().expect("an address")),
            port: Some(80),
            pod: pod.map(Into::into),
        };
        Notice {
            time: String::new(),
            verdict: "drop".into(),
            direction: "ingress".into(),
            reason: "not-allowed".into(),
            text: String::new(),
            pod: Some("shop/db".into()),
            source: side("192.0.2.7", None),
            destination: side("10.0.0.3", Some("shop/db")),
            protocol: "TCP".into(),
            link: "veth1".into(),
            isolated_by: vec![],
            rule: None,
        }
    }

    #[test]
    fn sides() {
        let who = |texts: &[&str]| texts.iter().map(|text| text.parse().expect("somebody")).collect();
        let cases: [(Filter, bool); 10] = [
            (Filter::default(), true),
            (Filter { namespaces: vec!["shop".into()], ..Filter::default() }, true),
            (Filter { namespaces: vec!["test".into()], ..Filter::default() }, false),
            (Filter { pods: who(&["shop/web", "shop/db"]), ..Filter::default() }, true),
            (Filter { from: who(&["shop/db"]), ..Filter::default() }, false),
            (Filter { to: who(&["shop/db"]), ..Filter::default() }, true),
            (Filter { to: who(&["shop/"]), ..Filter::default() }, true),
            (Filter { from: who(&["192.0.2.0/24"]), to: who(&["10.0.0.3"]), ..Filter::default() }, true),
            (Filter { from: who(&["192.0.2.8"]), ..Filter::default() }, false),
            (Filter { from: who(&["2001:db8::/32"]), ..Filter::default() }, false),
        ];
        for (filter, expected) in cases {
            assert_eq!(filter.matches(&notice()), expected, "{filter:?}");
            let written = serde_json::to_string(&filter).expect("JSON");
            assert_eq!(serde_json::from_str::<Filter>(&written).expect("a filter"), filter);
        }
    }

    #[test]
    fn events() {
        use netpol_enforcer_common::Address;
        let mut event = Event {
            time: 0,
            generation: 0,
            ifindex: 0,
            set: 0,
            identity: 0,
            rule: 0,
            epoch: 0,
            length: 0,
            source: Address::NONE,
            destination: Address::NONE,
            source_port: 0,
            destination_port: 80,
            ether_type: 0x800,
            slot: 0,
            protocol: 6,
            direction: 0,
            reason: Reason::NotAllowed as u8,
            flags: 0,
        };
        let port = |text: &str| Filter { ports: vec![text.parse().expect("a port")], ..Filter::default() };
        let verdict = |word: &str| Filter { verdicts: vec![word.into()], ..Filter::default() };
        for (filter, expected) in [
            (Filter::default(), true),
            (port("80"), true),
            (port("80/tcp"), true),
            (port("80/UDP"), false),
            (port("81"), false),
            (Filter { direction: Some("egress".into()), ..Filter::default() }, false),
            (Filter { reasons: vec!["spoofed".into()], ..Filter::default() }, false),
            (verdict("drop"), true),
            (verdict("audit"), false),
        ] {
            assert_eq!(filter.may_match(&event), expected, "{filter:?}");
        }
        event.flags = netpol_enforcer_common::event::AUDITED;
        assert!(Filter::default().may_match(&event) && verdict("audit").may_match(&event));
        event.reason = Reason::Policy as u8;
        event.flags = 0;
        assert!(!Filter::default().may_match(&event) && verdict("allow").may_match(&event));
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["", "shop", "/", "Shop/db", "shop/db/x", "10.0.0.1/33"] {
            assert!(text.parse::<Who>().is_err(), "{text}");
        }
        for text in ["", "0", "http", "80/", "80/ICMP", "65536"] {
            assert!(text.parse::<PortFilter>().is_err(), "{text}");
        }
    }
}
