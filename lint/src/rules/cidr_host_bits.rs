use ipnet::IpNet;

use super::{blocks, removed_api_version::requote};
use crate::context::{Context, Reporter};
use crate::finding::{Edit, Fix};
use crate::rule::rule;

rule! {
    /// ## What it does
    /// Finds blocks whose address is not the first one of the block: `10.0.0.5/24`.
    ///
    /// ## Why it matters
    /// The prefix length decides: `10.0.0.5/24` is all of `10.0.0.0/24`, 256 addresses. Whoever wrote an address of a
    /// host probably meant that host, `10.0.0.5/32`. Newer API servers warn of such blocks, and some network plugins
    /// refuse them.
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
    ///         - ipBlock: {cidr: 10.0.0.5/24}
    /// ```
    ///
    /// ## Fix
    /// Write the length of a single address if that is what you mean. `--unsafe-fixes` writes the block that the text
    /// stands for; the policy keeps its reach, but what may have been a mistake is no longer seen.
    /// ```yaml
    /// apiVersion: networking.k8s.io/v1
    /// kind: NetworkPolicy
    /// metadata: {name: db, namespace: shop}
    /// spec:
    ///   podSelector: {matchLabels: {app: db}}
    ///   policyTypes: [Ingress]
    ///   ingress:
    ///     - from:
    ///         - ipBlock: {cidr: 10.0.0.5/32}
    /// ```
    NP305 "cidr-host-bits" {
        severity: Warning,
        scope: Document,
        fix: Unsafe,
        check: Policy(check),
    }
}

fn check(cx: &Context<'_>, out: &mut Reporter<'_>) {
    for at in blocks::cidrs(cx) {
        let Ok(cidr) = at.text.parse::<IpNet>() else { continue };
        let block = cidr.trunc();
        if cidr == block {
            continue;
        }
        let written = cx.file.slice(at.span);
        let fix = (!at.shared).then(|| {
            let edit = Edit::replace(at.span, requote(written, &block.to_string()));
            Fix::changing(format!("write {block}, the block that it is"), [edit])
                .expecting(cx.policy.model.as_deref().cloned())
        });
        let host = IpNet::from(cidr.addr());
        out.report(
            at.span,
            at.path(),
            format!("`{}` is all of {block}, not the address {}", at.text, cidr.addr()),
        )
        .help(format!("write {host} for the address, or {block} for the block"))
        .fix(fix);
    }
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::{clean, findings, fixed};

    #[test]
    fn fails() {
        insta::assert_snapshot!(findings("NP305", r"
policyTypes: [Ingress]
ingress:
- from:
  - ipBlock: {cidr: 10.0.0.5/8, except: [10.1.0.1/16, 10.2.0.0/16]}
  - ipBlock: {cidr: '2001:db8::1/64'}
"), @r"
        8:23 warning spec.ingress[0].from[0].ipBlock.cidr: `10.0.0.5/8` is all of 10.0.0.0/8, not the address 10.0.0.5
        8:44 warning spec.ingress[0].from[0].ipBlock.except[0]: `10.1.0.1/16` is all of 10.1.0.0/16, not the address 10.1.0.1
        9:23 warning spec.ingress[0].from[1].ipBlock.cidr: `2001:db8::1/64` is all of 2001:db8::/64, not the address 2001:db8::1
        ");
    }

    #[test]
    fn passes() {
        clean(
            "NP305",
            r"
policyTypes: [Ingress]
ingress:
- from:
  - ipBlock: {cidr: 10.0.0.5/32}
  - ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16]}
  - ipBlock: {cidr: '2001:db8::1/128'}
  - ipBlock: {cidr: no}
egress:
- to: [{ipBlock: {cidr: 10.0.0.5/24}}]
",
        );
    }

    #[test]
    fn fixes() {
        insta::assert_snapshot!(fixed("NP305", r#"
policyTypes: [Ingress]
ingress:
- from:
  - ipBlock:
      cidr: "10.0.0.5/8" # us
      except: [10.1.0.1/16]
"#), @r#"
        policyTypes: [Ingress]
        ingress:
        - from:
          - ipBlock:
              cidr: "10.0.0.0/8" # us
              except: [10.1.0.0/16]
        "#);
    }
}
