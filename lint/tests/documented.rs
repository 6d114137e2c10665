//! The kinds of policies that the Kubernetes documentation teaches, in other words and names: clean, except where they
//! are open on purpose, which is told.

use netpol_lint::{Settings, check_text};

/// The codes that are found in the spec of a policy.
fn codes(spec: &str) -> Vec<&'static str> {
    let spec: String = spec.lines().map(|line| format!("  {line}\n")).collect();
    let head = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata:\n  name: sample\n  namespace: harbour\n";
    let report = check_text("sample.yaml", &format!("{head}spec:\n{spec}"), &Settings::default());
    report.findings.iter().map(|finding| finding.rule.code).collect()
}

#[test]
fn samples() {
    let cases: &[(&str, &str, &[&str])] = &[
        (
            "all kinds of peers as alternatives, and ports, in both directions",
            "podSelector:\n  matchLabels:\n    tier: store\npolicyTypes:\n- Ingress\n- Egress\ningress:\n- from:\n  - ipBlock:\n      cidr: 192.0.2.0/24\n      except:\n      - 192.0.2.128/25\n  - namespaceSelector:\n      matchLabels:\n        team: fish\n  - podSelector:\n      matchLabels:\n        tier: desk\n  ports:\n  - protocol: TCP\n    port: 5432\negress:\n- to:\n  - ipBlock:\n      cidr: 198.51.100.0/24\n  ports:\n  - protocol: TCP\n    port: 5978\n",
            &[],
        ),
        (
            "both selectors in one item",
            "podSelector: {}\npolicyTypes: [Ingress]\ningress:\n- from:\n  - namespaceSelector:\n      matchLabels:\n        team: fish\n    podSelector:\n      matchLabels:\n        role: client\n",
            &[],
        ),
        (
            "the selectors as two items, which allows far more",
            "podSelector: {}\npolicyTypes: [Ingress]\ningress:\n- from:\n  - namespaceSelector:\n      matchLabels:\n        team: fish\n  - podSelector:\n      matchLabels:\n        role: client\n",
            &["NP101"],
        ),
        ("deny all ingress", "podSelector: {}\npolicyTypes:\n- Ingress\n", &[]),
        (
            "allow all ingress, which is open",
            "podSelector: {}\ningress:\n- {}\npolicyTypes:\n- Ingress\n",
            &["NP104"],
        ),
        ("deny all egress", "podSelector: {}\npolicyTypes:\n- Egress\n", &[]),
        (
            "allow all egress, which is open",
            "podSelector: {}\negress:\n- {}\npolicyTypes:\n- Egress\n",
            &["NP104"],
        ),
        ("deny everything", "podSelector: {}\npolicyTypes:\n- Ingress\n- Egress\n", &[]),
        (
            "a range of ports",
            "podSelector:\n  matchLabels:\n    role: store\npolicyTypes:\n- Egress\negress:\n- to:\n  - ipBlock:\n      cidr: 203.0.113.0/24\n  ports:\n  - protocol: TCP\n    port: 32000\n    endPort: 32768\n",
            &[],
        ),
        (
            "several namespaces by one label",
            "podSelector:\n  matchLabels:\n    app: desk\npolicyTypes:\n- Egress\negress:\n- to:\n  - namespaceSelector:\n      matchExpressions:\n      - key: quay\n        operator: In\n        values: [\"north\", \"south\"]\n",
            &[],
        ),
        (
            "a namespace by its name",
            "podSelector: {}\npolicyTypes: [Ingress]\ningress:\n- from:\n  - namespaceSelector:\n      matchLabels:\n        kubernetes.io/metadata.name: office\n",
            &[],
        ),
        (
            "the namespace's own pods, and those of another",
            "podSelector: {}\npolicyTypes: [Ingress]\ningress:\n- from:\n  - podSelector: {}\n  - namespaceSelector:\n      matchLabels:\n        kubernetes.io/metadata.name: office\n",
            &[],
        ),
        (
            "names are looked up",
            "podSelector: {}\npolicyTypes: [Egress]\negress:\n- to:\n  - namespaceSelector:\n      matchLabels:\n        kubernetes.io/metadata.name: kube-system\n    podSelector:\n      matchLabels:\n        k8s-app: kube-dns\n  ports:\n  - {protocol: UDP, port: 53}\n  - {protocol: TCP, port: 53}\n",
            &[],
        ),
        (
            "everyone, on one port",
            "podSelector:\n  matchLabels:\n    app: web\npolicyTypes: [Ingress]\ningress:\n- ports:\n  - protocol: TCP\n    port: 443\n",
            &[],
        ),
        (
            "the public entrance",
            "podSelector:\n  matchLabels:\n    app: web\npolicyTypes: [Ingress]\ningress:\n- from:\n  - ipBlock:\n      cidr: 0.0.0.0/0\n  ports:\n  - protocol: TCP\n    port: 80\n  - protocol: TCP\n    port: 443\n",
            &[],
        ),
        (
            "a database for the world, which is open",
            "podSelector:\n  matchLabels:\n    app: store\npolicyTypes: [Ingress]\ningress:\n- from:\n  - ipBlock:\n      cidr: 0.0.0.0/0\n  ports:\n  - protocol: TCP\n    port: 5432\n",
            &["NP307"],
        ),
        (
            "names, and everything inside the cluster",
            "podSelector:\n  matchLabels:\n    app: desk\npolicyTypes:\n- Egress\negress:\n- ports:\n  - port: 53\n    protocol: UDP\n  - port: 53\n    protocol: TCP\n- to:\n  - namespaceSelector: {}\n",
            &[],
        ),
        (
            "names over datagrams only",
            "podSelector:\n  matchLabels:\n    app: desk\npolicyTypes:\n- Egress\negress:\n- to:\n  - namespaceSelector:\n      matchLabels:\n        kubernetes.io/metadata.name: kube-system\n    podSelector:\n      matchLabels:\n        k8s-app: kube-dns\n  ports:\n  - protocol: UDP\n    port: 53\n",
            &["NP301"],
        ),
        (
            "every port of the protocols with ports",
            "podSelector: {}\npolicyTypes: [Ingress]\ningress:\n- from:\n  - podSelector: {}\n  ports:\n  - protocol: TCP\n  - protocol: UDP\n",
            &[],
        ),
        (
            "monitoring by labels of namespaces and pods",
            "podSelector:\n  matchLabels:\n    app: store\npolicyTypes: [Ingress]\ningress:\n- from:\n  - namespaceSelector:\n      matchLabels:\n        team: watch\n    podSelector:\n      matchLabels:\n        kind: monitor\n  ports:\n  - protocol: TCP\n    port: metrics\n",
            &[],
        ),
        (
            "everyone but one namespace",
            "podSelector: {}\npolicyTypes: [Ingress]\ningress:\n- from:\n  - namespaceSelector:\n      matchExpressions:\n      - key: kubernetes.io/metadata.name\n        operator: NotIn\n        values: [guests]\n",
            &[],
        ),
    ];
    for (what, spec, expected) in cases {
        assert_eq!(codes(spec), *expected, "{what}");
    }
}
