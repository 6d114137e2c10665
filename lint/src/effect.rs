//! What a fix changes: what the policy says before and after, and who may connect then who could not, and the reverse.

mod groups;
mod preview;
mod reach;
mod text;
mod words;

use netpol_policy::model::NetworkPolicy;
use netpol_policy::source::PolicySource;
use serde::Serialize;

pub use groups::{Flow, Flows};
pub use preview::Preview;
pub use reach::Reach;
pub use words::Change;

use crate::check::Report;
use crate::file::SourceFile;
use crate::finding::{Applicability, Finding};
use crate::fix::apply;
use crate::index::Index;
use crate::output::printable::one_line;
use crate::rule::Check;

/// What a fix that changes the meaning of a policy does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Effect {
    /// `namespace/name`, or only the name where no namespace is written.
    pub policy: String,
    /// What the policy says, as far as that changes.
    pub changes: Vec<Change>,
    /// Who may connect, of the workloads that are known; `None` when the policy selects none of them, or when there are
    /// too many to ask.
    #[serde(flatten)]
    pub reach: Option<Reach>,
}

/// How much may be read again to tell the effects of a report, in bytes.
const READ: usize = 2 << 20;

/// How many pairs may be asked about for a report.
const PAIRS: usize = 400_000;

/// What is there before a fix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Before<'a> {
    /// This policy.
    Policy(&'a NetworkPolicy),
    /// A policy that the API server refuses.
    Refused,
    /// None.
    Absent,
}

impl Effect {
    /// The effect of a policy in the place of what is there before; `None` when nothing changes. `namespace` is that of
    /// the policy where it is written, `index` what is known around it.
    pub fn of(
        before: Before<'_>,
        after: &NetworkPolicy,
        namespace: Option<&str>,
        index: &Index<'_>,
    ) -> Option<Self> {
        Self::within(before, after, namespace, index, &mut reach::PAIRS.clone())
    }

    /// The same with as many questions as `pairs` still has.
    fn within(
        before: Before<'_>,
        after: &NetworkPolicy,
        namespace: Option<&str>,
        index: &Index<'_>,
        pairs: &mut usize,
    ) -> Option<Self> {
        if before == Before::Policy(after) {
            return None;
        }
        let policy = match namespace {
            Some(_) => after.name.to_string(),
            None => after.name.name.to_string(),
        };
        Some(Self {
            policy: one_line(&policy).into_owned(),
            changes: words::changes(before, after, namespace.unwrap_or("its own namespace")),
            reach: reach::reach(before.model(), after, index, pairs),
        })
    }
}

impl<'a> Before<'a> {
    /// The policy as it is written.
    pub(crate) fn of(source: &'a PolicySource) -> Self {
        source.model.as_deref().map_or(Self::Refused, Self::Policy)
    }

    fn model(self) -> Option<&'a NetworkPolicy> {
        match self {
            Self::Policy(policy) => Some(policy),
            Self::Refused | Self::Absent => None,
        }
    }
}

impl Report {
    /// Tells of every fix that changes the meaning of a policy what it does. Where that would take long, effects are
    /// left out.
    pub fn tell_effects(&mut self, index: &Index<'_>) {
        let (mut read, mut pairs) = (READ, PAIRS);
        for finding in &mut self.findings {
            let effect = effect(&self.files[finding.place.file], finding, index, &mut read, &mut pairs);
            if let Some(fix) = &mut finding.fix {
                fix.effect = effect.map(Box::new);
            }
        }
    }
}

fn effect(
    file: &SourceFile,
    finding: &Finding,
    index: &Index<'_>,
    read: &mut usize,
    pairs: &mut usize,
) -> Option<Effect> {
    let fix = finding.fix.as_ref().filter(|fix| fix.applicability == Applicability::Unsafe)?;
    if let Some(added) = &fix.added {
        return Effect::within(Before::Absent, added, Some(&*added.name.namespace), index, pairs);
    }
    let (number, source) = match finding.rule.check {
        Check::Policy(_) => policy_at(file, finding.place.span.start)?,
        _ => return None,
    };
    let (before, namespace) = (Before::of(source), written_namespace(source));
    if let Some(expected) = &fix.expected {
        return Effect::within(before, expected, namespace, index, pairs);
    }
    *read = read.checked_sub(file.text.len())?;
    let after = file.reread(apply(&file.text, &fix.edits)?);
    let (_, after) = after.policies().nth(number)?;
    Effect::within(before, after.model.as_ref()?, namespace, index, pairs)
}

pub(crate) fn written_namespace(source: &PolicySource) -> Option<&str> {
    source.metadata.namespace.as_ref().map(|name| &*name.value)
}

/// The policy around a byte, with its number among those of the file.
pub(crate) fn policy_at(file: &SourceFile, at: u32) -> Option<(usize, &PolicySource)> {
    let policies = file.policies().map(|(_, policy)| policy).enumerate();
    policies.into_iter().find(|(_, policy)| policy.span.start <= at && at <= policy.span.end)
}
