//! Where policies and their rules stand in the files.

use std::collections::HashMap;

use netpol_policy::evaluate::RuleRef;
use netpol_policy::model::{NetworkPolicy, ObjectName};
use netpol_policy::source::PolicySource;
use netpol_policy::span::Span;
use serde::Serialize;

use crate::context::head;
use crate::file::SourceFile;
use crate::output::printable::one_line;

/// Finds policies by name.
pub(crate) struct Places<'f>(HashMap<&'f ObjectName, (&'f SourceFile, &'f PolicySource)>);

/// A place in a file.
#[derive(Clone, Copy)]
pub(crate) struct At<'f> {
    /// The file.
    pub(crate) file: &'f SourceFile,
    /// The characters.
    pub(crate) span: Span,
}

/// A place as machines read it; line and column count from 1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Written {
    pub(crate) file: String,
    pub(crate) line: u32,
    pub(crate) column: u32,
}

impl<'f> Places<'f> {
    /// The policies of some files; of equal names that counts which counts in the cluster.
    pub(crate) fn new(files: &'f [SourceFile]) -> Self {
        let files = crate::input::in_order(files);
        let policies =
            files.into_iter().flat_map(|file| file.policies().map(move |(_, policy)| (file, policy)));
        let named =
            policies.filter_map(|(file, policy)| Some((&policy.model.as_ref()?.name, (file, policy))));
        Self(named.collect())
    }

    /// The name of a policy.
    pub(crate) fn policy(&self, policy: &NetworkPolicy) -> Option<At<'f>> {
        let (file, source) = self.0.get(&policy.name)?;
        let span = source.metadata.name.as_ref().map_or(source.kind, |name| name.span);
        Some(At { file, span })
    }

    /// A rule: the item of `ingress` or `egress`.
    pub(crate) fn rule(&self, rule: &RuleRef<'_>) -> Option<At<'f>> {
        let (file, item, _) = self.item(rule)?;
        Some(At { file, span: item })
    }

    /// The peer that a reference names, or else its rule.
    pub(crate) fn peer(&self, rule: &RuleRef<'_>) -> Option<At<'f>> {
        let (file, item, source) = self.item(rule)?;
        let peer = rule.peer.and_then(|index| source.peers.value()?.items.get(index));
        Some(At { file, span: peer.map_or(item, |peer| head(file, peer.dash, peer.span)) })
    }

    /// The item of `ports` that a reference names, or else its rule.
    pub(crate) fn port(&self, rule: &RuleRef<'_>) -> Option<At<'f>> {
        let (file, item, source) = self.item(rule)?;
        let port = rule.port.and_then(|index| source.ports.value()?.items.get(index));
        let ports = || source.ports.key();
        let span = port.map(|port| head(file, port.dash, port.span)).or_else(ports);
        Some(At { file, span: span.unwrap_or(item) })
    }

    fn item(
        &self,
        rule: &RuleRef<'_>,
    ) -> Option<(&'f SourceFile, Span, &'f netpol_policy::source::RuleSource)> {
        let (file, source) = self.0.get(&rule.policy.name)?;
        let item = source.spec.value()?.rules(rule.direction).value()?.items.get(rule.rule)?;
        Some((file, head(file, item.dash, item.span), item.value.as_ref()?))
    }
}

impl At<'_> {
    pub(crate) fn written(&self) -> Written {
        let position = self.file.position(self.span.start);
        Written { file: self.file.name.to_string(), line: position.line, column: position.column }
    }
}

/// `file:line:column`.
impl std::fmt::Display for At<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Written { file, line, column } = self.written();
        write!(f, "{}:{line}:{column}", one_line(&file))
    }
}
