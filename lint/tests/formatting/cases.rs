//! Something to repair for every rule that has a fix.

use netpol_lint::Applicability::{self, Safe, Unsafe};

/// What a rule repairs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Case {
    pub(crate) code: &'static str,
    /// What kind of fix it has there.
    pub(crate) fix: Applicability,
    /// Documents in YAML. One that has no `kind` is the spec of a policy.
    pub(crate) documents: &'static [&'static str],
    /// What comments in the text begin with.
    pub(crate) note: &'static str,
}

const fn case(code: &'static str, fix: Applicability, documents: &'static [&'static str]) -> Case {
    Case { code, fix, documents, note: "note" }
}

pub(crate) const CASES: &[Case] = &[
    case(
        "NP002",
        Unsafe,
        &[
            "{podselector: {}, ingress: [{form: [{podSelector: {matchlabels: {app: a}}}], ports: [{port: 80}]}]}",
        ],
    ),
    case(
        "NP003",
        Unsafe,
        &["{podSelector: {}, ingress: [{to: [{podSelector: {}}]}, {from: [{podSelector: {}}]}]}"],
    ),
    case(
        "NP007",
        Safe,
        &["{podSelector: {}, ingress: [{ports: [{port: '80'}, {port: '443', protocol: TCP}]}]}"],
    ),
    case(
        "NP009",
        Safe,
        &[
            "{podSelector: {}, policyTypes: [ingress, EGRESS], ingress: [{ports: [{port: 80, protocol: udp}]}]}",
        ],
    ),
    case(
        "NP011",
        Safe,
        &[
            "{apiVersion: extensions/v1beta1, kind: NetworkPolicy, metadata: {name: old, namespace: shop}, spec: {podSelector: {}}}",
        ],
    ),
    case(
        "NP012",
        Safe,
        &[
            "{podSelector: {matchLabels: {track: 2, canary: true}}, ingress: [{from: [{podSelector: {matchLabels: {track: 3}}}]}]}",
        ],
    ),
    case(
        "NP101",
        Unsafe,
        &[
            "{podSelector: {}, policyTypes: [Ingress], ingress: [{from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: office}}}, {podSelector: {matchLabels: {app: web}}}], ports: [{port: 80}]}]}",
        ],
    ),
    case(
        "NP102",
        Unsafe,
        &[
            "{podSelector: {}, policyTypes: [Ingress], ingress: [{from: [{podSelector: {}}]}, {ports: [{port: 80, protocol: TCP}]}]}",
        ],
    ),
    case("NP106", Safe, &["{podSelector: {}, ingress: [{ports: [{port: 80}]}]}"]),
    case(
        "NP107",
        Unsafe,
        &["{podSelector: {}, policyTypes: [Ingress], egress: [{to: [{podSelector: {}}]}]}"],
    ),
    case("NP108", Unsafe, &["{podSelector: {}, ingress: [{}], egress: []}", "{podSelector: {}, egress: []}"]),
    case("NP109", Unsafe, &["{podSelector: {}, egress: [{to: [{podSelector: {}}]}]}"]),
    case(
        "NP110",
        Unsafe,
        &[
            "{podSelector: {}, policyTypes: [Egress], egress: [{ports: [{protocol: UDP}, {port: 53}]}, {ports: [{port: 80}, {protocol: TCP}]}]}",
        ],
    ),
    case(
        "NP111",
        Safe,
        &[
            "{podSelector: {}, policyTypes: [Ingress], ingress: [{ports: [{port: 80}, {port: http, protocol: null}, {port: 1, endPort: 9}]}]}",
        ],
    ),
    case(
        "NP112",
        Safe,
        &["{policyTypes: [Ingress], ingress: []}", "{podSelector: null, policyTypes: [Egress]}"],
    ),
    case(
        "NP203",
        Unsafe,
        &[
            "{podSelector: {}, policyTypes: [Ingress], ingress: [{from: [{namespaceSelector: {matchLabels: {name: office}}}, {namespaceSelector: {matchExpressions: [{key: name, operator: In, values: [lab]}]}}]}]}",
        ],
    ),
    case(
        "NP204",
        Unsafe,
        &[
            "{podSelector: {}, policyTypes: [Ingress], ingress: [{from: [{podSelector: {matchLabels: {kubernetes.io/metadata.name: office}}}]}]}",
        ],
    ),
    case(
        "NP206",
        Safe,
        &[
            "{podSelector: {matchExpressions: [{key: app, operator: In, values: ['yes']}, {key: tier, operator: Exists}]}, policyTypes: [Ingress], ingress: [{from: [{podSelector: {matchLabels: {app: web}, matchExpressions: [{key: app, operator: In, values: [web]}]}}]}]}",
        ],
    ),
    case(
        "NP301",
        Unsafe,
        &[
            "{podSelector: {}, policyTypes: [Egress], egress: [{to: [{namespaceSelector: {}}], ports: [{port: 53, protocol: UDP}, {port: 443}]}]}",
        ],
    ),
    case(
        "NP302",
        Safe,
        &[
            "{podSelector: {}, policyTypes: [Ingress], ingress: [{ports: [{port: 80}, {port: 80, protocol: TCP}, {port: 79, endPort: 81}]}]}",
        ],
    ),
    case(
        "NP305",
        Unsafe,
        &[
            "{podSelector: {}, policyTypes: [Ingress], ingress: [{from: [{ipBlock: {cidr: 10.0.0.5/8, except: [10.1.0.1/16]}}]}]}",
        ],
    ),
    case(
        "NP306",
        Safe,
        &[
            "{podSelector: {}, policyTypes: [Ingress], ingress: [{from: [{ipBlock: {cidr: '2001:DB8::/32'}}, {ipBlock: {cidr: 010.0.0.0/08}}]}]}",
        ],
    ),
    case(
        "NP308",
        Unsafe,
        &[
            "{podSelector: {}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 0.0.0.0/0}}, {ipBlock: {cidr: 0.0.0.0/0, except: [10.0.0.0/8]}}]}]}",
        ],
    ),
    case(
        "NP310",
        Safe,
        &[
            "{podSelector: {}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 10.1.0.0/16, except: [10.1.1.0/24]}}, {ipBlock: {cidr: 10.0.0.0/8}}, {podSelector: {}}]}]}",
        ],
    ),
    case(
        "NP311",
        Unsafe,
        &[
            "{podSelector: {}, policyTypes: [Egress], egress: [{to: [{podSelector: {matchLabels: {app: api}}}], ports: [{port: 80}]}]}",
        ],
    ),
    case(
        "NP402",
        Safe,
        &[
            "{podSelector: {}, policyTypes: [Ingress], ingress: [{from: [{podSelector: {}}, {podSelector: {}}]}, {ports: [{port: 80}]}, {ports: [{port: 80, protocol: TCP}]}, {from: [{podSelector: {}}]}]}",
        ],
    ),
    case(
        "NP403",
        Safe,
        &[
            "{podSelector: {}, policyTypes: [Ingress], ingress: [{from: [{podSelector: {matchLabels: {app: a}}}], ports: [{port: 80}]}, {from: [{podSelector: {}}]}, {from: [{podSelector: {matchLabels: {app: b}}}]}]}",
        ],
    ),
    case(
        "NP404",
        Safe,
        &[
            "{podSelector: {}, policyTypes: [Ingress], ingress: [{from: [{podSelector: {matchLabels: {app: a}}}, {namespaceSelector: {}}, {namespaceSelector: {matchLabels: {team: a}}}]}]}",
        ],
    ),
    case(
        "NP503",
        Unsafe,
        &[
            "{podSelector: {}, policyTypes: [Ingress], ingress: [{from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: monitorng}}}]}]}",
            "{apiVersion: v1, kind: Namespace, metadata: {name: monitoring}}",
        ],
    ),
    case(
        "NP505",
        Unsafe,
        &[
            "{podSelector: {matchLabels: {app: front}}, policyTypes: [Ingress], ingress: [{from: [{podSelector: {}}], ports: [{protocol: TCP, port: 80}]}]}",
            "{apiVersion: v1, kind: Service, metadata: {name: front, namespace: shop}, spec: {selector: {app: front}, ports: [{port: 80, targetPort: 8080}]}}",
            "{apiVersion: v1, kind: Pod, metadata: {name: front, namespace: shop, labels: {app: front}}, spec: {containers: [{name: web, ports: [{containerPort: 8080}]}]}}",
        ],
    ),
    case("NP602", Unsafe, &["{apiVersion: v1, kind: Namespace, metadata: {name: lab}}"]),
    case(
        "NP901",
        Safe,
        &[
            "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: noted, namespace: shop, annotations: {netpol.dev/lint-ignore: NP103 why, other: x}}, spec: {podSelector: {}, policyTypes: [Ingress]}}",
        ],
    ),
    Case {
        note: "netpol-lint: ignore[NP007] note",
        ..case(
            "NP901",
            Safe,
            &["{podSelector: {}, policyTypes: [Ingress], ingress: [{from: [{podSelector: {}}]}]}"],
        )
    },
];
