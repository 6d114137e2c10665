use ipnet::IpNet;
use netpol_policy::source::parse_cidr;

use super::blocks;
use super::removed_api_version::requote;
use crate::context::{Context, Reporter};
use crate::finding::{Edit, Fix};
use crate::rule::rule;

rule! {
    /// ## What it does
    /// Finds CIDRs that are written in an unusual way: leading zeros, IPv4 addresses in IPv6 form, upper case, or an IPv6
    /// address that isn't shortened as usual.
    ///
    /// ## Why it matters
    /// Programs read them differently. To the API server `010.0.0.0/8` is 10.0.0.0/8; others take `010` as an octal 8, or
    /// refuse it. A network plugin that compares texts misses the block, and so does a search for it. New versions of
    /// Kubernetes warn about such values and may refuse them.
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
    ///             cidr: 010.000.000.000/8
    /// ```
    ///
    /// ## Fix
    /// `--fix` writes the block as the API server reads it.
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
    /// ```
    NP306 "non-canonical-cidr" {
        severity: Warning,
        scope: Document,
        fix: Safe,
        check: Policy(check),
    }
}

fn check(cx: &Context<'_>, out: &mut Reporter<'_>) {
    for at in blocks::cidrs(cx) {
        let Some(cidr) = parse_cidr(at.text) else { continue };
        if is_canonical(at.text, cidr) {
            continue;
        }
        let canonical = cidr.to_string();
        let new = requote(cx.file.slice(at.span), &canonical);
        let fix =
            (!at.shared).then(|| Fix::safe(format!("write {canonical}"), [Edit::replace(at.span, new)]));
        let message = match what(at.text, cidr) {
            Oddity::Mapped => format!("`{}` is the IPv4 block {canonical} in IPv6 form", at.text),
            Oddity::Zeros => format!(
                "`{}` has leading zeros: the API server reads {canonical}, others read octal numbers",
                at.text
            ),
            Oddity::Form => format!("`{}` is usually written {canonical}", at.text),
        };
        out.report(at.span, at.path(), message).help(format!("write {canonical}")).fix(fix);
    }
}

/// Whether a CIDR is written as usual.
fn is_canonical(text: &str, cidr: IpNet) -> bool {
    match cidr {
        IpNet::V4(_) => {
            let mut numbers = text.as_bytes().split(|b| matches!(b, b'.' | b'/'));
            !text.contains(':') && numbers.all(|number| number.len() == 1 || !number.starts_with(b"0"))
        }
        IpNet::V6(_) => cidr.to_string() == text,
    }
}

enum Oddity {
    Mapped,
    Zeros,
    Form,
}

fn what(text: &str, cidr: IpNet) -> Oddity {
    match (text.contains(':'), cidr) {
        (true, IpNet::V4(_)) => Oddity::Mapped,
        (false, IpNet::V4(_)) => Oddity::Zeros,
        (_, IpNet::V6(_)) => Oddity::Form,
    }
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::{clean, findings, fixed};

    #[test]
    fn fails() {
        insta::assert_snapshot!(findings("NP306", r"
policyTypes: [Egress]
egress:
- to:
  - ipBlock: {cidr: 010.0.0.0/8, except: [10.1.0.0/016]}
  - ipBlock: {cidr: '::ffff:10.0.0.0/104'}
  - ipBlock: {cidr: 2001:DB8::/32, except: ['2001:0db8:0000::/48']}
  - ipBlock: {cidr: '0:0:0:0::/0'}
"), @r"
        8:23 warning spec.egress[0].to[0].ipBlock.cidr: `010.0.0.0/8` has leading zeros: the API server reads 10.0.0.0/8, others read octal numbers
        8:45 warning spec.egress[0].to[0].ipBlock.except[0]: `10.1.0.0/016` has leading zeros: the API server reads 10.1.0.0/16, others read octal numbers
        9:23 warning spec.egress[0].to[1].ipBlock.cidr: `::ffff:10.0.0.0/104` is the IPv4 block 10.0.0.0/8 in IPv6 form
        10:23 warning spec.egress[0].to[2].ipBlock.cidr: `2001:DB8::/32` is usually written 2001:db8::/32
        10:47 warning spec.egress[0].to[2].ipBlock.except[0]: `2001:0db8:0000::/48` is usually written 2001:db8::/48
        11:23 warning spec.egress[0].to[3].ipBlock.cidr: `0:0:0:0::/0` is usually written ::/0
        ");
    }

    #[test]
    fn passes() {
        clean(
            "NP306",
            r"
policyTypes: [Egress]
egress:
- to:
  - ipBlock: {cidr: 10.0.0.5/8, except: [10.1.0.0/16]}
  - ipBlock: {cidr: '::/0', except: ['2001:db8::1/128']}
  - ipBlock: {cidr: 10.0.0.0.0/8}
  - ipBlock: {cidr: '::ffff:0.0.0.0/64'}
ingress:
- from: [{ipBlock: {cidr: 010.0.0.0/8}}]
",
        );
    }

    #[test]
    fn fixes() {
        insta::assert_snapshot!(fixed("NP306", r#"
policyTypes: [Egress]
egress:
- to:
  - ipBlock:
      cidr: "010.0.0.0/08" # ours
      except: [10.01.0.0/16, 10.2.0.0/16]
  - ipBlock: {cidr: 2001:DB8::/32}
  - ipBlock: {cidr: '::FFFF:10.0.0.1/128'}
  - ipBlock: &office {cidr: FD00::/8}
  - ipBlock: *office
"#), @r#"
        policyTypes: [Egress]
        egress:
        - to:
          - ipBlock:
              cidr: "10.0.0.0/8" # ours
              except: [10.1.0.0/16, 10.2.0.0/16]
          - ipBlock: {cidr: 2001:db8::/32}
          - ipBlock: {cidr: '10.0.0.1/32'}
          - ipBlock: &office {cidr: fd00::/8}
          - ipBlock: *office
        "#);
    }
}
