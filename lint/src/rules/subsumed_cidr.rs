use netpol_policy::model::Peer;

use super::redundancy;
use crate::context::{Context, Reporter};
use crate::finding::Fix;
use crate::rule::rule;

rule! {
    /// ## What it does
    /// Finds `ipBlock`s whose addresses are all in another `ipBlock` of the same rule, exceptions considered.
    ///
    /// ## Why it matters
    /// Peers add up, so the smaller block changes nothing. It does when it lies in an exception of the larger one: such
    /// a block is no finding.
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
    ///         - ipBlock: {cidr: 10.0.0.0/8}
    ///         - ipBlock: {cidr: 10.20.0.0/16}
    ///       ports:
    ///         - {protocol: TCP, port: 5432}
    /// ```
    ///
    /// ## Fix
    /// Narrow the larger block if it allows too much. Otherwise `--fix` removes the smaller one, unless it has a comment
    /// or an anchor.
    /// ```yaml
    /// apiVersion: networking.k8s.io/v1
    /// kind: NetworkPolicy
    /// metadata: {name: out, namespace: shop}
    /// spec:
    ///   podSelector: {}
    ///   policyTypes: [Egress]
    ///   egress:
    ///     - to:
    ///         - ipBlock: {cidr: 10.20.0.0/16}
    ///       ports:
    ///         - {protocol: TCP, port: 5432}
    /// ```
    NP310 "subsumed-cidr" {
        severity: Info,
        scope: Document,
        fix: Safe,
        check: Policy(check),
    }
}

fn check(cx: &Context<'_>, out: &mut Reporter<'_>) {
    redundancy::covered_peers(cx, |inner, outer| {
        let (Peer::Block(_), Peer::Block(_)) = (inner.peer, outer.peer) else { return };
        let message = format!("this block changes nothing: {} lies in {}", inner.peer, outer.peer);
        let finding = out.report(inner.at.head(cx.file), inner.at.path(), message);
        finding.label("covered").near(outer.at.head(cx.file), "allows these addresses and more");
        finding.help("narrow the larger block if it allows too much, or remove the smaller one");
        let edits = redundancy::remove_peer(cx, &inner.at);
        finding.fix(edits.map(|edits| Fix::safe("remove the smaller block", edits)));
    });
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::{clean, findings, fixed};

    #[test]
    fn fails() {
        insta::assert_snapshot!(findings("NP310", r"
policyTypes: [Egress]
egress:
- to:
  - ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16]}
  - ipBlock: {cidr: 10.1.0.0/16}
  - ipBlock: {cidr: 10.1.2.3/32}
  - ipBlock: {cidr: 10.0.0.0/15, except: [10.1.0.0/17, 10.1.128.0/17]}
  - ipBlock: {cidr: 'fd00::/8'}
  - ipBlock: {cidr: 'fd00:1::/32'}
  - ipBlock: {cidr: 0010.3.0.0/16}
"), @r"
        10:5 info spec.egress[0].to[2]: this block changes nothing: 10.1.2.3/32 lies in 10.1.0.0/16
        11:5 info spec.egress[0].to[3]: this block changes nothing: 10.0.0.0/15 except 10.1.0.0/17, 10.1.128.0/17 lies in 10.0.0.0/8 except 10.1.0.0/16
        13:5 info spec.egress[0].to[5]: this block changes nothing: fd00:1::/32 lies in fd00::/8
        14:5 info spec.egress[0].to[6]: this block changes nothing: 10.3.0.0/16 lies in 10.0.0.0/8 except 10.1.0.0/16
        ");
    }

    #[test]
    fn passes() {
        for text in [
            "ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16]}}, {ipBlock: {cidr: 10.1.0.0/24}}]}]\n",
            "ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8}}]}, {from: [{ipBlock: {cidr: 10.1.0.0/24}}]}]\n",
            "ingress: [{from: [{ipBlock: {cidr: 0.0.0.0/0}}, {ipBlock: {cidr: '::/0'}}]}]\n",
            // NP402, and a block that is excepted in full.
            "ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8}}, {ipBlock: {cidr: 10.9.9.9/8}}]}]\n",
            "ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8}}, {ipBlock: {cidr: 10.0.0.0/9, except: [10.0.0.0/10, 10.64.0.0/10]}}]}]\n",
        ] {
            clean("NP310", text);
        }
    }

    #[test]
    fn fixes() {
        insta::assert_snapshot!(fixed("NP310", r"
policyTypes: [Egress]
egress:
- to:
  - ipBlock:
      cidr: 10.1.0.0/16
      except:
      - 10.1.1.0/24
  - ipBlock: {cidr: 10.0.0.0/8}
  # the office
  - ipBlock: {cidr: 10.2.0.0/16}
- to: [{ipBlock: {cidr: 192.0.2.0/25}}, {ipBlock: {cidr: 192.0.2.0/24}}, {podSelector: {}}]
"), @r"
        policyTypes: [Egress]
        egress:
        - to:
          - ipBlock: {cidr: 10.0.0.0/8}
          # the office
          - ipBlock: {cidr: 10.2.0.0/16}
        - to: [{ipBlock: {cidr: 192.0.2.0/24}}, {podSelector: {}}]
        ");
    }
}
