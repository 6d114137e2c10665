//! How rules are set: which are on, how severe they are, and what the files can't tell about the cluster.

mod external;
mod per_file;
mod severities;

use std::borrow::Cow;
use std::num::NonZeroU16;

use netpol_policy::model::{LabelSelector, PodNamespaces};

pub use external::{ExternalError, ExternalNamespaces, ExternalPods};
pub(crate) use per_file::absolute;
pub use per_file::{Pattern, PatternError, Patterns, PerFileIgnores};
pub use severities::Severities;

use crate::baseline::Baseline;
use crate::file::SourceFile;
use crate::index::Index;
use crate::select::Selection;

/// Everything that the configuration says to rules.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The rules that are on.
    pub selection: Selection,
    /// Rules that are off in some files.
    pub per_file_ignores: PerFileIgnores,
    /// Severities other than the rules' own.
    pub severities: Severities,
    /// Namespaces of the cluster of which the files don't show everything.
    pub external_namespaces: Vec<ExternalNamespaces>,
    /// Pods of the cluster that the files don't show.
    pub external_pods: Vec<ExternalPods>,
    /// The cluster has IPv4 and IPv6.
    pub dual_stack: bool,
    /// A range of more ports than this is wide.
    pub wide_port_range: NonZeroU16,
    /// Findings that are known and not to be shown.
    pub baseline: Option<Baseline>,
}

impl Settings {
    /// The number of ports from which on a range is wide, unless set otherwise.
    pub const WIDE_PORT_RANGE: NonZeroU16 = NonZeroU16::new(1000).expect("not zero");

    /// Whether a namespace selector may mean a namespace of which the files don't show everything.
    pub fn may_match_external_namespace(&self, namespaces: &LabelSelector) -> bool {
        self.external_namespaces.iter().any(|external| external.may_match(namespaces))
    }

    /// Whether a peer, or the target of a policy, may mean pods that the files don't show: external ones, or any of a
    /// namespace that isn't shown completely. `own` is the namespace of the policy.
    pub fn may_match_external_pods(
        &self,
        index: &Index<'_>,
        namespaces: &PodNamespaces,
        own: &str,
        pods: &LabelSelector,
    ) -> bool {
        let hidden = match namespaces {
            PodNamespaces::Own => self.external_namespaces.iter().any(|external| external.is_name(own)),
            PodNamespaces::Selected(selector) => self.may_match_external_namespace(selector),
        };
        hidden || self.external_pods.iter().any(|external| external.may_match(index, namespaces, own, pods))
    }

    /// The rules that are on in a file.
    pub(crate) fn selection_for(&self, file: &SourceFile) -> Cow<'_, Selection> {
        self.per_file_ignores.apply(&self.selection, &file.name)
    }
}

impl Default for Settings {
    fn default() -> Self {
        Selection::default().into()
    }
}

/// Everything else as usual.
impl From<Selection> for Settings {
    fn from(selection: Selection) -> Self {
        Self {
            selection,
            per_file_ignores: PerFileIgnores::default(),
            severities: Severities::default(),
            external_namespaces: Vec::new(),
            external_pods: Vec::new(),
            dual_stack: false,
            wide_port_range: Self::WIDE_PORT_RANGE,
            baseline: None,
        }
    }
}
