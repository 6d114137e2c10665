//! Policies in plain words.

mod support;

use std::sync::Arc;

use netpol_lint::SourceFile;
use netpol_lint::explain::{Effect, Entry, Explainer, markdown, write_json, write_text};
use netpol_lint::output::full::Look;
use netpol_policy::evaluate::Endpoint;
use netpol_policy::model::{Direction, Peer};
use netpol_policy::source;
use proptest::prelude::*;
use support::{folder, run};

/// What is said of a spec, beside some workloads; without the notes.
fn explained(spec: &str, others: &str) -> String {
    let text = format!(
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: p, namespace: shop}}\nspec: {spec}\n---\n{others}"
    );
    let text = text_of(&text, "p");
    let (page, _) = text.split_once("\nGood to know\n").unwrap_or((&text, ""));
    page.lines().skip(1).map(|line| format!("{}\n", line.strip_prefix("  ").unwrap_or(line))).collect()
}

/// The whole text for the policies of a name.
fn text_of(text: &str, name: &str) -> String {
    with_entries(text, |entries| {
        entries.retain(|entry| entry.title().ends_with(&format!("/{name}")));
        let mut out = Vec::new();
        let look = Look { colour: false, unicode: false, width: 1000 };
        write_text(entries, look, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    })
}

fn with_entries<T>(text: &str, then: impl FnOnce(&mut Vec<Entry<'_>>) -> T) -> T {
    let file = SourceFile::read("p.yaml", text, &Arc::from("default"));
    let cluster = source::cluster([&file.manifest]);
    let explainer = Explainer::new(&cluster);
    let entry =
        |policy| Entry { file: &file, policy, explanation: explainer.explain(policy), findings: Vec::new() };
    then(&mut file.policies().map(|(_, policy)| entry(policy)).collect())
}

const PODS: &str = "\
{apiVersion: v1, kind: Namespace, metadata: {name: shop, labels: {team: shop}}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: office, labels: {team: office}}}
---
{apiVersion: v1, kind: Pod, metadata: {name: web, namespace: shop, labels: {app: web}}, spec: {containers: [{name: c, ports: [{name: http, containerPort: 8080}]}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: db, namespace: shop, labels: {app: db}}}
---
{apiVersion: v1, kind: Pod, metadata: {name: mail, namespace: office, labels: {app: mail}}}
---
{apiVersion: v1, kind: Pod, metadata: {name: agent, namespace: shop, labels: {app: agent}}, spec: {hostNetwork: true}}
";

macro_rules! table {
    ($($name:ident: $spec:expr, $others:expr, @$expected:literal;)+) => {$(
        #[test]
        fn $name() {
            insta::assert_snapshot!(explained($spec, $others), @$expected);
        }
    )+};
}

table! {
    default_deny: "{podSelector: {}, policyTypes: [Ingress]}", "", @r"
        It selects every pod of namespace shop.
        Ingress is isolated, and this policy allows nothing: nobody may connect to these pods unless another policy allows it.
        Egress is untouched by this policy: these pods may open every connection, unless another policy isolates them.
        Still open
          - what these pods may connect to (egress) is not limited by this policy
        ";
    default_deny_of_both: "{podSelector: {}, policyTypes: [Ingress, Egress]}", PODS, @r"
        It selects every pod of namespace shop: shop/Pod/db and shop/Pod/web.
        Ingress is isolated, and this policy allows nothing: nobody may connect to these pods unless another policy allows it.
        Egress is isolated, and this policy allows nothing: these pods may connect to nobody, not even to look up names, unless another policy allows it.
        Still open
          - shop/Pod/agent has the labels but is on the network of the node (hostNetwork), which no policy isolates
        ";
    allow_all: "{podSelector: {}, policyTypes: [Ingress], ingress: [{}]}", "", @r"
        It selects every pod of namespace shop.
        Ingress is isolated in name only: rule 1 allows everything, so these pods accept every connection.
          - on every port, with ICMP and every other protocol, from everyone, inside and outside the cluster (line 4)
        Egress is untouched by this policy: these pods may open every connection, unless another policy isolates them.
        Still open
          - everyone, inside and outside the cluster, may connect to these pods on every port, with ICMP and every other protocol
          - what these pods may connect to (egress) is not limited by this policy
        ";
    allow_all_beside_a_narrow_rule: "{podSelector: {}, policyTypes: [Egress], egress: [{ports: [{port: 53, protocol: UDP}]}, {}]}", "", @r"
        It selects every pod of namespace shop.
        Ingress is untouched by this policy: these pods accept every connection, unless another policy isolates them.
        Egress is isolated in name only: rule 2 allows everything, so these pods may open every connection.
          - on port 53/UDP, to everyone, inside and outside the cluster (line 4)
          - on every port, with ICMP and every other protocol, to everyone, inside and outside the cluster (line 4)
        Still open
          - who may connect to these pods (ingress) is not limited by this policy
          - these pods may connect to everyone, inside and outside the cluster, on port 53/UDP
          - these pods may connect to everyone, inside and outside the cluster, on every port, with ICMP and every other protocol
        ";
    an_empty_spec: "{}", "", @r"
        It selects every pod of namespace shop.
        Ingress is isolated, and this policy allows nothing: nobody may connect to these pods unless another policy allows it.
        Egress is untouched by this policy: these pods may open every connection, unless another policy isolates them.
        Still open
          - what these pods may connect to (egress) is not limited by this policy
        ";
    one_peer_of_two_selectors: "{podSelector: {matchLabels: {app: db}}, policyTypes: [Ingress], ingress: [{from: [{namespaceSelector: {matchLabels: {team: shop}}, podSelector: {matchLabels: {app: web}}}], ports: [{port: 3306}]}]}", PODS, @r"
        It selects the pods with app=db in namespace shop: shop/Pod/db.
        Ingress is isolated: these pods accept only connections that some policy allows. This one allows them:
          - on port 3306/TCP, from the pods with app=web in the namespaces with team=shop (both must hold): shop/Pod/web (line 4)
        Egress is untouched by this policy: these pods may open every connection, unless another policy isolates them.
        Still open
          - what these pods may connect to (egress) is not limited by this policy
        ";
    two_peers: "{podSelector: {matchLabels: {app: db}}, policyTypes: [Ingress], ingress: [{from: [{namespaceSelector: {matchLabels: {team: office}}}, {podSelector: {matchLabels: {app: web}}}], ports: [{port: 3306}]}]}", PODS, @r"
        It selects the pods with app=db in namespace shop: shop/Pod/db.
        Ingress is isolated: these pods accept only connections that some policy allows. This one allows them:
          - on port 3306/TCP, from any of these, each of which is enough (line 4):
              - every pod of the namespaces with team=office: office/Pod/mail
              - the pods with app=web in namespace shop: shop/Pod/web
        Egress is untouched by this policy: these pods may open every connection, unless another policy isolates them.
        Still open
          - what these pods may connect to (egress) is not limited by this policy
        ";
    blocks: "{podSelector: {}, policyTypes: [Ingress], ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16, 10.2.0.0/16]}}]}, {from: [{ipBlock: {cidr: '::/0'}}], ports: [{port: 443}]}]}", "", @r"
        It selects every pod of namespace shop.
        Ingress is isolated: these pods accept only connections that some policy allows. This one allows them:
          - on every port, with ICMP and every other protocol, from the addresses 10.0.0.0/8 except 10.1.0.0/16 and 10.2.0.0/16 (line 4)
          - on port 443/TCP, from every IPv6 address (::/0) (line 4)
        Egress is untouched by this policy: these pods may open every connection, unless another policy isolates them.
        Still open
          - what these pods may connect to (egress) is not limited by this policy
        ";
    a_named_port: "{podSelector: {matchLabels: {app: web}}, policyTypes: [Ingress], ingress: [{ports: [{port: http}]}]}", PODS, @r"
        It selects the pods with app=web in namespace shop: shop/Pod/web.
        Ingress is isolated: these pods accept only connections that some policy allows. This one allows them:
          - on the TCP port that the destination pod names http (8080 on shop/Pod/web), from everyone, inside and outside the cluster (line 4)
        Egress is untouched by this policy: these pods may open every connection, unless another policy isolates them.
        Still open
          - everyone, inside and outside the cluster, may connect to these pods on the TCP port that the destination pod names http (8080 on shop/Pod/web)
          - what these pods may connect to (egress) is not limited by this policy
        ";
    a_named_port_that_nobody_has: "{podSelector: {matchLabels: {app: db}}, policyTypes: [Ingress], ingress: [{ports: [{port: http}]}]}", PODS, @r"
        It selects the pods with app=db in namespace shop: shop/Pod/db.
        Ingress is isolated: these pods accept only connections that some policy allows. This one allows them:
          - on the TCP port that the destination pod names http (none of them has one, so this allows nothing), from everyone, inside and outside the cluster (line 4)
        Egress is untouched by this policy: these pods may open every connection, unless another policy isolates them.
        Still open
          - what these pods may connect to (egress) is not limited by this policy
        ";
    a_named_port_of_nobody_known: "{podSelector: {}, policyTypes: [Ingress], ingress: [{ports: [{port: http}]}]}", "", @r"
        It selects every pod of namespace shop.
        Ingress is isolated: these pods accept only connections that some policy allows. This one allows them:
          - on the TCP port that the destination pod names http, from everyone, inside and outside the cluster (line 4)
        Egress is untouched by this policy: these pods may open every connection, unless another policy isolates them.
        Still open
          - everyone, inside and outside the cluster, may connect to these pods on the TCP port that the destination pod names http
          - what these pods may connect to (egress) is not limited by this policy
        ";
    named_ports_outwards: "{podSelector: {}, policyTypes: [Egress], egress: [{to: [{podSelector: {matchLabels: {app: web}}}], ports: [{port: http}]}, {to: [{ipBlock: {cidr: 192.0.2.1/32}}], ports: [{port: http, protocol: UDP}]}]}", PODS, @r"
        It selects every pod of namespace shop: shop/Pod/db and shop/Pod/web.
        Ingress is untouched by this policy: these pods accept every connection, unless another policy isolates them.
        Egress is isolated: these pods may open only connections that some policy allows. This one allows them:
          - on the TCP port that the destination pod names http (8080 on shop/Pod/web), to the pods with app=web in namespace shop: shop/Pod/web (line 4)
          - on the UDP port that the destination pod names http (an address block names no ports, so this allows nothing), to the address 192.0.2.1 (line 4)
        Still open
          - who may connect to these pods (ingress) is not limited by this policy
          - shop/Pod/agent has the labels but is on the network of the node (hostNetwork), which no policy isolates
        ";
    ranges_and_whole_protocols: "{podSelector: {}, policyTypes: [Ingress], ingress: [{from: [{podSelector: {}}], ports: [{port: 8000, endPort: 8100}, {protocol: UDP}, {port: 7, protocol: SCTP}]}]}", "", @r"
        It selects every pod of namespace shop.
        Ingress is isolated: these pods accept only connections that some policy allows. This one allows them:
          - on ports 8000 to 8100/TCP, every UDP port and 7/SCTP, from every pod of namespace shop (line 4)
        Egress is untouched by this policy: these pods may open every connection, unless another policy isolates them.
        Still open
          - what these pods may connect to (egress) is not limited by this policy
        ";
    one_range: "{podSelector: {}, policyTypes: [Ingress], ingress: [{from: [{podSelector: {}}], ports: [{port: 8000, endPort: 8100}]}]}", "", @r"
        It selects every pod of namespace shop.
        Ingress is isolated: these pods accept only connections that some policy allows. This one allows them:
          - on ports 8000 to 8100/TCP, from every pod of namespace shop (line 4)
        Egress is untouched by this policy: these pods may open every connection, unless another policy isolates them.
        Still open
          - what these pods may connect to (egress) is not limited by this policy
        ";
    empty_lists: "{podSelector: {}, policyTypes: [Ingress, Egress], ingress: [{from: [], ports: [{port: 80}]}], egress: [{to: [{podSelector: {}}], ports: []}]}", "", @r"
        It selects every pod of namespace shop.
        Ingress is isolated: these pods accept only connections that some policy allows. This one allows them:
          - on port 80/TCP, from everyone, inside and outside the cluster (line 4)
        Egress is isolated: these pods may open only connections that some policy allows. This one allows them:
          - on every port, with ICMP and every other protocol, to every pod of namespace shop (line 4)
        Still open
          - everyone, inside and outside the cluster, may connect to these pods on port 80/TCP
        ";
    ignored_rules: "{podSelector: {}, policyTypes: [Ingress], egress: [{}]}", "", @r"
        It selects every pod of namespace shop.
        Ingress is isolated, and this policy allows nothing: nobody may connect to these pods unless another policy allows it.
        Egress is untouched by this policy: these pods may open every connection, unless another policy isolates them. Its 1 egress rule has no effect, because policyTypes does not list Egress.
        Still open
          - what these pods may connect to (egress) is not limited by this policy
        ";
    a_policy_that_is_rejected: "{podSelector: {}, policyTypes: [Ingress], ingress: [{ports: [{port: 0}]}]}", "", @"The API server would reject this policy, so it does nothing: spec.ingress[0].ports[0].port: 0 is no port: ports are 1 to 65535.";
    expressions: "{podSelector: {matchExpressions: [{key: app, operator: In, values: [a, b]}, {key: old, operator: DoesNotExist}]}, policyTypes: [Ingress], ingress: [{from: [{namespaceSelector: {matchExpressions: [{key: kubernetes.io/metadata.name, operator: NotIn, values: [dev]}]}}]}]}", "", @r"
        It selects the pods with app=a or b and no old in namespace shop.
        Ingress is isolated: these pods accept only connections that some policy allows. This one allows them:
          - on every port, with ICMP and every other protocol, from every pod of every namespace except dev (line 4)
        Egress is untouched by this policy: these pods may open every connection, unless another policy isolates them.
        Still open
          - what these pods may connect to (egress) is not limited by this policy
        ";
    every_namespace: "{podSelector: {}, policyTypes: [Egress], egress: [{to: [{namespaceSelector: {}, podSelector: {matchLabels: {k8s-app: kube-dns}}}], ports: [{port: 53, protocol: UDP}, {port: 53}]}]}", PODS, @r"
        It selects every pod of namespace shop: shop/Pod/db and shop/Pod/web.
        Ingress is untouched by this policy: these pods accept every connection, unless another policy isolates them.
        Egress is isolated: these pods may open only connections that some policy allows. This one allows them:
          - on the ports 53/UDP and 53/TCP, to the pods with k8s-app=kube-dns in every namespace (line 4)
        Still open
          - who may connect to these pods (ingress) is not limited by this policy
          - shop/Pod/agent has the labels but is on the network of the node (hostNetwork), which no policy isolates
        ";
    others_limit_the_rest: "{podSelector: {}, policyTypes: [Ingress]}", "{apiVersion: v1, kind: Pod, metadata: {name: a, namespace: shop}}\n---\n{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: all, namespace: shop}, spec: {podSelector: {}, policyTypes: [Ingress, Egress], ingress: [{}]}}", @r"
        It selects every pod of namespace shop: shop/Pod/a.
        Ingress is isolated, and this policy allows nothing: nobody may connect to these pods unless another policy allows it.
        Egress is untouched by this policy: these pods are limited by shop/all.
        Still open
          - shop/all selects some of these pods too and allows all ingress
        ";
    others_limit_some: "{podSelector: {}, policyTypes: [Egress]}", "{apiVersion: v1, kind: Pod, metadata: {name: a, namespace: shop, labels: {x: z}}}\n---\n{apiVersion: v1, kind: Pod, metadata: {name: b, namespace: shop}}\n---\n{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: some, namespace: shop}, spec: {podSelector: {matchLabels: {x: z}}, policyTypes: [Ingress], ingress: [{ports: [{port: 1}]}]}}", @r"
        It selects every pod of namespace shop: shop/Pod/a and shop/Pod/b.
        Ingress is untouched by this policy: some of these pods are limited by shop/some, but not shop/Pod/b.
        Egress is isolated, and this policy allows nothing: these pods may connect to nobody, not even to look up names, unless another policy allows it.
        Still open
          - who may connect to these pods (ingress) is not limited by this policy
        ";
    pods_on_the_host_network: "{podSelector: {matchLabels: {app: agent}}, policyTypes: [Ingress]}", PODS, @r"
        It selects the pods with app=agent in namespace shop: none of the workloads given.
        Ingress is isolated, and this policy allows nothing: nobody may connect to these pods unless another policy allows it.
        Egress is untouched by this policy: these pods may open every connection, unless another policy isolates them.
        Still open
          - what these pods may connect to (egress) is not limited by this policy
          - shop/Pod/agent has the labels but is on the network of the node (hostNetwork), which no policy isolates
        ";
}

#[test]
fn misreadings_are_put_right() {
    let notes = |spec: &str| {
        let text = format!(
            "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: p}}\nspec: {spec}\n"
        );
        let json = with_entries(&text, |entries| {
            let mut out = Vec::new();
            write_json(entries, &mut out).unwrap();
            serde_json::from_slice::<serde_json::Value>(&out).unwrap()
        });
        let notes = json[0]["notes"].as_array().unwrap().clone();
        notes.iter().map(|note| note["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(
        notes("{podSelector: {}, policyTypes: [Ingress]}"),
        "replies directions policies-add host-network probes"
    );
    assert_eq!(
        notes("{podSelector: {}, policyTypes: [Egress]}"),
        "replies directions policies-add host-network"
    );
    assert_eq!(
        notes(
            "{podSelector: {}, policyTypes: [Ingress, Egress], egress: [{to: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16]}}], ports: [{port: http}]}]}"
        ),
        "replies both-ends policies-add host-network probes pod-ports port-names ping blocks except"
    );
}

#[test]
fn the_command() {
    let policy = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p, namespace: shop}\nspec: {podSelector: {}, ingress: [{from: []}]}\n";
    let folder = folder(&[("p.yaml", policy), ("q.yaml", &policy.replace("name: p,", "name: q,"))]);
    let page = run(folder.path(), &["explain", "p.yaml"], "");
    assert_eq!(page.status, 0);
    insta::assert_snapshot!(page.out, @r"
        shop/p (p.yaml:3:18)
          It selects every pod of namespace shop.
          Ingress is isolated in name only: rule 1 allows everything, so these pods accept every connection.
            - on every port, with ICMP and every other protocol, from everyone, inside and outside the
              cluster (line 4)
          Egress is untouched by this policy: these pods may open every connection, unless another policy
          isolates them.
          Still open
            - everyone, inside and outside the cluster, may connect to these pods on every port, with ICMP
              and every other protocol
            - what these pods may connect to (egress) is not limited by this policy
          Findings
            - line 4: NP106 warning: policyTypes is left to the default, which is Ingress here
            - line 4: NP103 error: `from` is empty, which means no restriction: everyone may connect on
              every port

        Good to know
          - Replies belong to the connection that they answer and always pass. No rule is needed for them in
            the other direction.
          - Ingress rules say who may open a connection to a pod, egress rules to whom a pod may open one.
            Rules of one direction never touch the other.
          - Policies only add. No rule denies and no policy comes first: a pod that several policies select
            may do whatever any of them allows.
          - Pods on the network of their node (hostNetwork: true) are never isolated, and no selector means
            them: their address is the node's.
          - A pod's own node always reaches it, so the kubelet's probes pass. A pod always reaches itself.
        ");
    let json = run(folder.path(), &["explain", "--policy", "shop/q", "--output-format", "json"], "");
    let list: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    let [one] = &list.as_array().unwrap()[..] else { panic!("{}", json.out) };
    assert_eq!((&one["name"], &one["file"], &one["line"]), (&"q".into(), &"q.yaml".into(), &3.into()));
    assert_eq!(one["ingress"]["rules"][0]["peers"], serde_json::Value::Null);
    assert_eq!(one["findings"][0]["code"], "NP106");
    assert_eq!(run(folder.path(), &["explain", "--policy", "r"], "").status, 2);
    let stdin = run(folder.path(), &["explain", "-"], policy);
    assert!(stdin.out.starts_with("shop/p (<stdin>:3:18)\n"), "{}", stdin.out);
    let nothing = run(folder.path(), &["explain", "-"], "");
    assert_eq!((nothing.status, &*nothing.err), (0, "netpol-lint: no policy found\n"));
}

/// Specs with all that may be in one, some of it wrong.
fn spec() -> impl Strategy<Value = String> {
    let selector = prop_oneof![
        Just("{}".to_owned()),
        Just("null".to_owned()),
        (0..3u8).prop_map(|n| format!("{{matchLabels: {{app: a{n}}}}}")),
        Just("{matchLabels: {kubernetes.io/metadata.name: n1}}".to_owned()),
        (0..3u8, prop::sample::select(vec!["In", "NotIn"])).prop_map(|(n, operator)| format!(
            "{{matchExpressions: [{{key: app, operator: {operator}, values: [a{n}, b]}}]}}"
        )),
        prop::sample::select(vec!["Exists", "DoesNotExist", "Sometimes"])
            .prop_map(|operator| format!("{{matchExpressions: [{{key: app, operator: {operator}}}]}}")),
    ];
    let peer = prop_oneof![
        selector.clone().prop_map(|s| format!("{{podSelector: {s}}}")),
        selector.clone().prop_map(|s| format!("{{namespaceSelector: {s}}}")),
        (selector.clone(), selector.clone())
            .prop_map(|(a, b)| format!("{{namespaceSelector: {a}, podSelector: {b}}}")),
        (0..34u8).prop_map(|n| format!("{{ipBlock: {{cidr: 10.0.0.0/{n}, except: [10.0.0.0/24]}}}}")),
        Just("{}".to_owned()),
        Just("null".to_owned()),
    ];
    let port = prop_oneof![
        (0..70000u32).prop_map(|n| format!("{{port: {n}}}")),
        (1..65535u32).prop_map(|n| format!("{{port: {n}, endPort: {}}}", n.saturating_add(9))),
        Just("{protocol: UDP}".to_owned()),
        Just("{port: http}".to_owned()),
        Just("{}".to_owned()),
        Just("null".to_owned()),
    ];
    let list = |item: BoxedStrategy<String>| {
        prop_oneof![
            Just(None),
            Just(Some("null".to_owned())),
            prop::collection::vec(item, 0..4).prop_map(|items| Some(format!("[{}]", items.join(", ")))),
        ]
    };
    let field =
        |key: &'static str, value: Option<String>| value.map(|value| format!("{key}: {value}")).into_iter();
    let rule = |peers: &'static str| {
        (list(peer.clone().boxed()), list(port.clone().boxed())).prop_map(move |(from, ports)| {
            let fields: Vec<_> = field(peers, from).chain(field("ports", ports)).collect();
            format!("{{{}}}", fields.join(", "))
        })
    };
    let types =
        prop::sample::select(vec!["", "[Ingress]", "[Egress]", "[Ingress, Egress]", "[]", "[ingress]"]);
    (selector, list(rule("from").boxed()), list(rule("to").boxed()), types).prop_map(
        move |(pods, ingress, egress, types)| {
            let types = (!types.is_empty()).then(|| types.to_owned());
            let fields: Vec<_> = field("podSelector", Some(pods))
                .chain(field("ingress", ingress))
                .chain(field("egress", egress))
                .chain(field("policyTypes", types))
                .collect();
            format!("{{{}}}", fields.join(", "))
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Nothing panics, every form has words, and the pods that are named are those that the evaluator knows.
    #[test]
    fn words_agree_with_the_evaluator(specs in prop::collection::vec(spec(), 1..4), labels in prop::collection::vec((0..3u8, 0..3u8), 0..6)) {
        let mut text = String::new();
        for (n, spec) in specs.iter().enumerate() {
            text += &format!("apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: p{n}, namespace: n{}}}\nspec: {spec}\n---\n", n % 2);
        }
        for (n, (namespace, app)) in labels.iter().enumerate() {
            text += &format!("{{apiVersion: v1, kind: Pod, metadata: {{name: d{n}, namespace: n{namespace}, labels: {{app: a{app}}}}}, spec: {{hostNetwork: {}}}}}\n---\n", n == 4);
        }
        let file = SourceFile::read("p.yaml", text.as_str(), &Arc::from("default"));
        let cluster = source::cluster([&file.manifest]);
        let explainer = Explainer::new(&cluster);
        let evaluator = netpol_policy::evaluate::Evaluator::new(&cluster);
        let mut entries = Vec::new();
        for (_, policy) in file.policies() {
            let explanation = explainer.explain(policy);
            prop_assert!(!markdown::policy(&explanation).contains("{"), "no debug output");
            let Effect::Stored(meaning) = &explanation.effect else {
                prop_assert!(policy.model.is_none());
                entries.push(Entry { file: &file, policy, explanation, findings: Vec::new() });
                continue;
            };
            let model = policy.model.as_ref().unwrap();
            let names = |matches: &dyn Fn(&netpol_policy::model::Pod) -> bool| {
                let mut names: Vec<_> = cluster.pods.iter().filter(|pod| matches(pod)).map(|pod| pod.name.clone()).collect();
                names.sort();
                names.iter().map(ToString::to_string).collect::<Vec<_>>()
            };
            prop_assert_eq!(&meaning.subject.known.pods, &names(&|pod| {
                pod.is_subject() && pod.name.namespace == model.name.namespace && model.pod_selector.matches(&pod.labels)
            }));
            for direction in Direction::ALL {
                let side = meaning.side(direction);
                let rules = model.rules(direction);
                prop_assert_eq!(side.isolated, rules.is_some());
                prop_assert_eq!(side.rules.len(), rules.unwrap_or_default().len());
                for (words, rule) in side.rules.iter().zip(rules.unwrap_or_default()) {
                    prop_assert_eq!(words.peers.len(), rule.peers.items().len());
                    for (words, peer) in words.peers.iter().zip(rule.peers.items()) {
                        let Peer::Pods { .. } = peer else { prop_assert!(words.known.is_none()); continue };
                        let known = words.known.as_ref().unwrap();
                        prop_assert_eq!(&known.pods, &names(&|pod| {
                            let pod = cluster.pod(&pod.name).unwrap();
                            evaluator.peer_matches(model, peer, Endpoint::pod(pod))
                        }));
                    }
                }
            }
            entries.push(Entry { file: &file, policy, explanation, findings: Vec::new() });
        }
        let mut out = Vec::new();
        write_text(&entries, Look { colour: true, unicode: false, width: 20 }, &mut out).unwrap();
        write_json(&entries, &mut out).unwrap();
    }
}

#[test]
fn an_unknown_policy_has_a_hint() {
    let policy = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: db-from-api, namespace: prod}\nspec: {podSelector: {}}\n";
    let folder = folder(&[("a.yaml", policy)]);
    for (asked, hint) in [
        ("prod/db-form-api", "; did you mean `prod/db-from-api`?"),
        ("db-from-ap", "; did you mean `db-from-api`?"),
        ("other", ""),
    ] {
        let ran = run(folder.path(), &["explain", "--policy", asked], "");
        assert_eq!(ran.status, 2);
        let expected = format!("no policy of that name in these files: {asked}{hint}\n");
        assert!(ran.err.ends_with(&expected), "{}", ran.err);
    }
}
