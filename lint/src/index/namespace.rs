//! The pods of one namespace, found by their labels.

use std::collections::{HashMap, HashSet};
use std::sync::OnceLock;

use super::listening::Listening;
use netpol_policy::model::{LabelSelector, Labels, Pod, Requirement, Service};

/// A namespace that was given or that a workload is in.
#[derive(Default)]
pub(super) struct NamespaceIndex<'c> {
    /// Its labels; of one without a manifest only its name is known.
    pub(super) labels: Option<&'c Labels>,
    /// Pods that policies can be about, in the order given.
    pub(super) pods: Vec<&'c Pod>,
    /// The labels of pods by key.
    by_label: HashMap<&'c str, Key<'c>>,
    /// Pods on the network of their node, which no selector matches.
    pub(super) host_network: Vec<&'c Pod>,
    /// Workloads by the labels that their templates lack.
    by_unseen_label: HashMap<(&'c str, &'c str), Vec<u32>>,
    /// Services that select pods.
    services: Vec<&'c Service>,
    /// For each pod the Services that select it; worked out when somebody asks.
    services_of: OnceLock<Vec<Vec<u32>>>,
    /// For each pod whether it is the first with its labels and ports; worked out when somebody asks.
    firsts: OnceLock<Box<[bool]>>,
    /// Pods that say the same about where they listen; worked out when somebody asks.
    listeners: OnceLock<Listeners>,
}

/// Pods with the same ports behind the same Services are of one kind.
struct Listeners {
    /// The kind of each pod.
    of: Vec<u32>,
    /// How many kinds there are.
    count: u32,
}

/// The pods that have some label.
#[derive(Default)]
struct Key<'c> {
    /// Each value once.
    values: Vec<&'c str>,
    /// The pods by value.
    pods: HashMap<&'c str, Vec<u32>>,
}

impl<'c> NamespaceIndex<'c> {
    /// Adds a pod that policies can be about. Calls back for each label that no pod here had before.
    pub(super) fn add(&mut self, pod: &'c Pod, mut new_label: impl FnMut(&'c str, &'c str)) {
        let id = u32::try_from(self.pods.len()).expect("fewer pods than bytes of text");
        self.pods.push(pod);
        for (key, value) in &pod.labels {
            let (key, value) = (key.as_str(), value.as_str());
            let key_index = self.by_label.entry(key).or_default();
            let ids = key_index.pods.entry(value).or_default();
            if ids.is_empty() {
                key_index.values.push(value);
                new_label(key, value);
            }
            ids.push(id);
        }
        for (key, value) in &pod.unseen_labels {
            self.by_unseen_label.entry((key.as_str(), value.as_str())).or_default().push(id);
        }
    }

    /// Adds a Service.
    pub(super) fn add_service(&mut self, service: &'c Service) {
        if service.selector.is_some() {
            self.services.push(service);
        }
    }

    /// The pods that a selector matches.
    pub(super) fn matching<'i>(
        &'i self,
        selector: &'i LabelSelector,
    ) -> Box<dyn Iterator<Item = &'c Pod> + 'i> {
        Box::new(self.matching_ids(selector).map(|id| self.pods[id as usize]))
    }

    /// The numbers of the pods that a selector matches: looks only at those with the rarest label that it asks for.
    pub(super) fn matching_ids<'i>(
        &'i self,
        selector: &'i LabelSelector,
    ) -> Box<dyn Iterator<Item = u32> + 'i> {
        let matches = move |id: &u32| selector.matches(&self.pods[*id as usize].labels);
        let lists = selector.requirements().filter_map(|requirement| self.lists(requirement));
        let length = |lists: &Vec<&[u32]>| lists.iter().map(|ids| ids.len()).sum::<usize>();
        match lists.min_by_key(length) {
            Some(lists) => Box::new(lists.into_iter().flatten().copied().filter(matches)),
            None => Box::new((0..self.pods.len() as u32).filter(matches)),
        }
    }

    /// One of the pods for each combination of labels and ports among those that a selector matches.
    pub(super) fn kinds<'i>(
        &'i self,
        selector: &'i LabelSelector,
    ) -> impl Iterator<Item = &'c Pod> + use<'i, 'c> {
        let firsts = self.firsts.get_or_init(|| {
            let mut seen = HashSet::new();
            self.pods.iter().map(|pod| seen.insert((&pod.labels, &pod.ports))).collect()
        });
        let ids = self.matching_ids(selector).filter(|id| firsts[*id as usize]);
        ids.map(|id| self.pods[id as usize])
    }

    /// The pods that can meet a requirement for a label, by value; `None` when it asks for no label. A pod is in one
    /// list at most.
    fn lists(&self, requirement: &Requirement) -> Option<Vec<&[u32]>> {
        let key = self.by_label.get(requirement.key().as_str());
        let list = |value: &str| key.and_then(|key| key.pods.get(value)).map(Vec::as_slice);
        match requirement.operator() {
            "In" => Some(requirement.values().filter_map(|value| list(value.as_str())).collect()),
            "Exists" => {
                Some(key.into_iter().flat_map(|key| &key.values).filter_map(|value| list(value)).collect())
            }
            _ => None,
        }
    }

    /// The values that a label has on pods, each once.
    pub(super) fn values(&self, key: &str) -> &[&'c str] {
        self.by_label.get(key).map(|key| &*key.values).unwrap_or_default()
    }

    /// The first pod with a label.
    pub(super) fn pod_with(&self, key: &str, value: &str) -> Option<&'c Pod> {
        let ids = self.by_label.get(key)?.pods.get(value)?;
        ids.first().map(|id| self.pods[*id as usize])
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
        let kinds = self.listeners.get_or_init(|| self.sort_into_kinds());
        let mut seen = vec![false; kinds.count as usize];
        for id in self.matching_ids(selector) {
            all.pods += 1;
            let kind = kinds.of[id as usize] as usize;
            if !std::mem::replace(&mut seen[kind], true) {
                let services = self.services_of()[id as usize].iter();
                all.add(self.pods[id as usize], services.map(|number| self.services[*number as usize]));
            }
        }
    }

    fn sort_into_kinds(&self) -> Listeners {
        let mut known = HashMap::new();
        let mut kinds = Listeners { of: Vec::with_capacity(self.pods.len()), count: 0 };
        for (pod, services) in self.pods.iter().zip(self.services_of()) {
            let next = kinds.count;
            let kind = *known.entry((&pod.ports, services)).or_insert(next);
            kinds.count = next.max(kind + 1);
            kinds.of.push(kind);
        }
        kinds
    }

    /// The numbers of the Services that select each pod.
    fn services_of(&self) -> &[Vec<u32>] {
        self.services_of.get_or_init(|| {
            let mut of = vec![Vec::new(); self.pods.len()];
            for (number, service) in (0..).zip(&self.services) {
                for id in service.selector.iter().flat_map(|selector| self.matching_ids(selector)) {
                    of[id as usize].push(number);
                }
            }
            of
        })
    }
}
