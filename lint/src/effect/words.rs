//! What a policy says before and after, in words.

use netpol_policy::model::{
    Direction, LabelSelector, NetworkPolicy, Peer, Peers, PodNamespaces, PortMatch, Ports, Rule,
};
use serde::Serialize;

use super::Before;
use crate::words::{list, only_name};

/// A part of a policy that says something else afterwards.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// `pods` for those that it selects, `ingress` or `egress`.
    pub what: &'static str,
    /// In words; what stays the same is left out where it can be.
    pub before: String,
    /// The same.
    pub after: String,
}

/// More are only counted.
const SHOWN: usize = 4;

/// What changes; `own` is what to call the policy's namespace.
pub(super) fn changes(before: Before<'_>, after: &NetworkPolicy, own: &str) -> Vec<Change> {
    let mut changes = Vec::new();
    if let Some(before) = before.model().filter(|before| before.pod_selector != after.pod_selector) {
        let pods = |policy: &NetworkPolicy| pods(&policy.pod_selector);
        changes.push(Change { what: "pods", before: pods(before), after: pods(after) });
    }
    for direction in Direction::ALL {
        let (what, new) = (direction.field(), after.rules(direction));
        let old = before.model().and_then(|before| before.rules(direction));
        if before == Before::Refused && new.is_some() {
            let before = "the API server refuses the policy".to_owned();
            changes.push(Change { what, before, after: rules(new, own) });
        } else if old != new {
            let (before, after) = sides(old, new, own);
            changes.push(Change { what, before, after });
        }
    }
    changes
}

/// The rules of a direction that are not in both.
fn sides(before: Option<&[Rule]>, after: Option<&[Rule]>, own: &str) -> (String, String) {
    let whole = || (rules(before, own), rules(after, own));
    let (Some(before), Some(after)) = (before, after) else { return whole() };
    match (&rest(before, after)[..], &rest(after, before)[..]) {
        ([], _) | (_, []) => whole(),
        ([one], [other]) => two_rules(one, other, own),
        (before, after) => {
            let words = |rules: &[&Rule]| join(rules, "; ", |rule| self::rule(rule, own));
            (words(before), words(after))
        }
    }
}

/// Two rules without the peers that both have.
fn two_rules(before: &Rule, after: &Rule, own: &str) -> (String, String) {
    let (old, new) =
        (rest(before.peers.items(), after.peers.items()), rest(after.peers.items(), before.peers.items()));
    if old.is_empty() || new.is_empty() {
        return (rule(before, own), rule(after, own));
    }
    let words = |some: &[&Peer], ports: &Ports| format!("{}{}", peers(some, own), self::ports(ports));
    (words(&old, &before.ports), words(&new, &after.ports))
}

/// The items of one list that the other one doesn't have as often.
fn rest<'a, T: PartialEq>(list: &'a [T], other: &[T]) -> Vec<&'a T> {
    let mut unmatched: Vec<_> = other.iter().collect();
    let is_new = |item: &&T| match unmatched.iter().position(|other| *other == *item) {
        Some(at) => {
            unmatched.swap_remove(at);
            false
        }
        None => true,
    };
    list.iter().filter(is_new).collect()
}

fn rules(rules: Option<&[Rule]>, own: &str) -> String {
    match rules {
        None => "not limited".to_owned(),
        Some([]) => "nothing".to_owned(),
        Some(rules) => join(rules, "; ", |rule| self::rule(rule, own)),
    }
}

fn rule(rule: &Rule, own: &str) -> String {
    let peers = match &rule.peers {
        Peers::All if rule.ports == Ports::All => return "everyone on every port".to_owned(),
        Peers::All => "everyone".to_owned(),
        Peers::Only(items) => peers(&items.iter().collect::<Vec<_>>(), own),
    };
    format!("{peers}{}", ports(&rule.ports))
}

fn peers(peers: &[&Peer], own: &str) -> String {
    join(peers, ", and ", |peer| self::peer(peer, own))
}

fn peer(peer: &Peer, own: &str) -> String {
    let (namespaces, selector) = match peer {
        Peer::Block(block) => return block.to_string(),
        Peer::Pods { namespaces, pods } => (namespaces, pods),
    };
    let place = match namespaces {
        PodNamespaces::Own => own.to_owned(),
        PodNamespaces::Selected(selector) if selector.is_everything() => "every namespace".to_owned(),
        PodNamespaces::Selected(selector) => match only_name(selector) {
            Some(name) => name.to_owned(),
            None => format!("namespaces {selector}"),
        },
    };
    format!("{} of {place}", pods(selector))
}

fn pods(selector: &LabelSelector) -> String {
    if selector.is_everything() { "all pods".to_owned() } else { format!("pods {selector}") }
}

/// ` on 80/TCP and 53/UDP`; nothing for all.
fn ports(ports: &Ports) -> String {
    let Ports::Only(items) = ports else { return String::new() };
    let mut words: Vec<_> = items.iter().take(SHOWN).map(port).collect();
    if items.len() > SHOWN {
        words.push(format!("{} more", items.len() - SHOWN));
    }
    format!(" on {}", list(&words))
}

fn port(port: &PortMatch) -> String {
    match port {
        PortMatch::Every(protocol) => format!("every {protocol} port"),
        PortMatch::Range(protocol, first, last) if first == last => format!("{first}/{protocol}"),
        PortMatch::Range(protocol, first, last) => format!("{first}-{last}/{protocol}"),
        PortMatch::Named(protocol, name) => format!("{name}/{protocol}"),
    }
}

fn join<T>(items: &[T], separator: &str, words: impl Fn(&T) -> String) -> String {
    let mut shown: Vec<_> = items.iter().take(SHOWN).map(words).collect();
    if items.len() > SHOWN {
        shown.push(format!("{} more", items.len() - SHOWN));
    }
    shown.join(separator)
}
