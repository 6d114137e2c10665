//! Which policies may let pods ask a name server.

use std::sync::PoisonError;

use netpol_policy::model::{
    Direction, LabelSelector, LabelValue, METADATA_NAME, NetworkPolicy, Peer, Peers, PodNamespaces,
    PortMatch, Ports, Protocol, Requirement,
};

use super::Index;

/// Where clusters have their name server.
const NAMESPACES: [&str; 3] = ["kube-system", "openshift-dns", "kube-dns"];
/// Where name servers listen, behind their Service's port 53.
const PORTS: [u16; 4] = [53, 1053, 5353, 8053];

impl<'c> Index<'c> {
    /// The policies of a namespace that may let DNS through: whether they do may depend on labels that nobody gave.
    pub(crate) fn opening_dns(&self, namespace: &str) -> Vec<&'c NetworkPolicy> {
        let opens = |policy: &&'c NetworkPolicy| self.may_open_dns(policy);
        let all = self.policies.of(namespace);
        if all.is_empty() {
            // Namespaces are many that nobody has heard of.
            return self.newer.of(namespace).iter().copied().filter(opens).collect();
        }
        let mut known = self.dns.lock().unwrap_or_else(PoisonError::into_inner);
        let ids = known
            .entry(namespace.into())
            .or_insert_with(|| (0..all.len()).filter(|id| opens(&all[*id])).collect());
        let older = ids.iter().map(|id| all[*id]).filter(|policy| self.counts(policy));
        older.chain(self.newer.of(namespace).iter().copied().filter(opens)).collect()
    }

    /// Whether some egress rule of a policy may let DNS through.
    pub(crate) fn may_open_dns(&self, policy: &NetworkPolicy) -> bool {
        let mut rules = policy.rules(Direction::Egress).into_iter().flatten();
        rules.any(|rule| match (opens(&rule.ports), &rule.peers) {
            (Opens::No, _) => false,
            // Whoever names the port knows where the name server is.
            (Opens::OnPurpose, _) | (_, Peers::All) => true,
            (Opens::Too, Peers::Only(peers)) => peers.iter().any(|peer| self.may_answer(peer)),
        })
    }

    /// Whether a name server may be among the pods or addresses of a peer of another namespace than its own.
    fn may_answer(&self, peer: &Peer) -> bool {
        match peer {
            Peer::Block(_) => true,
            Peer::Pods { namespaces: PodNamespaces::Own, .. } => false,
            Peer::Pods { namespaces: PodNamespaces::Selected(namespaces), pods } => {
                let may_be_there = NAMESPACES.iter().any(|name| self.namespace_may_match(name, namespaces))
                    || names_dns(namespaces, |requirement| requirement.key().as_str() == METADATA_NAME);
                let asked = pods.requirements().any(|requirement| requirement.operator() == "In");
                may_be_there && (!asked || names_dns(pods, |_| true))
            }
        }
    }
}

/// Whether a selector has `dns` in a key or a value that it asks for.
fn names_dns(selector: &LabelSelector, of: impl Fn(&Requirement) -> bool) -> bool {
    let mut asked =
        selector.requirements().filter(|one| of(one) && matches!(one.operator(), "In" | "Exists"));
    asked.any(|requirement| {
        let mut values = requirement.values().map(LabelValue::as_str);
        requirement.key().as_str().contains("dns") || values.any(|value| value.contains("dns"))
    })
}

/// How ports let DNS through.
enum Opens {
    No,
    /// With others.
    Too,
    /// By its number or its name.
    OnPurpose,
}

fn opens(ports: &Ports) -> Opens {
    let Ports::Only(items) = ports else { return Opens::Too };
    let (mut found, transport) = (Opens::No, |protocol| protocol != Protocol::Sctp);
    for item in items.iter().filter(|item| transport(item.protocol())) {
        match item {
            PortMatch::Named(_, name) if name.as_str().contains("dns") || name.as_str() == "domain" => {
                return Opens::OnPurpose;
            }
            PortMatch::Range(_, first, last) if first == last && PORTS.contains(&first.get()) => {
                return Opens::OnPurpose;
            }
            PortMatch::Range(_, first, last)
                if PORTS.iter().any(|port| (first.get()..=last.get()).contains(port)) =>
            {
                found = Opens::Too;
            }
            PortMatch::Every(_) => found = Opens::Too,
            _ => {}
        }
    }
    found
}
