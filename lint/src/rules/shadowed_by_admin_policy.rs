use netpol_policy::model::{Direction, IpBlock, Peer, Pod, PortMatch, Ports, Protocol, Rule};

use crate::context::{Context, PeerAt, Reporter};
use crate::facts::{AdminAction, AdminPeer, AdminPolicy, AdminPorts, AdminRule, Subject};
use crate::rule::rule;

rule! {
    /// ## What it does
    /// Finds what a policy can't decide because an AdminNetworkPolicy, or a ClusterNetworkPolicy of the tier Admin, decides
    /// first: peers that are denied as a whole, and pods that every other pod of the cluster is let through to, or from,
    /// whatever the policy says. Rules with `Pass`, and the baseline tier, leave it to the policy.
    ///
    /// ## Why it matters
    /// Policies of the admin tier are looked at before any NetworkPolicy. A rule below them that says otherwise is there to
    /// be read, but it has no effect.
    ///
    /// ## Example
    /// ```yaml
    /// apiVersion: networking.k8s.io/v1
    /// kind: NetworkPolicy
    /// metadata: {name: db, namespace: shop}
    /// spec:
    ///   podSelector: {matchLabels: {app: db}}
    ///   policyTypes: [Ingress]
    ///   ingress:
    ///     - from:
    ///         - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: test}}
    /// ---
    /// apiVersion: policy.networking.k8s.io/v1alpha2
    /// kind: ClusterNetworkPolicy
    /// metadata: {name: no-tests}
    /// spec:
    ///   tier: Admin
    ///   priority: 10
    ///   subject: {namespaces: {}}
    ///   ingress:
    ///     - action: Deny
    ///       from: [{namespaces: {matchLabels: {kubernetes.io/metadata.name: test}}}]
    /// ---
    /// {apiVersion: v1, kind: Pod, metadata: {name: db, namespace: shop, labels: {app: db}}}
    /// ---
    /// {apiVersion: v1, kind: Pod, metadata: {name: runner, namespace: test}}
    /// ```
    ///
    /// ## Fix
    /// Take the peer out, or ask the cluster's administrators for a rule with `Pass`.
    NP704 "shadowed-by-admin-policy" {
        severity: Warning,
        scope: Cluster,
        fix: None,
        check: Policy(check),
    }
}

fn check(cx: &Context<'_>, out: &mut Reporter<'_>) {
    let (Some(facts), Some(policy)) = (cx.index.facts(), &cx.policy.model) else { return };
    if facts.admin_policies.is_empty() {
        return;
    }
    let selected: Vec<_> = cx.index.pods(&policy.name.namespace, &policy.pod_selector).collect();
    if selected.is_empty() {
        return;
    }
    let about = |subject: &Subject, pod: &Pod| {
        cx.index.namespace_matches(&pod.name.namespace, &subject.namespaces)
            && subject.pods.matches(&pod.labels)
    };
    // Where it is about some of the pods only, the policy still decides for the others.
    let admin: Vec<_> = facts
        .admin_policies
        .iter()
        .filter(|admin| selected.iter().any(|pod| about(&admin.subject, pod)))
        .map(|admin| (admin, selected.iter().all(|pod| about(&admin.subject, pod))))
        .collect();
    for direction in Direction::ALL.into_iter().filter(|direction| cx.isolates(*direction)) {
        let order = Order { rules: rules(&admin, direction) };
        if let Some(by) = order.lets_every_pod_through() {
            report_open(cx, out, direction, by);
        }
        for at in cx.effective_peers().filter(|at| at.rule.direction == direction) {
            let rule = policy.rules(direction).and_then(|rules| rules.get(at.rule.index));
            let Some((rule, peer)) = rule.and_then(|rule| Some((rule, rule.peers.items().get(at.index)?)))
            else {
                continue;
            };
            let denied_by = match peer {
                Peer::Block(block) => order.denies_block(block, rule),
                Peer::Pods { namespaces, pods } => {
                    let own = &policy.name.namespace;
                    let Some(pods) = cx.index.pods_of(namespaces, own, pods) else { continue };
                    order.denies_pods(pods, rule, &about)
                }
            };
            if let Some(by) = denied_by {
                report_denied(cx, out, &at, by);
            }
        }
    }
}

fn report_open(cx: &Context<'_>, out: &mut Reporter<'_>, direction: Direction, by: &AdminPolicy) {
    let what = match direction {
        Direction::Ingress => "every pod of the cluster may connect to these pods",
        Direction::Egress => "these pods may connect to every pod of the cluster",
    };
    let name = cx.policy.metadata.name.as_ref();
    let message = format!("{what}: {} {} allows it before this policy is asked", by.kind, by.name);
    let span = name.map_or(cx.policy.kind, |name| name.span);
    let finding = out.report(span, format!("spec.{direction}"), message);
    finding.label(format!("decides only about {direction} from or to addresses outside"));
    finding.help(ASK);
}

fn report_denied(cx: &Context<'_>, out: &mut Reporter<'_>, at: &PeerAt<'_>, by: &AdminPolicy) {
    let message = format!(
        "this peer is never let through: {} {} (priority {}) denies it before this policy is asked",
        by.kind, by.name, by.priority
    );
    out.report(at.head(cx.file), at.path(), message).label("has no effect").help(ASK);
}

const ASK: &str = "take it out, or ask the cluster's administrators for a rule with the action Pass";

/// The admin rules of one direction in the order in which they decide, each with whether it is about every pod that the
/// policy selects.
struct Order<'f> {
    rules: Vec<(&'f AdminPolicy, &'f AdminRule, bool)>,
}

fn rules<'f>(
    admin: &[(&'f AdminPolicy, bool)],
    direction: Direction,
) -> Vec<(&'f AdminPolicy, &'f AdminRule, bool)> {
    let of = |(policy, all): &(&'f AdminPolicy, bool)| {
        let (policy, all) = (*policy, *all);
        policy
            .rules
            .iter()
            .filter(move |rule| rule.direction == direction)
            .map(move |rule| (policy, rule, all))
    };
    admin.iter().flat_map(of).collect()
}

/// What an admin rule has to do with a peer on some ports.
enum Meets {
    /// It decides.
    Whole,
    /// It decides about a part.
    Part,
    No,
}

impl<'f> Order<'f> {
    /// The policy whose rule allows everything between pods, before any other rule says something.
    fn lets_every_pod_through(&self) -> Option<&'f AdminPolicy> {
        let (policy, rule, all) = self.rules.first()?;
        let everybody = |peer: &AdminPeer| match peer {
            AdminPeer::Pods(Subject { namespaces, pods }) => {
                namespaces.is_everything() && pods.is_everything()
            }
            _ => false,
        };
        let open = rule.action == AdminAction::Accept
            && rule.ports == AdminPorts::All
            && rule.peers.iter().any(everybody);
        (open && *all).then_some(*policy)
    }

    /// The policy that denies all of these pods on all ports of a rule. `None` when there are no pods.
    fn denies_pods<'p>(
        &self,
        pods: impl Iterator<Item = &'p Pod>,
        rule: &Rule,
        about: &dyn Fn(&Subject, &Pod) -> bool,
    ) -> Option<&'f AdminPolicy> {
        let mut by = None;
        for pod in pods {
            let one = self.denies(rule, |peer| match peer {
                AdminPeer::Pods(subject) if about(subject, pod) => Meets::Whole,
                AdminPeer::Pods(_) => Meets::No,
                // A pod may have any address.
                AdminPeer::Network(network) => match pod.addresses.iter().any(|a| network.contains(a)) {
                    true => Meets::Whole,
                    false => Meets::No,
                },
                AdminPeer::Other => Meets::Part,
            })?;
            by = by.or(Some(one));
        }
        by
    }

    /// The policy that denies all of a block on all ports of a rule.
    fn denies_block(&self, block: &IpBlock, rule: &Rule) -> Option<&'f AdminPolicy> {
        let cidr = block.cidr();
        self.denies(rule, |peer| match peer {
            AdminPeer::Network(network) if network.contains(&cidr) => Meets::Whole,
            AdminPeer::Network(network) if cidr.contains(network) => Meets::Part,
            AdminPeer::Network(_) | AdminPeer::Pods(_) => Meets::No,
            AdminPeer::Other => Meets::Part,
        })
    }

    /// The first policy that decides about a peer on the ports of a rule, if it denies it, on all of them and for all pods.
    fn denies(&self, rule: &Rule, meets: impl Fn(&AdminPeer) -> Meets) -> Option<&'f AdminPolicy> {
        let mut by = None;
        let ports: Vec<Option<&PortMatch>> = match &rule.ports {
            Ports::All => vec![None],
            Ports::Only(ports) => ports.iter().map(Some).collect(),
        };
        for port in ports {
            let decision = self.rules.iter().find_map(|(policy, admin, all)| {
                let peers = admin.peers.iter().map(&meets).fold(Meets::No, |a, b| match (a, b) {
                    (Meets::Whole, _) | (_, Meets::Whole) => Meets::Whole,
                    (Meets::Part, _) | (_, Meets::Part) => Meets::Part,
                    _ => Meets::No,
                });
                match (peers, on(&admin.ports, port)) {
                    (Meets::No, _) | (_, Meets::No) => None,
                    (Meets::Whole, Meets::Whole) if *all && admin.action == AdminAction::Deny => {
                        Some(Some(*policy))
                    }
                    // Something else decides, or about a part only.
                    _ => Some(None),
                }
            });
            by = by.or(Some(decision??));
        }
        by
    }
}

/// What the ports of an admin rule have to do with a port of a policy's rule; `None` is every port.
fn on(admin: &AdminPorts, port: Option<&PortMatch>) -> Meets {
    let AdminPorts::Only(own) = admin else { return Meets::Whole };
    let Some(port) = port else { return Meets::Part };
    if admin.cover(port) {
        return Meets::Whole;
    }
    let apart = |own: &PortMatch| match (own, port) {
        (PortMatch::Range(a, first, last), PortMatch::Range(b, from, to)) => {
            a != b || last < from || to < first
        }
        (PortMatch::Named(..), _) => false,
        (own, port) => differ(own.protocol(), port.protocol()),
    };
    if own.iter().all(apart) { Meets::No } else { Meets::Part }
}

fn differ(a: Protocol, b: Protocol) -> bool {
    a != b
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::{clean, findings};

    /// A policy that lets namespace test in on port 80, with admin policies.
    fn cluster(peer: &str, admin: &[&str]) -> String {
        let mut text = format!(
            "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: db, namespace: shop}}\nspec:\n  \
             podSelector: {{}}\n  policyTypes: [Ingress, Egress]\n  {peer}\n---\n\
             {{apiVersion: v1, kind: Pod, metadata: {{name: db, namespace: shop, labels: {{app: db}}}}}}\n---\n\
             {{apiVersion: v1, kind: Pod, metadata: {{name: web, namespace: shop, labels: {{app: web}}}}}}\n---\n\
             {{apiVersion: v1, kind: Pod, metadata: {{name: runner, namespace: test}}}}\n"
        );
        for (number, spec) in admin.iter().enumerate() {
            let (kind, version) = if spec.contains("tier:") {
                ("ClusterNetworkPolicy", "v1alpha2")
            } else {
                ("AdminNetworkPolicy", "v1alpha1")
            };
            text.push_str(&format!(
                "---\n{{apiVersion: policy.networking.k8s.io/{version}, kind: {kind}, metadata: {{name: p{number}}}, spec: {{{spec}}}}}\n"
            ));
        }
        text
    }

    const TEST: &str = "{matchLabels: {kubernetes.io/metadata.name: test}}";

    fn from_test() -> String {
        format!("ingress: [{{from: [{{namespaceSelector: {TEST}}}], ports: [{{port: 80}}]}}]")
    }

    #[test]
    fn fails() {
        let deny = format!(
            "tier: Admin, priority: 7, subject: {{namespaces: {{}}}}, ingress: [{{action: Deny, from: [{{namespaces: {TEST}}}], protocols: [{{tcp: {{destinationPort: {{range: {{start: 1, end: 1024}}}}}}}}]}}]"
        );
        insta::assert_snapshot!(findings("NP704", &cluster(&from_test(), &[&deny])), @"7:21 warning spec.ingress[0].from[0]: this peer is never let through: ClusterNetworkPolicy p0 (priority 7) denies it before this policy is asked");
        let alpha1 = format!(
            "priority: 7, subject: {{pods: {{namespaceSelector: {{}}, podSelector: {{}}}}}}, ingress: [{{action: Deny, from: [{{namespaces: {TEST}}}], ports: [{{portNumber: {{protocol: TCP, port: 80}}}}]}}]"
        );
        insta::assert_snapshot!(findings("NP704", &cluster(&from_test(), &[&alpha1])), @"7:21 warning spec.ingress[0].from[0]: this peer is never let through: AdminNetworkPolicy p0 (priority 7) denies it before this policy is asked");
        let networks = "tier: Admin, priority: 7, subject: {namespaces: {}}, egress: [{action: Deny, to: [{networks: [192.0.2.0/24]}]}]";
        insta::assert_snapshot!(findings("NP704", &cluster("egress: [{to: [{ipBlock: {cidr: 192.0.2.7/32}}]}]", &[networks])), @"7:18 warning spec.egress[0].to[0]: this peer is never let through: ClusterNetworkPolicy p0 (priority 7) denies it before this policy is asked");
        let open =
            "priority: 1, subject: {namespaces: {}}, ingress: [{action: Allow, from: [{namespaces: {}}]}]";
        insta::assert_snapshot!(findings("NP704", &cluster(&from_test(), &[open])), @"3:18 warning spec.ingress: every pod of the cluster may connect to these pods: AdminNetworkPolicy p0 allows it before this policy is asked");
    }

    #[test]
    fn passes() {
        let deny = |tier: &str, subject: &str, action: &str, ports: &str| {
            format!(
                "tier: {tier}, priority: 7, subject: {subject}, ingress: [{{action: {action}, from: [{{namespaces: {TEST}}}]{ports}}}]"
            )
        };
        let everybody = "{namespaces: {}}";
        let pass = deny("Admin", everybody, "Pass", "").replace("priority: 7", "priority: 3");
        for admin in [
            vec![],
            vec![deny("Baseline", everybody, "Deny", "")],
            vec![deny("Admin", everybody, "Pass", "")],
            vec![deny("Admin", everybody, "Deny", ", protocols: [{udp: {}}]")],
            // Another port, and a part of the pods.
            vec![deny("Admin", everybody, "Deny", ", protocols: [{tcp: {destinationPort: {number: 81}}}]")],
            vec![deny(
                "Admin",
                "{pods: {namespaceSelector: {}, podSelector: {matchLabels: {app: db}}}}",
                "Deny",
                "",
            )],
            vec![deny("Admin", everybody, "Deny", ""), pass],
        ] {
            let admin: Vec<_> = admin.iter().map(String::as_str).collect();
            clean("NP704", &cluster(&from_test(), &admin));
        }
        // Some of the peer's pods are let through.
        clean(
            "NP704",
            &cluster(
                "ingress: [{from: [{namespaceSelector: {}}]}]",
                &[&deny("Admin", everybody, "Deny", "")],
            ),
        );
    }
}
