//! Port lists as sets of ports.

use crate::evaluate::PortSet;
use crate::model::{PortMatch, Ports, Protocol};

/// Whether some port lists together have everything that one has.
pub fn ports_cover<'p>(outer: impl IntoIterator<Item = &'p Ports>, inner: &Ports) -> bool {
    let outer: Vec<&Ports> = outer.into_iter().collect();
    if outer.contains(&&Ports::All) {
        return true;
    }
    let Ports::Only(items) = inner else { return false };
    let items_of = || outer.iter().flat_map(|ports| ports.items());
    items.iter().all(|item| {
        items_of().any(|outer| port_covers(outer, item))
            || range(item).is_some_and(|(protocol, first, last)| {
                let parts = || {
                    let ranges = items_of().filter_map(range);
                    ranges.filter(|(p, a, b)| *p == protocol && *a <= last && first <= *b)
                };
                // One alone was looked at.
                if parts().nth(1).is_none() {
                    return false;
                }
                let mut set = PortSet::none();
                parts().for_each(|(_, a, b)| set.insert(a, b));
                set.contains_range(first, last)
            })
    })
}

/// Whether an item has every port that another has.
fn port_covers(outer: &PortMatch, inner: &PortMatch) -> bool {
    match (range(outer), range(inner)) {
        _ if outer.protocol() != inner.protocol() => false,
        (Some((_, first, last)), Some((_, a, b))) => first <= a && b <= last,
        (Some((_, first, last)), None) => (first, last) == EVERY,
        (None, _) => outer == inner,
    }
}

const EVERY: (u16, u16) = (1, u16::MAX);

/// The ports of an item by their numbers; `None` when it has a name.
fn range(item: &PortMatch) -> Option<(Protocol, u16, u16)> {
    match item {
        PortMatch::Every(protocol) => Some((*protocol, EVERY.0, EVERY.1)),
        PortMatch::Range(protocol, first, last) => Some((*protocol, first.get(), last.get())),
        PortMatch::Named(..) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU16;

    use super::*;
    use crate::model::PortName;

    fn ports(text: &str) -> Ports {
        let item = |text: &str| {
            let Some((port, protocol)) = text.split_once('/') else {
                return PortMatch::Every(text.parse().unwrap());
            };
            let (protocol, number) = (protocol.parse().unwrap(), |n: &str| n.parse::<NonZeroU16>());
            match port.split_once('-').unwrap_or((port, port)) {
                (a, b) if number(a).is_ok() => {
                    PortMatch::range(protocol, number(a).unwrap(), number(b).unwrap()).unwrap()
                }
                _ => PortMatch::Named(protocol, PortName::new(port).unwrap()),
            }
        };
        if text == "*" { Ports::All } else { Ports::Only(text.split(' ').map(item).collect()) }
    }

    #[test]
    fn sets() {
        for (outer, inner, expected) in [
            ("*", "*", true),
            ("*", "80/TCP", true),
            ("TCP UDP SCTP", "*", false),
            ("TCP", "80/TCP web/TCP", true),
            ("1-65535/TCP", "TCP web/TCP", true),
            ("1-65534/TCP", "web/TCP", false),
            ("UDP", "80/TCP", false),
            ("80-90/TCP", "85/TCP 80/TCP 90/TCP", true),
            ("80-90/TCP", "85-91/TCP", false),
            ("80-85/TCP 86-90/TCP", "83-88/TCP", true),
            ("80-85/TCP 87-90/TCP", "83-88/TCP", false),
            ("80-85/TCP 86-90/UDP", "83-88/TCP", false),
            ("web/TCP 80/UDP", "web/TCP", true),
            ("web/TCP", "web/UDP", false),
            ("web/TCP", "80/TCP", false),
            ("80/TCP", "web/TCP", false),
        ] {
            assert_eq!(ports_cover([&ports(outer)], &ports(inner)), expected, "{outer} covers {inner}");
        }
        assert!(ports_cover([&ports("80-85/TCP"), &ports("86-90/TCP")], &ports("83-88/TCP")));
    }
}
