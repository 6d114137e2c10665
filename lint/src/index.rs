//! All workloads, namespaces and policies that were given, made quick to ask.

mod policies;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use netpol_policy::model::{
    Cluster, Direction, LabelSelector, LabelValue, Labels, METADATA_NAME, Namespace, NetworkPolicy,
    ObjectName, Pod, PodNamespaces, Requirement,
};

use self::policies::Policies;

/// Which pods a selector means, without looking at every pod: pods are found by namespace, then by the rarest label
/// that a selector asks for; policies that select a pod likewise. Built once; takes time and memory in proportion to the
/// number of pods and policies.
pub struct Index<'c> {
    cluster: &'c Cluster,
    namespaces: Arc<BTreeMap<&'c str, NamespaceIndex<'c>>>,
    policies: Arc<Policies<'c>>,
    /// Policies that take the place of those of the same names.
    newer: Policies<'c>,
    replaced: HashSet<&'c ObjectName>,
}

/// A namespace that was given or that a workload is in.
#[derive(Default)]
struct NamespaceIndex<'c> {
    /// Its labels; of one without a manifest only its name is known.
    labels: Option<&'c Labels>,
    /// Pods that policies can be about, in the order given.
    pods: Vec<&'c Pod>,
    /// The pods that carry a label.
    by_label: HashMap<(&'c str, &'c str), Vec<u32>>,
    /// The values that a label has, each once.
    values: HashMap<&'c str, Vec<&'c str>>,
    /// Pods on the network of their node, which no selector matches.
    host_network: Vec<&'c Pod>,
}

/// What a namespace selector matches among the namespaces that are known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MatchedNamespaces<'c> {
    /// Their names, sorted.
    pub names: Vec<&'c str>,
    /// No other namespace of the cluster can match, or none that the given files forgot:
    /// the selector names its namespaces or asks for a label that known namespaces have.
    pub complete: bool,
}

impl<'c> Index<'c> {
    /// Indexes everything.
    pub fn new(cluster: &'c Cluster) -> Self {
        let mut namespaces = BTreeMap::<&str, NamespaceIndex<'_>>::new();
        for (name, namespace) in &cluster.namespaces {
            namespaces.entry(name).or_default().labels = Some(namespace.labels());
        }
        for pod in &cluster.pods {
            let namespace = namespaces.entry(&pod.name.namespace).or_default();
            if pod.is_subject() {
                namespace.add(pod);
            } else if pod.host_network {
                namespace.host_network.push(pod);
            }
        }
        let policies = Arc::new(Policies::new(&cluster.policies));
        let (newer, replaced) = (Policies::default(), HashSet::new());
        Self { cluster, namespaces: Arc::new(namespaces), policies, newer, replaced }
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
        let replaced = policies.clone().map(|policy| &policy.name).chain(others);
        Index {
            cluster: self.cluster,
            namespaces: self.namespaces.clone(),
            policies: self.policies.clone(),
            replaced: replaced.collect(),
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

    fn counts(&self, policy: &NetworkPolicy) -> bool {
        self.replaced.is_empty() || !self.replaced.contains(&policy.name)
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

    /// Whether at least one workload of a namespace was given.
    pub fn knows_workloads_of(&self, namespace: &str) -> bool {
        self.namespaces.get(namespace).is_some_and(|n| !n.pods.is_empty() || !n.host_network.is_empty())
    }

    /// The pods of a namespace that a selector matches.
    pub fn pods<'i>(
        &'i self,
        namespace: &str,
        selector: &'i LabelSelector,
    ) -> impl Iterator<Item = &'c Pod> + use<'i, 'c> {
        self.namespaces.get(namespace).into_iter().flat_map(|namespace| namespace.matching(selector))
    }

    /// The values that a label has on the pods of a namespace, each once.
    pub fn label_values(&self, namespace: &str, key: &str) -> &[&'c str] {
        let values = self.namespaces.get(namespace).and_then(|namespace| namespace.values.get(key));
        values.map(Vec::as_slice).unwrap_or_default()
    }

    /// The first pod of a namespace with a label.
    pub fn pod_with(&self, namespace: &str, key: &str, value: &str) -> Option<&'c Pod> {
        let namespace = self.namespaces.get(namespace)?;
        let ids = namespace.by_label.get(&(key, value))?;
        ids.first().map(|id| namespace.pods[*id as usize])
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

    /// The namespaces that a selector matches.
    pub fn namespaces(&self, selector: &LabelSelector) -> MatchedNamespaces<'c> {
        if let Some(named) = names_required(selector) {
            let mut names: Vec<&'c str> = Vec::new();
            for name in &named {
                names.extend(self.namespaces.get_key_value(*name).map(|(name, _)| *name));
            }
            let complete = names.len() == named.len();
            names.retain(|name| self.namespace_matches(name, selector));
            return MatchedNamespaces { names, complete };
        }
        let all = self.namespaces.keys().copied();
        let names: Vec<_> = all.filter(|name| self.namespace_matches(name, selector)).collect();
        // A selector that asks for nothing matches every namespace of the cluster, also those that were not given.
        let asks = selector.requirements().any(|requirement| {
            requirement.key().as_str() != METADATA_NAME && matches!(requirement.operator(), "In" | "Exists")
        });
        MatchedNamespaces { complete: asks && !names.is_empty(), names }
    }

    /// Whether a namespace has the labels; of one without a manifest only the name is known.
    pub fn namespace_matches(&self, name: &str, selector: &LabelSelector) -> bool {
        match self.namespaces.get(name).and_then(|namespace| namespace.labels) {
            Some(labels) => selector.matches(labels),
            None => selector.matches(Namespace::new(name, Labels::new()).labels()),
        }
    }

    /// Whether a namespace may have the labels: without a manifest, whatever is asked of its other labels may hold.
    pub fn namespace_may_match(&self, name: &str, selector: &LabelSelector) -> bool {
        match self.namespaces.get(name).and_then(|namespace| namespace.labels) {
            Some(labels) => selector.matches(labels),
            None => {
                let unnamed = Namespace::new(name, Labels::new());
                let mut of_name = selector.requirements().filter(|one| one.key().as_str() == METADATA_NAME);
                of_name.all(|requirement| requirement.matches(unnamed.labels()))
            }
        }
    }

    /// Whether a namespace surely has the labels: as [`Self::namespace_matches`], but without a manifest only
    /// requirements on its name count as known.
    pub fn namespace_surely_matches(&self, name: &str, selector: &LabelSelector) -> bool {
        let known = self.namespaces.get(name).is_some_and(|namespace| namespace.labels.is_some());
        (known || selector.requirements().all(|requirement| requirement.key().as_str() == METADATA_NAME))
            && self.namespace_matches(name, selector)
    }

    /// The pods that a selector means in some namespaces, by way of an iterator; `None` when some of the namespaces
    /// were not given, so that nobody can tell. `own` is the namespace of the policy.
    pub fn pods_of<'i>(
        &'i self,
        namespaces: &PodNamespaces,
        own: &str,
        pods: &'i LabelSelector,
    ) -> Option<impl Iterator<Item = &'c Pod> + use<'i, 'c>> {
        let names = match namespaces {
            PodNamespaces::Own => self.namespaces.get_key_value(own).map(|(name, _)| vec![*name])?,
            PodNamespaces::Selected(selector) => {
                let matched = self.namespaces(selector);
                matched.complete.then_some(matched.names)?
            }
        };
        if names.is_empty() || !names.iter().all(|name| self.knows_workloads_of(name)) {
            return None;
        }
        Some(names.into_iter().flat_map(|name| self.pods(name, pods)))
    }
}

impl<'c> NamespaceIndex<'c> {
    fn add(&mut self, pod: &'c Pod) {
        let id = u32::try_from(self.pods.len()).expect("fewer pods than bytes of text");
        self.pods.push(pod);
        for (key, value) in &pod.labels {
            let (key, value) = (key.as_str(), value.as_str());
            let ids = self.by_label.entry((key, value)).or_default();
            if ids.is_empty() {
                self.values.entry(key).or_default().push(value);
            }
            ids.push(id);
        }
    }

    fn matching<'i>(&'i self, selector: &'i LabelSelector) -> Box<dyn Iterator<Item = &'c Pod> + 'i> {
        let rarest = selector
            .requirements()
            .filter_map(single_value)
            .map(|label| self.by_label.get(&label).map(Vec::as_slice).unwrap_or_default());
        match rarest.min_by_key(|ids| ids.len()) {
            Some(ids) => Box::new(
                ids.iter().map(|id| self.pods[*id as usize]).filter(|pod| selector.matches(&pod.labels)),
            ),
            None => Box::new(self.pods.iter().copied().filter(|pod| selector.matches(&pod.labels))),
        }
    }
}

/// The label that a requirement asks for, when it is a single one.
fn single_value(requirement: &Requirement) -> Option<(&str, &str)> {
    let mut values = requirement.values();
    match (requirement.operator(), values.next(), values.next()) {
        ("In", Some(value), None) => Some((requirement.key().as_str(), value.as_str())),
        _ => None,
    }
}

/// The names of the namespaces, when the selector asks for names.
fn names_required(selector: &LabelSelector) -> Option<Vec<&str>> {
    selector
        .requirements()
        .find(|requirement| requirement.key().as_str() == METADATA_NAME && requirement.operator() == "In")
        .map(|requirement| requirement.values().map(LabelValue::as_str).collect())
}

#[cfg(test)]
mod tests {
    use netpol_policy::model::{LabelKey, ObjectName, WorkloadKind, WorkloadName};

    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs.iter().map(|(k, v)| (LabelKey::new(k).unwrap(), LabelValue::new(v).unwrap())).collect()
    }

    fn selector(pairs: &[(&str, &str)]) -> LabelSelector {
        LabelSelector::new(labels(pairs).into_iter().map(|(key, value)| Requirement::equals(key, value)))
    }

    fn cluster() -> Cluster {
        let mut cluster = Cluster::default();
        cluster.add_namespace(Namespace::new("shop", labels(&[("team", "shop")])));
        cluster.add_namespace(Namespace::new("empty", labels(&[("team", "shop"), ("stage", "test")])));
        for (namespace, name, app) in [("shop", "a", "web"), ("shop", "b", "db"), ("other", "c", "web")] {
            let name = WorkloadName::new(namespace, WorkloadKind::Deployment, name);
            cluster.pods.push(Pod::new(name, labels(&[("app", app), ("all", "yes")])));
        }
        cluster
    }

    #[test]
    fn pods_by_label() {
        let cluster = cluster();
        let index = Index::new(&cluster);
        let names = |namespace: &str, selector: &LabelSelector| {
            index.pods(namespace, selector).map(|pod| pod.name.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(names("shop", &selector(&[("app", "web")])), ["shop/Deployment/a"]);
        assert_eq!(names("shop", &selector(&[("app", "web"), ("all", "no")])), [""; 0]);
        assert_eq!(names("shop", &LabelSelector::everything()).len(), 2);
        assert_eq!(names("none", &LabelSelector::everything()).len(), 0);
    }

    #[test]
    fn policies_of_at_least_the_same_pods() {
        let mut cluster = Cluster::default();
        let policy = |namespace: &str, name: &str, pods: &[(&str, &str)]| NetworkPolicy {
            name: ObjectName::new(namespace, name),
            pod_selector: selector(pods),
            ingress: None,
            egress: None,
        };
        let (web, v1) = (("app", "web"), ("version", "v1"));
        cluster.policies = vec![
            policy("shop", "all", &[]),
            policy("shop", "web", &[web]),
            policy("shop", "v1", &[v1]),
            policy("shop", "both", &[web, v1]),
            policy("office", "web", &[web]),
        ];
        let index = Index::new(&cluster);
        let covering = |policy: usize| {
            let covering = index.policies_covering(&cluster.policies[policy]);
            covering.map(|policy| &*policy.name.name).collect::<Vec<_>>()
        };
        assert_eq!(covering(0), ["all"]);
        assert_eq!(covering(1), ["all", "web"]);
        assert_eq!(covering(3), ["all", "web", "both", "v1"]);
        assert_eq!(covering(4), ["web"]);
    }

    #[test]
    fn only_what_is_known_is_judged() {
        let cluster = cluster();
        let index = Index::new(&cluster);
        let of = |namespaces: &[(&str, &str)]| {
            let namespaces = PodNamespaces::Selected(selector(namespaces));
            index.pods_of(&namespaces, "shop", &selector(&[("app", "web")])).map(Iterator::count)
        };
        assert_eq!(of(&[(METADATA_NAME, "shop")]), Some(1));
        assert_eq!(of(&[(METADATA_NAME, "other")]), Some(1));
        assert_eq!(of(&[(METADATA_NAME, "unknown")]), None);
        assert_eq!(of(&[(METADATA_NAME, "empty")]), None, "no workload of it was given");
        assert_eq!(of(&[("team", "shop")]), None, "one of the two has no workload");
        assert_eq!(of(&[]), None, "the cluster has more namespaces than were given");
    }

    #[test]
    fn a_namespace_without_manifest_is_known_by_name_only() {
        let cluster = cluster();
        let index = Index::new(&cluster);
        assert!(index.namespace_surely_matches("other", &selector(&[(METADATA_NAME, "other")])));
        assert!(index.namespace_surely_matches("shop", &selector(&[("team", "shop")])));
        let missing =
            LabelSelector::new([
                Requirement::new(LabelKey::new("team").unwrap(), "DoesNotExist", []).unwrap()
            ]);
        assert!(!index.namespace_surely_matches("other", &missing));
    }

    #[test]
    fn policies_that_select_a_pod() {
        let policy = |name: &str, pod_selector| NetworkPolicy {
            name: ObjectName::new("shop", name),
            pod_selector,
            ingress: Some(Vec::new()),
            egress: None,
        };
        let either = Requirement::new(
            LabelKey::new("app").unwrap(),
            "In",
            ["web", "db"].map(|value| LabelValue::new(value).unwrap()),
        );
        let mut cluster = cluster();
        cluster.policies = vec![
            policy("all", LabelSelector::everything()),
            policy("web", selector(&[("app", "web"), ("all", "yes")])),
            policy("db", selector(&[("app", "db"), ("all", "yes")])),
            policy("either", LabelSelector::new([either.unwrap()])),
            policy("none", selector(&[("app", "web"), ("all", "no")])),
        ];
        let index = Index::new(&cluster);
        let names = |index: &Index<'_>, pod: &Pod, direction| {
            let mut names: Vec<_> =
                index.isolating(pod, direction).map(|policy| policy.name.name.to_string()).collect();
            names.sort();
            names
        };
        let (web, db, other) = (&cluster.pods[0], &cluster.pods[1], &cluster.pods[2]);
        assert_eq!(names(&index, web, Direction::Ingress), ["all", "either", "web"]);
        assert_eq!(names(&index, db, Direction::Ingress), ["all", "db", "either"]);
        assert_eq!(names(&index, web, Direction::Egress), [""; 0]);
        assert_eq!(names(&index, other, Direction::Ingress), [""; 0], "another namespace");
        let newer = [policy("web", selector(&[("app", "db")]))];
        let gone = ObjectName::new("shop", "either");
        let index = index.replacing(&newer, [&gone]);
        assert_eq!(names(&index, web, Direction::Ingress), ["all"]);
        assert_eq!(names(&index, db, Direction::Ingress), ["all", "db", "web"]);
        assert_eq!(index.policies("shop").count(), 4);
    }
}
