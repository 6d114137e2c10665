//! What the loop leaves for metrics and health.

use std::collections::BTreeMap;
use std::time::{Instant, SystemTime};

use netpol_enforcer_common::maps;

use super::Agent;
use crate::kernel::FlowCounts;
use crate::log;
use crate::metrics::Isolations;
use crate::report::SourceReport;
use crate::tables::State;

impl Agent {
    /// A change was written, or could not be.
    pub(super) fn applied(&mut self, started: Instant, changed: bool, failed: bool) {
        let since = self.changed_at.take();
        let mut vitals = self.vitals.update();
        if failed {
            vitals.failures += 1;
            self.changed_at = since;
        } else {
            if changed {
                vitals.applying.observe(started.elapsed());
            }
            if let Some(since) = since.filter(|_| changed) {
                vitals.programming.observe(since.elapsed());
            }
        }
    }

    /// How many flows there are.
    pub(super) fn counted_flows(&self, counts: FlowCounts) {
        let mut vitals = self.vitals.update();
        vitals.entries.insert(maps::CONNTRACK, counts.flows);
        vitals.entries.insert(maps::LINKS, counts.links);
    }

    /// The report has changed.
    pub(super) fn report_vitals(&self) {
        let entries = entries(self.programmer.state());
        let objects = self.objects.with(|world| world.map_or_else(Vec::new, |world| world.counts().to_vec()));
        let report = &self.report;
        let mut vitals = self.vitals.update();
        vitals.epoch = report.epoch;
        vitals.unready = report.unready.clone();
        vitals.refused = report.refused.len();
        vitals.problems = report.problems.len();
        // A source that says nothing of its contact can't be away.
        vitals.connected = report.source.as_ref().map_or(self.objects.are_known(), |source| source.connected);
        vitals.objects = objects;
        vitals.endpoints = BTreeMap::new();
        vitals.isolated = [0; 2];
        vitals.audited = 0;
        vitals.isolations = Isolations::new();
        for endpoint in &report.endpoints {
            *vitals.endpoints.entry(endpoint.state.clone()).or_default() += 1;
            vitals.isolated[0] += usize::from(endpoint.ingress.state != "open");
            vitals.isolated[1] += usize::from(endpoint.egress.state != "open");
            vitals.audited += usize::from(endpoint.audited);
            if let Some(generation) = endpoint.generation {
                let policies = [endpoint.ingress.policies.clone(), endpoint.egress.policies.clone()];
                vitals.isolations.insert(generation, policies);
            }
        }
        vitals.hooks = report.links.iter().map(|link| link.hooks.len()).sum();
        vitals.hooks_missing = report.links.iter().filter(|link| link.problem.is_some()).count();
        vitals.entries.extend(entries);
    }

    /// Why not everything that was read is enforced.
    pub(super) fn unready(&self) -> Vec<String> {
        let report = &self.report;
        let mut why = Vec::new();
        if !self.objects.are_known() {
            why.push("no objects were read yet".to_owned());
        } else if self.programmed.is_none() {
            why.push("nothing was programmed yet".to_owned());
        }
        why.extend(report.problems.iter().cloned());
        if self.retry && report.problems.is_empty() {
            why.push("the last change is still to be written".to_owned());
        }
        why.extend(report.links.iter().filter_map(|link| link.problem.clone()));
        why
    }

    /// How it stands with the source.
    pub(super) fn heard_of_source(&self, source: &SourceReport) {
        let mut vitals = self.vitals.update();
        vitals.connected = source.connected;
        vitals.heard = source.heard.as_deref().and_then(log::parse_timestamp);
    }

    /// Objects were read just now.
    pub(super) fn read_objects(&mut self, at: Instant) {
        self.changed_at.get_or_insert(at);
        self.vitals.update().synced = Some(SystemTime::now());
    }
}

fn entries(state: &State) -> [(&'static str, usize); 8] {
    // Blocks are in the tries, whole addresses in the hash; both banks share them.
    let (mut exact, mut v4, mut v6) = (0, 0, 0);
    for (whole, blocks) in state.banks.iter().map(|bank| bank.classes.counts()) {
        (exact, v4, v6) = (exact + whole, v4 + blocks[0], v6 + blocks[1]);
    }
    [
        (maps::ENDPOINTS, state.endpoints.len()),
        (maps::SLOTS, state.slots.len()),
        (maps::IDENTITIES, exact),
        (maps::CIDRS_V4, v4),
        (maps::CIDRS_V6, v6),
        (maps::POLICIES, state.sets.values().map(std::collections::BTreeSet::len).sum()),
        (maps::SERVICES, state.services.len()),
        (maps::NODE_ADDRESSES, state.node_addresses.len()),
    ]
}
