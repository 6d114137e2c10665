//! What this project decided where the documentation leaves room: a test for each line of the table "What a policy
//! means".

use netpol_policy::evaluate::{Decision, Endpoint, Evaluator, Exemption, Flow, Isolation};
use netpol_policy::model::{Cluster, Direction, Protocol, Traffic};

use crate::world::{PODS, World, policy, with_policies};

fn world<const N: usize>(texts: [&str; N]) -> World {
    World::new([PODS].into_iter().chain(texts).map(str::to_owned))
}

/// Defaulting: as the API server does it.
#[test]
fn defaulting() {
    // Ingress always; egress only with at least one rule; nil and empty are both "no rule".
    with_policies(["podSelector: {}"])
        .closed(["other/plain default/db 80/TCP"])
        .open(["default/db other/plain 80/TCP"]);
    with_policies(["podSelector: {}\negress: []"]).open(["default/db other/plain 80/TCP"]);
    with_policies(["podSelector: {}\negress: [{ports: [{port: 80}]}]"])
        .open(["default/db other/plain 80/TCP"])
        .closed(["default/db other/plain 80/UDP", "other/plain default/db 80/TCP"]);
}

/// `from`/`to` absent or empty is everyone, not nobody; `ports` absent or empty is all, ICMP included.
#[test]
fn absent_lists_match_everything() {
    for rule in ["{}", "{from: [], ports: []}", "{from: , ports: }"] {
        with_policies([&format!("podSelector: {{}}\ningress: [{rule}]")]).open([
            "203.0.113.1 default/db 1/TCP",
            "other/plain default/db 65535/SCTP",
            "other/plain default/db icmp",
            "other/plain default/db 47",
        ]);
    }
}

/// A nil peer selector is another thing than an empty one; missing labels meet NotIn and DoesNotExist; an empty value
/// is a value.
#[test]
fn selectors() {
    let from = |peer: &str| with_policies([&format!("podSelector: {{}}\ningress: [{{from: [{peer}]}}]")]);
    from("{podSelector: {}}")
        .open(["default/plain default/db 80/TCP"])
        .closed(["other/plain default/db 80/TCP"]);
    from("{namespaceSelector: {matchLabels: {project: myproject}}, podSelector: {}}")
        .open(["other/plain default/db 80/TCP"])
        .closed(["default/plain default/db 80/TCP"]);
    from("{podSelector: {matchExpressions: [{key: role, operator: NotIn, values: [x]}]}}")
        .open(["default/plain default/db 80/TCP", "default/frontend default/db 80/TCP"]);
    from("{podSelector: {matchExpressions: [{key: role, operator: DoesNotExist}]}}")
        .open(["default/plain default/db 80/TCP"])
        .closed(["default/frontend default/db 80/TCP"]);
    let empty = "{apiVersion: v1, kind: Pod, metadata: {name: empty, labels: {role: ''}}, spec: {}}";
    let needs =
        policy("default/p", "podSelector: {}\ningress: [{from: [{podSelector: {matchLabels: {role: ''}}}]}]");
    world([empty, &needs])
        .open(["default/empty default/db 80/TCP"])
        .closed(["default/plain default/db 80/TCP", "default/frontend default/db 80/TCP"]);
}

/// `kubernetes.io/metadata.name` is there, also on a namespace without a manifest, and whatever a manifest claims.
#[test]
fn metadata_name() {
    let named = |name| {
        format!(
            "podSelector: {{}}\ningress: [{{from: [{{namespaceSelector: {{matchLabels: {{kubernetes.io/metadata.name: {name}}}}}}}]}}]"
        )
    };
    with_policies([&named("other")])
        .open(["other/plain default/db 80/TCP"])
        .closed(["third/frontend default/db 80/TCP"]);
    with_policies([&named("third")]).open(["third/frontend default/db 80/TCP"]);
    let liar = "{apiVersion: v1, kind: Namespace, metadata: {name: third, labels: {kubernetes.io/metadata.name: other}}}";
    world([liar, &policy("default/p", &named("other"))]).closed(["third/frontend default/db 80/TCP"]);
}

/// A block means any address, pods' too, and an exception counts for its rule alone.
#[test]
fn ip_block() {
    with_policies([
        "podSelector: {matchLabels: {role: db}}\ningress: [{from: [{ipBlock: {cidr: 10.1.0.0/24}}]}]",
    ])
    .open(["default/frontend default/db 80/TCP", "10.1.0.77 default/db 80/TCP"])
    .closed(["other/plain default/db 80/TCP"]);
    let excepted = "{ipBlock: {cidr: 0.0.0.0/0, except: [10.2.0.0/16]}}";
    with_policies([&format!("podSelector: {{}}\ningress: [{{from: [{excepted}]}}]")])
        .closed(["other/plain default/db 80/TCP"]);
    with_policies([&format!(
        "podSelector: {{}}\ningress: [{{from: [{excepted}, {{ipBlock: {{cidr: 10.2.0.2/32}}}}]}}]"
    )])
    .open(["other/plain default/db 80/TCP"])
    .closed(["other/frontend default/db 80/TCP"]);
    with_policies([
        &format!("podSelector: {{}}\ningress: [{{from: [{excepted}]}}]"),
        "podSelector: {}\ningress: [{from: [{namespaceSelector: {matchLabels: {project: myproject}}}]}]",
    ])
    .open(["other/plain default/db 80/TCP"]);
}

/// A name is looked up on the destination, by name and protocol, never on an address that is no pod's.
#[test]
fn named_port() {
    let server = |name: &str, port: u16, protocol: &str| {
        format!(
            "{{apiVersion: v1, kind: Pod, metadata: {{name: {name}, namespace: third}}, spec: {{containers: [{{name: c, \
             ports: [{{name: web, containerPort: {port}, protocol: {protocol}}}]}}]}}, status: {{podIP: 10.3.1.{}}}}}",
            port % 250
        )
    };
    let servers = [server("a", 8080, "TCP"), server("b", 9090, "TCP"), server("c", 7070, "UDP")];
    let egress =
        policy("default/p", "podSelector: {}\npolicyTypes: [Egress]\negress: [{ports: [{port: web}]}]");
    World::new([PODS.to_owned(), egress].into_iter().chain(servers))
        .open(["default/db third/a 8080/TCP", "default/db third/b 9090/TCP"])
        .closed([
            "default/db third/a 9090/TCP",
            "default/db third/b 8080/TCP",
            "default/db third/c 7070/TCP",
            "default/db third/c 7070/UDP",
            "default/db 203.0.113.1 8080/TCP",
        ]);
    let ingress = "podSelector: {}\ningress: [{ports: [{port: redis}]}]";
    with_policies([ingress])
        .open(["203.0.113.1 default/db 6379/TCP", "other/plain default/db 6379/TCP"])
        .closed(["other/plain default/frontend 6379/TCP", "other/plain default/db 6379/UDP"]);
    // A block that covers a pod: the pod still has its ports.
    with_policies(["podSelector: {}\npolicyTypes: [Egress]\negress: [{to: [{ipBlock: {cidr: 0.0.0.0/0}}], ports: [{port: redis}]}]"])
        .open(["default/plain default/db 6379/TCP"])
        .closed(["default/plain 203.0.113.1 6379/TCP"]);
}

/// ICMP and other protocols need a rule without ports.
#[test]
fn icmp_and_other_protocols() {
    with_policies(["podSelector: {}\ningress: [{from: [{podSelector: {}}]}]"])
        .open(["default/plain default/db icmp", "default/plain default/db 47"])
        .closed(["other/plain default/db icmp"]);
    let all = "[{protocol: TCP}, {protocol: UDP}, {protocol: SCTP}]";
    with_policies([&format!("podSelector: {{}}\ningress: [{{ports: {all}}}]")])
        .open(["default/plain default/db 1/SCTP"])
        .closed(["default/plain default/db icmp", "default/plain default/db 47"]);
}

/// Replies always pass: a policy is about who opens a connection, so nothing of the opposite direction is asked.
#[test]
fn replies() {
    let both = "podSelector: {matchLabels: {role: db}}\npolicyTypes: [Ingress, Egress]\ningress: [{ports: [{port: 6379}]}]";
    let deaf = "podSelector: {matchLabels: {role: frontend}}\npolicyTypes: [Ingress]";
    with_policies([both, deaf])
        .open(["default/frontend default/db 6379/TCP"])
        .closed(["default/db default/frontend 40000/TCP"]);
    // Ingress rules alone say nothing about egress.
    with_policies(["podSelector: {matchLabels: {role: db}}\ningress: []"])
        .open(["default/db default/frontend 80/TCP"]);
}

/// An established flow is asked about again after a change: the verdict depends on the cluster as it is now only.
#[test]
fn established_flows_after_a_change() {
    let flow = "default/frontend default/db 6379/TCP";
    let before = with_policies(["podSelector: {}\ningress: [{from: [{podSelector: {}}]}]"]);
    before.open([flow]);
    let mut after = World(before.0.clone());
    after.0.policies = with_policies(["podSelector: {}\npolicyTypes: [Ingress]"]).0.policies;
    after.closed([flow]);
    let mut relabelled = with_policies([
        "podSelector: {}\ningress: [{from: [{podSelector: {matchLabels: {role: frontend}}}]}]",
    ]);
    relabelled.open([flow]);
    relabelled.0.pods.iter_mut().for_each(|pod| pod.labels.clear());
    relabelled.closed([flow]);
}

/// A pod reaches itself, by its own address and by a Service that leads back to it.
#[test]
fn a_pod_to_itself() {
    let service = "{apiVersion: v1, kind: Service, metadata: {name: db}, spec: {clusterIPs: [10.96.0.1, 'fd96::1'], selector: {role: db}, ports: [{port: 80, targetPort: redis}]}}";
    let deny = policy("default/deny", "podSelector: {}\npolicyTypes: [Ingress, Egress]");
    let world = world([service, &deny]);
    world
        .open(["default/db default/db 6379/TCP", "10.1.0.1 10.1.0.1 1/UDP", "fd00:1::1 default/db icmp"])
        .closed(["default/frontend default/db 6379/TCP"]);
    let exempt = world.verdict("10.1.0.1 10.1.0.1 80/TCP");
    assert_eq!(exempt.ingress, Decision::Exempt(Exemption::SamePod));
    assert_eq!(exempt.egress, Decision::Exempt(Exemption::SamePod));
    let behind = through(&world.0, "default/db");
    assert_eq!(behind.len(), 2, "one address of each family");
    for (endpoint, port) in behind {
        let flow =
            Flow::new(world.end("default/db"), endpoint, Traffic::port(Protocol::Tcp, port.into()).unwrap());
        assert!(Evaluator::new(&world.0).verdict(&flow).allowed());
    }
}

const NODES: &str = "
{apiVersion: v1, kind: Node, metadata: {name: n1}, status: {addresses: [{type: InternalIP, address: 192.168.0.1}, {type: InternalIP, address: 'fd00:9::1'}]}}
---
{apiVersion: v1, kind: Node, metadata: {name: n2}, status: {addresses: [{type: InternalIP, address: 192.168.0.2}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: probed, labels: {role: db}}, spec: {nodeName: n1}, status: {podIPs: [{ip: 10.1.0.9}, {ip: 'fd00:1::9'}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: agent-1, labels: {app: agent}}, spec: {hostNetwork: true, nodeName: n1}, status: {podIP: 192.168.0.1}}
---
{apiVersion: v1, kind: Pod, metadata: {name: agent-2, labels: {app: agent}}, spec: {hostNetwork: true, nodeName: n2}, status: {podIP: 192.168.0.2}}
";

/// A pod and its own node, both ways; another node is an ordinary address.
#[test]
fn a_pod_and_its_own_node() {
    world([NODES, &policy("default/deny", "podSelector: {}\npolicyTypes: [Ingress, Egress]")])
        .open([
            "192.168.0.1 default/probed 80/TCP",
            "fd00:9::1 default/probed 80/TCP",
            "default/probed 192.168.0.1 10250/TCP",
            "default/agent-1 default/probed icmp",
            "default/probed default/agent-1 1/UDP",
        ])
        .closed([
            "192.168.0.2 default/probed 80/TCP",
            "default/probed 192.168.0.2 10250/TCP",
            "default/agent-2 default/probed 80/TCP",
            "default/probed default/agent-2 80/TCP",
        ]);
    world([
        NODES,
        &policy("default/p", "podSelector: {}\ningress: [{from: [{ipBlock: {cidr: 192.168.0.2/32}}]}]"),
    ])
    .open(["192.168.0.2 default/probed 80/TCP", "default/agent-2 default/probed 80/TCP"]);
}

/// Host network pods are never isolated and never matched by selectors; they are their node's address.
#[test]
fn host_network_pods() {
    let everyone = "podSelector: {}\npolicyTypes: [Ingress, Egress]\ningress: [{from: [{podSelector: {}, namespaceSelector: {}}]}]\negress: [{to: [{podSelector: {}, namespaceSelector: {}}]}]";
    let world = world([NODES, &policy("default/p", everyone)]);
    world
        .open([
            "default/agent-2 203.0.113.1 80/TCP",
            "203.0.113.1 default/agent-2 80/TCP",
            "other/plain default/agent-2 80/TCP",
        ])
        .closed(["default/agent-2 default/probed 80/TCP", "default/probed default/agent-2 80/TCP"]);
    let evaluator = Evaluator::new(&world.0);
    let agent = world.end("default/agent-2").as_pod().unwrap();
    for direction in Direction::ALL {
        assert!(evaluator.isolation(agent, direction).is_empty());
        assert_eq!(evaluator.selecting(agent, direction).count(), 0);
    }
    assert_eq!(world.end("192.168.0.2").as_pod(), None, "its address is the node's");
}

/// Services are decided after translation, for each endpoint; the Service's own address is an ordinary one.
#[test]
fn services() {
    let service = "{apiVersion: v1, kind: Service, metadata: {name: front, namespace: default}, spec: {clusterIP: 10.96.0.2, selector: {role: frontend}, ports: [{port: 80, targetPort: 8080}]}}";
    let rule = |rule: &str| {
        policy(
            "default/p",
            &format!("podSelector: {{matchLabels: {{role: db}}}}\npolicyTypes: [Egress]\negress: [{rule}]"),
        )
    };
    let verdicts = |rule: &str| -> Vec<bool> {
        let world = world([service, rule]);
        through(&world.0, "default/front")
            .into_iter()
            .filter(|(endpoint, _)| endpoint.address().is_some_and(|address| address.is_ipv4()))
            .map(|(endpoint, port)| {
                assert_eq!(port, 8080);
                let traffic = Traffic::port(Protocol::Tcp, port.into()).unwrap();
                Evaluator::new(&world.0)
                    .verdict(&Flow::new(world.end("default/db"), endpoint, traffic))
                    .allowed()
            })
            .collect()
    };
    // The port behind the Service counts, and the pods behind it.
    assert_eq!(verdicts(&rule("{to: [{podSelector: {}}], ports: [{port: 8080}]}")), [true]);
    assert_eq!(verdicts(&rule("{to: [{podSelector: {}}], ports: [{port: 80}]}")), [false]);
    assert_eq!(verdicts(&rule("{to: [{ipBlock: {cidr: 10.96.0.2/32}}]}")), [false]);
    // Without endpoints, the address is an ordinary one.
    world([service, &rule("{to: [{ipBlock: {cidr: 10.96.0.2/32}}]}")])
        .open(["default/db 10.96.0.2 80/TCP"])
        .closed(["default/db 10.96.0.3 80/TCP"]);
}

/// A named `targetPort` is the first port of that name and protocol, as kube-proxy's endpoints have it; a policy's
/// named port means all of them.
#[test]
fn services_by_port_name() {
    let twice = "{apiVersion: v1, kind: Pod, metadata: {name: twice, namespace: third, labels: {role: twice}}, spec: {containers: [
        {name: a, ports: [{name: web, containerPort: 9, protocol: UDP}, {name: web, containerPort: 8080}]},
        {name: b, ports: [{name: web, containerPort: 9090}]}]}, status: {podIP: 10.3.0.9}}";
    let service = "{apiVersion: v1, kind: Service, metadata: {name: web, namespace: third}, spec: {selector: {role: twice}, ports: [{port: 80, targetPort: web}]}}";
    let allow = policy("third/p", "podSelector: {}\ningress: [{ports: [{port: web}]}]");
    let world = world([twice, service, &allow]);
    assert_eq!(through(&world.0, "third/web").iter().map(|(_, port)| *port).collect::<Vec<_>>(), [8080]);
    world
        .open(["default/db third/twice 8080/TCP", "default/db third/twice 9090/TCP"])
        .closed(["default/db third/twice 9/TCP", "default/db third/twice 9/UDP"]);
}

/// Behind a node port or a load balancer with source translation, the source is what arrives.
#[test]
fn source_translation() {
    let allow_client =
        policy("default/p", "podSelector: {}\ningress: [{from: [{ipBlock: {cidr: 203.0.113.9/32}}]}]");
    world([NODES, &allow_client])
        // As it arrives when the client's address is kept …
        .open(["203.0.113.9 default/probed 80/TCP"])
        // … and when another node put its own in its place.
        .closed(["192.168.0.2 default/probed 80/TCP"]);
}

/// What a node does to its own pods it may not do for others: what it only passes on is judged by its address.
#[test]
fn a_node_that_speaks_for_others() {
    let deny = policy("default/p", "podSelector: {}");
    let allow =
        policy("default/p", "podSelector: {}\ningress: [{from: [{ipBlock: {cidr: 192.168.0.1/32}}]}]");
    let traffic = Traffic::port(Protocol::Tcp, 80).unwrap();
    let ask = |policy: &str, source: fn(&World) -> Endpoint<'_>| {
        let world = world([NODES, policy]);
        let flow = Flow::new(source(&world), world.end("default/probed"), traffic);
        Evaluator::new(&world.0).verdict(&flow).allowed()
    };
    assert!(ask(&deny, |world| world.end("192.168.0.1")));
    let relayed: fn(&World) -> Endpoint<'_> = |_| Endpoint::relay("192.168.0.1".parse().ok());
    assert!(!ask(&deny, relayed));
    assert!(ask(&allow, relayed));
    assert!(!ask(&allow, |_| Endpoint::relay(None)), "no block matches what isn't known");
}

/// A Service leads to addresses of its families only: those of `ipFamilies`, else of its cluster IPs, else both.
#[test]
fn services_by_family() {
    let ends = |spec: &str| -> Vec<String> {
        let service = format!(
            "{{apiVersion: v1, kind: Service, metadata: {{name: db, namespace: default}}, \
             spec: {{selector: {{role: db}}, ports: [{{port: 80}}], {spec}}}}}"
        );
        let world = world([&service]);
        through(&world.0, "default/db")
            .iter()
            .filter_map(|(end, _)| Some(end.address()?.to_string()))
            .collect()
    };
    let both = ["10.1.0.1", "fd00:1::1"];
    for (spec, expected) in [
        ("ipFamilies: [IPv4]", &both[..1]),
        ("ipFamilies: [IPv6]", &both[1..]),
        ("ipFamilies: [IPv6, IPv4]", &both),
        ("clusterIP: 10.96.0.2", &both[..1]),
        ("clusterIP: 'fd96::2', clusterIPs: ['fd96::2']", &both[1..]),
        ("clusterIPs: [10.96.0.2, 'fd96::2']", &both),
        ("ipFamilyPolicy: PreferDualStack, clusterIP: 10.96.0.2", &both),
        ("type: ClusterIP", &both),
    ] {
        assert_eq!(ends(spec), expected, "{spec}");
    }
}

/// Pods that are over own no address, and an address belongs to the newest pod that has it.
#[test]
fn which_pods_count() {
    let pod = |name: &str, phase: &str, day: u8, role: &str| {
        format!(
            "{{apiVersion: v1, kind: Pod, metadata: {{name: {name}, labels: {{role: {role}}}, creationTimestamp: '2024-01-0{day}T00:00:00Z'}}, \
             spec: {{}}, status: {{phase: {phase}, podIP: 10.1.9.9}}}}"
        )
    };
    let allow = policy(
        "default/p",
        "podSelector: {matchLabels: {role: db}}\ningress: [{from: [{podSelector: {matchLabels: {role: new}}}]}]",
    );
    let owner = |pods: [String; 2]| {
        let world = World::new([PODS.to_owned(), allow.clone()].into_iter().chain(pods));
        let owner = world.end("10.1.9.9").as_pod().map(|pod| pod.name.name.to_string());
        (owner, world.verdict("10.1.9.9 default/db 80/TCP").allowed())
    };
    let new = Some("new".to_owned());
    assert_eq!(
        owner([pod("old", "Running", 1, "old"), pod("new", "Running", 2, "new")]),
        (new.clone(), true)
    );
    assert_eq!(
        owner([pod("a-old", "Running", 3, "old"), pod("new", "Running", 2, "new")]),
        (Some("a-old".to_owned()), false)
    );
    for over in ["Succeeded", "Failed"] {
        assert_eq!(owner([pod("old", over, 3, "old"), pod("new", "Pending", 2, "new")]), (new.clone(), true));
        assert_eq!(owner([pod("old", over, 3, "new"), pod("new", over, 2, "new")]), (None, false));
    }
}

/// Manifests hold no addresses: a workload is evaluated as a pod of its template, and blocks mean only addresses.
#[test]
fn workloads_without_addresses() {
    let deployment = "{apiVersion: apps/v1, kind: Deployment, metadata: {name: web, labels: {role: db}}, spec: {selector: {}, template: {metadata: {labels: {role: web}}, spec: {containers: [{name: c, ports: [{name: http, containerPort: 8080}]}]}}}}";
    let allow = policy(
        "default/p",
        "podSelector: {matchLabels: {role: web}}\ningress: [{from: [{podSelector: {}}], ports: [{port: http}]}, {from: [{ipBlock: {cidr: 0.0.0.0/0}}], ports: [{port: 9090}]}]",
    );
    world([deployment, &allow])
        .open([
            "default/db default/web 8080/TCP",
            "203.0.113.1 default/web 9090/TCP",
            "default/db default/web 9090/TCP",
        ])
        .closed(["other/plain default/web 8080/TCP", "default/web default/web 9090/TCP"])
        // One replica to another is no pod to itself.
        .open(["default/web default/web 8080/TCP"])
        .closed(["default/web default/web 80/TCP"]);
    // A workload's own labels are not its pods'.
    world([
        deployment,
        &policy("default/p", "podSelector: {matchLabels: {role: db}}\npolicyTypes: [Ingress]"),
    ])
    .open(["other/plain default/web 80/TCP"]);
}

/// The label on a namespace is a policy without rules for the labelled directions.
#[test]
fn isolation_label_on_a_namespace() {
    let cases = [
        ("none", [false, false]),
        ("ingress", [true, false]),
        ("egress", [false, true]),
        ("all", [true, true]),
        // Closed rather than open.
        ("", [true, true]),
        ("typo", [true, true]),
    ];
    for (value, expected) in cases {
        let namespace = format!(
            "{{apiVersion: v1, kind: Namespace, metadata: {{name: third, labels: {{netpol.dev/default-deny: '{value}'}}}}}}"
        );
        let world = world([&namespace]);
        let closed = ["default/db third/frontend 80/TCP", "third/frontend default/db 80/TCP"]
            .map(|flow| !world.verdict(flow).allowed());
        assert_eq!(closed, expected, "{value:?}");
        // Additive like any other isolation.
        let allow = policy(
            "third/allow",
            "podSelector: {}\npolicyTypes: [Ingress, Egress]\ningress: [{ports: [{port: 80}]}]\negress: [{}]",
        );
        let with_rules = World::new([PODS.to_owned(), namespace, allow]);
        with_rules.open(["default/db third/frontend 80/TCP", "third/frontend default/db 80/TCP"]);
        let label = with_rules.verdict("default/db third/frontend 80/TCP");
        assert_eq!(label.ingress.isolation().contains(&Isolation::NamespaceLabel), expected[0]);
    }
}

/// Several policies: what any of them allows passes; any of them isolates.
#[test]
fn several_policies() {
    let policies = [
        "podSelector: {}\npolicyTypes: [Ingress]",
        "podSelector: {matchLabels: {role: db}}\ningress: [{ports: [{port: 1}]}]",
        "podSelector: {matchLabels: {role: db}}\ningress: [{ports: [{port: 2}]}]",
    ];
    let [a, b, c] = policies;
    for order in [[a, b, c], [c, b, a], [b, a, c]] {
        with_policies(order)
            .open(["other/plain default/db 1/TCP", "other/plain default/db 2/TCP"])
            .closed(["other/plain default/db 3/TCP", "other/plain default/plain 1/TCP"]);
    }
}

/// Where the only port of a Service leads.
fn through<'c>(cluster: &'c Cluster, name: &str) -> Vec<(Endpoint<'c>, u16)> {
    let service = cluster.services.iter().find(|service| service.name.to_string() == name).unwrap();
    let endpoints = cluster.service_endpoints(service, &service.ports[0]).into_iter();
    let end = |address| Endpoint::at(cluster, address);
    endpoints.map(|endpoint| (endpoint.address.map(end).unwrap(), endpoint.port.get())).collect()
}
