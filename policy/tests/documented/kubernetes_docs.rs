//! <https://kubernetes.io/docs/concepts/services-networking/network-policies/>, section by section.

use crate::world::{PODS, World, policy, with_policies};

/// "By default, a pod is non-isolated": all connections are allowed, both ways.
#[test]
fn the_two_sorts_of_pod_isolation_default() {
    with_policies([]).open([
        "default/frontend default/db 6379/TCP",
        "other/plain default/db 1/UDP",
        "default/db 203.0.113.1 443/TCP",
        "203.0.113.1 default/db 22/TCP",
        "default/db third/frontend icmp",
    ]);
}

/// "The declarations are independent": a pod isolated for ingress is not isolated for egress, and the reverse.
#[test]
fn isolation_of_one_direction_leaves_the_other() {
    let ingress = with_policies(["podSelector: {matchLabels: {role: db}}\npolicyTypes: [Ingress]"]);
    ingress.closed(["default/frontend default/db 6379/TCP"]).open(["default/db default/frontend 80/TCP"]);
    let egress = with_policies(["podSelector: {matchLabels: {role: db}}\npolicyTypes: [Egress]"]);
    egress.open(["default/frontend default/db 6379/TCP"]).closed(["default/db default/frontend 80/TCP"]);
}

/// "Network policies do not conflict; they are additive": the union, whatever the order.
#[test]
fn policies_are_additive() {
    let a = "podSelector: {matchLabels: {role: db}}\ningress: [{from: [{podSelector: {matchLabels: {role: frontend}}}], ports: [{port: 6379}]}]";
    let b = "podSelector: {}\ningress: [{from: [{ipBlock: {cidr: 203.0.113.0/24}}]}]";
    let deny = "podSelector: {}\npolicyTypes: [Ingress]";
    for world in [with_policies([a, b, deny]), with_policies([deny, b, a])] {
        world
            .open(["default/frontend default/db 6379/TCP", "203.0.113.9 default/db 22/TCP"])
            .closed(["default/plain default/db 6379/TCP", "default/frontend default/db 6380/TCP"]);
    }
}

/// "For a connection from a source pod to a destination pod to be allowed, both the egress policy on the source pod
/// and the ingress policy on the destination pod need to allow the connection."
#[test]
fn both_ends_must_allow() {
    let out = "podSelector: {matchLabels: {role: frontend}}\npolicyTypes: [Egress]\negress: [{to: [{podSelector: {matchLabels: {role: db}}}], ports: [{port: 6379}, {port: 80}]}]";
    let into = "podSelector: {matchLabels: {role: db}}\ningress: [{ports: [{port: 6379}, {port: 443}]}]";
    with_policies([out, into]).open(["default/frontend default/db 6379/TCP"]).closed([
        "default/frontend default/db 80/TCP",
        "default/frontend default/db 443/TCP",
        "default/frontend default/plain 80/TCP",
    ]);
}

/// The sample `test-network-policy` of "The NetworkPolicy resource".
const SAMPLE: &str = "podSelector:
  matchLabels:
    role: db
policyTypes:
- Ingress
- Egress
ingress:
- from:
  - ipBlock:
      cidr: 172.17.0.0/16
      except:
      - 172.17.1.0/24
  - namespaceSelector:
      matchLabels:
        project: myproject
  - podSelector:
      matchLabels:
        role: frontend
  ports:
  - protocol: TCP
    port: 6379
egress:
- to:
  - ipBlock:
      cidr: 10.0.0.0/24
  ports:
  - protocol: TCP
    port: 5978";

/// What the page says about that sample, sentence by sentence.
#[test]
fn the_sample_policy() {
    with_policies([SAMPLE])
        .open([
            // any pod in the "default" namespace with the label "role=frontend"
            "default/frontend default/db 6379/TCP",
            // any pod in a namespace with the label "project=myproject"
            "other/plain default/db 6379/TCP",
            "other/frontend default/db 6379/TCP",
            // 172.17.0.0–172.17.0.255 and 172.17.2.0–172.17.255.255
            "172.17.0.0 default/db 6379/TCP",
            "172.17.0.255 default/db 6379/TCP",
            "172.17.2.0 default/db 6379/TCP",
            "172.17.255.255 default/db 6379/TCP",
            // connections to CIDR 10.0.0.0/24 on TCP port 5978
            "default/db 10.0.0.77 5978/TCP",
            // other pods are not isolated
            "default/frontend default/plain 80/TCP",
        ])
        .closed([
            "172.17.1.0 default/db 6379/TCP",
            "172.17.1.255 default/db 6379/TCP",
            "172.18.0.0 default/db 6379/TCP",
            "172.16.255.255 default/db 6379/TCP",
            "default/plain default/db 6379/TCP",
            "third/frontend default/db 6379/TCP",
            "default/frontend default/db 6378/TCP",
            "default/frontend default/db 6379/UDP",
            "default/db 10.0.0.77 5979/TCP",
            "default/db 10.0.1.0 5978/TCP",
            "default/db default/frontend 5978/TCP",
        ]);
}

/// "Behavior of to and from selectors": one item with both selectors.
#[test]
fn namespace_and_pod_selector_in_one_item() {
    let spec = "podSelector: {matchLabels: {role: db}}
ingress:
- from:
  - namespaceSelector:
      matchLabels:
        project: myproject
    podSelector:
      matchLabels:
        role: frontend";
    with_policies([spec]).open(["other/frontend default/db 80/TCP"]).closed([
        "other/plain default/db 80/TCP",
        "default/frontend default/db 80/TCP",
        "third/frontend default/db 80/TCP",
    ]);
}

/// The same with one dash more: two items.
#[test]
fn namespace_and_pod_selector_in_two_items() {
    let spec = "podSelector: {matchLabels: {role: db}}
ingress:
- from:
  - namespaceSelector:
      matchLabels:
        project: myproject
  - podSelector:
      matchLabels:
        role: frontend";
    with_policies([spec])
        .open([
            "other/frontend default/db 80/TCP",
            "other/plain default/db 80/TCP",
            "default/frontend default/db 80/TCP",
        ])
        .closed(["default/plain default/db 80/TCP", "third/frontend default/db 80/TCP"]);
}

#[test]
fn default_deny_all_ingress() {
    with_policies(["podSelector: {}\npolicyTypes:\n- Ingress"])
        .closed([
            "default/frontend default/db 80/TCP",
            "203.0.113.1 default/plain 80/TCP",
            "other/plain default/db icmp",
        ])
        .open([
            "default/db other/plain 80/TCP",
            "default/db 203.0.113.1 80/TCP",
            "default/db third/frontend icmp",
        ]);
}

/// "It doesn't matter that another policy isolates": allow-all wins because policies add up.
#[test]
fn allow_all_ingress() {
    with_policies([
        "podSelector: {}\npolicyTypes: [Ingress]",
        "podSelector: {}\ningress:\n- {}\npolicyTypes:\n- Ingress",
    ])
    .open([
        "default/frontend default/db 80/TCP",
        "203.0.113.1 default/plain 1/SCTP",
        "other/plain default/db icmp",
    ]);
}

#[test]
fn default_deny_all_egress() {
    with_policies(["podSelector: {}\npolicyTypes:\n- Egress"])
        .closed([
            "default/frontend default/db 80/TCP",
            "default/plain 203.0.113.1 80/TCP",
            "default/db other/plain icmp",
        ])
        .open(["other/plain default/db 80/TCP", "203.0.113.1 default/db 80/TCP"]);
}

#[test]
fn allow_all_egress() {
    with_policies([
        "podSelector: {}\npolicyTypes: [Egress]",
        "podSelector: {}\negress:\n- {}\npolicyTypes:\n- Egress",
    ])
    .open([
        "default/frontend default/db 80/TCP",
        "default/plain 203.0.113.1 1/UDP",
        "default/db other/plain icmp",
    ]);
}

#[test]
fn default_deny_all_both_ways() {
    with_policies(["podSelector: {}\npolicyTypes:\n- Ingress\n- Egress"])
        .closed([
            "default/frontend default/db 80/TCP",
            "other/plain default/db 80/TCP",
            "default/db other/plain 80/TCP",
            "203.0.113.1 default/db 80/TCP",
            "default/db 203.0.113.1 80/TCP",
        ])
        .open(["other/plain third/frontend 80/TCP"]);
}

/// "Targeting a range of ports": the sample with endPort 32768.
#[test]
fn a_range_of_ports() {
    let spec = "podSelector:
  matchLabels:
    role: db
policyTypes:
- Egress
egress:
- to:
  - ipBlock:
      cidr: 10.0.0.0/24
  ports:
  - protocol: TCP
    port: 32000
    endPort: 32768";
    with_policies([spec])
        .open([
            "default/db 10.0.0.1 32000/TCP",
            "default/db 10.0.0.1 32400/TCP",
            "default/db 10.0.0.1 32768/TCP",
        ])
        .closed([
            "default/db 10.0.0.1 31999/TCP",
            "default/db 10.0.0.1 32769/TCP",
            "default/db 10.0.0.1 32400/UDP",
            "default/db 10.0.1.1 32400/TCP",
        ]);
}

/// "Targeting multiple namespaces by label".
#[test]
fn several_namespaces_by_label() {
    let spec = "podSelector: {}
policyTypes: [Egress]
egress:
- to:
  - namespaceSelector:
      matchExpressions:
      - key: project
        operator: In
        values: [\"myproject\", \"backend\"]";
    with_policies([spec]).open(["default/db other/plain 80/TCP", "default/db other/frontend 80/TCP"]).closed(
        [
            "default/db third/frontend 80/TCP",
            "default/db default/frontend 80/TCP",
            "default/db 10.9.0.1 80/TCP",
        ],
    );
}

/// "Targeting a Namespace by its name", with a manifest of the namespace and without.
#[test]
fn a_namespace_by_its_name() {
    for name in ["other", "third"] {
        let spec = format!(
            "podSelector: {{}}\ningress: [{{from: [{{namespaceSelector: {{matchLabels: {{kubernetes.io/metadata.name: {name}}}}}}}]}}]"
        );
        let world = with_policies([&spec]);
        world.closed(["default/frontend default/db 80/TCP", "203.0.113.1 default/db 80/TCP"]);
        for from in ["other", "third"] {
            let flow = format!("{from}/frontend default/db 80/TCP");
            assert_eq!(world.verdict(&flow).allowed(), from == name, "{flow} with {name}");
        }
    }
}

/// "NetworkPolicy and hostNetwork pods": such a pod is not isolated, no selector means it, and its traffic is its
/// node's, which an ipBlock can name.
#[test]
fn host_network_pods() {
    let host =
        "{apiVersion: v1, kind: Pod, metadata: {name: agent, namespace: default, labels: {role: frontend}},
 spec: {hostNetwork: true, nodeName: n1}, status: {podIP: 192.168.0.1}}";
    let node = "{apiVersion: v1, kind: Node, metadata: {name: n1}, status: {addresses: [{type: InternalIP, address: 192.168.0.1}]}}";
    let world = |spec| {
        World::new([PODS, host, node].map(str::to_owned).into_iter().chain([policy("default/p", spec)]))
    };
    let by_label = world(
        "podSelector: {}\npolicyTypes: [Ingress, Egress]\ningress: [{from: [{podSelector: {}}]}]\negress: [{to: [{podSelector: {}}]}]",
    );
    by_label
        .closed([
            "default/agent default/db 80/TCP",
            "192.168.0.1 default/db 80/TCP",
            "default/db default/agent 80/TCP",
        ])
        .open([
            "203.0.113.1 default/agent 80/TCP",
            "default/agent 203.0.113.1 80/TCP",
            "other/plain default/agent 80/TCP",
        ]);
    world("podSelector: {}\ningress: [{from: [{ipBlock: {cidr: 192.168.0.1/32}}]}]")
        .open(["default/agent default/db 80/TCP", "192.168.0.1 default/db 80/TCP"])
        .closed(["192.168.0.2 default/db 80/TCP"]);
}

/// The order of manifests and the policies' names never matter; a policy works in its own namespace only.
#[test]
fn a_policy_is_of_its_own_namespace() {
    let world =
        World::new([PODS.to_owned(), policy("other/deny", "podSelector: {}\npolicyTypes: [Ingress]")]);
    world
        .closed(["default/db other/plain 80/TCP", "other/frontend other/plain 80/TCP"])
        .open(["other/plain default/db 80/TCP", "third/frontend default/db 80/TCP"]);
}
