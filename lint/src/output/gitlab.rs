//! The code quality report of GitLab.

use std::io::{self, Write};

use serde_json::json;

use crate::check::Report;
use crate::finding::Severity;
use crate::output::fingerprint::fingerprints;

/// Writes all findings; an empty list when there is none.
pub fn write(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let fingerprints = fingerprints(report).findings;
    let entries = report.findings.iter().zip(fingerprints).map(|(finding, fingerprint)| {
        let file = report.file_of(finding);
        let span = finding.place.span;
        json!({
            "description": format!("{} {}: {}", finding.rule.code, finding.rule.name, finding.message),
            "check_name": finding.rule.code,
            "fingerprint": fingerprint,
            "severity": match finding.severity {
                Severity::Error => "critical",
                Severity::Warning => "major",
                Severity::Info => "info",
            },
            "location": {
                "path": &*file.name,
                "lines": {"begin": file.position(span.start).line, "end": file.position(span.end).line},
            },
        })
    });
    serde_json::to_writer_pretty(&mut *out, &entries.collect::<Vec<_>>())?;
    writeln!(out)
}
