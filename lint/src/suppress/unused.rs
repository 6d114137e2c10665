//! Suppressions that suppress nothing.

use netpol_policy::source::PolicySource;

use super::{Extent, Kind, Suppression, Suppressions, Word};
use crate::context::Reporter;
use crate::file::SourceFile;
use crate::finding::{Finding, ObjectRef, Place};
use crate::rule::Scope;
use crate::rules::unused_suppression::RULE;
use crate::select::nearest;
use crate::words;

impl Suppressions {
    /// Reports what was not used by any finding. `number` is the file's index in the report.
    pub(crate) fn report_unused(&mut self, file: &SourceFile, number: usize, findings: &mut Vec<Finding>) {
        // What can't be read may need its suppressions.
        if !file.manifest.errors.is_empty() || file.policies().next().is_none() || file.text.contains("{{") {
            return;
        }
        for suppression in &self.list {
            // One that names this rule is about itself.
            let quiet = suppression.words.iter().any(|word| word.covers(&RULE));
            if !quiet && (suppression.words.is_empty() || suppression.words.iter().any(|word| !word.used)) {
                report(suppression, file, number, findings);
            }
        }
    }

    /// What is wrong with those that can never work: the place, what is said and what may have been meant.
    pub(crate) fn mistakes(&self) -> impl Iterator<Item = (u32, String, Option<&'static str>)> {
        self.list.iter().filter_map(|suppression| {
            let unknown: Vec<_> = suppression.words.iter().filter(|word| word.rules.is_empty()).collect();
            let wrong =
                !unknown.is_empty() || suppression.words.is_empty() || suppression.extent == Extent::Nothing;
            wrong.then(|| (suppression.span.start, suppression.message(&unknown), suppression.suggestion()))
        })
    }
}

fn report(suppression: &Suppression, file: &SourceFile, number: usize, found: &mut Vec<Finding>) {
    let at = suppression.span.start;
    let inside = |(_, policy): &(usize, &PolicySource)| policy.span.start <= at && at <= policy.span.end;
    let object = file.policies().find(inside).map(|(_, policy)| ObjectRef::of(policy));
    let objects = &file.manifest.objects;
    let document = objects.iter().find(|object| at <= object.span.end).or(objects.last());
    let mut reporter = Reporter {
        rule: &RULE,
        file: number,
        document: document.map_or(0, |object| object.document),
        object: object.as_ref(),
        findings: found,
    };
    let path = match suppression.kind {
        Kind::Annotation { .. } => "metadata.annotations",
        _ => "",
    };
    let unused: Vec<_> = suppression.words.iter().filter(|word| !word.used).collect();
    let finding = reporter.report(suppression.span, path, suppression.message(&unused));
    finding.place = Place { file: number, span: suppression.span };
    if suppression.words.is_empty() {
        finding.help(match suppression.kind {
            Kind::Annotation { .. } => "name rules, such as `NP101`",
            _ => "write `netpol-lint: ignore[NP101] reason`, or `ignore-file[…]` at the top of the file",
        });
    } else if let Some(word) = suppression.suggestion() {
        finding.help(format!("did you mean `{word}`?"));
    } else if unused.iter().any(|word| word.needs_others()) {
        finding.help("it may be needed when everything is given that its rule looks at, such as workloads");
    }
    finding.fix(suppression.removal(file));
}

impl Suppression {
    fn message(&self, unused: &[&Word]) -> String {
        if self.words.is_empty() {
            return match self.kind {
                Kind::Malformed => {
                    "this is no suppression: it lacks `ignore[…]` or `ignore-file[…]`".to_owned()
                }
                _ => "the suppression names no rule and suppresses nothing".to_owned(),
            };
        }
        if self.extent == Extent::Nothing {
            return "the suppression suppresses nothing here: for the whole file it must come before everything \
                    else, for a finding above it or on its line"
                .to_owned();
        }
        let quoted = |words: Vec<&&Word>| {
            let quoted: Vec<_> = words.iter().map(|word| format!("`{}`", word.text)).collect();
            (quoted.len(), words::list(&quoted))
        };
        let (known, unknown): (Vec<_>, Vec<_>) = unused.iter().partition(|word| !word.rules.is_empty());
        let unknown = match quoted(unknown) {
            (0, _) => None,
            (1, words) => Some(format!("{words} is no rule")),
            (_, words) => Some(format!("{words} are no rules")),
        };
        match (quoted(known), unknown) {
            ((0, _), None) => "the suppression suppresses nothing".to_owned(),
            ((0, _), Some(unknown)) => format!("{unknown}: nothing is suppressed by it"),
            ((_, known), None) => {
                format!("the suppression of {known} is not needed: nothing of it is found here")
            }
            ((_, known), Some(unknown)) => {
                format!("the suppression of {known} is not needed: nothing of it is found here; {unknown}")
            }
        }
    }

    /// What an unknown word looks most like.
    fn suggestion(&self) -> Option<&'static str> {
        self.words.iter().filter(|word| word.rules.is_empty()).find_map(|word| nearest(&word.text))
    }
}

impl Word {
    /// Whether its rules look at more than one document, of which some may not be given.
    pub(super) fn needs_others(&self) -> bool {
        self.rules.iter().any(|rule| rule.scope != Scope::Document)
    }
}
