//! All findings as one JSON list.

use std::io::{self, Write};

use netpol_policy::span::Span;
use netpol_policy::syntax::Position;
use serde::Serialize;

use crate::check::Report;
use crate::effect::Effect;
use crate::file::SourceFile;
use crate::finding::{Applicability, Finding, Severity};

/// A finding as it is written.
#[derive(Serialize)]
struct Entry<'a> {
    code: &'a str,
    name: &'a str,
    severity: Severity,
    message: &'a str,
    help: Option<&'a str>,
    file: &'a str,
    /// From 0.
    document: usize,
    kind: Option<&'a str>,
    namespace: Option<&'a str>,
    object: Option<&'a str>,
    path: &'a str,
    start: At,
    end: At,
    related: Vec<Related<'a>>,
    fix: Option<FixEntry<'a>>,
}

/// Both from 1; columns count characters.
#[derive(Serialize)]
struct At {
    line: u32,
    column: u32,
}

#[derive(Serialize)]
struct Related<'a> {
    file: &'a str,
    message: &'a str,
    start: At,
    end: At,
}

#[derive(Serialize)]
struct FixEntry<'a> {
    applicability: Applicability,
    title: &'a str,
    /// `null` for safe fixes, which change nothing.
    effect: Option<&'a Effect>,
    edits: Vec<EditEntry<'a>>,
}

#[derive(Serialize)]
struct EditEntry<'a> {
    start: At,
    end: At,
    text: &'a str,
}

/// Writes all findings; an empty list when there is none.
pub fn write(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let entries: Vec<_> = report.findings.iter().map(|finding| entry(report, finding)).collect();
    serde_json::to_writer_pretty(&mut *out, &entries)?;
    writeln!(out)
}

fn entry<'a>(report: &'a Report, finding: &'a Finding) -> Entry<'a> {
    let file = report.file_of(finding);
    let (start, end) = range(file, finding.place.span);
    let object = finding.object.as_ref();
    let related = finding.related.iter().map(|label| {
        let file = &report.files[label.place.file];
        let (start, end) = range(file, label.place.span);
        Related { file: &file.name, message: &label.text, start, end }
    });
    let fix = finding.fix.as_ref().map(|fix| FixEntry {
        applicability: fix.applicability,
        title: &fix.title,
        effect: fix.effect.as_deref(),
        edits: fix
            .edits
            .iter()
            .map(|edit| {
                let (start, end) = range(file, edit.span);
                EditEntry { start, end, text: &edit.text }
            })
            .collect(),
    });
    Entry {
        code: finding.rule.code,
        name: finding.rule.name,
        severity: finding.severity,
        message: &finding.message,
        help: finding.help.as_deref(),
        file: &file.name,
        document: finding.document,
        kind: object.map(|object| object.kind),
        namespace: object.and_then(|object| object.namespace.as_deref()),
        object: object.and_then(|object| object.name.as_deref()),
        path: &finding.path,
        start,
        end,
        related: related.collect(),
        fix,
    }
}

fn range(file: &SourceFile, span: Span) -> (At, At) {
    let at = |Position { line, column }| At { line, column };
    (at(file.position(span.start)), at(file.position(span.end)))
}
