//! Whether something allows everything that something else does, decided by what the parts mean, not by how they are
//! written.
//!
//! [`Cover`] compares peers, rules and policies of one namespace without looking at any pod: "covers" holds whatever
//! pods, labels and addresses there are. Sound, so that what is covered can go without a change: blocks and selectors
//! alone are compared exactly, of several rules together not every cover is found. Two limits are on purpose:
//!
//! - A block never covers pods. It matches their addresses, but not every network plugin has it so.
//! - A named port is covered by itself and by every port of its protocol, not by a number that it may have.

mod addresses;
mod ports;

use crate::model::{
    Direction, IpBlock, LabelKey, LabelSelector, LabelValue, Labelled, NetworkPolicy, Peer, Peers,
    PodNamespaces, Ports, Requirement, Rule,
};

pub use addresses::{block_is_empty, blocks_cover};
pub use ports::ports_cover;

/// Compares what policies of one namespace allow.
#[derive(Debug, Clone)]
pub struct Cover {
    /// Selects the policies' own namespace, when it is known.
    own: Option<LabelSelector>,
}

impl Cover {
    /// For policies of a namespace. `None` when it isn't known where they will be applied: then their own namespace is
    /// comparable with itself and with all namespaces.
    pub fn new(own_namespace: Option<&str>) -> Self {
        let own = own_namespace.and_then(|name| {
            let value = LabelValue::new(name).ok()?;
            Some(LabelSelector::new([Requirement::equals(LabelKey::metadata_name(), value)]))
        });
        Self { own }
    }

    /// Whether a peer means everyone that another one does.
    pub fn peer(&self, outer: &Peer, inner: &Peer) -> bool {
        match (outer, inner) {
            (Peer::Block(outer), Peer::Block(inner)) => blocks_cover([outer], inner),
            (
                Peer::Pods { namespaces: outer_namespaces, pods: outer },
                Peer::Pods { namespaces: inner_namespaces, pods: inner },
            ) => {
                inner.implies(outer, Labelled::Pod) && self.namespaces(outer_namespaces, inner_namespaces)
                    || self.is_empty_pods(inner_namespaces, inner)
            }
            (Peer::Pods { .. }, Peer::Block(inner)) => block_is_empty(inner),
            (Peer::Block(_), Peer::Pods { namespaces, pods }) => self.is_empty_pods(namespaces, pods),
        }
    }

    /// Whether a peer can't mean anyone: its requirements contradict each other, or its block is excepted in full.
    pub fn is_empty(&self, peer: &Peer) -> bool {
        match peer {
            Peer::Block(block) => block_is_empty(block),
            Peer::Pods { namespaces, pods } => self.is_empty_pods(namespaces, pods),
        }
    }

    /// Whether some peers together mean everyone that one does. Blocks are added up; selectors are compared one by one.
    pub fn peers<'p>(&self, outer: impl IntoIterator<Item = &'p Peer> + Clone, inner: &Peer) -> bool {
        outer.clone().into_iter().any(|outer| self.peer(outer, inner))
            || match inner {
                Peer::Block(inner) => blocks_cover(outer.into_iter().filter_map(block), inner),
                Peer::Pods { .. } => self.is_empty(inner),
            }
    }

    /// Whether a rule allows everything that another one of the same direction does.
    pub fn rule(&self, outer: &Rule, inner: &Rule) -> bool {
        ports_cover([&outer.ports], &inner.ports)
            && match (&outer.peers, &inner.peers) {
                (Peers::All, _) => true,
                (Peers::Only(_), Peers::All) => false,
                (Peers::Only(outer), Peers::Only(inner)) => {
                    inner.iter().all(|inner| self.peers(outer, inner))
                }
            }
    }

    /// Whether some rules together allow everything that one of the same direction does.
    pub fn rules<'r>(&self, outer: impl IntoIterator<Item = &'r Rule>, inner: &Rule) -> bool {
        let outer: Vec<&Rule> = outer.into_iter().collect();
        if outer.iter().any(|outer| self.rule(outer, inner)) {
            return true;
        }
        let Peers::Only(peers) = &inner.peers else {
            let everyone = outer.iter().filter(|rule| rule.peers == Peers::All);
            return ports_cover(everyone.map(|rule| &rule.ports), &inner.ports);
        };
        peers.iter().all(|peer| {
            let of_peer = outer.iter().filter(|rule| self.among(rule, peer));
            self.is_empty(peer)
                || ports_cover(of_peer.map(|rule| &rule.ports), &inner.ports)
                || block(peer).is_some_and(|block| covered_port_by_port(&outer, block, &inner.ports))
        })
    }

    /// Whether a policy can go beside another one of the same namespace without a change: the other one selects its
    /// pods, isolates them in the same directions and allows everything that it does. `false` for two namespaces.
    pub fn policy(&self, outer: &NetworkPolicy, inner: &NetworkPolicy) -> bool {
        outer.name.namespace == inner.name.namespace
            && inner.pod_selector.implies(&outer.pod_selector, Labelled::Pod)
            && Direction::ALL.into_iter().all(|direction| {
                match (outer.rules(direction), inner.rules(direction)) {
                    (_, None) => true,
                    (None, Some(_)) => false,
                    (Some(outer), Some(inner)) => inner.iter().all(|inner| self.rules(outer, inner)),
                }
            })
    }

    /// Whether two policies mean the same under the same name.
    pub fn equivalent(&self, one: &NetworkPolicy, other: &NetworkPolicy) -> bool {
        one == other || one.name == other.name && self.policy(one, other) && self.policy(other, one)
    }

    /// Whether a rule means everyone that a peer does.
    fn among(&self, rule: &Rule, peer: &Peer) -> bool {
        match &rule.peers {
            Peers::All => true,
            Peers::Only(outer) => self.peers(outer, peer),
        }
    }

    fn namespaces(&self, outer: &PodNamespaces, inner: &PodNamespaces) -> bool {
        let of = Labelled::Namespace;
        match (outer, inner) {
            (PodNamespaces::Own, PodNamespaces::Own) => true,
            (PodNamespaces::Selected(outer), PodNamespaces::Selected(inner)) => inner.implies(outer, of),
            (PodNamespaces::Selected(outer), PodNamespaces::Own) => match &self.own {
                Some(own) => own.implies(outer, of),
                None => LabelSelector::everything().implies(outer, of),
            },
            (PodNamespaces::Own, PodNamespaces::Selected(inner)) => match &self.own {
                Some(own) => inner.implies(own, of),
                None => inner.is_contradictory(of),
            },
        }
    }

    fn is_empty_pods(&self, namespaces: &PodNamespaces, pods: &LabelSelector) -> bool {
        pods.is_contradictory(Labelled::Pod)
            || match namespaces {
                PodNamespaces::Own => false,
                PodNamespaces::Selected(selector) => selector.is_contradictory(Labelled::Namespace),
            }
    }
}

/// Whether for each of some ports the rules that have it cover a block together.
fn covered_port_by_port(outer: &[&Rule], inner: &IpBlock, ports: &Ports) -> bool {
    let covered = |port: &Ports| {
        let mut having = outer.iter().filter(|rule| ports_cover([&rule.ports], port));
        having.clone().any(|rule| rule.peers == Peers::All)
            || blocks_cover(having.by_ref().flat_map(|rule| rule.peers.items()).filter_map(block), inner)
    };
    match ports {
        Ports::All => covered(&Ports::All),
        Ports::Only(items) => items.iter().all(|item| covered(&Ports::Only(vec![item.clone()]))),
    }
}

fn block(peer: &Peer) -> Option<&IpBlock> {
    match peer {
        Peer::Block(block) => Some(block),
        Peer::Pods { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Manifest;

    /// The policy of a spec in flow style, in namespace shop.
    fn policy(spec: &str) -> NetworkPolicy {
        let head =
            "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p, namespace: shop}";
        let manifest = Manifest::read(&format!("{head}\nspec: {spec}\n"), "default");
        manifest.policies().next().unwrap().model.as_deref().cloned().unwrap()
    }

    fn rules(rules: &str) -> Vec<Rule> {
        policy(&format!("{{ingress: {rules}}}")).ingress.unwrap()
    }

    /// Whether the rules but the first cover the first.
    fn covered(list: &str) -> bool {
        let rules = rules(list);
        Cover::new(Some("shop")).rules(&rules[1..], &rules[0])
    }

    #[test]
    fn peers() {
        let shop = "namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: shop}}";
        let cases = [
            ("{podSelector: {matchLabels: {a: x}}}", "{podSelector: {}}", true),
            ("{podSelector: {}}", "{podSelector: {matchLabels: {a: x}}}", false),
            ("{podSelector: {}}", "{namespaceSelector: {}}", true),
            ("{podSelector: {}}", &format!("{{{shop}}}"), true),
            (&format!("{{{shop}}}"), "{podSelector: {}}", true),
            (&format!("{{podSelector: {{matchLabels: {{a: x}}}}, {shop}}}"), "{podSelector: {}}", true),
            ("{podSelector: {}}", "{namespaceSelector: {matchLabels: {a: x}}}", false),
            ("{namespaceSelector: {matchLabels: {a: x}}}", "{podSelector: {}}", false),
            ("{ipBlock: {cidr: 10.0.0.0/16}}", "{ipBlock: {cidr: 10.0.0.0/8}}", true),
            ("{podSelector: {}}", "{ipBlock: {cidr: 0.0.0.0/0}}", false),
            ("{ipBlock: {cidr: 10.0.0.0/16}}", "{namespaceSelector: {}}", false),
        ];
        for (inner, outer, expected) in cases {
            assert_eq!(covered(&format!("[{{from: [{inner}]}}, {{from: [{outer}]}}]")), expected, "{inner}");
        }
        let named = rules(&format!("[{{from: [{{{shop}}}, {{podSelector: {{}}}}]}}]"));
        let [named, own] = named[0].peers.items() else { panic!("two peers") };
        let anywhere = Cover::new(None);
        assert!(!anywhere.peer(own, named) && !anywhere.peer(named, own) && anywhere.peer(own, own));
    }

    #[test]
    fn several_rules_together() {
        for (list, expected) in [
            ("[{ports: [{port: 80}, {port: 81}]}, {ports: [{port: 80}]}, {ports: [{port: 81}]}]", true),
            ("[{ports: [{port: 80}, {port: 82}]}, {ports: [{port: 80}]}, {ports: [{port: 81}]}]", false),
            ("[{}, {ports: [{port: 1, endPort: 65535}, {protocol: UDP}, {protocol: SCTP}]}]", false),
            (
                "[{from: [{podSelector: {}}], ports: [{port: 80}, {port: 81}]}, \
                 {from: [{namespaceSelector: {}}], ports: [{port: 80}]}, {ports: [{port: 81}]}]",
                true,
            ),
            (
                "[{from: [{ipBlock: {cidr: 10.0.0.0/8}}], ports: [{port: 80}, {port: 81}]}, \
                 {from: [{ipBlock: {cidr: 10.0.0.0/9}}], ports: [{port: 80}, {port: 81}]}, \
                 {from: [{ipBlock: {cidr: 10.128.0.0/9}}], ports: [{port: 80}]}, \
                 {from: [{ipBlock: {cidr: 10.128.0.0/10}}, {ipBlock: {cidr: 10.192.0.0/10}}], ports: [{port: 81}]}]",
                true,
            ),
            (
                "[{from: [{ipBlock: {cidr: 10.0.0.0/8}}]}, {from: [{ipBlock: {cidr: 10.0.0.0/9}}]}, \
                 {from: [{ipBlock: {cidr: 10.128.0.0/9}}], ports: [{port: 80}]}]",
                false,
            ),
        ] {
            assert_eq!(covered(list), expected, "{list}");
        }
    }

    #[test]
    fn policies() {
        let cover = Cover::new(Some("shop"));
        for (inner, outer, expected) in [
            ("{podSelector: {matchLabels: {a: x}}}", "{podSelector: {}}", true),
            ("{podSelector: {}}", "{podSelector: {matchLabels: {a: x}}}", false),
            ("{policyTypes: [Egress]}", "{policyTypes: [Ingress]}", false),
            ("{policyTypes: [Ingress]}", "{policyTypes: [Ingress, Egress], ingress: [{}]}", true),
            ("{ingress: [{}]}", "{}", false),
        ] {
            assert_eq!(cover.policy(&policy(outer), &policy(inner)), expected, "{inner} by {outer}");
        }
        let same = |one, other| cover.equivalent(&policy(one), &policy(other));
        assert!(same("{ingress: [{ports: [{port: 80}]}, {}]}", "{ingress: [{}]}"));
        assert!(!same("{policyTypes: [Ingress]}", "{policyTypes: [Ingress, Egress], egress: [{}]}"));
    }
}
