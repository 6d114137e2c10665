//! Pairs that are reported, pairs that are meant, and what joining makes of them.

use crate::rules::testing::{clean, findings, fixed};

#[test]
fn fails() {
    insta::assert_snapshot!(findings("NP101", r"
podSelector: {matchLabels: {app: db}}
policyTypes: [Ingress]
ingress:
- from:
  - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: office}}
  - podSelector: {matchLabels: {app: api}}
"), @"10:5 warning spec.ingress[0].from[1]: two peers (OR) where one (AND) was probably meant; as written: every pod of namespace office, and every app=api pod of namespace shop; joined: only the app=api pods of namespace office");
    insta::assert_snapshot!(findings("NP101", r"
podSelector: {matchLabels: {app: db}}
policyTypes: [Ingress]
ingress:
- from:
  - podSelector: {matchLabels: {app: api}}
  - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: office}}
"), @"10:5 warning spec.ingress[0].from[1]: two peers (OR) where one (AND) was probably meant; as written: every pod of namespace office, and every app=api pod of namespace shop; joined: only the app=api pods of namespace office");
    insta::assert_snapshot!(findings("NP101", r"
podSelector: {matchLabels: {app: db}}
policyTypes: [Ingress]
ingress:
- from:
  - namespaceSelector: {}
  - podSelector: {matchLabels: {app: api}}
"), @"10:5 error spec.ingress[0].from[1]: two peers (OR) where one (AND) was meant; as written: every pod of every namespace, and every app=api pod of namespace shop; joined: only the app=api pods of every namespace");
    insta::assert_snapshot!(findings("NP101", r"
podSelector: {matchLabels: {app: db}}
policyTypes: [Ingress]
ingress:
- from:
  - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: shop}}
  - podSelector: {matchLabels: {app: api}}
"), @"10:5 error spec.ingress[0].from[1]: two peers (OR) where one (AND) was meant; as written: every pod of namespace shop, and every app=api pod of namespace shop; joined: only the app=api pods of namespace shop");
    insta::assert_snapshot!(findings("NP101", r"
podSelector: {matchLabels: {app: db}}
policyTypes: [Ingress]
ingress:
- from:
  - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: monitoring}}
  - podSelector: {matchLabels: {app: prometheus}}
"), @"10:5 error spec.ingress[0].from[1]: two peers (OR) where one (AND) was meant; as written: every pod of namespace monitoring, and every app=prometheus pod of namespace shop; joined: only the app=prometheus pods of namespace monitoring");
    insta::assert_snapshot!(findings("NP101", r"
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: p, namespace: shop}
spec:
  podSelector: {matchLabels: {app: db}}
  policyTypes: [Ingress]
  ingress:
  - from:
    - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: office}}
    - podSelector: {matchLabels: {app: api}}
---
kind: Pod
apiVersion: v1
metadata: {name: db, namespace: shop, labels: {app: db}}
---
kind: Pod
apiVersion: v1
metadata: {name: api, namespace: office, labels: {app: api}}
---
kind: Pod
apiVersion: v1
metadata: {name: mail, namespace: office, labels: {app: mail}}
"), @"10:5 error spec.ingress[0].from[1]: two peers (OR) where one (AND) was meant; as written: every pod of namespace office (office/Pod/api and office/Pod/mail), and every app=api pod of namespace shop (none); joined: only the app=api pods of namespace office (office/Pod/api)");
    insta::assert_snapshot!(findings("NP101", r"
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: p, namespace: shop}
spec:
  podSelector: {matchLabels: {app: db}}
  policyTypes: [Ingress]
  ingress:
  - from:
    - namespaceSelector: {matchLabels: {team: a}}
    - podSelector: {matchLabels: {app: api}}
---
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {team: a}}
"), @"10:5 error spec.ingress[0].from[1]: two peers (OR) where one (AND) was meant; as written: every pod of namespaces team=a, and every app=api pod of namespace shop; joined: only the app=api pods of namespaces team=a");
    insta::assert_snapshot!(findings("NP101", r"
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: p, namespace: shop}
spec:
  podSelector: {matchLabels: {app: db}}
  policyTypes: [Ingress]
  ingress:
  - from:
    - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: office}}
      podSelector: {matchLabels: {app: api}}
---
kind: Pod
apiVersion: v1
metadata: {name: api, namespace: shop, labels: {app: api}}
---
kind: Pod
apiVersion: v1
metadata: {name: mail, namespace: office, labels: {app: mail}}
"), @"10:7 warning spec.ingress[0].from[0]: no pod matches both selectors of this peer (AND), but each of them matches alone: namespace office has pods, and the labels are those of shop/Pod/api in the policy's own namespace");
    insta::assert_snapshot!(findings("NP101", r"
egress: [{to: [{podSelector: {matchLabels: {k8s-app: kube-dns}}}, {namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}}], ports: [{port: 53, protocol: UDP}]}]
"), @"5:69 error spec.egress[0].to[1]: two peers (OR) where one (AND) was meant; as written: every pod of namespace kube-system, and every k8s-app=kube-dns pod of namespace shop; joined: only the k8s-app=kube-dns pods of namespace kube-system");
}

#[test]
fn passes() {
    for text in [
        r"
podSelector: {matchLabels: {app: db}}
policyTypes: [Ingress]
ingress:
- from:
  - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: office}}
    podSelector: {matchLabels: {app: api}}
",
        r"
podSelector: {matchLabels: {app: db}}
policyTypes: [Ingress]
ingress:
- from:
  - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: office}}
  - podSelector: {}
",
        r"
podSelector: {matchLabels: {app: db}}
policyTypes: [Ingress]
ingress:
- from:
  - ipBlock: {cidr: 172.17.0.0/16, except: [172.17.1.0/24]}
  - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: office}}
  - podSelector: {matchLabels: {app: api}}
",
        r"
podSelector: {matchLabels: {app: db}}
policyTypes: [Ingress]
ingress:
- from:
  - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: office}}
  - podSelector: {matchLabels: {app: api}}
  - podSelector: {matchLabels: {app: web}}
",
        r"
podSelector: {matchLabels: {app: db}}
policyTypes: [Ingress]
ingress:
- from:
  - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: office}}
  - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: plant}}
  - podSelector: {matchLabels: {app: api}}
",
        r"
podSelector: {matchLabels: {app: db}}
policyTypes: [Ingress]
ingress:
- from:
  # everyone in the office
  - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: office}}
  # and our own api
  - podSelector: {matchLabels: {app: api}}
",
        r"
podSelector: {matchLabels: {app: db}}
policyTypes: [Ingress]
ingress:
- from:
  - namespaceSelector: # everyone in the office
      matchLabels: {kubernetes.io/metadata.name: office}
  - podSelector: {matchLabels: {app: api}} # and our own api
",
        r"
policyTypes: [Egress]
ingress: [{from: [{namespaceSelector: {}}, {podSelector: {matchLabels: {a: b}}}]}]
",
        r"
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: p, namespace: shop}
spec:
  podSelector: {matchLabels: {app: db}}
  policyTypes: [Ingress]
  ingress:
  - from:
    - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: office}}
    - podSelector: {matchLabels: {app: api}}
---
kind: Pod
apiVersion: v1
metadata: {name: api, namespace: shop, labels: {app: api}}
---
kind: Pod
apiVersion: v1
metadata: {name: mail, namespace: office, labels: {app: mail}}
",
    ] {
        clean("NP101", text);
    }
}

#[test]
fn fixes() {
    insta::assert_snapshot!(fixed("NP101", r"
podSelector: {matchLabels: {app: db}}
policyTypes: [Ingress]
ingress:
- from:
  # from the office
  - namespaceSelector: # one
      matchLabels:
        kubernetes.io/metadata.name: office

  - podSelector:
      matchLabels:
        app: api # ours
"), @r"
        podSelector: {matchLabels: {app: db}}
        policyTypes: [Ingress]
        ingress:
        - from:
          # from the office
          - namespaceSelector: # one
              matchLabels:
                kubernetes.io/metadata.name: office

            podSelector:
              matchLabels:
                app: api # ours
        ");
    insta::assert_snapshot!(fixed("NP101", r"
podSelector: {matchLabels: {app: db}}
policyTypes: [Ingress]
ingress:
- from:
  -   namespaceSelector:
          matchLabels:
              kubernetes.io/metadata.name: office
  - podSelector:
      # the api
      matchLabels:
        app: 'api'
"), @r"
        podSelector: {matchLabels: {app: db}}
        policyTypes: [Ingress]
        ingress:
        - from:
          -   namespaceSelector:
                  matchLabels:
                      kubernetes.io/metadata.name: office
              podSelector:
                # the api
                matchLabels:
                  app: 'api'
        ");
    insta::assert_snapshot!(fixed("NP101", r#"
podSelector: {matchLabels: {app: db}}
policyTypes: [Ingress]
ingress:
- from:
  - namespaceSelector:
      matchLabels: {kubernetes.io/metadata.name: office}
  -    podSelector:
         matchLabels:
          app: "api"
"#), @r#"
        podSelector: {matchLabels: {app: db}}
        policyTypes: [Ingress]
        ingress:
        - from:
          - namespaceSelector:
              matchLabels: {kubernetes.io/metadata.name: office}
            podSelector:
              matchLabels:
               app: "api"
        "#);
    insta::assert_snapshot!(fixed("NP101", r"
podSelector: {matchLabels: {app: db}}
policyTypes: [Ingress]
ingress:
- from:
  -
    namespaceSelector:
      matchLabels: {kubernetes.io/metadata.name: office}
  -
      podSelector:
        matchLabels: {app: api}
"), @r"
        podSelector: {matchLabels: {app: db}}
        policyTypes: [Ingress]
        ingress:
        - from:
          -
            namespaceSelector:
              matchLabels: {kubernetes.io/metadata.name: office}
            podSelector:
              matchLabels: {app: api}
        ");
    insta::assert_snapshot!(fixed("NP101", r"
podSelector: {matchLabels: {app: db}}
policyTypes: [Ingress]
ingress:
- from:
  - # here
    namespaceSelector:
      matchLabels: {kubernetes.io/metadata.name: office}
  -
    podSelector: {matchLabels: {app: api}}
"), @r"
        podSelector: {matchLabels: {app: db}}
        policyTypes: [Ingress]
        ingress:
        - from:
          - # here
            namespaceSelector:
              matchLabels: {kubernetes.io/metadata.name: office}
            podSelector: {matchLabels: {app: api}}
        ");
    insta::assert_snapshot!(fixed("NP101", r"
podSelector: {matchLabels: {app: db}}
policyTypes: [Ingress]
ingress:
- from:
  - {namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: office}}}
  # why
  - { podSelector: {matchLabels: {app: api}} } # api
"), @r"
        podSelector: {matchLabels: {app: db}}
        policyTypes: [Ingress]
        ingress:
        - from:
          - {namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: office}}, podSelector: {matchLabels: {app: api}}}
          # why
          # api
        ");
    insta::assert_snapshot!(fixed("NP101", r"
podSelector: {matchLabels: {app: db}}
policyTypes: [Ingress]
ingress:
- from:
  - {namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: office}}}
  - podSelector: {matchLabels: {app: api}}
"), @r"
        podSelector: {matchLabels: {app: db}}
        policyTypes: [Ingress]
        ingress:
        - from:
          - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: office}}
            podSelector: {matchLabels: {app: api}}
        ");
    insta::assert_snapshot!(fixed("NP101", r"
policyTypes: [Ingress]
ingress: [{from: [{namespaceSelector: {matchLabels: {a: b}}},{podSelector: {matchLabels: {app: api}}}]}]
"), @r"
        policyTypes: [Ingress]
        ingress: [{from: [{namespaceSelector: {matchLabels: {a: b}},podSelector: {matchLabels: {app: api}}}]}]
        ");
    insta::assert_snapshot!(fixed("NP101", r"
policyTypes: [Ingress]
ingress: [{from: [
    {namespaceSelector: {matchLabels: {a: b}}}, # first
    {podSelector: {matchLabels: {app: api}}},
  ]}]
"), @r"
        policyTypes: [Ingress]
        ingress: [{from: [
            {namespaceSelector: {matchLabels: {a: b}}, # first
            podSelector: {matchLabels: {app: api}}},
          ]}]
        ");
    insta::assert_snapshot!(fixed("NP101", r#"
{
  "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "p"},
  "spec": {"podSelector": {}, "ingress": [{
    "from": [
      {
        "namespaceSelector": {"matchLabels": {"a": "b"}}
      },
      {
        "podSelector": {"matchLabels": {"c": "d"}}
      }
    ]
  }]}
}
"#), @r#"
        {
          "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "p"},
          "spec": {"podSelector": {}, "ingress": [{
            "from": [
              {
                "namespaceSelector": {"matchLabels": {"a": "b"}},
                "podSelector": {"matchLabels": {"c": "d"}}
              }
            ]
          }]}
        }
        "#);
    insta::assert_snapshot!(fixed("NP101", r"
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: p, namespace: shop}
spec:
  policyTypes: [Ingress]
  ingress:
  - from: &peers
    - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: office}}
    - podSelector: {matchLabels: {app: api}}
  - from: *peers
    ports: [{port: 80}]
"), @"refused: the policy would mean something else than intended");
}
