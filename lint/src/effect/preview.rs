//! What a change does to who may connect, within a bound: for whoever is about to make it.

#[cfg(test)]
mod against;
mod ends;

use std::collections::BTreeMap;

use netpol_policy::model::{Direction, NetworkPolicy};

use self::ends::{Ends, Subject};
use super::groups::{Flow, Flows, Pairs};
use crate::hash::HashSet;
use crate::index::{Group, Index, PODS};
use crate::matrix::have_common_family;
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
        let subjects = preview.subjects(before, after, index);
        for subject in &subjects {
            preview.count(before, after, index, subject);
        }
        preview.connect(before, after, index, &subjects, pairs);
        preview
    }

    /// The pods that a policy selects, or selected before, workload by workload in the order of their names.
    fn subjects<'i>(
        &mut self,
        before: Option<&'i NetworkPolicy>,
        after: &'i NetworkPolicy,
        index: &'i Index<'i>,
    ) -> Vec<Subject<'i>> {
        let own = &*after.name.namespace;
        let Some(place) = index.place(own) else { return Vec::new() };
        let old = before.map(|before| &before.pod_selector).filter(|old| **old != after.pod_selector);
        let mut subjects: Vec<_> = match old {
            None => {
                let selected = index.workloads_of(place, &after.pod_selector);
                self.cut |= selected.more;
                let subject = |group: &Group| Subject {
                    first: index.pod_at(place, group.pod),
                    pods: group.count as usize,
                };
                selected.all.iter().map(subject).collect()
            }
            Some(old) => {
                // The two may select the same pods.
                let (mut counted, mut seen) = (0, HashSet::default());
                let mut workloads = BTreeMap::<&str, Subject<'_>>::new();
                for selector in [old, &after.pod_selector] {
                    for at in index.members(own, selector) {
                        if counted == PODS {
                            self.cut = true;
                            break;
                        }
                        if seen.insert(std::ptr::from_ref(at.pod())) {
                            let first = Subject { first: at, pods: 0 };
                            workloads.entry(at.workload()).or_insert(first).pods += 1;
                            counted += 1;
                        }
                    }
                }
                workloads.into_values().collect()
            }
        };
        subjects.sort_by_key(|subject| subject.first.workload());
        subjects
    }

    /// Counts pods of one workload that are isolated from now on, or no longer.
    fn count(
        &mut self,
        before: Option<&NetworkPolicy>,
        after: &NetworkPolicy,
        index: &Index<'_>,
        subject: &Subject<'_>,
    ) {
        let at = subject.first;
        for (number, direction) in Direction::ALL.into_iter().enumerate() {
            let mut others = index.isolating_at(at, direction).filter(|policy| policy.name != after.name);
            if at.is_isolated_by_label(direction) || others.next().is_some() {
                continue;
            }
            let isolates = |policy: &NetworkPolicy| {
                policy.rules(direction).is_some() && policy.pod_selector.matches(&at.pod().labels)
            };
            match (before.is_some_and(isolates), isolates(after)) {
                (false, true) => self.isolates[number] += subject.pods,
                (true, false) => self.releases[number] += subject.pods,
                _ => {}
            }
        }
    }

    /// Compares who may connect.
    fn connect<'i>(
        &mut self,
        before: Option<&'i NetworkPolicy>,
        after: &'i NetworkPolicy,
        index: &'i Index<'i>,
        subjects: &[Subject<'i>],
        pairs: usize,
    ) {
        let ends = Ends::new([before, Some(after)], index, subjects, pairs);
        self.cut |= ends.cut;
        let subjects = ends.subjects;
        let mut found = Pairs::default();
        // Two subjects meet in both directions.
        let mut done = HashSet::default();
        let changed = |direction: &Direction| {
            before.and_then(|before| before.rules(*direction)) != after.rules(*direction)
                || before.is_none_or(|before| before.pod_selector != after.pod_selector)
        };
        for direction in Direction::ALL.into_iter().filter(changed) {
            let far_ends: Vec<_> = (0..ends.all.len()).map(|far| ends.is_named(direction, far)).collect();
            for subject in 0..subjects {
                let isolates = ends.isolates(subject, direction);
                for far in (0..ends.all.len()).filter(|far| isolates || far_ends[*far]) {
                    let (from, to) =
                        if direction == Direction::Ingress { (far, subject) } else { (subject, far) };
                    if from != to
                        && (far >= subjects || done.insert((from, to)))
                        && have_common_family(ends.all[from].endpoint, ends.all[to].endpoint)
                        && let Some([old, new]) = ends.difference(from, to)
                    {
                        found.add(&ends.all[from].name, &ends.all[to].name, &old, &new);
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

    /// A block is its addresses that no pod and, if there is another, no node has.
    #[test]
    fn blocks_are_no_pods_and_no_nodes() {
        let more = "---
apiVersion: v1
kind: Pod
metadata: {name: db-2, namespace: shop, labels: {app: db}}
spec: {nodeName: node-1}
status: {podIP: 192.0.2.1}
---
apiVersion: v1
kind: Node
metadata: {name: node-1}
status: {addresses: [{type: InternalIP, address: 192.0.2.2}]}
";
        assert_eq!(
            sentences(Some("[]"), "[{from: [{ipBlock: {cidr: 192.0.2.0/24}}]}]", more, 400),
            [
                "3 flows that were closed open: 192.0.2.0/24 -> shop/db-2 (all), 192.0.2.0/24 -> shop/db (all), shop/db-2 -> shop/db (all)"
            ]
        );
        // The pod's own address is the pod.
        assert_eq!(
            sentences(Some("[]"), "[{from: [{ipBlock: {cidr: 192.0.2.1/32}}]}]", more, 400),
            ["1 flow that was closed opens: shop/db-2 -> shop/db (all)"]
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
