use netpol_policy::source::ProblemKind;

use crate::context::{Context, Reporter};
use crate::rule::rule;

rule! {
    /// ## What it does
    /// Finds `ipBlock`s whose `cidr` is no CIDR, or whose `except` isn't strictly inside its block: outside, equal, or of
    /// the other address family.
    ///
    /// ## Why it matters
    /// The API server refuses the whole policy, so what was to be closed stays open.
    ///
    /// ## Example
    /// ```yaml
    /// apiVersion: networking.k8s.io/v1
    /// kind: NetworkPolicy
    /// metadata: {name: out, namespace: shop}
    /// spec:
    ///   podSelector: {}
    ///   policyTypes: [Egress]
    ///   egress:
    ///     - to:
    ///         - ipBlock:
    ///             cidr: 10.0.0.0/16
    ///             except: [10.1.0.0/24]
    /// ```
    ///
    /// ## Fix
    /// An exception takes addresses out of the block that it stands beside:
    /// ```yaml
    /// apiVersion: networking.k8s.io/v1
    /// kind: NetworkPolicy
    /// metadata: {name: out, namespace: shop}
    /// spec:
    ///   podSelector: {}
    ///   policyTypes: [Egress]
    ///   egress:
    ///     - to:
    ///         - ipBlock:
    ///             cidr: 10.0.0.0/8
    ///             except: [10.1.0.0/24]
    /// ```
    NP010 "invalid-cidr" {
        severity: Error,
        scope: Document,
        fix: None,
        check: Policy(check),
    }
}

fn check(cx: &Context<'_>, out: &mut Reporter<'_>) {
    for problem in cx.problems(ProblemKind::InvalidCidr) {
        let finding = out.problem(problem);
        if let Some(block) = problem.related {
            finding.near(block, "the block");
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::{clean, findings};

    #[test]
    fn fails() {
        insta::assert_snapshot!(findings("NP010", r"
egress:
- to:
  - ipBlock: {cidr: 10.0.0.1}
  - ipBlock:
      cidr: 10.0.0.0/16
      except:
      - 10.0.0.0/16
      - 10.1.0.0/24
      - fd00::/64
"), @r"
        7:23 error spec.egress[0].to[0].ipBlock.cidr: `10.0.0.1` is no CIDR
        11:11 error spec.egress[0].to[1].ipBlock.except[0]: except 10.0.0.0/16 must be strictly inside 10.0.0.0/16
        12:11 error spec.egress[0].to[1].ipBlock.except[1]: except 10.1.0.0/24 must be strictly inside 10.0.0.0/16
        13:11 error spec.egress[0].to[1].ipBlock.except[2]: except fd00::/64 is of another address family than 10.0.0.0/16
        ");
    }

    #[test]
    fn passes() {
        clean(
            "NP010",
            r"
egress: [{to: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16]}}, {ipBlock: {cidr: '::/0'}}]}]
",
        );
    }
}
