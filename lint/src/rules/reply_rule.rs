use netpol_policy::model::{
    Direction, NetworkPolicy, Peer, Peers, Pod, PodNamespaces, PortMatch, Ports, Rule,
};

use crate::context::{Context, Reporter};
use crate::rule::rule;

rule! {
    /// ## What it does
    /// Finds rules that only open the way back: the ephemeral ports towards peers which rules of the other direction
    /// already connect with the same pods. It looks at all policies that select those pods, and says nothing when a
    /// container at that end declares a port in the range. It is on request.
    ///
    /// ## Why it matters
    /// Policies are about who opens a connection; replies always pass. Such a rule, taken over from a stateless firewall,
    /// is not needed, and it lets the peer open connections of its own to tens of thousands of ports.
    ///
    /// ## Example
    /// ```yaml
    /// apiVersion: networking.k8s.io/v1
    /// kind: NetworkPolicy
    /// metadata: {name: db, namespace: shop}
    /// spec:
    ///   podSelector: {matchLabels: {app: db}}
    ///   policyTypes: [Ingress, Egress]
    ///   ingress:
    ///     - from:
    ///         - podSelector: {matchLabels: {app: web}}
    ///       ports: [{protocol: TCP, port: 5432}]
    ///   egress:
    ///     - to:
    ///         - podSelector: {matchLabels: {app: web}}
    ///       ports: [{protocol: TCP, port: 32768, endPort: 60999}]
    /// ```
    ///
    /// ## Fix
    /// Remove the rule.
    /// ```yaml
    /// apiVersion: networking.k8s.io/v1
    /// kind: NetworkPolicy
    /// metadata: {name: db, namespace: shop}
    /// spec:
    ///   podSelector: {matchLabels: {app: db}}
    ///   policyTypes: [Ingress]
    ///   ingress:
    ///     - from:
    ///         - podSelector: {matchLabels: {app: web}}
    ///       ports: [{protocol: TCP, port: 5432}]
    /// ```
    NP116 "reply-rule" {
        severity: Info,
        scope: Documents,
        fix: None,
        check: Policy(check),
    }
}

/// Ephemeral ports begin above the well-known ones and reach at least to where Linux ends its own.
const FIRST: u16 = 1024;
const LAST: u16 = 60999;

fn check(cx: &Context<'_>, out: &mut Reporter<'_>) {
    let Some(policy) = &cx.policy.model else { return };
    for at in cx.effective_rules() {
        let rule = policy.rules(at.direction).and_then(|rules| rules.get(at.index));
        let Some(rule) = rule.filter(|rule| is_ephemeral(&rule.ports)) else { continue };
        let Some(other) = connecting(cx, policy, rule, at.direction) else { continue };
        if listens(cx, policy, rule, at.direction) {
            continue;
        }
        let opened = match at.direction {
            Direction::Egress => "lets these peers in",
            Direction::Ingress => "lets connections to these peers out",
        };
        let which = if other.name == policy.name {
            "this policy".to_owned()
        } else {
            format!("policy {}", other.name.name)
        };
        let finding = out.report(
            at.head(cx.file),
            at.path(),
            format!("replies always pass: {which} {opened}, and this rule only opens the way back"),
        );
        finding
            .label("ephemeral ports of clients")
            .help("remove the rule; it lets the other end open connections of its own to all these ports");
    }
}

fn is_ephemeral(ports: &Ports) -> bool {
    let Ports::Only(ports) = ports else { return false };
    ports.iter().all(|port| match port {
        PortMatch::Range(_, first, last) => first.get() >= FIRST && first < last && last.get() >= LAST,
        _ => false,
    })
}

/// A policy of the same pods that opens connections of the other direction with all peers of a rule.
fn connecting<'a>(
    cx: &Context<'a>,
    policy: &'a NetworkPolicy,
    rule: &Rule,
    direction: Direction,
) -> Option<&'a NetworkPolicy> {
    let other = match direction {
        Direction::Ingress => Direction::Egress,
        Direction::Egress => Direction::Ingress,
    };
    let connects = |policy: &&NetworkPolicy| {
        let rules = || policy.rules(other).into_iter().flatten().filter(|rule| !is_ephemeral(&rule.ports));
        match &rule.peers {
            Peers::All => rules().any(|rule| rule.peers == Peers::All),
            Peers::Only(peers) => {
                peers.iter().all(|peer| rules().any(|rule| rule.peers.items().contains(peer)))
            }
        }
    };
    std::iter::once(policy).chain(cx.index.policies_covering(policy)).find(connects)
}

/// Whether some pod that the rule opens connections to is known to listen there.
fn listens(cx: &Context<'_>, policy: &NetworkPolicy, rule: &Rule, direction: Direction) -> bool {
    let own = &*policy.name.namespace;
    let Ports::Only(ports) = &rule.ports else { return true };
    let in_range = |pod: &Pod| {
        pod.ports.iter().any(|declared| {
            ports.iter().any(|port| {
                matches!(port, PortMatch::Range(protocol, first, last)
                    if *protocol == declared.protocol && (first..=last).contains(&&declared.port))
            })
        })
    };
    let some = |namespaces: &PodNamespaces, pods| {
        cx.index.kinds_of(namespaces, own, pods).is_some_and(|mut pods| pods.any(in_range))
    };
    match direction {
        Direction::Ingress => some(&PodNamespaces::Own, &policy.pod_selector),
        Direction::Egress => rule.peers.items().iter().any(|peer| match peer {
            Peer::Pods { namespaces, pods } => some(namespaces, pods),
            Peer::Block(_) => false,
        }),
    }
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::{clean, findings};

    const FROM_WEB: &str =
        "ingress: [{from: [{podSelector: {matchLabels: {app: web}}}], ports: [{port: 5432}]}]";
    const TO_WEB: &str =
        "egress: [{to: [{podSelector: {matchLabels: {app: web}}}], ports: [{port: 1024, endPort: 65535}]}]";

    fn policy(name: &str, spec: &str) -> String {
        format!(
            "---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: {name}, namespace: shop}}\nspec: {{{spec}}}\n"
        )
    }

    #[test]
    fn fails() {
        let one = policy("p", &format!("{FROM_WEB}, {TO_WEB}"));
        insta::assert_snapshot!(findings("NP116", &one), @"5:103 info spec.egress[0]: replies always pass: this policy lets these peers in, and this rule only opens the way back");
        let two = format!(
            "{}{}",
            policy("p", FROM_WEB),
            policy("q", TO_WEB).replace("{egress", "{podSelector: {matchLabels: {app: db}}, egress")
        );
        insta::assert_snapshot!(findings("NP116", &two), @"10:56 info spec.egress[0]: replies always pass: policy p lets these peers in, and this rule only opens the way back");
        let client = one
            .replace("port: 5432", "port: 32768, endPort: 60999")
            .replace("port: 1024, endPort: 65535", "port: 443");
        insta::assert_snapshot!(findings("NP116", &client), @"5:18 info spec.ingress[0]: replies always pass: this policy lets connections to these peers out, and this rule only opens the way back");
    }

    #[test]
    fn passes() {
        let both = |from: &str, to: &str| policy("p", &format!("{from}, {to}"));
        clean("NP116", &both(FROM_WEB, &TO_WEB.replace("1024, endPort: 65535", "8080")));
        clean("NP116", &both(FROM_WEB, &TO_WEB.replace("65535", "2000")));
        clean("NP116", &both(FROM_WEB, &TO_WEB.replace("app: web", "app: other")));
        clean("NP116", &policy("p", TO_WEB));
        let web = "---\napiVersion: v1\nkind: Pod\nmetadata: {name: web, namespace: shop, labels: {app: web}}\nspec: {containers: [{name: web, ports: [{containerPort: 8080}]}]}\n";
        clean("NP116", &format!("{}{web}", both(FROM_WEB, TO_WEB)));
    }
}
