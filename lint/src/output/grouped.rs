//! One line for each finding under the name of its file.

use std::io::{self, Write};

use crate::check::Report;
use crate::finding::Finding;
use crate::output::printable::one_line;

/// Writes all findings.
pub fn write(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    for (number, findings) in report.findings.chunk_by(|a, b| a.place.file == b.place.file).enumerate() {
        if number > 0 {
            writeln!(out)?;
        }
        writeln!(out, "{}:", one_line(&report.file_of(&findings[0]).name))?;
        let places: Vec<_> = findings.iter().map(|finding| place(report, finding)).collect();
        let width = places.iter().map(String::len).max().unwrap_or(0);
        for (finding, place) in findings.iter().zip(places) {
            let (code, severity, message) = (finding.rule.code, finding.severity, one_line(&finding.message));
            writeln!(out, "  {place:width$}  {severity:7}  {code}  {message}", severity = severity.as_str())?;
        }
    }
    Ok(())
}

fn place(report: &Report, finding: &Finding) -> String {
    let at = report.file_of(finding).position(finding.place.span.start);
    format!("{}:{}", at.line, at.column)
}
