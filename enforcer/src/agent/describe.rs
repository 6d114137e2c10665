//! What the agent tells about itself.

use std::collections::BTreeMap;
use std::net::IpAddr;

use netpol_enforcer_common::endpoint::{SET_CLOSED, SET_NONE};

use super::{Agent, pod_name};
use crate::bind::Behind;
use crate::compile::Isolation;
use crate::log;
use crate::netlink::Link;
use crate::report::{EndpointReport, IsolationReport, SetReport};
use crate::roles::{Reason, Role};
use crate::standing::Standing;

impl Agent {
    pub(super) fn report_endpoints(&mut self, links: &[Link], bound: &BTreeMap<u32, Behind>) {
        let mut reports = Vec::new();
        let mut users: BTreeMap<u32, usize> = BTreeMap::new();
        for link in links {
            let Some(behind) = bound.get(&link.index) else { continue };
            let record = self.programmer.state().endpoints.get(&link.index);
            let state = self.programmer.state();
            let gates = record.map(|record| record.gates[state.active()]);
            let (pod, compiled) = match behind {
                Behind::Pod(pod) => (Some(pod), self.compiler.desired().endpoints.get(pod)),
                Behind::Unknown | Behind::Disputed(_) => (None, None),
            };
            let isolation = |gate: Option<u32>, isolation: Option<&Isolation>| {
                isolation_report(gate, isolation, self.options.settings.unknown_allowed)
            };
            let ingress =
                isolation(gates.map(|gates| gates.ingress), compiled.and_then(|e| e.ingress.as_ref()));
            let egress = isolation(gates.map(|gates| gates.egress), compiled.and_then(|e| e.egress.as_ref()));
            for set in [ingress.set, egress.set].into_iter().flatten() {
                *users.entry(set).or_default() += 1;
            }
            reports.push(EndpointReport {
                link: link.index,
                name: link.name.clone(),
                state: match behind {
                    Behind::Pod(_) => "bound".into(),
                    Behind::Unknown if record.is_some() => "adopted".into(),
                    Behind::Unknown => "unknown".into(),
                    Behind::Disputed(_) => "disputed".into(),
                },
                pod: pod.map(pod_name),
                addresses: record.map_or_else(
                    || link.peer.as_ref().and_then(|peer| peer.addresses.clone()).unwrap_or_default(),
                    |record| record.addresses.iter().copied().collect::<Vec<IpAddr>>(),
                ),
                generation: record.map(|record| record.generation),
                audited: record.is_some_and(|record| record.audited),
                ingress,
                egress,
            });
        }
        self.report.endpoints = reports;
        let sets = &self.programmer.state().sets;
        self.report.sets = users
            .into_iter()
            .map(|(id, users)| {
                let entries =
                    sets.iter().find(|(set, _)| set.0 == id).map_or(0, |(_, entries)| entries.len());
                SetReport { id, entries, users }
            })
            .collect();
    }

    pub(super) fn publish(&mut self) {
        self.report.unready = self.unready();
        if self.published.as_ref() == Some(&self.report) {
            return;
        }
        self.report_vitals();
        let ever = self.programmer.state().epoch != 0;
        let standing = Standing::of(&self.report, ever);
        self.options.standing.send_if_modified(|before| {
            let changed = *before != standing;
            *before = standing;
            changed
        });
        match self.report.write(&self.options.state_dir) {
            Ok(()) => self.published = Some(self.report.clone()),
            Err(error) => log::warn("the state file can't be written", &[("error", &error)]),
        }
    }
}

/// The role's name in the report.
pub(super) fn role_name(role: &Role) -> &'static str {
    match role {
        Role::Pod { .. } => "pod",
        Role::Uplink => "uplink",
        Role::Ignored(Reason::Loopback) => "loopback",
        Role::Ignored(Reason::PodBridge) => "pod-bridge",
        Role::Ignored(Reason::ForeignContainer) => "foreign-container",
    }
}

fn isolation_report(
    gate: Option<u32>,
    isolation: Option<&Isolation>,
    unknown_allowed: bool,
) -> IsolationReport {
    let (state, set) = match gate {
        None if unknown_allowed => ("open", None),
        None | Some(SET_CLOSED) => ("closed", None),
        Some(SET_NONE) => ("open", None),
        Some(set) => ("isolated", Some(set)),
    };
    let policies = isolation.map_or_else(Vec::new, |isolation| {
        let label = isolation.by_namespace.then(|| "namespace label".to_owned());
        isolation.policies.iter().map(ToString::to_string).chain(label).collect()
    });
    IsolationReport { state: state.into(), set, policies }
}
