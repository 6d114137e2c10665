//! Findings as diagnostics.

use lsp_types::{Diagnostic, DiagnosticRelatedInformation, DiagnosticSeverity, Location, NumberOrString};

use super::text::{Encoding, Lines};
use super::workspace::{Open, Workspace};
use crate::finding::{Finding, Severity};

/// The diagnostics of an open document.
pub(super) fn of(workspace: &Workspace, open: &Open, encoding: Encoding) -> Vec<Diagnostic> {
    let lines = Lines::new(&workspace.file(open.number).text, encoding);
    open.findings.iter().map(|finding| diagnostic(workspace, finding, &lines, encoding)).collect()
}

pub(super) fn diagnostic(
    workspace: &Workspace,
    finding: &Finding,
    lines: &Lines<'_>,
    encoding: Encoding,
) -> Diagnostic {
    let related = finding.related.iter().filter_map(|label| {
        let other = &workspace.file(label.place.file).text;
        let range = if label.place.file == finding.place.file {
            lines.range(label.place.span)
        } else {
            Lines::new(other, encoding).range(label.place.span)
        };
        let location = Location { uri: workspace.uri_of(label.place.file)?, range };
        Some(DiagnosticRelatedInformation { location, message: label.text.clone() })
    });
    let related: Vec<_> = related.collect();
    let message = match &finding.help {
        Some(help) => format!("{}\nhelp: {help}", finding.message),
        None => finding.message.clone(),
    };
    Diagnostic {
        range: lines.range(finding.place.span),
        severity: Some(match finding.severity {
            Severity::Error => DiagnosticSeverity::ERROR,
            Severity::Warning => DiagnosticSeverity::WARNING,
            Severity::Info => DiagnosticSeverity::INFORMATION,
        }),
        code: Some(NumberOrString::String(finding.rule.code.to_owned())),
        code_description: None,
        source: Some("netpol-lint".to_owned()),
        message,
        related_information: (!related.is_empty()).then_some(related),
        tags: None,
        data: None,
    }
}
