//! JUnit's XML. A file is a test suite, a finding a failed test; a file without findings is one passed test.

use std::io::{self, Write};

use crate::check::Report;
use crate::output::printable::one_line;

/// Writes all files that hold policies or have findings.
pub fn write(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let mut body = Vec::new();
    let mut tests = 0;
    let mut findings = report.findings.as_slice();
    for (number, file) in report.files.iter().enumerate() {
        // Findings are in the order of the files.
        let count = findings.iter().take_while(|finding| finding.place.file == number).count();
        let (here, rest) = findings.split_at(count);
        findings = rest;
        if here.is_empty() && file.policies().next().is_none() {
            continue;
        }
        let name = escaped(&file.name);
        let cases = here.len().max(1);
        tests += cases;
        writeln!(body, "  <testsuite name=\"{name}\" tests=\"{cases}\" failures=\"{}\">", here.len())?;
        if here.is_empty() {
            writeln!(body, "    <testcase name=\"netpol-lint\" classname=\"{name}\"/>")?;
        }
        for finding in here {
            let at = file.position(finding.place.span.start);
            let rule = finding.rule;
            let title = escaped(&format!("{} {} {}:{}", rule.code, rule.name, at.line, at.column));
            let message = escaped(&finding.message);
            let help = finding.help.as_deref().map(|help| format!("\n{}", escaped(help))).unwrap_or_default();
            writeln!(
                body,
                "    <testcase name=\"{title}\" classname=\"{name}\" line=\"{}\">\n      \
                 <failure type=\"{}\" message=\"{message}\">{name}:{}:{}: {message}{help}</failure>\n    </testcase>",
                at.line, finding.severity, at.line, at.column
            )?;
        }
        writeln!(body, "  </testsuite>")?;
    }
    let failures = report.findings.len();
    writeln!(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>")?;
    writeln!(out, "<testsuites name=\"netpol-lint\" tests=\"{tests}\" failures=\"{failures}\">")?;
    out.write_all(&body)?;
    writeln!(out, "</testsuites>")
}

/// Text for elements and attributes. XML has no place for control characters and two more.
fn escaped(text: &str) -> String {
    let text = one_line(text);
    let mut xml = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => xml.push_str("&amp;"),
            '<' => xml.push_str("&lt;"),
            '>' => xml.push_str("&gt;"),
            '"' => xml.push_str("&quot;"),
            '\u{fffe}' | '\u{ffff}' => xml.push(char::REPLACEMENT_CHARACTER),
            other => xml.push(other),
        }
    }
    xml
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_breaks_the_document() {
        assert_eq!(escaped("a<b>&\"c\"\u{1}\u{ffff}"), r"a&lt;b&gt;&amp;&quot;c&quot;\u{1}�");
    }
}
