//! The preview beside the plain evaluator of two whole clusters.

use std::collections::BTreeSet;
use std::sync::Arc;

use netpol_policy::evaluate::{Connections, Endpoint, Evaluator};
use netpol_policy::model::{Cluster, Direction, NetworkPolicy, Pod, Rule};
use netpol_policy::source::load;
use proptest::prelude::*;

use super::*;

fn one(of: &'static [&'static str]) -> impl Strategy<Value = &'static str> {
    prop::sample::select(of.to_vec())
}

fn pod_selector() -> impl Strategy<Value = &'static str> {
    one(&[
        "{}",
        "{matchLabels: {app: a}}",
        "{matchLabels: {app: b}}",
        "{matchExpressions: [{key: app, operator: NotIn, values: [a]}]}",
    ])
}

fn peer() -> impl Strategy<Value = String> {
    let namespaces =
        one(&["{}", "{matchLabels: {team: x}}", "{matchLabels: {kubernetes.io/metadata.name: two}}"]);
    prop_oneof![
        pod_selector().prop_map(|pods| format!("{{podSelector: {pods}}}")),
        (namespaces, pod_selector()).prop_map(|(namespaces, pods)| format!(
            "{{namespaceSelector: {namespaces}, podSelector: {pods}}}"
        )),
        one(&["10.0.0.0/30", "10.0.0.0/8", "192.0.2.0/24"])
            .prop_map(|cidr| format!("{{ipBlock: {{cidr: {cidr}}}}}")),
    ]
}

/// `field` is `from` or `to`.
fn rule(field: &'static str) -> impl Strategy<Value = String> {
    let ports = one(&[
        "",
        "ports: [{port: 80}]",
        "ports: [{port: web}, {protocol: UDP, port: 53}]",
        "ports: [{port: 70, endPort: 90}]",
    ]);
    (prop::collection::vec(peer(), 0..3), ports).prop_map(move |(peers, ports)| {
        let peers =
            if peers.is_empty() { String::new() } else { format!("{field}: [{}], ", peers.join(", ")) };
        format!("{{{peers}{ports}}}")
    })
}

fn spec() -> impl Strategy<Value = String> {
    let rules = |field| prop::collection::vec(rule(field), 0..3).prop_map(|rules| rules.join(", "));
    let types = one(&["[Ingress]", "[Egress]", "[Ingress, Egress]"]);
    (pod_selector(), types, rules("from"), rules("to")).prop_map(|(pods, types, ingress, egress)| {
        format!("{{podSelector: {pods}, policyTypes: {types}, ingress: [{ingress}], egress: [{egress}]}}")
    })
}

fn policy(namespace: &str, name: &str, spec: &str) -> String {
    format!(
        "---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec: {spec}\n"
    )
}

fn world() -> impl Strategy<Value = String> {
    let pod = (one(&["one", "two"]), one(&["a", "b", "c"]), 0..8_u8, any::<bool>());
    let label = one(&["", ", netpol.dev/default-deny: ingress", ", netpol.dev/default-deny: all"]);
    let policies = prop::collection::vec((one(&["one", "two"]), spec()), 0..4);
    (prop::collection::vec(pod, 1..7), label, policies).prop_map(|(pods, label, policies)| {
        let mut text = format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: one, labels: {{team: x{label}}}}}\n");
        for (number, (namespace, app, address, is_replica)) in pods.into_iter().enumerate() {
            let status = if address < 6 { format!("{{podIP: 10.0.0.{}}}", number * 2) } else { "{}".to_owned() };
            let port = if is_replica { 80 } else { 81 };
            text += &format!("---\napiVersion: v1\nkind: Pod\nmetadata: {{name: p{number}, namespace: {namespace}, labels: {{app: {app}}}}}\n\
                spec: {{nodeName: n, containers: [{{name: c, ports: [{{name: web, containerPort: {port}}}]}}]}}\nstatus: {status}\n");
        }
        for (number, (namespace, spec)) in policies.iter().enumerate() {
            text += &policy(namespace, &format!("other-{number}"), spec);
        }
        text
    })
}

/// Opened or closed, from, to, ports.
type Change = (bool, String, String, String);

fn told(flows: &Flows) -> BTreeSet<Change> {
    let each = |opens: bool, flows: &[Flow]| {
        let pairs = flows.iter().flat_map(|flow| {
            flow.from.iter().flat_map(move |from| flow.to.iter().map(move |to| (from, to, &flow.ports)))
        });
        pairs.map(|(from, to, ports)| (opens, from.clone(), to.clone(), ports.clone())).collect::<Vec<_>>()
    };
    let mut all: BTreeSet<_> =
        [each(true, &flows.opens), each(false, &flows.closes)].into_iter().flatten().collect();
    // Names of namespaces begin with a letter; these are addresses.
    all.retain(|(_, from, to, _)| {
        ![from, to].iter().any(|end| end.starts_with(|c: char| c.is_ascii_digit()))
    });
    all
}

fn expected(
    cluster: &Cluster,
    before: Option<&NetworkPolicy>,
    after: &NetworkPolicy,
) -> (BTreeSet<Change>, [[usize; 2]; 2]) {
    let with = |policy: Option<&NetworkPolicy>| {
        let mut all = cluster.clone();
        all.policies.extend(policy.map(|policy| Arc::new(policy.clone())));
        all
    };
    let clusters = [with(before), with(Some(after))];
    let evaluators = clusters.each_ref().map(Evaluator::new);
    let selects = |pod: &Pod| {
        let mut both = before.into_iter().chain([after]);
        both.any(|policy| {
            pod.name.namespace == policy.name.namespace && policy.pod_selector.matches(&pod.labels)
        })
    };
    let named = |pod: &Pod| {
        let rules = before.into_iter().chain([after]).flat_map(|policy| {
            let rules = Direction::ALL.into_iter().filter_map(|direction| policy.rules(direction)).flatten();
            rules.map(move |rule: &Rule| (policy, rule))
        });
        let mut peers =
            rules.flat_map(|(policy, rule)| rule.peers.items().iter().map(move |peer| (policy, peer)));
        peers.any(|(policy, peer)| evaluators[0].peer_matches(policy, peer, Endpoint::pod(pod)))
    };
    let looked_at = |pod: &Pod| pod.name.namespace == after.name.namespace || named(pod);
    let mut flows = BTreeSet::new();
    for (from, source) in cluster.pods.iter().enumerate() {
        for (to, destination) in cluster.pods.iter().enumerate() {
            if from == to
                || !(selects(source) && looked_at(destination) || selects(destination) && looked_at(source))
            {
                continue;
            }
            let [old, new] = [0, 1].map(|version| {
                let pods = [from, to].map(|pod| Endpoint::pod(&clusters[version].pods[pod]));
                evaluators[version].connections(pods[0], pods[1])
            });
            let name = |pod: &Pod| format!("{}/{}", pod.name.namespace, pod.name.name);
            for (opens, change) in [(true, new.difference(&old)), (false, old.difference(&new))] {
                if change != Connections::none() {
                    flows.insert((opens, name(source), name(destination), change.to_string()));
                }
            }
        }
    }
    let isolated = |version: usize, pod: usize, direction| {
        !evaluators[version].isolation(&clusters[version].pods[pod], direction).is_empty()
    };
    let count = |was: bool| {
        Direction::ALL.map(|direction| {
            let changed =
                |pod: &usize| isolated(0, *pod, direction) == was && isolated(1, *pod, direction) != was;
            (0..cluster.pods.len()).filter(changed).count()
        })
    };
    (flows, [count(false), count(true)])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn tells_what_changes(world in world(), before in prop::option::of(spec()), after in spec()) {
        let read = |text: &str| load([((), text.to_owned())], "default").cluster;
        let cluster = read(&world);
        let stored = |spec: &str| read(&policy("one", "changed", spec)).policies.remove(0);
        let (before, after) = (before.map(|spec| stored(&spec)), stored(&after));
        // The index knows what is stored.
        let mut known = cluster.clone();
        known.policies.extend(before.clone());
        let index = Index::new(&known);
        let (flows, [isolates, releases]) = expected(&cluster, before.as_deref(), &after);
        // What was asked before must make no difference.
        for _ in 0..2 {
            let preview = Preview::of(before.as_deref(), &after, &index, 1000);
            prop_assert_eq!(told(&preview.flows), flows.clone());
            prop_assert_eq!((preview.isolates, preview.releases, preview.cut), (isolates, releases, false));
        }
    }

    #[test]
    fn isolation_is_remembered_as_it_is(world in world(), newer in spec()) {
        let read = |text: &str| load([((), text.to_owned())], "default").cluster;
        let cluster = read(&world);
        let newer = read(&policy("one", "other-0", &newer)).policies.remove(0);
        let index = Index::new(&cluster);
        for index in [&index, &index.replacing([&*newer], [])] {
            let everything = netpol_policy::model::LabelSelector::everything();
            for at in ["one", "two"].into_iter().flat_map(|name| index.members(name, &everything)) {
                for direction in Direction::ALL {
                    let names = |policies: &mut dyn Iterator<Item = &NetworkPolicy>| policies.map(|one| one.name.to_string()).collect::<Vec<_>>();
                    prop_assert_eq!(names(&mut index.isolating_at(at, direction)), names(&mut index.isolating(at.pod(), direction)));
                }
            }
        }
    }
}
