//! Which pod is behind which link.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use netpol_policy::model::WorkloadName;

use super::{Agent, pod_name};
use crate::bind::{Behind, Found, bind};
use crate::compile::LocalNode;
use crate::log;
use crate::netlink::Link;
use crate::roles::Role;

impl Agent {
    /// Says of every pod's link which pod is behind it.
    pub(super) fn bind(&mut self, links: &[Link], roles: &[Role]) -> BTreeMap<u32, Behind> {
        let found: Vec<Found> = links
            .iter()
            .zip(roles)
            .filter_map(|(link, role)| match role {
                Role::Pod { addresses } => Some(Found { link: link.index, addresses: addresses.clone() }),
                _ => None,
            })
            .collect();
        let node = LocalNode {
            name: self.options.node.as_str().into(),
            pod_addresses: found.iter().flat_map(|veth| veth.addresses.iter().copied()).collect(),
            attached: self.attachments.addresses(),
        };
        if self.compiled_for.as_ref() != Some(&node) {
            self.compiled_for = Some(node);
            self.follow();
        }
        let bound = bind(&found, self.compiler.desired(), &self.attachments.by_link(), &self.bound);
        let unbound: BTreeSet<u32> =
            found.iter().filter(|veth| veth.addresses.is_empty()).map(|veth| veth.link).collect();
        self.unbound_since.retain(|link, _| unbound.contains(link));
        for link in unbound {
            self.unbound_since.entry(link).or_insert_with(Instant::now);
        }
        self.tell_bindings(links, &bound);
        bound
    }

    fn tell_bindings(&mut self, links: &[Link], bound: &BTreeMap<u32, Behind>) {
        let name = |index: u32| links.iter().find(|link| link.index == index).map_or("", |link| &link.name);
        let pods: BTreeMap<u32, WorkloadName> = bound
            .iter()
            .filter_map(|(link, behind)| match behind {
                Behind::Pod(pod) => Some((*link, pod.clone())),
                _ => None,
            })
            .collect();
        for (link, pod) in &pods {
            if self.bound.get(link) != Some(pod) {
                log::info("pod bound", &[("link", &name(*link)), ("pod", &pod_name(pod))]);
            }
        }
        for (link, behind) in bound {
            if let Behind::Disputed(pod) = behind
                && self.disputed.insert(*link)
            {
                log::warn(
                    "a namespace holds the address of a pod that is elsewhere, or of several pods: it is closed",
                    &[("link", &name(*link)), ("pod", &pod_name(pod))],
                );
            }
        }
        self.disputed.retain(|link| matches!(bound.get(link), Some(Behind::Disputed(_))));
        self.bound = pods;
    }
}
