//! Every CIDR of a policy with its place.

use netpol_policy::span::{Span, Spanned};

use crate::context::Context;

/// A CIDR of an `ipBlock`: the block or one of its exceptions.
pub(super) struct CidrAt<'a> {
    /// As written, without quotes.
    pub(super) text: &'a str,
    /// Where, with quotes.
    pub(super) span: Span,
    /// Its JSON path.
    pub(super) path: String,
    /// The text also serves other places, so it can't be edited.
    pub(super) shared: bool,
}

/// The CIDRs of all blocks.
pub(super) fn cidrs<'a>(cx: &Context<'a>) -> impl Iterator<Item = CidrAt<'a>> + use<'a> {
    let blocks = cx.effective_peers().filter_map(|at| Some((at, at.peer.ip_block.present()?)));
    blocks.flat_map(|(at, field)| {
        let list = at.rule.rule.peers.present();
        let shared = at.rule.shared || at.item.shared || field.shared || list.is_some_and(|list| list.shared);
        let path = format!("{}.ipBlock", at.path());
        let block = field.value.cidr.as_ref().map(|Spanned { value, span }| CidrAt {
            text: value,
            span: *span,
            path: format!("{path}.cidr"),
            shared,
        });
        let except = field.value.except.present();
        let items = except.into_iter().flat_map(move |list| {
            list.value.items.iter().enumerate().map(move |(index, item)| (index, item, shared || list.shared))
        });
        let except = items.filter_map(move |(index, item, shared)| {
            Some(CidrAt {
                text: item.value.as_deref()?,
                span: item.span,
                path: format!("{path}.except[{index}]"),
                shared: shared || item.shared,
            })
        });
        block.into_iter().chain(except)
    })
}
