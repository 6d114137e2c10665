//! One line for each finding: `file:line:column: CODE severity message`.

use std::io::{self, Write};

use crate::check::Report;
use crate::output::printable::one_line;

/// Writes all findings.
pub fn write(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    for finding in &report.findings {
        let file = report.file_of(finding);
        let at = file.position(finding.place.span.start);
        let (code, severity, message) = (finding.rule.code, finding.severity, one_line(&finding.message));
        writeln!(out, "{}:{}:{}: {code} {severity} {message}", one_line(&file.name), at.line, at.column)?;
    }
    Ok(())
}
