mod insert;

use netpol_policy::model::{Direction, Labelled, NetworkPolicy, Peer, Peers, Ports};

use crate::context::{Context, Reporter};
use crate::finding::Fix;
use crate::rule::rule;

rule! {
    /// ## What it does
    /// Finds policies that isolate egress and allow some, but no DNS, where no other policy that selects the same pods
    /// allows it either. Policies that deny all egress are left alone, and so are those that only allow blocks of
    /// addresses, for which nobody needs names. DNS is port 53, a port named after it, or every port of peers that
    /// may include a name server. Of several policies for the same pods one is reported.
    ///
    /// ## Why it matters
    /// A pod looks up the name of a Service before it connects. Where the question is denied, every connection by name
    /// fails after a delay, also those that the policy allows.
    ///
    /// ## Example
    /// ```yaml
    /// apiVersion: networking.k8s.io/v1
    /// kind: NetworkPolicy
    /// metadata: {name: web, namespace: shop}
    /// spec:
    ///   podSelector: {matchLabels: {app: web}}
    ///   policyTypes: [Egress]
    ///   egress:
    ///     - to:
    ///         - podSelector: {matchLabels: {app: api}}
    ///       ports:
    ///         - {protocol: TCP, port: 8080}
    /// ```
    ///
    /// ## Fix
    /// `--unsafe-fixes` adds a rule for the cluster's name server. One policy for all pods of the namespace does as well.
    /// ```yaml
    /// apiVersion: networking.k8s.io/v1
    /// kind: NetworkPolicy
    /// metadata: {name: web, namespace: shop}
    /// spec:
    ///   podSelector: {matchLabels: {app: web}}
    ///   policyTypes: [Egress]
    ///   egress:
    ///     - to:
    ///         - podSelector: {matchLabels: {app: api}}
    ///       ports:
    ///         - {protocol: TCP, port: 8080}
    ///     - to:
    ///         - namespaceSelector:
    ///             matchLabels:
    ///               kubernetes.io/metadata.name: kube-system
    ///           podSelector:
    ///             matchLabels:
    ///               k8s-app: kube-dns
    ///       ports:
    ///         - protocol: UDP
    ///           port: 53
    ///         - protocol: TCP
    ///           port: 53
    /// ```
    NP311 "egress-blocks-dns" {
        severity: Warning,
        scope: Documents,
        fix: Unsafe,
        check: Policy(check),
    }
}

/// More pods than this are not looked at one by one.
const MANY_PODS: usize = 1000;

fn check(cx: &Context<'_>, out: &mut Reporter<'_>) {
    let Some(model) = &cx.policy.model else { return };
    // Fields that the API server drops make a rule wider than it looks; they have rules of their own.
    if !needs_names(model) || cx.index.may_open_dns(model) || !super::redundancy::is_as_it_seems(cx) {
        return;
    }
    if is_opened_otherwise(cx, model) || told_elsewhere(cx, model) {
        return;
    }
    let Some(list) = cx.spec().and_then(|spec| spec.egress.present()) else { return };
    let pods = match model.pod_selector.is_everything() {
        true => format!("pods of namespace {}", model.name.namespace),
        false => format!("pods {}", model.pod_selector),
    };
    let fix = insert::edits(cx).map(|edits| {
        Fix::changing("allow DNS to the cluster's name server", edits).expecting(insert::expected(model))
    });
    out.report(
        list.key,
        "spec.egress",
        format!("{pods} can't look up names: no egress policy that selects them allows DNS"),
    )
    .label("no rule allows port 53")
    .help("allow ports 53/UDP and 53/TCP to the pods `k8s-app: kube-dns` of namespace kube-system")
    .fix(fix);
}

/// Whether a policy allows egress to something that is found by name: to pods, or to the world.
fn needs_names(policy: &NetworkPolicy) -> bool {
    let of_names = |peer: &Peer| match peer {
        Peer::Pods { .. } => true,
        Peer::Block(block) => block.cidr().prefix_len() == 0,
    };
    // The name server itself asks others by their addresses.
    &*policy.name.namespace != "kube-system"
        && policy.rules(Direction::Egress).into_iter().flatten().any(|rule| match &rule.peers {
            Peers::All => rule.ports != Ports::All,
            Peers::Only(peers) => peers.iter().any(of_names),
        })
}

/// Whether other policies let all pods of this one ask for names, as far as one can tell.
fn is_opened_otherwise(cx: &Context<'_>, model: &NetworkPolicy) -> bool {
    let mut others = cx.index.opening_dns(&model.name.namespace);
    // Another one of its name is a variant of it: only one of them is ever there.
    others.retain(|other| other.name != model.name);
    if others.is_empty() {
        return false;
    }
    if others.iter().any(|other| model.pod_selector.implies(&other.pod_selector, Labelled::Pod)) {
        return true;
    }
    let pods: Vec<_> = cx.index.pods(&model.name.namespace, &model.pod_selector).take(MANY_PODS).collect();
    if pods.is_empty() {
        return others.iter().any(|other| other.pod_selector.overlaps(&model.pod_selector, Labelled::Pod));
    }
    pods.iter().all(|pod| others.iter().any(|other| other.pod_selector.matches(&pod.labels)))
}

/// Whether another policy lacks the same for these pods and is the one to repair: the widest, and of equal ones the
/// first by name.
fn told_elsewhere(cx: &Context<'_>, model: &NetworkPolicy) -> bool {
    cx.index.policies_covering(model).filter(|other| other.name != model.name).any(|other| {
        let equal = other.pod_selector.implies(&model.pod_selector, Labelled::Pod);
        (!equal || other.name < model.name) && needs_names(other) && !cx.index.may_open_dns(other)
    })
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::{clean, findings, fixed};

    const API: &str = "policyTypes: [Egress]\npodSelector: {matchLabels: {app: web}}\negress:\n\
                       - to: [{podSelector: {matchLabels: {app: api}}}]\n  ports: [{port: 80}]\n";

    /// A policy of the same namespace beside the one above.
    fn beside(spec: &str, pods: &str) -> String {
        let policy = |name: &str, spec: &str| {
            let spec: String = spec.lines().map(|line| format!("  {line}\n")).collect();
            format!(
                "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: {name}, namespace: shop}}\n\
                 spec:\n{spec}---\n"
            )
        };
        let pods: String = pods
            .split_whitespace()
            .map(|labels| {
                format!(
                    "apiVersion: v1\nkind: Pod\nmetadata: {{name: {}, namespace: shop, labels: {{{}}}}}\n---\n",
                    labels.replace([':', ','], "-"),
                    labels.replace(':', ": ").replace(',', ", ")
                )
            })
            .collect();
        format!("{}{}{pods}", policy("web", API), policy("other", spec))
    }

    #[test]
    fn fails() {
        insta::assert_snapshot!(findings("NP311", API), @"7:3 warning spec.egress: pods app=web can't look up names: no egress policy that selects them allows DNS");
        insta::assert_snapshot!(findings("NP311", r"
policyTypes: [Egress]
egress:
- to: [{ipBlock: {cidr: 0.0.0.0/0}}]
  ports: [{port: 443}]
- to: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: office}}}]
- to: [{namespaceSelector: {}, podSelector: {matchLabels: {app: mail}}}]
- to: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}}]
  ports: [{port: 9153}, {port: 53, protocol: SCTP}]
"), @"6:3 warning spec.egress: pods of namespace shop can't look up names: no egress policy that selects them allows DNS");
        let dns_for_some = "podSelector: {matchLabels: {dns: ok}}\negress: [{ports: [{port: 53, protocol: UDP}]}]\npolicyTypes: [Egress]";
        insta::assert_snapshot!(findings("NP311", &beside(dns_for_some, "app:web,dns:ok app:web,dns:none")), @"7:3 warning spec.egress: pods app=web can't look up names: no egress policy that selects them allows DNS");
        let ingress =
            "podSelector: {}\ningress: [{ports: [{port: 53, protocol: UDP}]}]\npolicyTypes: [Ingress]";
        assert_ne!(findings("NP311", &beside(ingress, "")), "");
        let deny = "podSelector: {}\npolicyTypes: [Ingress, Egress]";
        assert_ne!(findings("NP311", &beside(deny, "app:web")), "");
    }

    #[test]
    fn one_finding_for_the_same_pods() {
        let wider = "podSelector: {}\npolicyTypes: [Egress]\negress: [{to: [{podSelector: {matchLabels: {app: log}}}]}]";
        insta::assert_snapshot!(findings("NP311", &beside(wider, "")), @"17:3 warning spec.egress: pods of namespace shop can't look up names: no egress policy that selects them allows DNS");
    }

    #[test]
    fn passes() {
        for egress in [
            "[]",
            "[{}]",
            "[{to: [{ipBlock: {cidr: 10.0.0.0/8}}], ports: [{port: 443}]}]",
            "[{to: [{podSelector: {}}], ports: [{port: 80}]}, {ports: [{port: 53, protocol: UDP}]}]",
            "[{to: [{podSelector: {}}], ports: [{port: 80}]}, {to: [{namespaceSelector: {}}], ports: [{port: dns}]}]",
            "[{to: [{podSelector: {}}]}, {to: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}}]}]",
            "[{to: [{podSelector: {}}]}, {to: [{namespaceSelector: {}, podSelector: {matchLabels: {k8s-app: kube-dns}}}]}]",
            "[{to: [{podSelector: {}}]}, {to: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: openshift-dns}}}], ports: [{port: 5353}]}]",
            "[{to: [{podSelector: {}}]}, {to: [{ipBlock: {cidr: 169.254.20.10/32}}]}]",
            "[{to: [{namespaceSelector: {matchExpressions: [{key: quay, operator: In, values: [north]}]}}]}]",
            "[{to: [{ipBlock: {cidr: 0.0.0.0/0}}]}]",
            "[{ports: [{port: 1, endPort: 1000}]}]",
        ] {
            clean("NP311", &format!("policyTypes: [Egress]\negress: {egress}\n"));
        }
        clean("NP311", "policyTypes: [Ingress]\negress: [{to: [{podSelector: {}}]}]\n");
    }

    #[test]
    fn other_policies_of_the_same_pods_count() {
        let dns = "egress: [{ports: [{port: 53, protocol: UDP}]}]\npolicyTypes: [Egress]\n";
        clean("NP311", &beside(&format!("podSelector: {{}}\n{dns}"), "app:web"));
        let some = format!("podSelector: {{matchLabels: {{dns: ok}}}}\n{dns}");
        clean("NP311", &beside(&some, "app:web,dns:ok app:api"));
        clean("NP311", &beside(&some, ""));
        let none = format!("podSelector: {{matchLabels: {{app: api}}}}\n{dns}");
        assert_ne!(findings("NP311", &beside(&none, "")), "");
    }

    #[test]
    fn fixes() {
        insta::assert_snapshot!(fixed("NP311", r"
policyTypes: [Egress]
egress:
  - to:
      - podSelector: {matchLabels: {app: api}}
    ports:
      - port: 80 # http

ingress: []
"), @r"
        policyTypes: [Egress]
        egress:
          - to:
              - podSelector: {matchLabels: {app: api}}
            ports:
              - port: 80 # http
          - to:
              - namespaceSelector:
                  matchLabels:
                    kubernetes.io/metadata.name: kube-system
                podSelector:
                  matchLabels:
                    k8s-app: kube-dns
            ports:
              - protocol: UDP
                port: 53
              - protocol: TCP
                port: 53

        ingress: []
        ");
        insta::assert_snapshot!(fixed("NP311", "egress: [{to: [{podSelector: {}}], ports: [{port: 80}]}]\n"), @"egress: [{to: [{podSelector: {}}], ports: [{port: 80}]}, {to: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}, podSelector: {matchLabels: {k8s-app: kube-dns}}}], ports: [{protocol: UDP, port: 53}, {protocol: TCP, port: 53}]}]");
        insta::assert_snapshot!(fixed("NP311", r#"
{"egress": [{"to": [{"podSelector": {}}]}]}
"#), @r#"{"egress": [{"to": [{"podSelector": {}}]}, {"to": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}, "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}}}], "ports": [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}]}]}"#);
        insta::assert_snapshot!(fixed("NP311", r"
policyTypes: [Egress]
egress:
- &api
  to: [{podSelector: {}}]
- *api
"), @r"
        policyTypes: [Egress]
        egress:
        - &api
          to: [{podSelector: {}}]
        - *api
        - to:
            - namespaceSelector:
                matchLabels:
                  kubernetes.io/metadata.name: kube-system
              podSelector:
                matchLabels:
                  k8s-app: kube-dns
          ports:
            - protocol: UDP
              port: 53
            - protocol: TCP
              port: 53
        ");
    }
}
