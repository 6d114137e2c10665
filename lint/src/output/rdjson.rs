//! The Reviewdog Diagnostic Format. Its columns count bytes.

use std::io::{self, Write};

use netpol_policy::span::Span;
use serde_json::{Value, json};

use crate::check::Report;
use crate::file::SourceFile;
use crate::finding::{Finding, Severity};

/// Writes one result with all findings.
pub fn write(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let diagnostics: Vec<_> = report.findings.iter().map(|finding| diagnostic(report, finding)).collect();
    let result =
        json!({"source": {"name": "netpol-lint"}, "severity": "WARNING", "diagnostics": diagnostics});
    serde_json::to_writer_pretty(&mut *out, &result)?;
    writeln!(out)
}

fn diagnostic(report: &Report, finding: &Finding) -> Value {
    let file = report.file_of(finding);
    let mut diagnostic = json!({
        "message": finding.message,
        "location": {"path": &*file.name, "range": range(file, finding.place.span)},
        "severity": match finding.severity {
            Severity::Error => "ERROR",
            Severity::Warning => "WARNING",
            Severity::Info => "INFO",
        },
        "code": {"value": finding.rule.code},
    });
    // Each suggestion is offered on its own: only a fix of one change can be one.
    if let Some([edit]) = finding.fix.as_ref().map(|fix| fix.edits.as_slice()) {
        diagnostic["suggestions"] = json!([{"range": range(file, edit.span), "text": edit.text}]);
    }
    diagnostic
}

fn range(file: &SourceFile, span: Span) -> Value {
    let at = |offset: u32| {
        let line = file.position(offset).line;
        let start = file.line(line).map_or(offset, |line| line.start);
        json!({"line": line, "column": offset.saturating_sub(start) + 1})
    };
    json!({"start": at(span.start), "end": at(span.end)})
}
