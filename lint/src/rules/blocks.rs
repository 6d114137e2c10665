//! Every CIDR of a policy with its place.

use netpol_policy::span::{Span, Spanned};

use crate::context::{Context, PeerAt};

/// A CIDR of an `ipBlock`: the block or one of its exceptions.
pub(super) struct CidrAt<'a> {
    /// As written, without quotes.
    pub(super) text: &'a str,
    /// Where, with quotes.
    pub(super) span: Span,
    /// The text also serves other places, so it can't be edited.
    pub(super) shared: bool,
    peer: PeerAt<'a>,
    /// Which exception it is.
    exception: Option<usize>,
}

impl CidrAt<'_> {
    /// Its JSON path.
    pub(super) fn path(&self) -> String {
        let peer = self.peer.path();
        match self.exception {
            None => format!("{peer}.ipBlock.cidr"),
            Some(index) => format!("{peer}.ipBlock.except[{index}]"),
        }
    }
}

/// The CIDRs of all blocks.
pub(super) fn cidrs<'a>(cx: &Context<'a>) -> impl Iterator<Item = CidrAt<'a>> + use<'a> {
    let blocks = cx.effective_peers().filter_map(|at| Some((at, at.peer.ip_block.present()?)));
    blocks.flat_map(|(at, field)| {
        let list = at.rule.rule.peers.present();
        let shared = at.rule.shared || at.item.shared || field.shared || list.is_some_and(|list| list.shared);
        let block = field.value.cidr.as_ref().map(|Spanned { value, span }| CidrAt {
            text: value,
            span: *span,
            shared,
            peer: at,
            exception: None,
        });
        let except = field.value.except.present();
        let items = except.into_iter().flat_map(move |list| {
            list.value.items.iter().enumerate().map(move |(index, item)| (index, item, shared || list.shared))
        });
        let except = items.filter_map(move |(index, item, shared)| {
            Some(CidrAt {
                text: item.value.as_deref()?,
                span: item.span,
                shared: shared || item.shared,
                peer: at,
                exception: Some(index),
            })
        });
        block.into_iter().chain(except)
    })
}
