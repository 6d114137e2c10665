//! Findings with the text around them, for people.

use std::fmt;
use std::io::{self, Write};

use miette::{
    Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, SourceCode, ThemeCharacters, ThemeStyles,
};

use crate::check::Report;
use crate::finding::{Applicability, Finding, Label, Place, Severity};
use crate::output::excerpt::Text;
use crate::output::printable::{drawing, one_line};

/// What the terminal can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// Colours.
    pub colour: bool,
    /// Lines and arrows beyond ASCII.
    pub unicode: bool,
    /// Columns.
    pub width: usize,
}

/// Writes all findings.
pub fn write(report: &Report, look: Look, out: &mut dyn Write) -> io::Result<()> {
    let handler = handler(look);
    let mut text = String::new();
    for finding in &report.findings {
        text.clear();
        handler.render_report(&mut text, &Shown::of(report, finding)).map_err(io::Error::other)?;
        writeln!(out, "{}\n", drawing(text.trim_end(), look.colour))?;
    }
    Ok(())
}

pub(crate) fn handler(look: Look) -> GraphicalReportHandler {
    let characters = if look.unicode { ThemeCharacters::unicode() } else { ThemeCharacters::ascii() };
    let styles = if look.colour { ThemeStyles::ansi() } else { ThemeStyles::none() };
    GraphicalReportHandler::new_themed(GraphicalTheme { characters, styles })
        .with_width(look.width)
        .with_links(false)
        .with_context_lines(1)
}

/// A finding as miette wants it.
#[derive(Debug)]
struct Shown<'a> {
    finding: &'a Finding,
    source: Text<'a>,
    /// Related places in other files.
    elsewhere: Vec<Elsewhere<'a>>,
}

/// A place in another file.
#[derive(Debug)]
struct Elsewhere<'a> {
    label: &'a Label,
    source: Text<'a>,
}

impl<'a> Shown<'a> {
    fn of(report: &'a Report, finding: &'a Finding) -> Self {
        let other = |label: &&Label| label.place.file != finding.place.file;
        let elsewhere = finding
            .related
            .iter()
            .filter(other)
            .map(|label| Elsewhere { label, source: Text(&report.files[label.place.file]) });
        Self { finding, source: Text(report.file_of(finding)), elsewhere: elsewhere.collect() }
    }
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&one_line(&self.finding.message))
    }
}

impl std::error::Error for Shown<'_> {}

impl Diagnostic for Shown<'_> {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(format!("{} {}", self.finding.rule.code, self.finding.rule.name)))
    }

    fn severity(&self) -> Option<miette::Severity> {
        Some(match self.finding.severity {
            Severity::Error => miette::Severity::Error,
            Severity::Warning => miette::Severity::Warning,
            Severity::Info => miette::Severity::Advice,
        })
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        let mut help = self.finding.help.clone().unwrap_or_default();
        if let Some(fix) = &self.finding.fix {
            let option = match fix.applicability {
                Applicability::Safe => "--fix",
                Applicability::Unsafe => "--unsafe-fixes",
            };
            push_line(&mut help, &format!("fix: {} ({option})", fix.title));
            for line in fix.effect.iter().flat_map(|effect| effect.lines()) {
                push_line(&mut help, &format!("     {}", one_line(&line)));
            }
        }
        push_line(&mut help, &format!("more: netpol-lint rule {}", self.finding.rule.code));
        Some(Box::new(help))
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(&self.source)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let finding = self.finding;
        let span = |place: Place| self.source.shown(place.span);
        let main = LabeledSpan::new_primary_with_span(finding.label.clone(), span(finding.place));
        let here = finding.related.iter().filter(|label| label.place.file == finding.place.file);
        let related =
            here.map(move |label| LabeledSpan::new_with_span(Some(label.text.clone()), span(label.place)));
        Some(Box::new(std::iter::once(main).chain(related)))
    }

    fn related<'a>(&'a self) -> Option<Box<dyn Iterator<Item = &'a dyn Diagnostic> + 'a>> {
        if self.elsewhere.is_empty() {
            return None;
        }
        Some(Box::new(self.elsewhere.iter().map(|elsewhere| elsewhere as &dyn Diagnostic)))
    }
}

impl fmt::Display for Elsewhere<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.label.text)
    }
}

impl std::error::Error for Elsewhere<'_> {}

impl Diagnostic for Elsewhere<'_> {
    fn severity(&self) -> Option<miette::Severity> {
        Some(miette::Severity::Advice)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(&self.source)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let span = self.source.shown(self.label.place.span);
        Some(Box::new(std::iter::once(LabeledSpan::new_primary_with_span(None, span))))
    }
}

fn push_line(text: &mut String, line: &str) {
    if !text.is_empty() {
        text.push('\n');
    }
    text.push_str(line);
}
