use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU16;

use ipnet::IpNet;
use netpol_policy::cover::ports_cover;
use netpol_policy::model::{
    Direction, IpBlock, NetworkPolicy, Peer, Peers, PortMatch, Ports, Protocol, Rule,
};
use netpol_policy::source::{Field, IpBlockSource, Slot};

use crate::context::{Context, PeerAt, Reporter};
use crate::edits::{append_text, insert_field, is_json};
use crate::finding::{Edit, Fix};
use crate::rule::rule;

rule! {
    /// ## What it does
    /// Finds egress rules whose `ipBlock` is the whole IPv4 world, or another block far larger than link-local addresses,
    /// without `except` for 169.254.169.254/32, and whose ports include TCP 80. It is silent where another rule allows
    /// that address by itself.
    ///
    /// ## Why it matters
    /// At 169.254.169.254 port 80 cloud machines answer questions about themselves, credentials included. Whoever takes
    /// over a pod, or makes it fetch an address of their choice, may get the permissions of the node.
    ///
    /// ## Example
    /// ```yaml
    /// apiVersion: networking.k8s.io/v1
    /// kind: NetworkPolicy
    /// metadata: {name: crawler, namespace: shop}
    /// spec:
    ///   podSelector: {matchLabels: {app: crawler}}
    ///   policyTypes: [Egress]
    ///   egress:
    ///     - to:
    ///         - ipBlock:
    ///             cidr: 0.0.0.0/0
    /// ```
    ///
    /// ## Fix
    /// `--unsafe-fixes` adds the exception. Where pods don't speak plain HTTP to the world, listing port 443 does as well.
    /// ```yaml
    /// apiVersion: networking.k8s.io/v1
    /// kind: NetworkPolicy
    /// metadata: {name: crawler, namespace: shop}
    /// spec:
    ///   podSelector: {matchLabels: {app: crawler}}
    ///   policyTypes: [Egress]
    ///   egress:
    ///     - to:
    ///         - ipBlock:
    ///             cidr: 0.0.0.0/0
    ///             except: [169.254.169.254/32]
    /// ```
    NP308 "egress-reaches-metadata" {
        severity: Warning,
        scope: Document,
        fix: Unsafe,
        check: Policy(check),
    }
}

const METADATA: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);
const EXCEPT: &str = "169.254.169.254/32";
/// Of 169.254.0.0/16: whoever writes that or a part of it means these addresses.
const LINK_LOCAL_PREFIX: u8 = 16;

fn check(cx: &Context<'_>, out: &mut Reporter<'_>) {
    let Some(model) = &cx.policy.model else { return };
    let rules = model.rules(Direction::Egress).unwrap_or_default();
    let opens_port = |rule: &Rule| ports_cover([&rule.ports], &http());
    if rules.iter().any(|rule| opens_port(rule) && is_told_otherwise(rule)) {
        return;
    }
    for at in cx.effective_rules().filter(|at| at.direction == Direction::Egress) {
        if !rules.get(at.index).is_some_and(opens_port) {
            continue;
        }
        for peer in at.peers() {
            let Some(field) = peer.peer.ip_block.present() else { continue };
            let (Some(block), Some(cidr)) = (&field.value.model, &field.value.cidr) else { continue };
            if !reaches(block) {
                continue;
            }
            // Where an anchor stands, others may use the block.
            let anchor = cx.file.text.get(field.key.end as usize..field.span.start as usize);
            let shared = at.shared
                || anchor.is_none_or(|between| between.contains('&'))
                || peer.item.shared
                || field.shared
                || at.rule.peers.present().is_none_or(|list| list.shared);
            let fix = (!shared).then(|| with_exception(cx, field)).flatten().map(|edits| {
                Fix::changing(format!("except {EXCEPT}"), edits).expecting(excepted(model, &peer, block))
            });
            out.report(
                cidr.span,
                format!("{}.ipBlock", peer.path()),
                format!("{block} includes {METADATA}, where clouds hand out a node's credentials"),
            )
            .help(format!(
                "write `except: [{EXCEPT}]`, or list the ports that are needed if 80 is none of them"
            ))
            .fix(fix);
        }
    }
}

/// Whether a block has the address without meaning it in particular.
fn reaches(block: &IpBlock) -> bool {
    block.cidr().prefix_len() < LINK_LOCAL_PREFIX && block.contains(METADATA.into())
}

/// Whether a rule reaches the address anyway: for all destinations, which others tell, or on purpose.
fn is_told_otherwise(rule: &Rule) -> bool {
    match &rule.peers {
        Peers::All => true,
        Peers::Only(peers) => peers.iter().any(
            |peer| matches!(peer, Peer::Block(block) if block.contains(METADATA.into()) && !reaches(block)),
        ),
    }
}

fn http() -> Ports {
    const PORT: NonZeroU16 = NonZeroU16::new(80).expect("not zero");
    Ports::Only(vec![PortMatch::number(Protocol::Tcp, PORT)])
}

/// Adds the exception to a block.
fn with_exception(cx: &Context<'_>, block: &Field<Box<IpBlockSource>>) -> Option<Vec<Edit>> {
    match &block.value.except {
        Slot::Absent => {
            let cidr = block.value.cidr.as_ref()?.span;
            insert_field(&cx.file.text, block.span, cidr, "except", &list(&cx.file.text, block))
        }
        Slot::Present(except) if except.value.items.is_empty() && !except.shared => {
            Some(vec![Edit::replace(except.span, list(&cx.file.text, block))])
        }
        Slot::Present(except) => append_text(&cx.file.text, except, EXCEPT),
        Slot::Null(_) | Slot::Wrong(_) => None,
    }
}

/// The exception as the only one of a list.
fn list(text: &str, block: &Field<Box<IpBlockSource>>) -> String {
    let quote = if is_json(text, block.span) { "\"" } else { "" };
    format!("[{quote}{EXCEPT}{quote}]")
}

fn excepted(model: &NetworkPolicy, at: &PeerAt<'_>, block: &IpBlock) -> Option<NetworkPolicy> {
    let mut policy = model.clone();
    let Peers::Only(peers) = &mut policy.egress.as_mut()?.get_mut(at.rule.index)?.peers else { return None };
    let address = IpNet::from(IpAddr::from(METADATA));
    let except = block.except().iter().copied().chain([address]);
    *peers.get_mut(at.index)? = Peer::Block(IpBlock::new(block.cidr(), except).ok()?);
    Some(policy)
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::{clean, findings, fixed};

    #[test]
    fn fails() {
        insta::assert_snapshot!(findings("NP308", r"
policyTypes: [Egress]
egress:
- to: [{ipBlock: {cidr: 0.0.0.0/0}}]
- to:
  - ipBlock: {cidr: '::/0'}
  - ipBlock:
      cidr: 128.0.0.0/1
      except: [192.168.0.0/16]
  ports: [{port: 1, endPort: 1000}]
"), @r"
        7:27 warning spec.egress[0].to[0].ipBlock: 0.0.0.0/0 includes 169.254.169.254, where clouds hand out a node's credentials
        11:15 warning spec.egress[1].to[1].ipBlock: 128.0.0.0/1 except 192.168.0.0/16 includes 169.254.169.254, where clouds hand out a node's credentials
        ");
    }

    #[test]
    fn passes() {
        for text in [
            "policyTypes: [Egress]\negress: [{to: [{ipBlock: {cidr: 0.0.0.0/0, except: [169.254.169.254/32]}}]}]\n",
            "policyTypes: [Egress]\negress: [{to: [{ipBlock: {cidr: 0.0.0.0/0, except: [169.254.0.0/16, 10.0.0.0/8]}}]}]\n",
            "policyTypes: [Egress]\negress: [{to: [{ipBlock: {cidr: 0.0.0.0/0}}], ports: [{port: 443}, {port: 80, protocol: UDP}]}]\n",
            "policyTypes: [Egress]\negress: [{to: [{ipBlock: {cidr: 169.254.169.254/32}}, {ipBlock: {cidr: 169.254.0.0/16}}]}]\n",
            "policyTypes: [Egress]\negress: [{to: [{ipBlock: {cidr: 169.254.169.254/32}}]}, {to: [{ipBlock: {cidr: 0.0.0.0/0}}]}]\n",
            "policyTypes: [Egress]\negress: [{}, {to: [{ipBlock: {cidr: 0.0.0.0/0}}]}]\n",
            "policyTypes: [Egress]\negress: [{to: [{ipBlock: {cidr: 10.0.0.0/8}}]}]\n",
            "policyTypes: [Ingress]\ningress: [{from: [{ipBlock: {cidr: 0.0.0.0/0}}]}]\n",
        ] {
            clean("NP308", text);
        }
    }

    #[test]
    fn fixes() {
        insta::assert_snapshot!(fixed("NP308", r#"
policyTypes: [Egress]
egress:
- to:
  - ipBlock:
      cidr: 0.0.0.0/0 # the world
  - ipBlock:
      except:
      - "10.0.0.0/8"
      cidr: 0.0.0.0/0
  - ipBlock: {cidr: 0.0.0.0/0, except: []}
- to: [{ipBlock: { cidr: '0.0.0.0/0' }}, {ipBlock: {"cidr": "0.0.0.0/0"}}]
- to: [{ipBlock: &world {cidr: 0.0.0.0/0}}, {ipBlock: *world}]
"#), @r#"
        policyTypes: [Egress]
        egress:
        - to:
          - ipBlock:
              cidr: 0.0.0.0/0 # the world
              except: [169.254.169.254/32]
          - ipBlock:
              except:
              - "10.0.0.0/8"
              - "169.254.169.254/32"
              cidr: 0.0.0.0/0
          - ipBlock: {cidr: 0.0.0.0/0, except: [169.254.169.254/32]}
        - to: [{ipBlock: { cidr: '0.0.0.0/0', except: [169.254.169.254/32] }}, {ipBlock: {"cidr": "0.0.0.0/0", "except": ["169.254.169.254/32"]}}]
        - to: [{ipBlock: &world {cidr: 0.0.0.0/0}}, {ipBlock: *world}]
        "#);
    }
}
