use netpol_policy::source::ProblemKind;

use super::removed_api_version::requote;
use crate::context::{Context, Reporter};
use crate::finding::{Edit, Fix};
use crate::rule::rule;

rule! {
    /// ## What it does
    /// Finds protocols other than `TCP`, `UDP` and `SCTP`, and policy types other than `Ingress` and `Egress`; the case
    /// counts. It also finds objects of `networking.k8s.io` whose `kind` is a slip of `NetworkPolicy`, such as
    /// `NetworkPolicies`, or stands under a key such as `Kind`.
    ///
    /// ## Why it matters
    /// The API server refuses the whole policy, so what was to be closed stays open.
    ///
    /// ## Example
    /// ```yaml
    /// apiVersion: networking.k8s.io/v1
    /// kind: NetworkPolicy
    /// metadata: {name: web, namespace: shop}
    /// spec:
    ///   podSelector: {}
    ///   policyTypes: [ingress]
    ///   ingress:
    ///     - ports:
    ///         - {protocol: tcp, port: 80}
    /// ```
    ///
    /// ## Fix
    /// `--fix` corrects the case and the kind; of other words it can't know what was meant.
    /// ```yaml
    /// apiVersion: networking.k8s.io/v1
    /// kind: NetworkPolicy
    /// metadata: {name: web, namespace: shop}
    /// spec:
    ///   podSelector: {}
    ///   policyTypes: [Ingress]
    ///   ingress:
    ///     - ports:
    ///         - {protocol: TCP, port: 80}
    /// ```
    NP009 "invalid-enum" {
        severity: Error,
        scope: Document,
        fix: Safe,
        check: Policy(check),
    }
}

fn check(cx: &Context<'_>, out: &mut Reporter<'_>) {
    for problem in cx.problems(ProblemKind::InvalidEnum) {
        let written = cx.file.slice(problem.span);
        let word = written.trim_matches(['"', '\'']);
        let known: &[&str] = if problem.path.contains("policyTypes") {
            &["Ingress", "Egress"]
        } else {
            &["TCP", "UDP", "SCTP", "NetworkPolicy"]
        };
        // Of a typed list the kind is that of its items with another ending.
        let of_list = word.to_ascii_lowercase().ends_with("list");
        let right = match (&*problem.path, word) {
            ("kind", word) if word.eq_ignore_ascii_case("kind") => Some(&"kind"),
            ("kind", _) if !of_list => Some(&"NetworkPolicy"),
            _ => None,
        };
        let same = || known.iter().find(|right| right.eq_ignore_ascii_case(word) && **right != word);
        let right = right.or_else(same);
        let fix = right.map(|right| {
            Fix::safe(format!("write `{right}`"), [Edit::replace(problem.span, requote(written, right))])
        });
        out.problem(problem).fix(fix);
    }
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::{clean, findings, fixed};

    #[test]
    fn fails() {
        insta::assert_snapshot!(findings("NP009", r"
policyTypes: [ingress, Both]
ingress: [{ports: [{protocol: Tcp}, {protocol: ICMP}]}]
"), @r"
        5:17 error spec.policyTypes[0]: `ingress` is no policy type: use Ingress or Egress
        5:26 error spec.policyTypes[1]: `Both` is no policy type: use Ingress or Egress
        6:33 error spec.ingress[0].ports[0].protocol: `Tcp` is no protocol: use TCP, UDP or SCTP
        6:50 error spec.ingress[0].ports[1].protocol: `ICMP` is no protocol: use TCP, UDP or SCTP
        ");
    }

    #[test]
    fn kinds() {
        for (head, right, expected) in [
            ("kind: NetworkPolcy", "kind: NetworkPolicy", "there is no kind `NetworkPolcy`"),
            ("kind: NetworkPolicies", "kind: NetworkPolicy", "there is no kind `NetworkPolicies`"),
            ("kind: networkpolicy", "kind: NetworkPolicy", "there is no kind `networkpolicy`"),
            ("Kind: NetworkPolicy", "kind: NetworkPolicy", "the object has no `kind`, only a field `Kind`"),
            ("\"KIND\": 'NetworkPolicy'", "\"kind\": 'NetworkPolicy'", "only a field `KIND`"),
        ] {
            let text = |head: &str| {
                format!(
                    "# kind: ?\napiVersion: networking.k8s.io/v1\n{head}\nmetadata: {{name: a}}\nspec: {{podSelector: {{}}}}\n"
                )
            };
            let found = findings("NP0", &text(head));
            assert!(found.contains(expected) && found.lines().count() == 1, "{head}: {found}");
            assert_eq!(fixed("NP009", &text(head)), text(right), "{head}");
        }
    }

    #[test]
    fn other_kinds() {
        for kind in
            ["Ingress", "IngressClass", "IPAddress", "ServiceCIDR", "NetworkPolicyList", "NetworkAttachment"]
        {
            clean(
                "NP009",
                &format!("apiVersion: networking.k8s.io/v1\nkind: {kind}\nmetadata: {{name: a}}\n"),
            );
        }
        clean("NP009", "apiVersion: example.com/v1\nkind: NetworkPolicies\nmetadata: {name: a}\n");
        clean("NP009", "# kind: ?\napiVersion: networking.k8s.io/v1\nKind: Ingress\nmetadata: {name: a}\n");
    }

    #[test]
    fn passes() {
        clean(
            "NP009",
            r"
policyTypes: [Ingress, Egress]
ingress: [{ports: [{protocol: SCTP}]}]
",
        );
    }

    #[test]
    fn fixes() {
        insta::assert_snapshot!(fixed("NP009", r#"
policyTypes:
- ingress
- 'EGRESS' # all
egress: [{ports: [{protocol: "udp"}]}]
"#), @r#"
        policyTypes:
        - Ingress
        - 'Egress' # all
        egress: [{ports: [{protocol: "UDP"}]}]
        "#);
    }
}
