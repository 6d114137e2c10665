//! The pods of one namespace, found by their labels.

use std::sync::OnceLock;

use super::kinds::{Kinds, Listeners};
use super::labels::ByLabel;
use super::listening::Listening;
use super::policies::Policies;
use super::selections::{self, Group, PODS};
use super::workloads::Workloads;
use crate::hash::HashMap;
use netpol_policy::model::{Direction, LabelSelector, Labels, Namespace, NetworkPolicy, Pod, Service};

/// A namespace that was given or that a workload is in.
#[derive(Default)]
pub(super) struct NamespaceIndex<'c> {
    pub(super) name: &'c str,
    /// Isolated by its label: for ingress, for egress.
    pub(super) default_deny: [bool; 2],
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
    /// For each kind the policies that isolate it for ingress and for egress, by their indexes in the namespace; made when
    /// somebody asks.
    isolation: OnceLock<Vec<OnceLock<Isolating>>>,
}

/// Numbers of policies, those that isolate ingress and those that isolate egress.
type Isolating = [Box<[u32]>; 2];

/// A pod of an index.
#[derive(Clone, Copy)]
pub(crate) struct PodAt<'i, 'c> {
    namespace: &'i NamespaceIndex<'c>,
    id: u32,
}

impl<'i, 'c> PodAt<'i, 'c> {
    pub(crate) fn pod(self) -> &'c Pod {
        self.namespace.pods[self.id as usize]
    }

    /// `namespace/name` of its workload, as far as its name and labels tell. The same text for all pods of the workload.
    pub(crate) fn workload(self) -> &'i str {
        self.namespace.known_workloads().of(self.id)
    }

    /// Whether the label of its namespace isolates it.
    pub(crate) fn is_isolated_by_label(self, direction: Direction) -> bool {
        self.namespace.default_deny[usize::from(direction == Direction::Egress)]
    }

    /// Those of all policies that isolate it.
    pub(super) fn isolating(
        self,
        policies: &'i Policies<'c>,
        direction: Direction,
    ) -> impl Iterator<Item = &'c NetworkPolicy> + use<'i, 'c> {
        let kind = self.namespace.kinds.of(self.id) as usize;
        let kinds = || (0..self.namespace.kinds.len()).map(|_| OnceLock::new()).collect();
        let known = &self.namespace.isolation.get_or_init(kinds)[kind];
        let [ingress, egress] = known
            .get_or_init(|| Direction::ALL.map(|direction| policies.isolating_ids(self.pod(), direction)));
        let ids = if direction == Direction::Ingress { ingress } else { egress };
        let all = if ids.is_empty() { &[] } else { policies.of(self.namespace.name) };
        ids.iter().map(|id| all[*id as usize])
    }
}

impl<'c> NamespaceIndex<'c> {
    /// One of which only the name is known.
    pub(super) fn named(name: &'c str) -> Self {
        Self { name, ..Self::default() }
    }

    pub(super) fn of(namespace: &'c Namespace) -> Self {
        let default_deny = Direction::ALL.map(|direction| namespace.default_deny().isolates(direction));
        Self { labels: Some(namespace.labels()), default_deny, ..Self::named(namespace.name()) }
    }

    /// Whether it has some labels.
    pub(super) fn matches(&self, selector: &LabelSelector) -> bool {
        match self.labels {
            Some(labels) => selector.matches(labels),
            None => selector.matches(Namespace::new(self.name, Labels::new()).labels()),
        }
    }

    pub(super) fn at(&self, id: u32) -> PodAt<'_, 'c> {
        PodAt { namespace: self, id }
    }

    /// The first pod of a kind.
    pub(super) fn of_kind(&self, kind: u32) -> PodAt<'_, 'c> {
        self.at(self.kinds.first_id(kind))
    }

    fn known_workloads(&self) -> &Workloads {
        self.workloads.get_or_init(|| Workloads::new(&self.pods))
    }

    /// The workloads of the pods that a selector matches.
    pub(super) fn workloads_of(&self, selector: &LabelSelector) -> selections::Workloads {
        let workloads = self.known_workloads();
        let (mut all, mut known) = (Vec::<Group>::new(), HashMap::default());
        let mut members = self.members(selector);
        let mut pods = 0;
        for (at, member) in (0..).zip(members.by_ref().take(PODS)) {
            let workload = workloads.number(member.id);
            let group = *known.entry(workload).or_insert_with(|| {
                all.push(Group { pod: member.id, at, count: 0 });
                all.len() - 1
            });
            all[group].count += 1;
            pods += 1;
        }
        let more = members.next().is_some();
        selections::Workloads { all: all.into(), pods, more }
    }
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

    /// The same, with more to ask of each pod.
    pub(super) fn members<'i>(
        &'i self,
        selector: &'i LabelSelector,
    ) -> Box<dyn Iterator<Item = PodAt<'i, 'c>> + 'i> {
        let matches = move |at: &PodAt<'_, '_>| selector.matches(&at.pod().labels);
        match self.by_label.rarest(selector).and_then(|rarest| self.by_label.meeting(rarest)) {
            Some(lists) => Box::new(lists.into_iter().flatten().map(|id| self.at(*id)).filter(matches)),
            None => Box::new((0..self.pods.len() as u32).map(|id| self.at(id)).filter(matches)),
        }
    }

    /// The first pod of each workload.
    pub(super) fn firsts(&self) -> impl Iterator<Item = PodAt<'_, 'c>> {
        self.known_workloads().firsts().map(|id| self.at(id))
    }

    /// One of the pods for each combination of labels and ports among those that a selector matches.
    pub(super) fn kinds<'i>(
        &'i self,
        selector: &'i LabelSelector,
    ) -> impl Iterator<Item = &'c Pod> + use<'i, 'c> {
        self.kind_numbers(selector).map(|kind| self.kinds.first(kind))
    }

    /// The numbers of the kinds that a selector matches.
    pub(super) fn kind_numbers<'i>(
        &'i self,
        selector: &'i LabelSelector,
    ) -> impl Iterator<Item = u32> + use<'i, 'c> {
        self.kinds.matching(selector, self.by_label.rarest(selector))
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
