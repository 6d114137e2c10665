//! What is to be enforced, and writing it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use ipnet::IpNet;
use netpol_policy::model::WorkloadName;

use super::Agent;
use crate::bind::Behind;
use crate::compile::{Isolation, Moment, ServiceAddress};
use crate::log;
use crate::monitor::View;
use crate::netlink::Link;
use crate::tables::{Gate, Target, TargetEndpoint};

/// What was written last.
pub(super) struct Programmed {
    /// The classes are those of then. They themselves are not kept: to change something that is kept takes a copy.
    classes: Moment,
    endpoints: BTreeMap<u32, TargetEndpoint>,
    services: Arc<BTreeSet<ServiceAddress>>,
    node_addresses: BTreeSet<IpAddr>,
}

impl Agent {
    /// Writes what is to be enforced, if it differs from what was written last.
    pub(super) fn program(&mut self, links: &[Link], bound: &BTreeMap<u32, Behind>) {
        let target = self.target(links, bound);
        let same = |last: &Programmed| {
            last.classes == target.classes.now()
                && last.endpoints == target.endpoints
                && last.services == target.services
                && last.node_addresses == target.node_addresses
        };
        if self.programmed.as_ref().is_some_and(same) && !self.retry {
            return;
        }
        let started = Instant::now();
        match self.programmer.apply(&target) {
            Ok(outcome) => {
                self.applied(started, outcome.changed, false);
                for problem in &outcome.problems {
                    log::error(problem, &[]);
                }
                if outcome.changed {
                    let (epoch, took) = (self.programmer.state().epoch, started.elapsed().as_micros());
                    let pods = target.endpoints.len();
                    log::info("programmed", &[("epoch", &epoch), ("pods", &pods), ("microseconds", &took)]);
                }
                self.retry = !outcome.problems.is_empty();
                self.report.problems = outcome.problems;
                self.programmed = Some(Programmed {
                    classes: target.classes.now(),
                    endpoints: target.endpoints,
                    services: target.services,
                    node_addresses: target.node_addresses,
                });
            }
            Err(error) => {
                self.applied(started, false, true);
                log::error(&error, &[("until_then", &"what was enforced before stays enforced")]);
                self.report.problems = vec![error.to_string()];
                self.retry = true;
            }
        }
        self.report.epoch = self.programmer.state().epoch;
        self.share_view(links);
    }

    /// No packet is decided any more by what was enforced before the last change.
    pub(super) fn settle(&mut self) {
        if let Err(error) = self.programmer.settle() {
            log::error(&error, &[("enforcement", &"what was programmed last is enforced")]);
            self.retry = true;
        }
    }

    /// Whether what policies deny to a pod passes and is only told.
    fn audited(&self, pod: &WorkloadName) -> bool {
        self.options.audit
            || self.objects.with(|world| world.is_some_and(|world| world.namespace(&pod.namespace).audited()))
    }

    fn target(&self, links: &[Link], bound: &BTreeMap<u32, Behind>) -> Target {
        let gate = |isolation: &Option<Isolation>| {
            isolation.as_ref().map_or(Gate::Open, |isolation| Gate::Set(Arc::clone(&isolation.set)))
        };
        let mut endpoints = BTreeMap::new();
        for link in links {
            if let (Some(Behind::Pod(pod)), Some(peer)) = (bound.get(&link.index), &link.peer)
                && let Some(endpoint) = self.compiler.desired().endpoints.get(pod)
            {
                let link_local = peer.link_local.iter().filter(|address| address.is_ipv6());
                endpoints.insert(
                    link.index,
                    TargetEndpoint {
                        pod: pod.clone(),
                        addresses: endpoint.addresses.iter().chain(link_local).copied().collect(),
                        mac: peer.mac,
                        audited: self.audited(pod),
                        ingress: gate(&endpoint.ingress),
                        egress: gate(&endpoint.egress),
                    },
                );
            }
        }
        Target {
            classes: Arc::clone(&self.compiler.desired().classes),
            endpoints,
            services: Arc::clone(&self.compiler.desired().services),
            node_addresses: links.iter().flat_map(|link| &link.addresses).map(IpNet::addr).collect(),
        }
    }

    /// Lets the monitor name what it shows.
    fn share_view(&mut self, links: &[Link]) {
        let generations = self
            .programmer
            .state()
            .endpoints
            .iter()
            .filter_map(|(link, record)| Some((record.generation, self.bound.get(link)?.clone())))
            .collect();
        let names = links.iter().map(|link| (link.index, link.name.clone())).collect();
        let mut view = self.view.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        *view = View {
            version: view.version + 1,
            epoch: self.programmer.state().epoch,
            node: self.options.node.clone(),
            objects: self.objects.clone(),
            generations,
            links: names,
        };
    }
}
