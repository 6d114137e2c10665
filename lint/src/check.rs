//! From texts to findings.

use std::sync::Arc;

use netpol_policy::source;

use crate::context::{Context, Reporter};
use crate::file::SourceFile;
use crate::finding::{Finding, ObjectRef};
use crate::index::Index;
use crate::places::Places;
use crate::rule::{Check, Rule};
use crate::select::Selection;

/// Files with what was found in them.
#[derive(Debug)]
pub struct Report {
    /// The files; findings refer to them by index.
    pub files: Vec<SourceFile>,
    /// What was found, in the order of the files and of their texts.
    pub findings: Vec<Finding>,
}

/// Checks one text, which is all that is known: rules that need workloads see those of the text.
/// `name` is what findings call it.
pub fn check_text(name: &str, text: &str, selection: &Selection) -> Report {
    let file = SourceFile::read(name, text, &default_namespace());
    let cluster = source::cluster([&file.manifest]);
    check(vec![file], &Index::new(&cluster), selection)
}

/// Checks one text beside a cluster that is known otherwise, as an admission webhook does. Objects of the text other
/// than policies are not added to the cluster.
pub fn check_text_beside(name: &str, text: &str, index: &Index<'_>, selection: &Selection) -> Report {
    check(vec![SourceFile::read(name, text, &default_namespace())], index, selection)
}

/// Where `kubectl` puts objects that name no namespace, unless told otherwise.
fn default_namespace() -> Arc<str> {
    "default".into()
}

/// Checks many files beside everything that is known. The time is near-linear in the size of both.
pub fn check(files: Vec<SourceFile>, index: &Index<'_>, selection: &Selection) -> Report {
    let rules: Vec<_> = selection.rules().collect();
    let places = Places::new(&files);
    let checker = Checker { index, selection, rules: &rules, places: &places };
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(files.len() / 64 + 1);
    let size = files.len().div_ceil(threads).max(1);
    let findings = if threads == 1 {
        checker.files(0, &files)
    } else {
        std::thread::scope(|scope| {
            let chunks = files.chunks(size).enumerate();
            let workers: Vec<_> = chunks
                .map(|(chunk, files)| {
                    let checker = &checker;
                    scope.spawn(move || checker.files(chunk * size, files))
                })
                .collect();
            workers.into_iter().flat_map(|worker| worker.join().expect("rules don't panic")).collect()
        })
    };
    Report { files, findings }
}

/// Runs the rules that are on.
pub(crate) struct Checker<'a> {
    pub(crate) index: &'a Index<'a>,
    pub(crate) selection: &'a Selection,
    pub(crate) rules: &'a [&'static Rule],
    pub(crate) places: &'a Places<'a>,
}

impl Checker<'_> {
    fn files(&self, first: usize, files: &[SourceFile]) -> Vec<Finding> {
        let mut findings = Vec::new();
        for (offset, file) in files.iter().enumerate() {
            let start = findings.len();
            self.file(first + offset, file, &mut findings);
            let mut found = findings.split_off(start);
            found.sort_by(|a, b| (a.place, a.rule.code, &a.path).cmp(&(b.place, b.rule.code, &b.path)));
            // A part of the text that aliases repeat has one cause.
            found.dedup_by(|b, a| (a.place, a.rule, &a.message) == (b.place, b.rule, &b.message));
            findings.append(&mut found);
        }
        findings
    }

    /// Checks one file, whose index in the report is `number`.
    pub(crate) fn file(&self, number: usize, file: &SourceFile, findings: &mut Vec<Finding>) {
        for (document, policy) in file.policies() {
            let object = ObjectRef {
                kind: "NetworkPolicy",
                namespace: policy.metadata.namespace.as_ref().map(|name| name.value.clone()),
                name: policy.metadata.name.as_ref().map(|name| name.value.clone()),
            };
            let Self { index, selection, places, .. } = self;
            let context = Context { file, policy, index, selection, places };
            for rule in self.rules {
                let Check::Policy(check) = rule.check else { continue };
                let object = Some(object.clone());
                check(&context, &mut Reporter { rule, file: number, document, object, findings });
            }
        }
        for error in &file.manifest.errors {
            for rule in self.rules {
                let Check::Unreadable(check) = rule.check else { continue };
                let document = error.document;
                check(error, &mut Reporter { rule, file: number, document, object: None, findings });
            }
        }
    }
}

impl Report {
    /// The file that a finding is in.
    pub fn file_of(&self, finding: &Finding) -> &SourceFile {
        &self.files[finding.place.file]
    }
}
