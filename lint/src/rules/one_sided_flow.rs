use netpol_policy::model::{Direction, LabelSelector, Peer, PodNamespaces, Ports};
use netpol_policy::span::Span;

use crate::context::{Context, PeerAt, Reporter};
use crate::index::{Denied, Flow, KINDS, PodAt};
use crate::rule::rule;
use crate::words;

use super::far_end::{FarEnd, opposite};

rule! {
    /// ## What it does
    /// Finds rules that allow connections which the policies at the other end deny: egress to pods that let nobody in from
    /// here, or ingress from pods that may not connect to here. It needs the workloads of both ends. It looks only at
    /// peers that name pods by labels, and reports a port only when no pod that the policy selects gets through to, or
    /// is reached by, any pod of the peer. Where an `ipBlock` of the far end may cover the pods, it says nothing.
    ///
    /// ## Why it matters
    /// A connection passes when the egress policies of its source and the ingress policies of its destination both allow
    /// it. One side alone opens nothing: the application waits for a timeout, and the policy reads as if it were allowed.
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
    ///         - podSelector: {matchLabels: {app: db}}
    ///       ports: [{protocol: TCP, port: 5432}]
    /// ---
    /// apiVersion: networking.k8s.io/v1
    /// kind: NetworkPolicy
    /// metadata: {name: db, namespace: shop}
    /// spec:
    ///   podSelector: {matchLabels: {app: db}}
    ///   policyTypes: [Ingress]
    /// ---
    /// apiVersion: v1
    /// kind: Pod
    /// metadata: {name: web, namespace: shop, labels: {app: web}}
    /// spec: {containers: [{name: web, image: example.com/web}]}
    /// ---
    /// apiVersion: v1
    /// kind: Pod
    /// metadata: {name: db, namespace: shop, labels: {app: db}}
    /// spec: {containers: [{name: db, image: example.com/db, ports: [{containerPort: 5432}]}]}
    /// ```
    ///
    /// ## Fix
    /// Allow the connection at the far end as well, or remove it here.
    NP511 "one-sided-flow" {
        severity: Warning,
        scope: Documents,
        fix: None,
        check: Policy(check),
    }
}

/// A policy for more kinds of pods than this, or a peer of more than that, names no flow in particular.
const MANY_NEAR: usize = 64;
const MANY_FAR: usize = 16;
const _: () = assert!(MANY_NEAR < KINDS && MANY_FAR < KINDS, "more than these are noticed");

fn check(cx: &Context<'_>, out: &mut Reporter<'_>) {
    let Some(policy) = &cx.policy.model else { return };
    let own = &*policy.name.namespace;
    // Looked up only when some peer is specific.
    let mut near = None;
    for at in cx.effective_peers() {
        let rule = policy.rules(at.rule.direction).and_then(|rules| rules.get(at.rule.index));
        let Some(rule) = rule else { continue };
        let Some(Peer::Pods { namespaces, pods }) = rule.peers.items().get(at.index) else { continue };
        if !is_specific(pods) || cx.settings.may_match_external_pods(cx.index, namespaces, own, pods) {
            continue;
        }
        let Some(far) = few(cx.index.some_kinds_of(namespaces, own, pods), MANY_FAR) else { continue };
        let near = near.get_or_insert_with(|| {
            let (place, selector) = (&PodNamespaces::Own, &policy.pod_selector);
            if cx.settings.may_match_external_pods(cx.index, place, own, selector) {
                return None;
            }
            few(cx.index.some_kinds_of(place, own, selector), MANY_NEAR)
        });
        let Some(near) = near else { return };
        let flow = || Flow {
            own: own.into(),
            near: policy.pod_selector.clone(),
            direction: at.rule.direction,
            namespaces: namespaces.clone(),
            far: pods.clone(),
            ports: rule.ports.clone(),
        };
        let denied = cx.index.denied(flow, || denied(cx, at.rule.direction, &rule.ports, near, &far));
        if !denied.ports.is_empty() {
            report(cx, &at, &rule.ports, near, &far, &denied, out);
        }
    }
}

fn denied(
    cx: &Context<'_>,
    direction: Direction,
    ports: &Ports,
    near: &[PodAt<'_, '_>],
    far: &[PodAt<'_, '_>],
) -> Denied {
    let mut ends = Vec::with_capacity(far.len());
    for at in far {
        let end = FarEnd::at(cx.index, *at, direction);
        if !end.is_isolated() {
            return Denied::default();
        }
        ends.push(end);
    }
    let passes = |port| ends.iter().any(|end| near.iter().any(|near| end.may_pass(near.pod(), port)));
    let ports: Vec<usize> = match ports {
        Ports::All => [0].into_iter().filter(|_| !passes(None)).collect(),
        Ports::Only(ports) => (0..ports.len()).filter(|index| !passes(Some(&ports[*index]))).collect(),
    };
    if ports.is_empty() {
        return Denied::default();
    }
    let policies = || ends.iter().flat_map(FarEnd::isolated_by);
    let by = match policies().min() {
        None => "by the label of its namespace".to_owned(),
        Some(one) if policies().all(|other| other == one) => format!("by policy {one}"),
        Some(one) => format!("by policy {one} and others"),
    };
    Denied { ports, by }
}

fn report(
    cx: &Context<'_>,
    at: &PeerAt<'_>,
    ports: &Ports,
    near: &[PodAt<'_, '_>],
    far: &[PodAt<'_, '_>],
    denied: &Denied,
    out: &mut Reporter<'_>,
) {
    let near = words::pod_names(near.iter().map(|at| at.pod()));
    let names = words::pod_names(far.iter().map(|at| at.pod()));
    let denied_there = match at.rule.direction {
        Direction::Egress => " lets no connection in from ",
        Direction::Ingress => " may open no connection to ",
    };
    let on = match ports {
        Ports::Only(ports) if ports.len() > denied.ports.len() => {
            let mut words: Vec<_> = denied.ports.iter().map(|index| ports[*index].to_string()).collect();
            words.dedup();
            format!(" on {}", words.join(", "))
        }
        _ => String::new(),
    };
    let allowed = at.rule.direction.field();
    let message = [allowed, " is allowed here, but ", &names, denied_there, &near, &on].concat();
    let finding = out.report(span(at), at.path(), message);
    let field = opposite(at.rule.direction).field();
    finding.label("denied at the other end").help(
        [
            "the far end is isolated for ",
            field,
            " ",
            &denied.by,
            "; allow the connection there as well, or remove it here",
        ]
        .concat(),
    );
    for at in far.iter().take(3) {
        finding.at_workload(cx, at.pod(), "the far end");
    }
}

/// Whether a selector names pods by what they are.
fn is_specific(pods: &LabelSelector) -> bool {
    pods.requirements().any(|requirement| matches!(requirement.operator(), "In" | "Exists"))
}

/// Pods, when there are some and not too many.
fn few<T>(pods: Option<Vec<T>>, many: usize) -> Option<Vec<T>> {
    pods.filter(|some| !some.is_empty() && some.len() <= many)
}

fn span(at: &PeerAt<'_>) -> Span {
    at.peer.pod_selector.present().map_or(at.item.span, super::place::of_selector)
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::{clean, findings};

    const PODS: &str = r"
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop, labels: {app: web}}
---
apiVersion: v1
kind: Pod
metadata: {name: job, namespace: shop, labels: {app: job}}
---
apiVersion: v1
kind: Pod
metadata: {name: db, namespace: shop, labels: {app: db}}
spec: {containers: [{name: db, ports: [{name: sql, containerPort: 5432}, {name: stats, containerPort: 9187}]}]}
";
    const TO_DB: &str = "{podSelector: {matchLabels: {app: web}}, policyTypes: [Egress], egress: [{to: [{podSelector: {matchLabels: {app: db}}}], ports: [{port: sql}, {port: 9187}]}]}";

    fn policy(name: &str, spec: &str) -> String {
        format!(
            "---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: {name}, namespace: shop}}\nspec: {spec}\n"
        )
    }

    fn both(near: &str, far: &str) -> String {
        format!("{}{}{PODS}", policy("near", near), policy("far", far))
    }

    #[test]
    fn fails() {
        let deny = "{podSelector: {}, policyTypes: [Ingress]}";
        insta::assert_snapshot!(findings("NP511", &both(TO_DB, deny)), @"5:114 warning spec.egress[0].to[0]: egress is allowed here, but shop/Pod/db lets no connection in from shop/Pod/web");
        let one_port = "{podSelector: {matchLabels: {app: db}}, ingress: [{from: [{podSelector: {}}], ports: [{port: 5432}]}]}";
        insta::assert_snapshot!(findings("NP511", &both(TO_DB, one_port)), @"5:114 warning spec.egress[0].to[0]: egress is allowed here, but shop/Pod/db lets no connection in from shop/Pod/web on 9187/TCP");
        let from_web = "{podSelector: {matchLabels: {app: db}}, ingress: [{from: [{podSelector: {matchLabels: {app: web}}}]}]}";
        let web = "{podSelector: {matchLabels: {app: web}}, policyTypes: [Egress], egress: [{to: [{podSelector: {matchLabels: {app: job}}}]}]}";
        insta::assert_snapshot!(findings("NP511", &both(from_web, web)), @"5:93 warning spec.ingress[0].from[0]: ingress is allowed here, but shop/Pod/web may open no connection to shop/Pod/db");
    }

    #[test]
    fn passes() {
        for far in [
            "{podSelector: {matchLabels: {app: job}}, policyTypes: [Ingress]}",
            "{podSelector: {matchLabels: {app: db}}, policyTypes: [Egress]}",
            "{podSelector: {matchLabels: {app: db}}, ingress: [{from: [{podSelector: {matchLabels: {app: web}}}]}]}",
            "{podSelector: {matchLabels: {app: db}}, ingress: [{ports: [{port: 5432, endPort: 9999}]}]}",
            "{podSelector: {matchLabels: {app: db}}, ingress: [{from: [{namespaceSelector: {matchLabels: {team: any}}}]}]}",
            "{podSelector: {matchLabels: {app: db}}, ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8}}]}]}",
        ] {
            clean("NP511", &both(TO_DB, far));
        }
        let deny = "{podSelector: {}, policyTypes: [Ingress]}";
        let to_all = "{podSelector: {}, policyTypes: [Egress], egress: [{to: [{podSelector: {}}]}]}";
        clean("NP511", &both(to_all, deny));
        clean("NP511", &both(TO_DB, deny).replace("kind: Pod\n", "kind: ConfigMap\n"));
        // Some of those that are selected get through.
        let to_db = TO_DB.replacen("{matchLabels: {app: web}}", "{}", 1);
        clean(
            "NP511",
            &both(
                &to_db,
                "{podSelector: {matchLabels: {app: db}}, ingress: [{from: [{podSelector: {matchLabels: {app: web}}}]}]}",
            ),
        );
    }
}
