use netpol_policy::cover::Cover;
use netpol_policy::model::{Direction, NetworkPolicy, Ports, Rule};

use crate::context::{Context, Reporter, RuleAt};
use crate::rule::rule;

rule! {
    /// ## What it does
    /// Finds directions in which a policy opens ports to somebody, and nothing opens ICMP to them.
    ///
    /// ## Why it matters
    /// A rule with `ports` is about TCP, UDP and SCTP. ICMP has no ports, so that `ping` is denied, which is often taken for
    /// a broken network. ICMP errors that belong to an allowed connection pass.
    ///
    /// Silent where another rule, of this policy or of one that selects the same pods, allows the same peers everything.
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
    ///         - podSelector: {matchLabels: {app: api}}
    ///       ports:
    ///         - {protocol: TCP, port: 5432}
    /// ```
    ///
    /// ## Fix
    /// For `ping`, allow the peers everything, if they may have it. No NetworkPolicy can allow ICMP alone.
    /// ```yaml
    /// apiVersion: networking.k8s.io/v1
    /// kind: NetworkPolicy
    /// metadata: {name: db, namespace: shop}
    /// spec:
    ///   podSelector: {matchLabels: {app: db}}
    ///   policyTypes: [Ingress]
    ///   ingress:
    ///     - from:
    ///         - podSelector: {matchLabels: {app: api}}
    /// ```
    NP115 "icmp-needs-portless-rule" {
        severity: Info,
        scope: Document,
        fix: None,
        check: Policy(check),
    }
}

fn check(cx: &Context<'_>, out: &mut Reporter<'_>) {
    let Some(model) = &cx.policy.model else { return };
    for direction in Direction::ALL {
        let with_ports = cx.effective_rules().filter(|at| at.direction == direction);
        let denied: Vec<_> = with_ports.filter(|at| denies_icmp(cx, model, at)).collect();
        let [first, rest @ ..] = &*denied else { continue };
        let who = match direction {
            Direction::Ingress => "from the peers",
            Direction::Egress => "to the peers",
        };
        let of_rules = match rest.len() {
            0 => "this rule".to_owned(),
            1 => "this rule and another one".to_owned(),
            n => format!("this rule and {n} others"),
        };
        let place = first.rule.ports.key().unwrap_or(first.item.span);
        out.report(
            place,
            format!("{}.ports", first.path()),
            format!(
                "ping {who} of {of_rules} is denied: ICMP has no ports, and a rule with ports leaves it out"
            ),
        )
        .help("only a rule without `ports` allows ICMP");
    }
}

/// Whether a rule lists ports, and nothing allows its peers ICMP.
fn denies_icmp(cx: &Context<'_>, model: &NetworkPolicy, at: &RuleAt<'_>) -> bool {
    let rule = model.rules(at.direction).and_then(|rules| rules.get(at.index));
    let Some(Rule { peers, ports: Ports::Only(_) }) = rule else { return false };
    let everything = Rule { peers: peers.clone(), ports: Ports::All };
    let cover = Cover::new(cx.written_namespace());
    let others = cx.index.policies_covering(model).filter(|other| other.name != model.name);
    let rules = std::iter::once(model).chain(others).flat_map(|policy| policy.rules(at.direction));
    let portless = rules.flatten().filter(|rule| rule.ports == Ports::All);
    !cover.rules(portless, &everything)
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::{clean, findings};

    #[test]
    fn fails() {
        insta::assert_snapshot!(findings("NP115", r"
policyTypes: [Ingress, Egress]
ingress:
- ports: [{port: 80}]
- from: [{podSelector: {}}]
egress:
- to: [{podSelector: {matchLabels: {app: a}}}]
  ports: [{port: 80}]
- to: [{podSelector: {matchLabels: {app: b}}}]
  ports: [{port: 80}]
- to: [{podSelector: {matchLabels: {app: a}}}, {podSelector: {matchLabels: {app: c}}}]
"), @r"
        7:5 info spec.ingress[0].ports: ping from the peers of this rule is denied: ICMP has no ports, and a rule with ports leaves it out
        13:5 info spec.egress[1].ports: ping to the peers of this rule is denied: ICMP has no ports, and a rule with ports leaves it out
        ");
    }

    #[test]
    fn passes() {
        clean(
            "NP115",
            r"
policyTypes: [Ingress]
ingress:
- from: [{podSelector: {matchLabels: {app: a}}}]
  ports: [{port: 80}]
- from: [{podSelector: {}}]
egress:
- ports: [{port: 80}]
",
        );
        let policy = |name: &str, rule: &str| {
            format!(
                "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: {name}, namespace: shop}}\nspec:\n  podSelector: {{}}\n  ingress: [{rule}]\n"
            )
        };
        let ports = policy("ports", "{from: [{podSelector: {}}], ports: [{port: 80}]}");
        assert_ne!(findings("NP115", &ports), "");
        let portless = policy("portless", "{from: [{podSelector: {}}]}");
        clean("NP115", &format!("{ports}---\n{portless}"));
    }
}
