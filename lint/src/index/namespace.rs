//! The pods of one namespace, found by their labels.

use std::sync::OnceLock;

use super::kinds::{Kinds, Listeners};
use super::labels::ByLabel;
use super::listening::Listening;
use super::workloads::Workloads;
use crate::hash::HashMap;
use netpol_policy::model::{LabelSelector, Labels, Pod, Service};

/// A namespace that was given or that a workload is in.
#[derive(Default)]
pub(super) struct NamespaceIndex<'c> {
    /// Its labels; of one without a manifest only its name is known.
    pub(super) labels: Option<&'c Labels>,
    /// Pods that policies can be about, in the order given.
    pub(super) pods: Vec<&'c Pod>,
    /// The numbers of the pods by their labels.
    by_label: ByLabel<'c>,
    /// Pods on the network of their node, which no selector matches.
    pub(super) host_network: Vec<&'c Pod>,
    /// Workloads by the labels that their templates lack.
    by_unseen_label: HashMap<(&'c str, &'c str), Vec<u32>>,
    /// Services that select pods.
    services: Vec<&'c Service>,
    /// Pods with the same labels and ports.
    kinds: Kinds<'c>,
    /// Kinds that say the same about where they listen; worked out when somebody asks.
    listeners: OnceLock<Listeners>,
    /// Made when somebody asks.
    workloads: OnceLock<Workloads>,
}

impl<'c> NamespaceIndex<'c> {
    /// Whether at least one workload of it was given.
    pub(super) fn has_workloads(&self) -> bool {
        !self.pods.is_empty() || !self.host_network.is_empty()
    }

    /// Adds a pod that policies can be about. Calls back for each label that no pod here had before.
    pub(super) fn add(&mut self, pod: &'c Pod, new_label: impl FnMut(&'c str, &'c str)) {
        let id = u32::try_from(self.pods.len()).expect("fewer pods than bytes of text");
        self.pods.push(pod);
        self.by_label.add(id, &pod.labels, new_label);
        for (key, value) in &pod.unseen_labels {
            self.by_unseen_label.entry((key.as_str(), value.as_str())).or_default().push(id);
        }
    }

    /// Must be called once all pods are there.
    pub(super) fn sort_into_kinds(&mut self) {
        self.kinds = Kinds::new(&self.pods);
    }

    /// Adds a Service.
    pub(super) fn add_service(&mut self, service: &'c Service) {
        if service.selector.is_some() {
            self.services.push(service);
        }
    }

    /// The pods that a selector matches: looks only at those with the rarest label that it asks for.
    pub(super) fn matching<'i>(
        &'i self,
        selector: &'i LabelSelector,
    ) -> Box<dyn Iterator<Item = &'c Pod> + 'i> {
        let matches = move |pod: &&Pod| selector.matches(&pod.labels);
        match self.by_label.rarest(selector).and_then(|rarest| self.by_label.meeting(rarest)) {
            Some(lists) => {
                let ids = lists.into_iter().flatten();
                Box::new(ids.map(|id| self.pods[*id as usize]).filter(matches))
            }
            None => Box::new(self.pods.iter().copied().filter(matches)),
        }
    }

    /// The same, each pod with the name of its workload.
    pub(super) fn members<'i>(
        &'i self,
        selector: &'i LabelSelector,
    ) -> Box<dyn Iterator<Item = (&'i str, &'c Pod)> + 'i> {
        let workloads = self.workloads.get_or_init(|| Workloads::new(&self.pods));
        let member = |id: u32| (workloads.of(id), self.pods[id as usize]);
        let matches = move |(_, pod): &(&str, &Pod)| selector.matches(&pod.labels);
        match self.by_label.rarest(selector).and_then(|rarest| self.by_label.meeting(rarest)) {
            Some(lists) => Box::new(lists.into_iter().flatten().map(move |id| member(*id)).filter(matches)),
            None => Box::new((0..self.pods.len() as u32).map(member).filter(matches)),
        }
    }

    /// The first pod of each workload, with the workload's name.
    pub(super) fn workloads(&self) -> impl Iterator<Item = (&str, &'c Pod)> {
        let workloads = self.workloads.get_or_init(|| Workloads::new(&self.pods));
        workloads.firsts().map(|id| (workloads.of(id), self.pods[id as usize]))
    }

    /// One of the pods for each combination of labels and ports among those that a selector matches.
    pub(super) fn kinds<'i>(
        &'i self,
        selector: &'i LabelSelector,
    ) -> impl Iterator<Item = &'c Pod> + use<'i, 'c> {
        let kinds = &self.kinds;
        kinds.matching(selector, self.by_label.rarest(selector)).map(|kind| kinds.first(kind))
    }

    /// The values that a label has on pods, each once.
    pub(super) fn values(&self, key: &str) -> &[&'c str] {
        self.by_label.values(key)
    }

    /// The first pod with a label.
    pub(super) fn pod_with(&self, key: &str, value: &str) -> Option<&'c Pod> {
        self.by_label.first(key, value).map(|id| self.pods[id as usize])
    }

    /// The first workload that a selector would match if its pods had its own labels as well.
    pub(super) fn with_unseen_labels(&self, selector: &LabelSelector) -> Option<&'c Pod> {
        let would_match = |pod: &Pod| {
            selector.requirements().all(|requirement| {
                requirement.matches(&pod.labels) || requirement.matches(&pod.unseen_labels)
            })
        };
        let asked = selector.requirements().filter(|requirement| requirement.operator() == "In");
        let labels =
            asked.flat_map(|asked| asked.values().map(|value| (asked.key().as_str(), value.as_str())));
        let ids = labels.filter_map(|label| self.by_unseen_label.get(&label)).flatten();
        ids.map(|id| self.pods[*id as usize]).find(|pod| would_match(pod))
    }

    /// Adds to what is known of ports where the pods listen that a selector matches.
    pub(super) fn listen(&self, selector: &LabelSelector, all: &mut Listening) {
        let kinds = &self.kinds;
        let listeners = self.listeners.get_or_init(|| Listeners::new(kinds, &self.services));
        let mut seen = vec![false; listeners.count()];
        for kind in kinds.matching(selector, self.by_label.rarest(selector)) {
            all.pods += kinds.count(kind);
            if !std::mem::replace(&mut seen[listeners.of(kind)], true) {
                let services = listeners.services(kind).iter();
                all.add(kinds.first(kind), services.map(|number| self.services[*number as usize]));
            }
        }
    }
}
