//! Applying fixes.
//!
//! A fix is a set of small changes of the text. Before anything is written, the changed text is read again: a safe fix
//! must leave every policy with the same normalised meaning, an unsafe one must mean what its rule says, touch no other
//! policy and bring no new problem. What doesn't hold is refused and reported. Fixing repeats until nothing is left to
//! fix.

mod apply;
mod prove;
mod write;

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

pub use apply::apply;
pub(crate) use prove::prove;
pub use write::{WriteError, write};

use crate::check::Checker;
use crate::effect::{Before, Effect, policy_at, written_namespace};
use crate::file::SourceFile;
use crate::finding::{Applicability, Finding, Fix};
use crate::index::Index;
use crate::places::Places;
use crate::policies::Policies;
use crate::rule::{Check, Rule};
use crate::settings::Settings;

/// More rounds than any real file needs; each repairs at least one place.
const MAX_ROUNDS: usize = 200;

/// A file with fixes applied.
#[derive(Debug)]
pub struct FixedFile {
    /// The file as it is now.
    pub file: SourceFile,
    /// The rules whose fixes were applied, as often as they were.
    pub applied: Vec<&'static Rule>,
    /// Those among them that changed the meaning of a policy, with what they did.
    pub changes: Vec<MeaningChanged>,
    /// Fixes that were refused.
    pub refused: Vec<Refused>,
}

/// A fix that changed the meaning of a policy.
#[derive(Debug, Clone)]
pub struct MeaningChanged {
    /// What it was for; its place is that of before the fix.
    pub finding: Finding,
    /// What it did.
    pub effect: Effect,
}

/// A fix that would not have done what it says.
#[derive(Debug, Clone)]
pub struct Refused {
    /// What it was for.
    pub finding: Finding,
    /// Why it was refused, in a sentence without a full stop.
    pub reason: String,
    /// The policy that it would have changed: two of a list can have the same name.
    policy: usize,
}

/// Applies the fixes of a file up to an applicability, until there are no more. Objects other than the file's policies
/// stay as `index` knows them.
pub fn fix_file(
    file: &SourceFile,
    index: &Index<'_>,
    settings: &Settings,
    up_to: Applicability,
) -> FixedFile {
    let places = Places::default();
    // Policies that the file no longer holds under their names count no more.
    let before: Vec<_> =
        file.policies().filter_map(|(_, policy)| Some(&policy.model.as_ref()?.name)).collect();
    let mut fixed = FixedFile::unchanged(file);
    let mut seen = HashSet::from([hash(&file.text)]);
    let mut changed_since_refusal = false;
    for _ in 0..MAX_ROUNDS {
        let newer: Vec<_> = fixed.file.policies().filter_map(|(_, policy)| policy.model.as_deref()).collect();
        let index = index.replacing(newer.iter().copied(), before.iter().copied());
        let policies = Policies::new(std::slice::from_ref(&fixed.file), Some(index.cluster()));
        let checker = Checker { index: &index, settings, places: &places, policies: &policies };
        let mut findings = checker.file(0, &fixed.file).findings;
        findings.sort_by_key(|finding| (finding.place, finding.rule.code));
        let batch = batch(&fixed, &findings, up_to);
        let refused = fixed.refused.len();
        let Some((file, applied)) = settle(&fixed.file, &batch, &mut fixed.refused) else {
            // What was refused may have kept another fix of the same policy out of the batch.
            if fixed.refused.len() > refused {
                changed_since_refusal = false;
                continue;
            }
            // What could not be proven in an earlier text may be in this one.
            if std::mem::take(&mut changed_since_refusal) {
                fixed.refused.clear();
                continue;
            }
            break;
        };
        changed_since_refusal = !fixed.refused.is_empty();
        if !seen.insert(hash(&file.text)) {
            break;
        }
        let changes: Vec<_> =
            applied.iter().filter_map(|candidate| candidate.change(&fixed.file, &file, &index)).collect();
        fixed.applied.extend(applied.iter().map(|candidate| candidate.finding.rule));
        fixed.changes.extend(changes);
        fixed.file = file;
    }
    fixed
}

/// Whether the fix of one finding does what it says.
pub fn proven(file: &SourceFile, finding: &Finding) -> bool {
    let fixed = FixedFile::unchanged(file);
    let findings = std::slice::from_ref(finding);
    let batch = batch(&fixed, findings, Applicability::Unsafe);
    !batch.is_empty() && attempt(file, &batch).is_ok()
}

impl FixedFile {
    fn unchanged(file: &SourceFile) -> Self {
        let (applied, changes, refused) = (Vec::new(), Vec::new(), Vec::new());
        Self { file: file.reread(file.text.to_string()), applied, changes, refused }
    }
}

/// One fix to try, with the policy that it changes.
#[derive(Clone, Copy)]
struct Candidate<'f> {
    finding: &'f Finding,
    fix: &'f Fix,
    policy: usize,
}

impl Candidate<'_> {
    /// What it did to the meaning of its policy.
    fn change(&self, before: &SourceFile, after: &SourceFile, index: &Index<'_>) -> Option<MeaningChanged> {
        if self.fix.applicability != Applicability::Unsafe {
            return None;
        }
        let effect = match &self.fix.added {
            Some(added) => Effect::of(Before::Absent, added, Some(&*added.name.namespace), index)?,
            None => {
                let (old, new) =
                    (before.policies().nth(self.policy)?.1, after.policies().nth(self.policy)?.1);
                Effect::of(Before::of(old), new.model.as_ref()?, written_namespace(old), index)?
            }
        };
        Some(MeaningChanged { finding: self.finding.clone(), effect })
    }
}

/// In place of a policy's index: the fix is not about a policy and must leave all of them alone.
const NO_POLICY: usize = usize::MAX;

/// Fixes that don't overlap, at most one of them unsafe for each policy, so that its outcome can be told.
fn batch<'f>(fixed: &FixedFile, findings: &'f [Finding], up_to: Applicability) -> Vec<Candidate<'f>> {
    let mut chosen: Vec<Candidate<'f>> = Vec::new();
    for finding in findings {
        let Some(fix) = finding.fix.as_ref().filter(|fix| fix.applicability <= up_to) else { continue };
        let at = finding.place.span.start;
        let policy = match finding.rule.check {
            // A comment, or a policy that is to come.
            Check::Suppressions | Check::Object(_) => NO_POLICY,
            _ => match policy_at(&fixed.file, at) {
                Some((policy, _)) => policy,
                None => continue,
            },
        };
        let refused = |refused: &Refused| {
            refused.finding.rule == finding.rule
                && refused.finding.path == finding.path
                && refused.policy == policy
                && (&refused.finding.object, refused.finding.document) == (&finding.object, finding.document)
        };
        let clashes = |other: &Candidate<'_>| {
            let both_unsafe = [other.fix, fix].iter().all(|fix| fix.applicability == Applicability::Unsafe);
            other.policy == policy && (both_unsafe || apply::overlap(&other.fix.edits, &fix.edits))
        };
        if !fixed.refused.iter().any(refused)
            && !chosen
                .iter()
                .rev()
                .filter(|c| policy == NO_POLICY || c.policy != NO_POLICY)
                .take_while(|c| c.policy == policy)
                .any(clashes)
        {
            chosen.push(Candidate { finding, fix, policy });
        }
    }
    // What a changed policy means may make another one superfluous: the next round tells.
    if chosen.iter().any(|c| c.fix.applicability == Applicability::Unsafe && c.fix.added.is_none()) {
        chosen.retain(|candidate| candidate.fix.added.is_none());
    }
    chosen
}

/// Applies as much of a batch as can be proven; refuses single fixes that can't. `None` when nothing is left.
fn settle<'b, 'f>(
    file: &SourceFile,
    batch: &'b [Candidate<'f>],
    refused: &mut Vec<Refused>,
) -> Option<(SourceFile, &'b [Candidate<'f>])> {
    if batch.is_empty() {
        return None;
    }
    let reason = match attempt(file, batch) {
        Ok(file) => return Some((file, batch)),
        Err(reason) => reason,
    };
    if let [candidate] = batch {
        refused.push(Refused { finding: candidate.finding.clone(), reason, policy: candidate.policy });
        return None;
    }
    // The next round takes care of the other half.
    let (first, second) = batch.split_at(batch.len() / 2);
    settle(file, first, refused).or_else(|| settle(file, second, refused))
}

fn attempt(file: &SourceFile, batch: &[Candidate<'_>]) -> Result<SourceFile, String> {
    let edits = batch.iter().flat_map(|candidate| &candidate.fix.edits);
    let text = apply(&file.text, edits).ok_or("its changes overlap")?;
    let after = file.reread(text);
    let changes: Vec<_> = batch.iter().map(|candidate| (candidate.policy, candidate.fix)).collect();
    prove(file, &after, &changes)?;
    Ok(after)
}

fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}
