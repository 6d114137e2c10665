//! All workloads, namespaces and policies that were given, made quick to ask.

mod dns;
mod flows;
mod kinds;
mod labels;
mod listening;
mod matching;
mod namespace;
mod namespaces;
mod places;
mod policies;
mod selections;
mod targets;
mod workloads;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use netpol_policy::model::{
    Cluster, Direction, EndpointSlice, LabelSelector, NetworkPolicy, Node, ObjectName, Pod, PodNamespaces,
    Service,
};

pub(crate) use self::flows::{Denied, Flow};
pub use self::listening::Listening;
use self::matching::{asks_for_label, names_required};
use self::namespace::NamespaceIndex;
pub(crate) use self::namespace::PodAt;
use self::namespaces::Namespaces;
pub(crate) use self::places::Places;
use self::policies::Policies;
pub(crate) use self::selections::{Group, KINDS, PODS, Workloads};
use self::selections::{Matched, Selections};
pub use self::targets::Target;
use crate::facts::ClusterFacts;
use crate::hash::HashMap;
use crate::matrix::world::Taken;

/// A key and a value, and what the value was probably meant to be.
type Similar = HashMap<(Box<str>, Box<str>), Option<Box<str>>>;

/// Which pods a selector means, without looking at every pod: pods are found by namespace, then by the rarest label
/// that a selector asks for; policies that select a pod likewise. Built once; takes time and memory in proportion to the
/// number of pods and policies.
pub struct Index<'c> {
    cluster: &'c Cluster,
    facts: Option<&'c ClusterFacts>,
    namespaces: Arc<Namespaces<'c>>,
    /// Namespaces whose manifests have a label.
    by_namespace_label: Arc<HashMap<(&'c str, &'c str), Vec<&'c str>>>,
    /// Namespaces with pods that have a label.
    by_pod_label: Arc<HashMap<(&'c str, &'c str), Vec<&'c str>>>,
    selections: Arc<Selections>,
    /// Many policies ask about the same pods.
    listening: Arc<Mutex<HashMap<Selected, Option<Arc<Listening>>>>>,
    /// What keys and values of labels of namespaces were probably meant to be.
    similar: Arc<Mutex<Similar>>,
    /// The policies that may let DNS through, by namespace and their indexes there.
    dns: Arc<Mutex<HashMap<Box<str>, Vec<usize>>>>,
    /// The namespaces that have pods on the network of their node.
    on_nodes: Arc<[&'c str]>,
    /// At least one workload was given.
    has_workloads: bool,
    services: Arc<HashMap<&'c str, Vec<&'c Service>>>,
    /// Those of the API server.
    api_server_slices: Arc<[&'c EndpointSlice]>,
    targets: Arc<HashMap<&'c str, Vec<Target<'c>>>>,
    nodes: Arc<HashMap<&'c str, &'c Node>>,
    /// Looked for when a block of addresses is asked about first.
    taken: Arc<OnceLock<Taken>>,
    policies: Arc<Policies<'c>>,
    /// What the policies deny of flows that rules allow. Not for one new policy: it hardly asks twice.
    flows: Option<Mutex<HashMap<Flow, Arc<Denied>>>>,
    /// Policies that take the place of those of the same names.
    newer: Policies<'c>,
    /// Sorted.
    replaced: Vec<&'c ObjectName>,
}

/// Namespaces that every cluster has.
pub(crate) const ALWAYS: [&str; 4] = ["default", "kube-node-lease", "kube-public", "kube-system"];

/// Pods by the name of a namespace and labels, or by labels of namespaces and their own.
type Selected = (Option<Box<str>>, LabelSelector, LabelSelector);

impl<'c> Index<'c> {
    /// Indexes everything.
    pub fn new(cluster: &'c Cluster) -> Self {
        let mut namespaces = BTreeMap::<&str, NamespaceIndex<'_>>::new();
        let mut by_namespace_label = HashMap::<_, Vec<_>>::default();
        let mut by_pod_label = HashMap::<_, Vec<_>>::default();
        for (name, namespace) in &cluster.namespaces {
            namespaces.insert(name, NamespaceIndex::of(namespace));
            for (key, value) in namespace.labels() {
                by_namespace_label.entry((key.as_str(), value.as_str())).or_default().push(&**name);
            }
        }
        for pod in &cluster.pods {
            let name = &*pod.name.namespace;
            let namespace = namespaces.entry(name).or_insert_with(|| NamespaceIndex::named(name));
            if pod.is_subject() {
                namespace.add(pod, |key, value| by_pod_label.entry((key, value)).or_default().push(name));
            } else if pod.host_network {
                namespace.host_network.push(pod);
            }
        }
        namespaces.values_mut().for_each(NamespaceIndex::sort_into_kinds);
        let mut services = HashMap::<_, Vec<_>>::default();
        for service in &cluster.services {
            services.entry(&*service.name.namespace).or_default().push(service);
            if let Some(namespace) = namespaces.get_mut(&*service.name.namespace) {
                namespace.add_service(service);
            }
        }
        let namespaces = Namespaces::new(namespaces);
        let on_nodes = namespaces.iter().filter(|namespace| !namespace.host_network.is_empty());
        let on_nodes = on_nodes.map(|namespace| namespace.name).collect();
        let has_workloads = namespaces.iter().any(NamespaceIndex::has_workloads);
        let targets = Arc::new(targets::targets(cluster, &namespaces));
        let policies = Arc::new(Policies::new(cluster.policies.iter().map(Arc::as_ref)));
        let (newer, replaced) = (Policies::default(), Vec::new());
        Self {
            cluster,
            facts: None,
            namespaces: Arc::new(namespaces),
            by_namespace_label: Arc::new(by_namespace_label),
            by_pod_label: Arc::new(by_pod_label),
            selections: Arc::default(),
            listening: Arc::default(),
            similar: Arc::default(),
            dns: Arc::default(),
            on_nodes,
            has_workloads,
            services: Arc::new(services),
            api_server_slices: cluster
                .endpoint_slices
                .iter()
                .filter(|slice| is_api_server(&slice.service))
                .collect(),
            targets,
            taken: Arc::default(),
            nodes: Arc::new(cluster.nodes.iter().map(|node| (&*node.name, node)).collect()),
            policies,
            flows: Some(Mutex::default()),
            newer,
            replaced,
        }
    }

    /// The same with some policies in the place of those of their names and of some other names.
    #[must_use]
    pub fn replacing<'s>(
        &self,
        policies: impl IntoIterator<Item = &'s NetworkPolicy, IntoIter: Clone>,
        others: impl IntoIterator<Item = &'s ObjectName>,
    ) -> Index<'s>
    where
        'c: 's,
    {
        let policies = policies.into_iter();
        let mut replaced: Vec<_> = policies.clone().map(|policy| &policy.name).chain(others).collect();
        replaced.sort_unstable();
        Index {
            cluster: self.cluster,
            facts: self.facts,
            namespaces: self.namespaces.clone(),
            by_namespace_label: self.by_namespace_label.clone(),
            by_pod_label: self.by_pod_label.clone(),
            selections: self.selections.clone(),
            listening: self.listening.clone(),
            similar: self.similar.clone(),
            dns: self.dns.clone(),
            on_nodes: self.on_nodes.clone(),
            has_workloads: self.has_workloads,
            services: self.services.clone(),
            api_server_slices: self.api_server_slices.clone(),
            targets: self.targets.clone(),
            nodes: self.nodes.clone(),
            taken: self.taken.clone(),
            policies: self.policies.clone(),
            flows: (policies.clone().nth(1).is_some()).then(Mutex::default),
            replaced,
            newer: Policies::new(policies),
        }
    }

    /// The policies of a namespace. Files are often variants of one another: there may be several of one name.
    pub fn policies<'i>(
        &'i self,
        namespace: &'i str,
    ) -> impl Iterator<Item = &'c NetworkPolicy> + use<'i, 'c> {
        let older = self.policies.of(namespace).iter().filter(|policy| self.counts(policy));
        older.chain(self.newer.of(namespace)).copied()
    }

    /// The policies that isolate a pod in a direction; none for pods on the network of their node.
    pub fn isolating<'i>(
        &'i self,
        pod: &'i Pod,
        direction: Direction,
    ) -> impl Iterator<Item = &'c NetworkPolicy> + use<'i, 'c> {
        let older = self.policies.isolating(pod, direction).filter(|policy| self.counts(policy));
        older.chain(self.newer.isolating(pod, direction))
    }

    /// The same of a pod of the index, from what is remembered.
    pub(crate) fn isolating_at<'i>(
        &'i self,
        at: PodAt<'i, 'c>,
        direction: Direction,
    ) -> impl Iterator<Item = &'c NetworkPolicy> + use<'i, 'c> {
        let older = at.isolating(&self.policies, direction).filter(|policy| self.counts(policy));
        older.chain(self.newer.isolating(at.pod(), direction))
    }

    /// The pods of a namespace that entry points send their callers to.
    pub fn targets(&self, namespace: &str) -> &[Target<'c>] {
        self.targets.get(namespace).map(Vec::as_slice).unwrap_or_default()
    }

    /// A node by its name.
    pub(crate) fn node(&self, name: &str) -> Option<&'c Node> {
        self.nodes.get(name).copied()
    }

    /// The addresses that somebody in the cluster has.
    pub(crate) fn taken(&self) -> &Taken {
        self.taken.get_or_init(|| Taken::of(self.cluster))
    }

    /// The Services of a namespace.
    pub fn services(&self, namespace: &str) -> &[&'c Service] {
        self.services.get(namespace).map(Vec::as_slice).unwrap_or_default()
    }

    /// The Service of the API server: `kubernetes` in namespace `default`.
    pub fn api_server(&self) -> Option<&'c Service> {
        self.services("default").iter().copied().find(|service| is_api_server(&service.name))
    }

    /// The EndpointSlices of that Service.
    pub fn api_server_slices(&self) -> &[&'c EndpointSlice] {
        &self.api_server_slices
    }

    fn counts(&self, policy: &NetworkPolicy) -> bool {
        match &self.replaced[..] {
            [] => true,
            [one] => **one != policy.name,
            many => many.binary_search(&&policy.name).is_err(),
        }
    }

    /// The same with what a live cluster says about itself.
    #[must_use]
    pub fn with_facts(self, facts: &'c ClusterFacts) -> Self {
        // Which namespaces a selector surely means depends on it.
        Self { facts: Some(facts), selections: Arc::default(), ..self }
    }

    /// What a live cluster says about itself, when there is one.
    pub fn facts(&self) -> Option<&'c ClusterFacts> {
        self.facts
    }

    /// What it was built from.
    pub fn cluster(&self) -> &'c Cluster {
        self.cluster
    }

    /// The policies that select at least the pods that a policy selects, itself included: those whose selector asks
    /// for no more.
    pub fn policies_covering<'i>(
        &'i self,
        policy: &'i NetworkPolicy,
    ) -> impl Iterator<Item = &'c NetworkPolicy> + use<'i, 'c> {
        let older = self.policies.covering(policy).filter(|policy| self.counts(policy));
        older.chain(self.newer.covering(policy))
    }

    /// Whether some policy of a namespace allows everything in a direction.
    pub fn has_open_policy(&self, namespace: &str, direction: Direction) -> bool {
        self.policies.has_open(namespace, direction) || self.newer.has_open(namespace, direction)
    }

    /// Whether at least one workload was given.
    pub fn knows_workloads(&self) -> bool {
        self.has_workloads
    }

    /// Whether at least one workload of a namespace was given.
    pub fn knows_workloads_of(&self, namespace: &str) -> bool {
        self.namespaces.get(namespace).is_some_and(NamespaceIndex::has_workloads)
    }

    /// The pods of a namespace that a selector matches.
    pub fn pods<'i>(
        &'i self,
        namespace: &str,
        selector: &'i LabelSelector,
    ) -> impl Iterator<Item = &'c Pod> + use<'i, 'c> {
        self.namespaces.get(namespace).into_iter().flat_map(|namespace| namespace.matching(selector))
    }

    /// The same as far as [`PodAt`] tells more of a pod.
    pub(crate) fn members<'i>(
        &'i self,
        namespace: &str,
        selector: &'i LabelSelector,
    ) -> impl Iterator<Item = PodAt<'i, 'c>> + use<'i, 'c> {
        self.namespaces.get(namespace).into_iter().flat_map(|namespace| namespace.members(selector))
    }

    /// The number of a namespace.
    pub(crate) fn place(&self, namespace: &str) -> Option<u32> {
        self.namespaces.number(namespace)
    }

    /// The values that a label has on the pods of a namespace, each once.
    pub fn label_values(&self, namespace: &str, key: &str) -> &[&'c str] {
        self.namespaces.get(namespace).map(|namespace| namespace.values(key)).unwrap_or_default()
    }

    /// The first pod of a namespace with a label.
    pub fn pod_with(&self, namespace: &str, key: &str, value: &str) -> Option<&'c Pod> {
        self.namespaces.get(namespace)?.pod_with(key, value)
    }

    /// The first workload of a namespace that a selector would match if its pods had the labels that the workload
    /// itself has.
    pub fn workload_beside_its_pods(&self, namespace: &str, selector: &LabelSelector) -> Option<&'c Pod> {
        self.namespaces.get(namespace)?.with_unseen_labels(selector)
    }

    /// The namespaces, at most `limit`, with a pod that a selector matches, each with its first one. Only a selector
    /// that asks for a label with a value is looked for.
    pub fn everywhere(&self, selector: &LabelSelector, limit: usize) -> Vec<(&'c str, &'c Pod)> {
        let asked = selector.requirements().filter(|requirement| requirement.operator() == "In");
        let namespaces = asked.map(|asked| {
            let lists = asked
                .values()
                .filter_map(|value| self.by_pod_label.get(&(asked.key().as_str(), value.as_str())));
            lists.flatten().copied().collect::<BTreeSet<_>>()
        });
        let fewest = namespaces.min_by_key(BTreeSet::len).unwrap_or_default();
        let with_pod = fewest.into_iter().filter_map(|name| Some((name, self.pods(name, selector).next()?)));
        with_pod.take(limit).collect()
    }

    /// The pods of all namespaces that a selector matches, or would match were they not on the network of their node;
    /// of ordinary ones one for each combination of labels and ports. Only a selector that asks for a label with a value
    /// is looked for.
    pub fn everywhere_all(&self, selector: &LabelSelector) -> Vec<&'c Pod> {
        let with_pod = self.everywhere(selector, usize::MAX).into_iter();
        let namespaces = with_pod.filter_map(|(name, _)| self.namespaces.get(name));
        let mut pods: Vec<_> = namespaces.flat_map(|namespace| namespace.kinds(selector)).collect();
        pods.extend(self.on_nodes.iter().flat_map(|name| self.host_network_pods(name, selector)));
        pods
    }

    /// The pods on their node's network that a selector would match if it could.
    pub fn host_network_pods<'i>(
        &'i self,
        namespace: &str,
        selector: &'i LabelSelector,
    ) -> impl Iterator<Item = &'c Pod> + use<'i, 'c> {
        let namespace = self.namespaces.get(namespace);
        namespace
            .into_iter()
            .flat_map(|namespace| namespace.host_network.iter().copied())
            .filter(|pod| selector.matches(&pod.labels))
    }

    /// The pods on their node's network that a peer would mean if it could, as far as their namespaces are known.
    /// `own` is the namespace of the policy.
    pub fn host_network_pods_of<'i>(
        &'i self,
        namespaces: &'i PodNamespaces,
        own: &'i str,
        pods: &'i LabelSelector,
    ) -> impl Iterator<Item = &'c Pod> + use<'i, 'c> {
        let meant = move |name: &str| match namespaces {
            PodNamespaces::Own => name == own,
            PodNamespaces::Selected(selector) => self.namespace_surely_matches(name, selector),
        };
        let with_some = self.on_nodes.iter().copied().filter(move |name| meant(name));
        with_some.flat_map(|name| self.host_network_pods(name, pods))
    }

    /// The pods that a selector means in some namespaces, by way of an iterator; `None` when some of the namespaces
    /// were not given, so that nobody can tell. `own` is the namespace of the policy.
    pub fn pods_of<'i>(
        &'i self,
        namespaces: &PodNamespaces,
        own: &str,
        pods: &'i LabelSelector,
    ) -> Option<impl Iterator<Item = &'c Pod> + use<'i, 'c>> {
        let known = self.known(namespaces, own)?.into_iter().map(|number| self.namespaces.numbered(number));
        Some(known.flat_map(|namespace| namespace.matching(pods)))
    }

    /// The same as [`Self::pods_of`], but one pod for each combination of namespace, labels and ports.
    pub fn kinds_of<'i>(
        &'i self,
        namespaces: &PodNamespaces,
        own: &str,
        pods: &'i LabelSelector,
    ) -> Option<impl Iterator<Item = &'c Pod> + use<'i, 'c>> {
        let known = self.known(namespaces, own)?.into_iter().map(|number| self.namespaces.numbered(number));
        Some(known.flat_map(|namespace| namespace.kinds(pods)))
    }

    /// The same as [`Self::kinds_of`], at most [`KINDS`], and what others asked for is remembered.
    pub(crate) fn some_kinds_of(
        &self,
        namespaces: &PodNamespaces,
        own: &str,
        pods: &LabelSelector,
    ) -> Option<Vec<PodAt<'_, 'c>>> {
        let mut all = Vec::new();
        for number in self.known(namespaces, own)? {
            let namespace = self.namespaces.numbered(number);
            let work_out = || namespace.kind_numbers(pods).take(KINDS).collect::<Arc<[_]>>();
            let kinds = self.selections.kinds.answer((number, pods.clone()), work_out, |kinds| kinds.len());
            all.extend(kinds.iter().take(KINDS - all.len()).map(|kind| namespace.of_kind(*kind)));
            if all.len() == KINDS {
                break;
            }
        }
        Some(all)
    }

    /// Whether some pod is one of those that a selector means in some namespaces; `None` as with [`Self::pods_of`].
    pub(crate) fn is_some_pod(
        &self,
        namespaces: &PodNamespaces,
        own: &str,
        pods: &LabelSelector,
    ) -> Option<bool> {
        self.some_kinds_of(namespaces, own, pods).map(|kinds| !kinds.is_empty())
    }

    /// The numbers of the namespaces that a peer means, as far as they are known. `own` is the namespace of the policy.
    pub(crate) fn places(&self, namespaces: &PodNamespaces, own: &str) -> Places {
        match namespaces {
            PodNamespaces::Own => Places::One(self.namespaces.number(own)),
            PodNamespaces::Selected(selector) => Places::All(self.matched(selector).0),
        }
    }

    /// The workloads of a namespace, given by its number, whose pods a selector matches.
    pub(crate) fn workloads_of(&self, namespace: u32, pods: &LabelSelector) -> Arc<Workloads> {
        let work_out = || Arc::new(self.namespaces.numbered(namespace).workloads_of(pods));
        self.selections.workloads.answer((namespace, pods.clone()), work_out, |known| known.all.len() * 4)
    }

    /// A pod of a namespace by their numbers.
    pub(crate) fn pod_at(&self, namespace: u32, pod: u32) -> PodAt<'_, 'c> {
        self.namespaces.numbered(namespace).at(pod)
    }

    /// The first pods of all workloads of a namespace, which is given by its number.
    pub(crate) fn workloads(&self, namespace: u32) -> impl Iterator<Item = PodAt<'_, 'c>> {
        self.namespaces.numbered(namespace).firsts()
    }

    /// The namespaces of a selector by their numbers, and whether no other can match.
    fn matched(&self, selector: &LabelSelector) -> Matched {
        let work_out = || {
            let matched = self.namespaces(selector);
            let numbers = matched.names.iter().filter_map(|name| self.namespaces.number(name));
            (numbers.collect(), matched.complete)
        };
        self.selections.namespaces.answer(selector.clone(), work_out, |(numbers, _)| numbers.len())
    }

    /// Where the pods listen that a selector means in some namespaces; `None` when nobody can tell, as with
    /// [`Self::pods_of`].
    pub fn listening(
        &self,
        namespaces: &PodNamespaces,
        own: &str,
        pods: &LabelSelector,
    ) -> Option<Arc<Listening>> {
        if !self.has_workloads {
            return None;
        }
        let key = match namespaces {
            PodNamespaces::Own => (Some(own.into()), LabelSelector::everything(), pods.clone()),
            PodNamespaces::Selected(selector) => (None, selector.clone(), pods.clone()),
        };
        let lock = || self.listening.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = lock().get(&key) {
            return known.clone();
        }
        let listening = self.known(namespaces, own).map(|names| {
            let mut all = Listening::nowhere();
            for number in names {
                self.namespaces.numbered(number).listen(pods, &mut all);
            }
            Arc::new(all)
        });
        remember(&mut lock(), key, listening.clone());
        listening
    }

    /// The namespaces of a peer, when all of them and their workloads were given.
    fn known(&self, namespaces: &PodNamespaces, own: &str) -> Option<Places> {
        if !self.has_workloads {
            return None;
        }
        let places = match namespaces {
            PodNamespaces::Own => Places::One(Some(self.namespaces.number(own)?)),
            PodNamespaces::Selected(selector) => {
                if names_required(selector).is_none() && !selector.requirements().any(asks_for_label) {
                    return None;
                }
                let (numbers, complete) = self.matched(selector);
                complete.then_some(Places::All(numbers))?
            }
        };
        let numbers = places.numbers();
        let known = !numbers.is_empty()
            && numbers.iter().all(|number| self.namespaces.numbered(*number).has_workloads());
        known.then_some(places)
    }
}

/// The most answers of one kind that are remembered: an index may live long and be asked by strangers.
const REMEMBERED: usize = 1 << 14;

fn remember<K: Eq + std::hash::Hash, V>(known: &mut HashMap<K, V>, key: K, value: V) {
    if known.len() >= REMEMBERED {
        known.clear();
    }
    known.insert(key, value);
}

fn is_api_server(service: &ObjectName) -> bool {
    &*service.namespace == "default" && &*service.name == "kubernetes"
}

#[cfg(test)]
mod tests;
