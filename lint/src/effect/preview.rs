//! What a change does to who may connect, within a bound: for whoever is about to make it.

use std::collections::{BTreeMap, HashSet};

use netpol_policy::evaluate::{Endpoint, Evaluator};
use netpol_policy::model::{
    Cluster, Direction, LabelSelector, NetworkPolicy, Peer, Pod, PodNamespaces, WorkloadKind,
};

use super::groups::{Flow, Flows, Pairs};
use super::reach::Asked;
use crate::index::Index;
use crate::matrix::{have_common_family, world};
use crate::output::plural;

/// What a change does. Pods of one workload count as one end of a connection; pods in the policy's namespace and those that
/// its rules name are looked at, and the addresses outside that it names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preview {
    /// Pods that are isolated afterwards and were not before, for ingress and for egress.
    pub isolates: [usize; 2],
    /// Pods that were isolated before and are not afterwards, for ingress and for egress.
    pub releases: [usize; 2],
    /// Who may connect then who could not, and the reverse, with every other policy that is known.
    pub flows: Flows,
    /// There were more pods or connections than could be looked at.
    pub cut: bool,
}

/// The most pods that are looked at one by one.
const PODS: usize = 2000;

/// The most connections to name.
const NAMED: usize = 3;

/// The longest list of ports to write out, in characters.
const PORTS: usize = 40;

impl Preview {
    /// The effect of a policy in the place of what was there before. At most `pairs` pairs of workloads are looked at.
    pub fn of(
        before: Option<&NetworkPolicy>,
        after: &NetworkPolicy,
        index: &Index<'_>,
        pairs: usize,
    ) -> Self {
        let none = Flows { opens: Vec::new(), closes: Vec::new() };
        let mut preview = Self { isolates: [0; 2], releases: [0; 2], flows: none, cut: false };
        if before == Some(after) {
            return preview;
        }
        let own = &*after.name.namespace;
        let mut workloads = BTreeMap::<String, (&Pod, usize)>::new();
        let mut counted = HashSet::new();
        for policy in before.into_iter().chain([after]) {
            for pod in index.pods(own, &policy.pod_selector).filter(|pod| !pod.finished) {
                if counted.len() == PODS {
                    preview.cut = true;
                    break;
                }
                if counted.insert(std::ptr::from_ref(pod)) {
                    workloads.entry(workload(pod)).or_insert((pod, 0)).1 += 1;
                }
            }
        }
        for (pod, count) in workloads.values() {
            preview.count(before, after, index, pod, *count);
        }
        preview.connect(before, after, index, &workloads, pairs);
        preview
    }

    /// Counts pods of one kind that are isolated from now on, or no longer.
    fn count(
        &mut self,
        before: Option<&NetworkPolicy>,
        after: &NetworkPolicy,
        index: &Index<'_>,
        pod: &Pod,
        pods: usize,
    ) {
        let baseline = index.cluster().namespace(&pod.name.namespace).default_deny();
        for (number, direction) in Direction::ALL.into_iter().enumerate() {
            let mut others = index.isolating(pod, direction).filter(|policy| policy.name != after.name);
            if baseline.isolates(direction) || others.next().is_some() {
                continue;
            }
            let isolates = |policy: &NetworkPolicy| {
                policy.rules(direction).is_some() && policy.pod_selector.matches(&pod.labels)
            };
            match (before.is_some_and(isolates), isolates(after)) {
                (false, true) => self.isolates[number] += pods,
                (true, false) => self.releases[number] += pods,
                _ => {}
            }
        }
    }

    /// Compares who may connect.
    fn connect(
        &mut self,
        before: Option<&NetworkPolicy>,
        after: &NetworkPolicy,
        index: &Index<'_>,
        workloads: &BTreeMap<String, (&Pod, usize)>,
        pairs: usize,
    ) {
        let mut asked = Asked::new(index);
        let mut names = HashSet::new();
        let most = (pairs as f64).sqrt() as usize;
        for (name, (pod, _)) in workloads {
            if names.len() == most.max(1) {
                self.cut = true;
                break;
            }
            names.insert(name.clone());
            asked.add(pod);
        }
        let subjects = asked.pods.len();
        let Some(ends) = pairs.checked_div(subjects) else { return };
        let mut seen = 0;
        for pod in far_ends(before, after, index) {
            seen += 1;
            if asked.pods.len() >= ends.max(1) || seen > PODS {
                self.cut = true;
                break;
            }
            if names.insert(workload(pod)) {
                asked.add(pod);
            }
        }
        let (base, others) = asked.surroundings(after);
        let with = |policy: Option<&NetworkPolicy>| {
            let policies = others.iter().chain(policy).cloned().collect();
            Cluster { policies, ..base.clone() }
        };
        let clusters = [with(before), with(Some(after))];
        let mut ends: Vec<_> = base.pods.iter().map(|pod| (workload(pod), Endpoint::pod(pod))).collect();
        let named =
            Cluster { policies: before.into_iter().chain([after]).cloned().collect(), ..Cluster::default() };
        let named_blocks = named.policies.iter().any(names_blocks);
        for block in named_blocks.then(|| world::blocks(&named)).into_iter().flatten() {
            ends.push((block.cidr.to_string(), Endpoint::outside(block.sample)));
        }
        let endpoints: Vec<_> = ends.iter().map(|(_, endpoint)| *endpoint).collect();
        let evaluators = clusters.each_ref().map(Evaluator::new);
        let all = evaluators.each_ref().map(|evaluator| evaluator.reachability(endpoints.clone()));
        let mut found = Pairs::default();
        let changed = Direction::ALL.into_iter().filter(|direction| {
            before.and_then(|before| before.rules(*direction)) != after.rules(*direction)
                || before.is_none_or(|before| before.pod_selector != after.pod_selector)
        });
        let mut done = HashSet::new();
        for direction in changed {
            for (subject, far) in
                (0..subjects).flat_map(|subject| (0..ends.len()).map(move |far| (subject, far)))
            {
                let (from, to) =
                    if direction == Direction::Ingress { (far, subject) } else { (subject, far) };
                if from == to
                    || !done.insert((from, to))
                    || !have_common_family(endpoints[from], endpoints[to])
                {
                    continue;
                }
                let [old, new] = all.each_ref().map(|reachability| reachability.connections(from, to));
                found.add(&ends[from].0, &ends[to].0, &old, &new);
            }
        }
        self.flows = found.group();
    }

    /// Whether nothing changes, as far as was looked.
    pub fn is_empty(&self) -> bool {
        self.isolates == [0; 2] && self.releases == [0; 2] && self.flows.is_empty()
    }

    /// In a few short sentences: `isolates 12 pods for ingress`.
    pub fn sentences(&self) -> Vec<String> {
        let mut all = Vec::new();
        for (verb, counts) in [("isolates", self.isolates), ("no longer isolates", self.releases)] {
            let parts = Direction::ALL.into_iter().zip(counts).filter(|(_, count)| *count > 0);
            let parts: Vec<_> =
                parts.map(|(direction, count)| format!("{} for {direction}", plural(count, "pod"))).collect();
            if !parts.is_empty() {
                all.push(format!("{verb} {}", parts.join(" and ")));
            }
        }
        for (verb, was, flows) in
            [("close", "open", &self.flows.closes), ("open", "closed", &self.flows.opens)]
        {
            all.extend(changes(verb, was, flows));
        }
        if self.cut {
            all.push("there are more pods or connections than could be looked at".to_owned());
        }
        all
    }
}

/// `3 flows that were open close: shop/frontend -> shop/db (TCP 3306), …`.
fn changes(verb: &str, was: &str, flows: &[Flow]) -> Option<String> {
    let count: usize = flows.iter().map(|flow| flow.from.len() * flow.to.len()).sum();
    if count == 0 {
        return None;
    }
    let pairs = flows.iter().flat_map(|flow| {
        flow.from.iter().flat_map(move |from| flow.to.iter().map(move |to| (from, to, &flow.ports)))
    });
    let named = pairs.take(NAMED).map(|(from, to, ports)| {
        let ports = if ports.chars().count() > PORTS { "many ports" } else { ports };
        format!("{from} -> {to} ({ports})")
    });
    let named = named.collect::<Vec<_>>().join(", ");
    let (that, verb) =
        if count == 1 { ("that was", format!("{verb}s")) } else { ("that were", verb.to_owned()) };
    let more = if count > NAMED { ", …" } else { "" };
    Some(format!("{} {that} {was} {verb}: {named}{more}", plural(count, "flow")))
}

/// Pods at the other end: first those that rules name, then the others of the namespace.
fn far_ends<'i>(
    before: Option<&'i NetworkPolicy>,
    after: &'i NetworkPolicy,
    index: &'i Index<'_>,
) -> impl Iterator<Item = &'i Pod> {
    let own = &*after.name.namespace;
    let rules = before.into_iter().chain([after]).flat_map(|policy| {
        Direction::ALL.into_iter().filter_map(|direction| policy.rules(direction)).flatten()
    });
    let named = rules.flat_map(|rule| rule.peers.items()).filter_map(|peer| match peer {
        Peer::Pods { namespaces, pods } => Some((namespaces, pods)),
        Peer::Block(_) => None,
    });
    let named = named.flat_map(move |(namespaces, pods)| {
        let names = match namespaces {
            PodNamespaces::Own => vec![own],
            PodNamespaces::Selected(selector) => index.namespaces(selector).names,
        };
        names.into_iter().flat_map(move |name| index.pods(name, pods))
    });
    named.chain(index.pods(own, everything())).filter(|pod| !pod.finished)
}

fn everything() -> &'static LabelSelector {
    static EVERYTHING: std::sync::LazyLock<LabelSelector> =
        std::sync::LazyLock::new(LabelSelector::everything);
    &EVERYTHING
}

fn names_blocks(policy: &NetworkPolicy) -> bool {
    let mut rules = Direction::ALL.into_iter().filter_map(|direction| policy.rules(direction)).flatten();
    rules.any(|rule| rule.peers.items().iter().any(|peer| matches!(peer, Peer::Block(_))))
}

/// `namespace/name` of the workload that a pod belongs to, as far as its name and labels tell.
fn workload(pod: &Pod) -> String {
    let (namespace, name) = (&pod.name.namespace, &*pod.name.name);
    let label = |key: &str| {
        pod.labels.iter().find(|(known, _)| known.as_str() == key).map(|(_, value)| value.as_str())
    };
    let without =
        |suffix: &str| name.rsplit_once('-').filter(|(_, end)| *end == suffix).map(|(stem, _)| stem);
    let stem = if pod.name.kind != WorkloadKind::Pod {
        None
    } else if let Some(hash) = label("pod-template-hash") {
        let stem = name.rsplit_once('-').map(|(stem, _)| stem);
        stem.and_then(|stem| stem.strip_suffix(hash)?.strip_suffix('-'))
    } else if let Some(number) = label("apps.kubernetes.io/pod-index") {
        without(number)
    } else if label("statefulset.kubernetes.io/pod-name").is_some()
        || label("controller-revision-hash").is_some()
    {
        name.rsplit_once('-').map(|(stem, _)| stem)
    } else {
        None
    };
    format!("{namespace}/{}", stem.unwrap_or(name))
}

#[cfg(test)]
mod tests {
    use netpol_policy::source::load;

    use super::*;

    const SHOP: &str = "
apiVersion: v1
kind: Pod
metadata: {name: db-0, namespace: shop, labels: {app: db, apps.kubernetes.io/pod-index: '0'}}
spec: {}
---
apiVersion: v1
kind: Pod
metadata: {name: db-1, namespace: shop, labels: {app: db, apps.kubernetes.io/pod-index: '1'}}
spec: {}
---
apiVersion: v1
kind: Pod
metadata: {name: front-abc-x1, namespace: shop, labels: {app: front, pod-template-hash: abc}}
spec: {}
---
apiVersion: v1
kind: Pod
metadata: {name: job, namespace: office, labels: {app: job}}
spec: {}
";

    fn policy(ingress: &str) -> String {
        format!(
            "---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: db, namespace: shop}}\n\
             spec: {{podSelector: {{matchLabels: {{app: db}}}}, policyTypes: [Ingress], ingress: {ingress}}}\n"
        )
    }

    fn sentences(before: Option<&str>, after: &str, more: &str, pairs: usize) -> Vec<String> {
        let read = |text: &str| load([((), text.to_owned())], "default").cluster;
        let cluster = read(&format!("{SHOP}{more}"));
        let before = before.map(|text| read(&policy(text)).policies.remove(0));
        let after = read(&policy(after)).policies.remove(0);
        let index = Index::new(&cluster);
        Preview::of(before.as_ref(), &after, &index.replacing([&after], []), pairs).sentences()
    }

    const FRONT: &str = "[{from: [{podSelector: {matchLabels: {app: front}}}], ports: [{port: 3306}]}]";
    const JOB: &str = "[{from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: office}}}], ports: [{port: 3306}]}]";

    #[test]
    fn new_ones_isolate() {
        assert_eq!(
            sentences(None, "[]", "", 400),
            ["isolates 2 pods for ingress", "1 flow that was open closes: shop/front -> shop/db (all)"]
        );
        let found = sentences(None, FRONT, "", 400);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[1].starts_with("1 flow that was open closes: shop/front -> shop/db ("), "{found:?}");
        let deny = "---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: deny, namespace: shop}\n\
                    spec: {podSelector: {}, policyTypes: [Ingress]}\n";
        assert_eq!(
            sentences(None, FRONT, deny, 400),
            ["1 flow that was closed opens: shop/front -> shop/db (TCP 3306)"]
        );
    }

    #[test]
    fn changes_are_told_from_what_was_there() {
        assert_eq!(sentences(Some(FRONT), FRONT, "", 400), [""; 0]);
        assert_eq!(
            sentences(Some(FRONT), JOB, "", 400),
            [
                "1 flow that was open closes: shop/front -> shop/db (TCP 3306)",
                "1 flow that was closed opens: office/job -> shop/db (TCP 3306)"
            ]
        );
        assert_eq!(
            sentences(Some("[]"), "[{from: [{ipBlock: {cidr: 192.0.2.0/24}}]}]", "", 400),
            ["1 flow that was closed opens: 192.0.2.0/24 -> shop/db (all)"]
        );
    }

    #[test]
    fn the_work_is_bounded() {
        let pods = |count: usize| {
            let pod = |number| {
                format!(
                    "---\napiVersion: v1\nkind: Pod\nmetadata: {{name: p{number}, namespace: shop, labels: {{app: p{number}}}}}\nspec: {{}}\n"
                )
            };
            (0..count).map(pod).collect::<String>()
        };
        let found = sentences(None, "[]", &pods(50), 20);
        assert!(found[1].starts_with("19 flows that were open close: "), "{found:?}");
        assert_eq!(found[2], "there are more pods or connections than could be looked at");
        let found = sentences(None, "[]", &pods(50), 400);
        assert!(found[1].starts_with("51 flows that were open close: "), "{found:?}");
        assert_eq!(found.len(), 2, "{found:?}");
    }
}
