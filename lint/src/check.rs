//! From texts to findings.

use std::sync::Arc;

use netpol_policy::source::{self, Content, PolicySource, StoredPolicy};
use netpol_policy::span::Span;
use netpol_policy::syntax::{Node, SyntaxError};

use crate::context::{Context, ObjectContext, Reporter, RulesAt};
use crate::file::SourceFile;
use crate::finding::{Applicability, Finding, Fix, ObjectRef};
use crate::index::Index;
use crate::pieces;
use crate::places::Places;
use crate::policies::Policies;
use crate::rule::{Check, Rule};
use crate::rules::unused_suppression;
use crate::select::Selection;
use crate::settings::Settings;
use crate::suppress::{Suppressed, Suppressions};

/// Files with what was found in them.
#[derive(Debug)]
pub struct Report {
    /// The files; findings refer to them by index.
    pub files: Vec<SourceFile>,
    /// What was found, in the order of the files and of their texts.
    pub findings: Vec<Finding>,
    /// What was found and is known and meant, in the same order.
    pub suppressed: Vec<Suppressed>,
}

/// Checks one text, which is all that is known: rules that need workloads see those of the text.
/// `name` is what findings call it.
pub fn check_text(name: &str, text: &str, settings: &Settings) -> Report {
    let file = SourceFile::read(name, text, &default_namespace());
    let cluster = source::cluster([&file.manifest]);
    check(vec![file], &Index::new(&cluster), settings)
}

/// Checks a policy that is about to be stored, as an admission webhook does, beside a cluster where that is known: there it
/// takes the place of the one of its name. It is a node of `text`, or can't be read.
pub fn check_stored(
    name: &str,
    text: &str,
    node: Result<Node<'_>, &[SyntaxError]>,
    stored: &StoredPolicy<'_>,
    index: Option<&Index<'_>>,
    settings: &Settings,
) -> Report {
    let file = SourceFile::stored(name, text, node, stored, &default_namespace());
    match index {
        Some(index) => {
            let policies: Vec<_> = file.policies().filter_map(|(_, policy)| policy.model.clone()).collect();
            let index = index.replacing(policies.iter().map(Arc::as_ref), []);
            check(vec![file], &index, settings)
        }
        None => {
            let cluster = source::cluster([&file.manifest]);
            check(vec![file], &Index::new(&cluster), settings)
        }
    }
}

/// Where `kubectl` puts objects that name no namespace, unless told otherwise.
fn default_namespace() -> Arc<str> {
    "default".into()
}

/// Checks many files beside everything that is known, their own objects included. The time is near-linear in the size
/// of both. Files marked as [`SourceFile::context`] are known, and nothing is said about them.
pub fn check(files: Vec<SourceFile>, index: &Index<'_>, settings: &Settings) -> Report {
    let places = Places::new(&files);
    let policies = Policies::new(&files, Some(index.cluster()));
    let checker = Checker { index, settings, places: &places, policies: &policies };
    let found = pieces::each(&files, PIECE, |first, files| checker.files(first, files));
    let (mut findings, mut suppressed) = (Vec::new(), Vec::new());
    for Found { findings: some, suppressed: others } in found {
        findings.extend(some);
        suppressed.extend(others);
    }
    Report { files, findings, suppressed }
}

/// So many files are checked at a time.
const PIECE: usize = 16;

/// What was found in some files.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) findings: Vec<Finding>,
    pub(crate) suppressed: Vec<Suppressed>,
}

/// Runs the rules that are on.
pub(crate) struct Checker<'a> {
    pub(crate) index: &'a Index<'a>,
    pub(crate) settings: &'a Settings,
    pub(crate) places: &'a Places<'a>,
    pub(crate) policies: &'a Policies<'a>,
}

impl Checker<'_> {
    pub(crate) fn files(&self, first: usize, files: &[SourceFile]) -> Found {
        let mut all = Found::default();
        for (offset, file) in files.iter().enumerate().filter(|(_, file)| !file.context) {
            let mut found = self.file(first + offset, file);
            all.findings.append(&mut found.findings);
            all.suppressed.append(&mut found.suppressed);
        }
        all
    }

    /// Checks one file, whose index in the report is `number`.
    pub(crate) fn file(&self, number: usize, file: &SourceFile) -> Found {
        let Found { mut findings, mut suppressed } = self.rules(number, file);
        if !self.settings.severities.is_empty() {
            let suppressed = suppressed.iter_mut().map(|suppressed| &mut suppressed.finding);
            for finding in findings.iter_mut().chain(suppressed) {
                finding.severity = self.settings.severities.of(finding.rule).unwrap_or(finding.severity);
            }
        }
        findings.sort_by(order);
        // A part of the text that aliases repeat has one cause.
        findings.dedup_by(|b, a| is_same(a, b));
        if let Some(baseline) = &self.settings.baseline {
            let mut known = baseline.knows(file, &findings).into_iter();
            let is_known = |_: &mut Finding| known.next().unwrap_or(false);
            suppressed.extend(findings.extract_if(.., is_known).map(Suppressed::known));
        }
        suppressed.sort_by(|a, b| order(&a.finding, &b.finding));
        suppressed.dedup_by(|b, a| is_same(&a.finding, &b.finding));
        Found { findings, suppressed }
    }

    /// Runs the rules that are on, and sets aside what the file says is meant.
    fn rules(&self, number: usize, file: &SourceFile) -> Found {
        let mut found = Found::default();
        let selection = self.settings.selection_for(file);
        let on: Vec<_> = selection.rules().collect();
        let honoured = selection.honours_suppressions();
        let Some(mut suppressions) = honoured.then(|| Suppressions::of(file)).flatten() else {
            self.run(&selection, &on, number, file, &mut found.findings, |_, _, _| {});
            return found;
        };
        let mut rules = on.clone();
        let tells_unused = on.contains(&&unused_suppression::RULE);
        if tells_unused {
            // Whether a suppression is needed doesn't depend on what is on.
            for rule in suppressions.rules() {
                if !rules.contains(&rule) {
                    rules.push(rule);
                }
            }
        }
        let suppressed = &mut found.suppressed;
        self.run(&selection, &rules, number, file, &mut found.findings, |findings, first, policy| {
            for finding in findings.split_off(first) {
                let taken = suppressions.take(file, policy, &finding);
                match (taken, on.contains(&finding.rule)) {
                    (Some((by, reason)), true) => suppressed.push(Suppressed { finding, by, reason }),
                    (None, true) => findings.push(finding),
                    (_, false) => {}
                }
            }
        });
        if tells_unused {
            suppressions.report_unused(file, number, &mut found.findings);
        }
        found
    }

    /// Runs some rules. `each` is told where the findings of a policy, given by its span, or of something that can't
    /// be read begin.
    fn run(
        &self,
        selection: &Selection,
        rules: &[&'static Rule],
        number: usize,
        file: &SourceFile,
        findings: &mut Vec<Finding>,
        mut each: impl FnMut(&mut Vec<Finding>, usize, Option<Span>),
    ) {
        for (document, policy) in file.policies() {
            let first = findings.len();
            let object = ObjectRef::of(policy);
            let Self { index, settings, places, policies } = self;
            let rules_at = &RulesAt::of(policy);
            let context =
                Context { file, policy, index, selection, settings, places, policies, rules: rules_at };
            for rule in rules {
                let Check::Policy(check) = rule.check else { continue };
                let object = Some(&object);
                check(&context, &mut Reporter { rule, file: number, document, object, findings });
            }
            if policy.model.is_none() {
                without_meaning(policy, &mut findings[first..]);
            }
            each(findings, first, Some(policy.span));
        }
        self.run_on_objects(rules, number, file, findings, &mut each);
        let first = findings.len();
        for error in &file.manifest.errors {
            for rule in rules {
                let Check::Unreadable(check) = rule.check else { continue };
                let document = error.document;
                check(error, &mut Reporter { rule, file: number, document, object: None, findings });
            }
        }
        each(findings, first, None);
    }
}

impl Checker<'_> {
    /// Runs the rules that look at objects of any kind.
    fn run_on_objects(
        &self,
        rules: &[&'static Rule],
        number: usize,
        file: &SourceFile,
        findings: &mut Vec<Finding>,
        each: &mut impl FnMut(&mut Vec<Finding>, usize, Option<Span>),
    ) {
        let checks = rules.iter().filter_map(|rule| match rule.check {
            Check::Object(check) => Some((*rule, check)),
            _ => None,
        });
        let checks: Vec<_> = checks.collect();
        if checks.is_empty() {
            return;
        }
        for object in &file.manifest.objects {
            let named = match &object.content {
                Content::Policy(policy) => ObjectRef::of(policy),
                Content::Workload(workload) => ObjectRef::of_workload(&workload.pod.name),
                Content::Namespace(namespace) => ObjectRef::of_namespace(namespace.name()),
                _ => continue,
            };
            let first = findings.len();
            let Self { index, settings, places, .. } = self;
            let context = ObjectContext { file, object, index, settings, places };
            for (rule, check) in &checks {
                let (document, object) = (object.document, Some(&named));
                check(&context, &mut Reporter { rule, file: number, document, object, findings });
            }
            each(findings, first, Some(object.span));
        }
    }
}

/// A policy that the API server refuses has no meaning that a fix could keep: only what solves a problem of it is safe.
fn without_meaning(policy: &PolicySource, findings: &mut [Finding]) {
    for finding in findings {
        let solves = policy.problems.iter().any(|problem| problem.span == finding.place.span);
        let is_safe = |fix: &Fix| fix.applicability == Applicability::Safe;
        if !solves && finding.fix.as_ref().is_some_and(is_safe) {
            finding.fix = None;
        }
    }
}

/// The order in which findings of a file are shown.
pub(crate) fn order(a: &Finding, b: &Finding) -> std::cmp::Ordering {
    (a.place, a.rule.code, &a.path).cmp(&(b.place, b.rule.code, &b.path))
}

/// Whether two findings of a file have one cause.
pub(crate) fn is_same(a: &Finding, b: &Finding) -> bool {
    (a.place, a.rule, &a.message) == (b.place, b.rule, &b.message)
}

impl Report {
    /// The file that a finding is in.
    pub fn file_of(&self, finding: &Finding) -> &SourceFile {
        &self.files[finding.place.file]
    }
}
