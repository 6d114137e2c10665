//! What a change does to who may connect, within a bound: for whoever is about to make it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use netpol_policy::evaluate::{Endpoint, Evaluator, Reachability};
use netpol_policy::model::{Cluster, Direction, NetworkPolicy, Peer, Peers, Pod, PodNamespaces};

use super::groups::{Flow, Flows, Pairs};
use crate::hash::HashSet;
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
        let mut workloads = BTreeMap::<&str, (&Pod, usize)>::new();
        // Two selectors may select the same pods.
        let (mut counted, mut seen) = (0, HashSet::default());
        let before_selects =
            before.map(|before| &before.pod_selector).filter(|old| **old != after.pod_selector);
        for selector in before_selects.into_iter().chain([&after.pod_selector]) {
            for (workload, pod) in index.members(own, selector) {
                if counted == PODS {
                    preview.cut = true;
                    break;
                }
                if before_selects.is_none() || seen.insert(std::ptr::from_ref(pod)) {
                    workloads.entry(workload).or_insert((pod, 0)).1 += 1;
                    counted += 1;
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
        workloads: &BTreeMap<&str, (&Pod, usize)>,
        pairs: usize,
    ) {
        let most = ((pairs as f64).sqrt() as usize).max(1);
        self.cut |= workloads.len() > most;
        let mut pods: Vec<_> =
            workloads.iter().take(most).map(|(workload, (pod, _))| (*workload, *pod)).collect();
        let subjects = pods.len();
        let Some(most) = pairs.checked_div(subjects) else { return };
        let mut names: HashSet<_> = pods.iter().map(|(workload, _)| *workload).collect();
        let mut last = "";
        for (seen, (workload, pod)) in far_ends(before, after, index).enumerate() {
            if pods.len() >= most.max(1) || seen >= PODS {
                self.cut = true;
                break;
            }
            // Pods of one workload mostly come together.
            if !std::ptr::eq(workload, last) && names.insert(workload) {
                pods.push((workload, pod));
            }
            last = workload;
        }
        let named = before.into_iter().chain([after]);
        let blocks = if named.clone().any(names_blocks) {
            let named = named.map(|policy| Arc::new(policy.clone())).collect();
            world::blocks(&Cluster { policies: named, ..Cluster::default() })
        } else {
            Vec::new()
        };
        let blocks: Vec<_> = blocks.iter().map(|block| (block.cidr.to_string(), block.sample)).collect();
        let around = surroundings(index, &pods);
        let evaluator = Evaluator::with(&around, [], pods.iter().map(|(_, pod)| *pod));
        let both = Both::new(&evaluator, [before, Some(after)], index, &pods, &blocks);
        let mut found = Pairs::default();
        // Two subjects meet in both directions.
        let mut done = HashSet::default();
        let changed = |direction: &Direction| {
            before.and_then(|before| before.rules(*direction)) != after.rules(*direction)
                || before.is_none_or(|before| before.pod_selector != after.pod_selector)
        };
        for direction in Direction::ALL.into_iter().filter(changed) {
            let far_ends: Vec<_> = (0..both.ends.len()).map(|far| both.names(direction, far)).collect();
            for subject in 0..subjects {
                let isolates = both.isolates(subject, direction);
                for far in (0..both.ends.len()).filter(|far| isolates || far_ends[*far]) {
                    let (from, to) =
                        if direction == Direction::Ingress { (far, subject) } else { (subject, far) };
                    if from != to
                        && (far >= subjects || done.insert((from, to)))
                        && have_common_family(both.ends[from].1, both.ends[to].1)
                    {
                        let [old, new] = both.reach.each_ref().map(|reach| reach.connections(from, to));
                        if old != new {
                            found.add(both.ends[from].0, both.ends[to].0, &old, &new);
                        }
                    }
                }
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

/// What decides between some pods and addresses, before and after.
struct Both<'b> {
    evaluator: &'b Evaluator<'b>,
    policies: [Option<&'b NetworkPolicy>; 2],
    ends: Vec<(&'b str, Endpoint<'b>)>,
    reach: [Reachability<'b, 'b>; 2],
}

impl<'b> Both<'b> {
    fn new(
        evaluator: &'b Evaluator<'b>,
        policies: [Option<&'b NetworkPolicy>; 2],
        index: &'b Index<'_>,
        pods: &[(&'b str, &'b Pod)],
        blocks: &'b [(String, IpAddr)],
    ) -> Self {
        let own = policies.into_iter().flatten().next().map(|policy| &policy.name);
        let blocks = blocks.iter().map(|(name, sample)| (&**name, Endpoint::outside(*sample)));
        let ends: Vec<_> =
            pods.iter().map(|(workload, pod)| (*workload, Endpoint::pod(pod))).chain(blocks).collect();
        let mut prepared = [const { Vec::new() }; 2];
        for (_, end) in &ends {
            let by_others = Direction::ALL.map(|direction| {
                let pod = end.as_pod()?;
                let others = index.isolating(pod, direction).filter(|policy| Some(&policy.name) != own);
                let others: Vec<_> = others.collect();
                let label = pod.is_subject() && evaluator.is_isolated_by_label(pod, direction);
                (label || !others.is_empty()).then_some(others)
            });
            for (prepared, policy) in prepared.iter_mut().zip(policies) {
                let mut all = by_others.clone();
                if let (Some(policy), Some(pod)) = (policy, end.as_pod())
                    && pod.is_subject()
                    && pod.name.namespace == policy.name.namespace
                    && policy.pod_selector.matches(&pod.labels)
                {
                    for (all, direction) in all.iter_mut().zip(Direction::ALL) {
                        if policy.rules(direction).is_some() {
                            all.get_or_insert_default().push(policy);
                        }
                    }
                }
                prepared.push((*end, all));
            }
        }
        let reach = prepared.map(|prepared| Reachability::of_isolated(evaluator, prepared));
        Self { evaluator, policies, ends, reach }
    }

    /// Whether a pod is isolated in a direction from now on, or no longer.
    fn isolates(&self, subject: usize, direction: Direction) -> bool {
        let [before, after] = self.reach.each_ref().map(|reach| reach.is_isolated(subject, direction));
        before != after
    }

    /// Whether some rule of a direction may mean an end, before or after: only then it can make a difference there.
    fn names(&self, direction: Direction, far: usize) -> bool {
        let (_, end) = self.ends[far];
        self.policies.into_iter().flatten().any(|policy| {
            let mut rules = policy.rules(direction).unwrap_or_default().iter();
            rules.any(|rule| match &rule.peers {
                Peers::All => true,
                // Pods have addresses too.
                Peers::Only(peers) => peers.iter().any(|peer| {
                    matches!(peer, Peer::Block(_)) || self.evaluator.peer_matches(policy, peer, end)
                }),
            })
        })
    }
}

/// The namespaces and nodes of some pods.
fn surroundings(index: &Index<'_>, pods: &[(&str, &Pod)]) -> Cluster {
    let all = index.cluster();
    let mut part = Cluster::default();
    for (_, pod) in pods {
        let name = &*pod.name.namespace;
        if !part.namespaces.contains_key(name)
            && let Some(namespace) = all.namespaces.get(name)
        {
            part.add_namespace(namespace.clone());
        }
    }
    let nodes: HashSet<_> = pods.iter().filter_map(|(_, pod)| pod.node.as_ref()).collect();
    if !nodes.is_empty() {
        part.nodes = all.nodes.iter().filter(|node| nodes.contains(&node.name)).cloned().collect();
    }
    part
}

/// Pods at the other end with their workloads: first those that rules name, then one of each other workload of the
/// namespace.
fn far_ends<'i>(
    before: Option<&'i NetworkPolicy>,
    after: &'i NetworkPolicy,
    index: &'i Index<'_>,
) -> impl Iterator<Item = (&'i str, &'i Pod)> {
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
        names.into_iter().flat_map(move |name| index.members(name, pods))
    });
    named.chain(index.workloads(own))
}

fn names_blocks(policy: &NetworkPolicy) -> bool {
    let mut rules = Direction::ALL.into_iter().filter_map(|direction| policy.rules(direction)).flatten();
    rules.any(|rule| rule.peers.items().iter().any(|peer| matches!(peer, Peer::Block(_))))
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
        Preview::of(before.as_deref(), &after, &index.replacing([&*after], []), pairs).sentences()
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
