//! Ports of a rule in words.

use std::collections::BTreeMap;

use netpol_policy::model::{Pod, PortMatch, PortName, Ports, Protocol};

use super::facts::names;
use crate::words::list;

/// Ports in words.
pub(super) struct Words {
    pub(super) text: String,
    /// They are names that no destination has.
    pub(super) nothing: bool,
}

/// `on port 80/TCP`, `on every port, with ICMP and every other protocol`. `destinations` are the workloads on whose ports
/// it depends what a name means.
pub(super) fn ports(ports: &Ports, destinations: &Destinations<'_>) -> Words {
    let items = match ports {
        Ports::All => {
            let text = "on every port, with ICMP and every other protocol".to_owned();
            return Words { text, nothing: false };
        }
        Ports::Only(items) => items,
    };
    let (mut words, mut nothing) = (Vec::new(), true);
    for item in items {
        let (text, none) = port(item, destinations);
        words.push(text);
        nothing &= none;
    }
    let text = match &words[..] {
        [one] if items.iter().all(is_single) => format!("on port {one}"),
        _ if items.iter().all(is_single) => format!("on the ports {}", list(&words)),
        _ => format!("on {}", list(&words)),
    };
    Words { text, nothing }
}

/// Where a named port is looked up.
pub(super) struct Destinations<'a> {
    /// The workloads that are known to be meant.
    pub(super) pods: Vec<&'a Pod>,
    /// Those are all.
    pub(super) complete: bool,
    /// Only address blocks, which name no ports.
    pub(super) only_blocks: bool,
}

fn is_single(item: &PortMatch) -> bool {
    matches!(item, PortMatch::Range(_, first, last) if first == last)
}

/// The words, and whether it means no port at all.
fn port(item: &PortMatch, destinations: &Destinations<'_>) -> (String, bool) {
    let text = match item {
        PortMatch::Every(protocol) => format!("every {protocol} port"),
        PortMatch::Range(protocol, first, last) if first == last => format!("{first}/{protocol}"),
        PortMatch::Range(protocol, first, last) => format!("ports {first} to {last}/{protocol}"),
        PortMatch::Named(protocol, name) => return named(*protocol, name, destinations),
    };
    (text, false)
}

fn named(protocol: Protocol, name: &PortName, destinations: &Destinations<'_>) -> (String, bool) {
    let what = format!("the {protocol} port that the destination pod names {name}");
    if destinations.only_blocks {
        return (format!("{what} (an address block names no ports, so this allows nothing)"), true);
    }
    let mut numbers = BTreeMap::<_, Vec<String>>::new();
    for pod in &destinations.pods {
        for number in pod.named_ports(protocol, name) {
            numbers.entry(number).or_default().push(pod.name.to_string());
        }
    }
    for pods in numbers.values_mut() {
        pods.sort();
        pods.dedup();
    }
    if numbers.is_empty() {
        let nothing = destinations.complete && !destinations.pods.is_empty();
        let why = if nothing { " (none of them has one, so this allows nothing)" } else { "" };
        return (format!("{what}{why}"), nothing);
    }
    let on = numbers.iter().map(|(number, pods)| format!("{number} on {}", names(pods)));
    (format!("{what} ({})", on.collect::<Vec<_>>().join("; ")), false)
}
