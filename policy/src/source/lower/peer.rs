//! Items of `from` and `to`.

use ipnet::IpNet;

use crate::model::{IpBlock, LabelSelector, Peer, PodNamespaces};
use crate::source::problem::ProblemKind;
use crate::source::{IpBlockSource, PeerSource};
use crate::span::Span;
use crate::syntax::Node;

use super::address::{parse_address, parse_cidr};
use super::context::{Context, NullItems};
use super::path::Path;
use super::selector::selector;

const FIELDS: [&str; 3] = ["podSelector", "namespaceSelector", "ipBlock"];
const BLOCK_FIELDS: [&str; 2] = ["cidr", "except"];

pub(super) fn peer(context: &mut Context, node: Node<'_>, path: &Path<'_>) -> Option<PeerSource> {
    let fields = context.fields(node, path, FIELDS)?;
    let [pods, namespaces, block] = fields.known;
    let stray = context.stray(&fields.stray, path, "a peer", &FIELDS);
    let source = PeerSource {
        pod_selector: context.slot(pods, |c, node| selector(c, node, &path.field("podSelector"))),
        namespace_selector: context
            .slot(namespaces, |c, node| selector(c, node, &path.field("namespaceSelector"))),
        ip_block: context.slot(block, |c, node| ip_block(c, node, &path.field("ipBlock"))),
        stray,
    };
    let there = |key: Option<Span>, null: bool| key.filter(|_| !null);
    let selectors = [&source.pod_selector, &source.namespace_selector]
        .map(|slot| there(slot.key(), matches!(slot, crate::source::Slot::Null(_))));
    let block = there(source.ip_block.key(), matches!(source.ip_block, crate::source::Slot::Null(_)));
    match (block, selectors.iter().flatten().next()) {
        (Some(block), Some(selector)) => {
            let message = "a peer can't have both `ipBlock` and a selector";
            let problem = context.problem(ProblemKind::InvalidPeer, block, path, message);
            problem.related = Some(*selector);
            problem.help = Some("make `ipBlock` an item of its own: begin it with `- `".into());
        }
        (None, None) if !source.stray.is_empty() => {
            // The unknown field is the cause and is reported.
            context.rejected = true;
        }
        (None, None) => {
            let help =
                "for every pod of the namespace write `podSelector: {}`; for everyone leave the list out";
            let message = "a peer needs `podSelector`, `namespaceSelector` or `ipBlock`";
            context.problem(ProblemKind::InvalidPeer, node.span(), path, message).help = Some(help.into());
        }
        _ => {}
    }
    Some(source)
}

/// What a peer means. `None` when something in it is invalid, which is reported.
pub(super) fn peer_model(source: &PeerSource) -> Option<Peer> {
    if let Some(block) = source.ip_block.value() {
        return block.model.clone().map(Peer::Block);
    }
    let pods = match source.pod_selector.value() {
        Some(selector) => selector.model.clone()?,
        None => LabelSelector::everything(),
    };
    let namespaces = match source.namespace_selector.value() {
        Some(selector) => PodNamespaces::Selected(selector.model.clone()?),
        None => PodNamespaces::Own,
    };
    Some(Peer::Pods { namespaces, pods })
}

fn ip_block(context: &mut Context, node: Node<'_>, path: &Path<'_>) -> Option<Box<IpBlockSource>> {
    let fields = context.fields(node, path, BLOCK_FIELDS)?;
    context.stray(&fields.stray, path, "an ipBlock", &BLOCK_FIELDS);
    let outer = std::mem::take(&mut context.rejected);
    let [cidr, except] = fields.known;
    let cidr_path = path.field("cidr");
    let cidr_key = cidr.map(|entry| entry.key.span());
    let cidr = context.text_field(cidr, &cidr_path);
    let block = match &cidr {
        Some(cidr) if !cidr.value.is_empty() => checked_cidr(context, &cidr.value, cidr.span, &cidr_path),
        _ => {
            let span = cidr.as_ref().map(|cidr| cidr.span).or(cidr_key).unwrap_or(node.span());
            // A value of the wrong type is reported already.
            if !context.rejected {
                let problem =
                    context.problem(ProblemKind::InvalidCidr, span, &cidr_path, "an ipBlock needs a `cidr`");
                problem.help = Some("write a block such as `10.0.0.0/8`".into());
            }
            None
        }
    };
    let except_path = path.field("except");
    let mut exceptions = Vec::new();
    let except = context.slot(except, |context, node| {
        context.list(node, &except_path, NullItems::Refused, |context, node, path| {
            let text = context.text(node, path)?;
            if let Some(except) = checked_cidr(context, &text, node.span(), path) {
                let inside = block.map_or(Ok(()), |block| IpBlock::new(block, [except]).map(|_| ()));
                let length =
                    |text: &str| text.rsplit('/').next().and_then(|length| length.parse::<u32>().ok());
                let problem = match (inside, &cidr) {
                    (Err(error), _) => Some(error.to_string()),
                    // The API server compares lengths as written, also of an IPv4-mapped block.
                    (Ok(()), Some(cidr)) if length(&text) <= length(&cidr.value) => {
                        Some(format!("except {text} must be longer than {}", cidr.value))
                    }
                    _ => None,
                };
                if let Some(message) = problem {
                    let problem = context.problem(ProblemKind::InvalidCidr, node.span(), path, message);
                    problem.related = cidr.as_ref().map(|cidr| cidr.span);
                }
                exceptions.push(except);
            }
            Some(text)
        })
    });
    let model = match (block, context.rejected) {
        (Some(block), false) => IpBlock::new(block, exceptions).ok(),
        _ => None,
    };
    context.rejected |= outer;
    Some(Box::new(IpBlockSource { cidr, except, model }))
}

fn checked_cidr(context: &mut Context, text: &str, span: Span, path: &Path<'_>) -> Option<IpNet> {
    let block = parse_cidr(text);
    if block.is_none() {
        let help = match parse_address(text) {
            Some(address) => {
                let bits = if address.is_ipv4() { 32 } else { 128 };
                format!("a single address is `{text}/{bits}`")
            }
            None => "write an address, `/` and the length of its prefix, such as `10.0.0.0/8`".into(),
        };
        let problem = context.problem(ProblemKind::InvalidCidr, span, path, format!("`{text}` is no CIDR"));
        problem.help = Some(help.into());
    }
    block
}
