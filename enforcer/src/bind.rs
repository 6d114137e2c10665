//! Which pod is behind which veth.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use netpol_policy::model::WorkloadName;

use crate::compile::Desired;

/// A pod's veth as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The interface index.
    pub link: u32,
    /// The addresses that the pod's end holds, without link-local ones.
    pub addresses: Vec<IpAddr>,
}

/// What is behind a pod's veth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Behind {
    /// A pod.
    Pod(WorkloadName),
    /// No pod that is known, or none yet.
    Unknown,
    /// A namespace that holds an address of a pod that is bound to another veth, or addresses of several pods. A process
    /// that may configure its network must not become another pod by taking its address.
    Disputed(WorkloadName),
}

/// Binds veths to pods: those of which the network plugin said whose they are (`attached`), the others by their addresses.
/// `before` are the bindings until now: who had an address first keeps it.
#[must_use]
pub fn bind(
    found: &[Found],
    desired: &Desired,
    attached: &BTreeMap<u32, WorkloadName>,
    before: &BTreeMap<u32, WorkloadName>,
) -> BTreeMap<u32, Behind> {
    let owners: BTreeMap<IpAddr, &WorkloadName> = desired
        .endpoints
        .iter()
        .flat_map(|(pod, endpoint)| endpoint.addresses.iter().map(move |address| (*address, pod)))
        .collect();
    let claims = |veth: &Found| -> BTreeSet<&WorkloadName> {
        veth.addresses.iter().filter_map(|address| owners.get(address).copied()).collect()
    };
    // Who was bound before comes first, then who claims one pod only: a namespace that holds its own address and takes
    // another pod's beside it is still its own pod, and the other pod is where only its address is. Then older links.
    let by_address = found.iter().filter(|veth| !attached.contains_key(&veth.link));
    let mut order: Vec<(&Found, BTreeSet<&WorkloadName>)> =
        by_address.map(|veth| (veth, claims(veth))).collect();
    order.sort_by_key(|(veth, claims)| {
        let holds = before.get(&veth.link).is_some_and(|pod| claims.contains(pod));
        (!holds, claims.len(), veth.link)
    });
    let mut taken: BTreeSet<WorkloadName> = attached.values().cloned().collect();
    let attached = found.iter().filter_map(|veth| Some((veth.link, attached.get(&veth.link)?)));
    let mut bound: BTreeMap<u32, Behind> = attached
        .map(|(link, pod)| match desired.endpoints.contains_key(pod) {
            true => (link, Behind::Pod(pod.clone())),
            false => (link, Behind::Unknown),
        })
        .collect();
    for (veth, claims) in order {
        let kept = before.get(&veth.link).filter(|pod| claims.contains(pod));
        let mut free = claims.iter().filter(|pod| !taken.contains(**pod));
        let behind = match (kept, free.next(), free.next(), claims.first()) {
            (Some(pod), ..) => Behind::Pod(pod.clone()),
            (None, Some(pod), None, _) => Behind::Pod((*pod).clone()),
            (None, _, _, Some(pod)) => Behind::Disputed((*pod).clone()),
            (None, _, _, None) => Behind::Unknown,
        };
        if let Behind::Pod(pod) = &behind {
            taken.insert(pod.clone());
        }
        bound.insert(veth.link, behind);
    }
    bound
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compile::Endpoint;
    use netpol_policy::model::WorkloadKind;

    fn name(pod: &str) -> WorkloadName {
        WorkloadName::new("shop", WorkloadKind::Pod, pod)
    }

    fn desired(pods: &[(&str, &[&str])]) -> Desired {
        let endpoint = |addresses: &[&str]| Endpoint {
            addresses: addresses.iter().map(|address| address.parse().expect("an address")).collect(),
            ingress: None,
            egress: None,
        };
        Desired {
            endpoints: pods.iter().map(|(pod, addresses)| (name(pod), endpoint(addresses))).collect(),
            ..Desired::default()
        }
    }

    fn found(link: u32, addresses: &[&str]) -> Found {
        Found {
            link,
            addresses: addresses.iter().map(|address| address.parse().expect("an address")).collect(),
        }
    }

    #[test]
    fn by_address() {
        let desired = desired(&[("web", &["10.0.0.2", "fd00::2"]), ("db", &["10.0.0.3"])]);
        let found = [
            found(4, &["fd00::2"]),
            found(5, &["10.0.0.3", "192.168.0.1"]),
            found(6, &[]),
            found(7, &["10.0.0.9"]),
        ];
        let expected = [
            (4, Behind::Pod(name("web"))),
            (5, Behind::Pod(name("db"))),
            (6, Behind::Unknown),
            (7, Behind::Unknown),
        ];
        assert_eq!(bind(&found, &desired, &BTreeMap::new(), &BTreeMap::new()), BTreeMap::from(expected));
    }

    #[test]
    fn an_address_cannot_be_stolen() {
        let desired = desired(&[("web", &["10.0.0.2"]), ("db", &["10.0.0.3"])]);
        let before = BTreeMap::from([(9, name("db")), (4, name("web"))]);
        // The namespace behind link 4 has taken the database's address, another one has it as its only one.
        let found = [found(4, &["10.0.0.2", "10.0.0.3"]), found(9, &["10.0.0.3"]), found(5, &["10.0.0.3"])];
        let expected =
            [(4, Behind::Pod(name("web"))), (5, Behind::Disputed(name("db"))), (9, Behind::Pod(name("db")))];
        assert_eq!(bind(&found, &desired, &BTreeMap::new(), &before), BTreeMap::from(expected));
    }

    #[test]
    fn a_taken_address_does_not_hide_the_own_one() {
        let desired = desired(&[("web", &["10.0.0.2"]), ("db", &["10.0.0.3"])]);
        let found = [found(4, &["10.0.0.2", "10.0.0.3"]), found(9, &["10.0.0.3"])];
        let bound = bind(&found, &desired, &BTreeMap::new(), &BTreeMap::new());
        assert_eq!(bound, BTreeMap::from([(4, Behind::Pod(name("web"))), (9, Behind::Pod(name("db")))]));
    }

    #[test]
    fn several_pods_at_once_are_none() {
        let desired = desired(&[("web", &["10.0.0.2"]), ("db", &["10.0.0.3"])]);
        let found = [found(4, &["10.0.0.2", "10.0.0.3"])];
        let bound = bind(&found, &desired, &BTreeMap::new(), &BTreeMap::new());
        assert!(matches!(bound[&4], Behind::Disputed(_)));
    }

    #[test]
    fn what_the_network_plugin_said_goes_before_addresses() {
        let desired = desired(&[("old", &["10.0.0.2"]), ("new", &["10.0.0.3"])]);
        let found = [
            found(4, &["10.0.0.2"]),
            found(5, &["10.0.0.2"]),
            found(6, &["10.0.0.3"]),
            found(7, &["10.0.0.2"]),
        ];
        // Link 5 is one of a pod that the cluster does not know yet, although it holds another's former address.
        let attached = BTreeMap::from([(4, name("new")), (5, name("coming"))]);
        let bound = bind(&found, &desired, &attached, &BTreeMap::from([(4, name("old"))]));
        let expected = [
            (4, Behind::Pod(name("new"))),
            (5, Behind::Unknown),
            (6, Behind::Disputed(name("new"))),
            (7, Behind::Pod(name("old"))),
        ];
        assert_eq!(bound, BTreeMap::from(expected));
    }

    #[test]
    fn a_link_can_change_hands() {
        let desired = desired(&[("new", &["10.0.0.2"])]);
        let before = BTreeMap::from([(4, name("old"))]);
        assert_eq!(
            bind(&[found(4, &["10.0.0.2"])], &desired, &BTreeMap::new(), &before)[&4],
            Behind::Pod(name("new"))
        );
    }
}
