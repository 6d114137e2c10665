//! Workflow commands of GitHub Actions, which become annotations.

use std::io::{self, Write};

use crate::check::Report;
use crate::finding::Severity;
use crate::output::printable::one_line;

/// Writes all findings.
pub fn write(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    for finding in &report.findings {
        let file = report.file_of(finding);
        let (start, end) = (file.position(finding.place.span.start), file.position(finding.place.span.end));
        let command = match finding.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Info => "notice",
        };
        write!(out, "::{command} file={},line={},endLine={}", property(&file.name), start.line, end.line)?;
        // Columns count only where the place is within a line.
        if start.line == end.line {
            write!(out, ",col={},endColumn={}", start.column, end.column)?;
        }
        let (code, name) = (finding.rule.code, finding.rule.name);
        writeln!(out, ",title={code} {name}::{}", data(&finding.message))?;
    }
    Ok(())
}

fn data(text: &str) -> String {
    one_line(&text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")).into_owned()
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_ends_a_command_early() {
        assert_eq!(data("100%\r\n::error::x"), "100%25%0D%0A::error::x");
        assert_eq!(property("a,line=3::b%"), "a%2Cline=3%3A%3Ab%25");
    }
}
