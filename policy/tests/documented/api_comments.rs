//! The comments of `networking.k8s.io/v1`, field by field:
//! <https://pkg.go.dev/k8s.io/api/networking/v1#NetworkPolicySpec>.

use crate::world::with_policies;

const IN: &str = "default/frontend default/db 6379/TCP";
const OUT: &str = "default/db default/frontend 80/TCP";

/// `policyTypes`: "If this field is not specified, it will default based on the existence of ingress or egress
/// rules; policies that contain an egress section are assumed to affect egress, and all policies (whether or not they
/// contain an ingress section) are assumed to affect ingress." The API server counts rules: an empty section is none.
#[test]
fn policy_types_default() {
    let db = "podSelector: {matchLabels: {role: db}}";
    let isolated = |rest: &str| {
        let world = with_policies([&format!("{db}\n{rest}")]);
        [IN, OUT].map(|flow| !world.verdict(flow).allowed())
    };
    let nobody = "[{ports: [{port: 1}]}]";
    let cases = [
        ("", [true, false]),
        ("ingress:", [true, false]),
        ("ingress: []", [true, false]),
        ("egress:", [true, false]),
        ("egress: []", [true, false]),
        ("ingress: []\negress: []", [true, false]),
        (&format!("ingress: {nobody}"), [true, false]),
        (&format!("egress: {nobody}"), [true, true]),
        (&format!("ingress: []\negress: {nobody}"), [true, true]),
        (&format!("policyTypes: []\negress: {nobody}"), [true, true]),
        (&format!("policyTypes:\negress: {nobody}"), [true, true]),
        // "if you want to write an egress-only policy, you must explicitly specify policyTypes [ "Egress" ]"
        (&format!("policyTypes: [Egress]\negress: {nobody}"), [false, true]),
        // "if you want to write a policy that specifies that no egress is allowed, you must specify a policyTypes
        // value that include "Egress""
        ("policyTypes: [Egress]", [false, true]),
        ("policyTypes: [Egress]\negress: []", [false, true]),
        ("policyTypes: [Ingress, Egress]", [true, true]),
        ("policyTypes: [Ingress]", [true, false]),
    ];
    for (rest, expected) in cases {
        assert_eq!(isolated(rest), expected, "[ingress, egress] of {rest:?}");
    }
}

/// Rules of a direction that `policyTypes` leaves out have no effect, neither to isolate nor to allow.
#[test]
fn rules_outside_policy_types_are_ignored() {
    with_policies(["podSelector: {}\npolicyTypes: [Ingress]\negress: [{ports: [{port: 1}]}]"])
        .closed([IN])
        .open(["default/db other/plain 80/TCP"]);
    let ignored = "podSelector: {}\npolicyTypes: [Egress]\ningress: [{}]\negress: [{}]";
    with_policies(["podSelector: {}\npolicyTypes: [Ingress]", ignored]).closed([IN]);
}

/// `podSelector`: "An empty selector matches all pods in the policy's namespace."
#[test]
fn empty_pod_selector_of_the_policy() {
    with_policies(["podSelector: {}\npolicyTypes: [Ingress]"])
        .closed([IN, OUT, "other/plain default/plain 80/TCP"])
        .open(["default/db other/plain 80/TCP"]);
}

/// `ingress`: "If this field is empty then this NetworkPolicy does not allow any traffic (and serves solely to ensure
/// that the pods it selects are isolated by default)". Absent, null and empty are the same.
#[test]
fn empty_ingress() {
    for list in ["", "\ningress:", "\ningress: []", "\ningress: null"] {
        with_policies([&format!("podSelector: {{}}\npolicyTypes: [Ingress]{list}")]).closed([
            IN,
            "203.0.113.1 default/db 80/TCP",
            "other/plain default/db icmp",
        ]);
    }
}

/// `egress`, likewise.
#[test]
fn empty_egress() {
    for list in ["", "\negress:", "\negress: []", "\negress: null"] {
        with_policies([&format!("podSelector: {{}}\npolicyTypes: [Egress]{list}")]).closed([
            OUT,
            "default/db 203.0.113.1 80/TCP",
            "default/db other/plain icmp",
        ]);
    }
}

/// `from`: "If this field is empty or missing, this rule matches all sources (traffic not restricted by source)."
/// `to`, likewise.
#[test]
fn empty_peers() {
    for list in ["", ", PEERS: ", ", PEERS: []", ", PEERS: null"] {
        let rule = |peers| format!("{{ports: [{{port: 80}}]{}}}", list.replace("PEERS", peers));
        with_policies([&format!("podSelector: {{}}\ningress: [{}]", rule("from"))])
            .open([
                "other/plain default/db 80/TCP",
                "203.0.113.1 default/db 80/TCP",
                "2001:db8::1 default/db 80/TCP",
            ])
            .closed(["other/plain default/db 81/TCP"]);
        with_policies([&format!("podSelector: {{}}\npolicyTypes: [Egress]\negress: [{}]", rule("to"))])
            .open(["default/db other/plain 80/TCP", "default/db 203.0.113.1 80/TCP"])
            .closed(["default/db other/plain 81/TCP"]);
    }
}

/// `ports`: "If this field is empty or missing, this rule matches all ports (traffic not restricted by port)."
#[test]
fn empty_ports() {
    for list in ["", ", ports: ", ", ports: []", ", ports: null"] {
        let spec = format!("podSelector: {{}}\ningress: [{{from: [{{podSelector: {{}}}}]{list}}}]");
        with_policies([&spec])
            .open([
                IN,
                "default/plain default/db 1/UDP",
                "default/plain default/db 65535/SCTP",
                "default/plain default/db icmp",
            ])
            .closed(["other/plain default/db 80/TCP"]);
    }
}

/// `from` is OR over its items, `ports` is OR over its items, and a rule is AND of the two.
#[test]
fn a_rule_is_peers_and_ports() {
    let spec = "podSelector: {matchLabels: {role: db}}
ingress:
- from:
  - podSelector: {matchLabels: {role: frontend}}
  - ipBlock: {cidr: 203.0.113.0/24}
  ports:
  - port: 80
  - port: 53
    protocol: UDP";
    with_policies([spec])
        .open([
            "default/frontend default/db 80/TCP",
            "default/frontend default/db 53/UDP",
            "203.0.113.5 default/db 80/TCP",
            "203.0.113.5 default/db 53/UDP",
        ])
        .closed([
            "default/frontend default/db 53/TCP",
            "default/frontend default/db 80/UDP",
            "default/plain default/db 80/TCP",
            "203.0.114.5 default/db 80/TCP",
        ]);
}

/// `protocol`: "If not specified, this field defaults to TCP." `port`: "If this field is not provided, this matches
/// all port names and numbers."
#[test]
fn port_items() {
    let allowed = |item: &str, flow: &str| {
        with_policies([&format!("podSelector: {{}}\ningress: [{{ports: [{item}]}}]")]).verdict(flow).allowed()
    };
    let cases = [
        ("{}", "TCP", true),
        ("{}", "UDP", false),
        ("{port: 6379}", "TCP", true),
        ("{port: 6379}", "UDP", false),
        ("{port: 6379, protocol: UDP}", "UDP", true),
        ("{port: 6379, protocol: UDP}", "TCP", false),
        ("{port: 6379, protocol: SCTP}", "SCTP", true),
        ("{port: 6379, protocol: }", "TCP", true),
        ("{protocol: UDP}", "UDP", true),
        ("{protocol: UDP}", "TCP", false),
        ("{port: null, protocol: SCTP}", "SCTP", true),
        ("{port: redis}", "TCP", true),
        ("{port: redis, protocol: UDP}", "UDP", false),
        ("{port: postgres}", "TCP", false),
        ("{port: 6379, endPort: 6379}", "TCP", true),
        ("{port: 6000, endPort: 6378}", "TCP", false),
        ("{port: 6000, endPort: 6379}", "TCP", true),
        ("{port: 6380, endPort: 7000}", "TCP", false),
    ];
    for (item, protocol, expected) in cases {
        let flow = format!("default/frontend default/db 6379/{protocol}");
        assert_eq!(allowed(item, &flow), expected, "{item} and {flow}");
    }
}

/// A peer's `podSelector`: "If NamespaceSelector is also set, then the NetworkPolicyPeer as a whole selects the pods
/// matching PodSelector in the Namespaces selected by NamespaceSelector. Otherwise it selects the pods matching
/// PodSelector in the policy's own namespace." `namespaceSelector`: "if present but empty, it selects all namespaces",
/// and without a podSelector "all pods in the namespaces selected".
#[test]
fn peers() {
    let everyone = [
        "default/frontend",
        "default/plain",
        "other/frontend",
        "other/plain",
        "third/frontend",
        "203.0.113.1",
    ];
    let cases: [(&str, &[&str]); 9] = [
        ("{podSelector: {}}", &["default/frontend", "default/plain"]),
        ("{podSelector: {matchLabels: {role: frontend}}}", &["default/frontend"]),
        ("{namespaceSelector: {}}", &everyone[..5]),
        ("{namespaceSelector: {}, podSelector: {}}", &everyone[..5]),
        ("{namespaceSelector: {}, podSelector: null}", &everyone[..5]),
        (
            "{namespaceSelector: {}, podSelector: {matchLabels: {role: frontend}}}",
            &["default/frontend", "other/frontend", "third/frontend"],
        ),
        ("{namespaceSelector: {matchLabels: {project: myproject}}}", &["other/frontend", "other/plain"]),
        (
            "{namespaceSelector: {matchLabels: {project: myproject}}, podSelector: {matchLabels: {role: frontend}}}",
            &["other/frontend"],
        ),
        ("{namespaceSelector: null, podSelector: {matchLabels: {role: frontend}}}", &["default/frontend"]),
    ];
    for (peer, expected) in cases {
        let world = with_policies([&format!(
            "podSelector: {{matchLabels: {{role: db}}}}\ningress: [{{from: [{peer}]}}]"
        )]);
        let found: Vec<_> = everyone
            .into_iter()
            .filter(|from| world.verdict(&format!("{from} default/db 80/TCP")).allowed())
            .collect();
        assert_eq!(found, expected, "{peer}");
    }
}

/// `ipBlock`: "a particular CIDR … allowed to the pods"; `except`: "should not be included within an IP Block".
/// Both families.
#[test]
fn ip_blocks() {
    let cases: [(&str, &[&str], &[&str]); 5] = [
        ("{cidr: 0.0.0.0/0}", &["203.0.113.1", "10.1.0.2"], &["2001:db8::1"]),
        ("{cidr: '::/0'}", &["2001:db8::1", "fd00:1::2"], &["203.0.113.1"]),
        (
            "{cidr: 203.0.113.0/24, except: [203.0.113.0/25]}",
            &["203.0.113.128"],
            &["203.0.113.127", "203.0.112.1"],
        ),
        (
            "{cidr: '2001:db8::/32', except: ['2001:db8:1::/48']}",
            &["2001:db8::1", "2001:db8:2::1"],
            &["2001:db8:1::1", "2001:db9::1"],
        ),
        ("{cidr: 203.0.113.7/32}", &["203.0.113.7"], &["203.0.113.8"]),
    ];
    for (block, inside, outside) in cases {
        let world = with_policies([&format!(
            "podSelector: {{matchLabels: {{role: db}}}}\ningress: [{{from: [{{ipBlock: {block}}}]}}]"
        )]);
        for (addresses, expected) in [(inside, true), (outside, false)] {
            for from in addresses {
                assert_eq!(
                    world.verdict(&format!("{from} default/db 80/TCP")).allowed(),
                    expected,
                    "{block} {from}"
                );
            }
        }
    }
}

/// `metav1.LabelSelector`: "The result of matchLabels and matchExpressions are ANDed"; a key that isn't there meets
/// NotIn and DoesNotExist (labels documentation, "set-based requirement").
#[test]
fn label_selectors() {
    let cases = [
        ("{}", true, true),
        ("{matchLabels: {}, matchExpressions: []}", true, true),
        ("{matchLabels: {role: frontend}, matchExpressions: [{key: role, operator: Exists}]}", true, false),
        (
            "{matchLabels: {role: frontend}, matchExpressions: [{key: role, operator: NotIn, values: [frontend]}]}",
            false,
            false,
        ),
        ("{matchExpressions: [{key: role, operator: In, values: [frontend, db]}]}", true, false),
        ("{matchExpressions: [{key: role, operator: NotIn, values: [db]}]}", true, true),
        ("{matchExpressions: [{key: role, operator: NotIn, values: [frontend]}]}", false, true),
        ("{matchExpressions: [{key: role, operator: Exists}]}", true, false),
        ("{matchExpressions: [{key: role, operator: DoesNotExist}]}", false, true),
        ("{matchLabels: {role: ''}}", false, false),
    ];
    for (selector, frontend, plain) in cases {
        let world = with_policies([&format!(
            "podSelector: {{matchLabels: {{role: db}}}}\ningress: [{{from: [{{podSelector: {selector}}}]}}]"
        )]);
        for (from, expected) in [("default/frontend", frontend), ("default/plain", plain)] {
            assert_eq!(
                world.verdict(&format!("{from} default/db 80/TCP")).allowed(),
                expected,
                "{selector} {from}"
            );
        }
    }
}
