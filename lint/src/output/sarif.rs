//! SARIF 2.1.0, the OASIS format that code hosts and editors read.

use std::io::{self, Write};

use netpol_policy::span::Span;
use serde_json::{Value, json};

use crate::check::Report;
use crate::file::SourceFile;
use crate::finding::{Applicability, Finding, Fix, Severity};
use crate::output::fingerprint::fingerprints;
use crate::output::printable::one_line;
use crate::output::uri::{is_below, uri};
use crate::registry::RULES;
use crate::rule::Rule;
use crate::suppress::{Suppressed, SuppressedBy};

/// Writes one run with every rule and all findings; its list of results is empty when there is none.
pub fn write(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let fingerprints = fingerprints(report);
    let findings = report.findings.iter().zip(&fingerprints.findings);
    let suppressed = report.suppressed.iter().zip(&fingerprints.suppressed);
    let results: Vec<_> = findings
        .map(|(finding, fingerprint)| result(report, finding, None, fingerprint))
        .chain(suppressed.map(|(s, fingerprint)| result(report, &s.finding, Some(s), fingerprint)))
        .collect();
    let log = json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "netpol-lint",
                "version": env!("CARGO_PKG_VERSION"),
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": RULES.iter().map(|rule| descriptor(rule)).collect::<Vec<_>>(),
            }},
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    });
    serde_json::to_writer_pretty(&mut *out, &log)?;
    writeln!(out)
}

fn descriptor(rule: &Rule) -> Value {
    let page = rule.page();
    json!({
        "id": rule.code,
        "name": rule.name,
        "shortDescription": {"text": rule.summary()},
        "fullDescription": {"text": rule.section("What it does").unwrap_or_else(|| rule.summary())},
        "help": {"text": page, "markdown": page},
        "defaultConfiguration": {"level": level(rule.severity), "enabled": rule.is_default()},
    })
}

fn result(report: &Report, finding: &Finding, suppressed: Option<&Suppressed>, fingerprint: &str) -> Value {
    let file = report.file_of(finding);
    let message = match &finding.help {
        Some(help) => format!("{}\n{help}", one_line(&finding.message)),
        None => one_line(&finding.message).into_owned(),
    };
    let related = finding.related.iter().enumerate().map(|(id, label)| {
        let physical = physical(&report.files[label.place.file], label.place.span);
        json!({"id": id, "message": {"text": one_line(&label.text)}, "physicalLocation": physical})
    });
    let mut result = json!({
        "ruleId": finding.rule.code,
        "ruleIndex": RULES.iter().position(|rule| *rule == finding.rule),
        "level": level(finding.severity),
        "message": {"text": message},
        "locations": [location(file, finding)],
        "partialFingerprints": {"netpolLint/v1": fingerprint},
        // On all results or on none; an empty list says that this one is not suppressed.
        "suppressions": suppressed.map(suppression).into_iter().collect::<Vec<_>>(),
    });
    if !finding.related.is_empty() {
        result["relatedLocations"] = related.collect();
    }
    if let Some(fix) = &finding.fix {
        result["fixes"] = json!([repair(file, fix)]);
    }
    result
}

fn suppression(suppressed: &Suppressed) -> Value {
    let mut suppression = json!({"kind": match suppressed.by {
        SuppressedBy::Comment | SuppressedBy::Annotation => "inSource",
        SuppressedBy::Baseline => "external",
    }});
    match (&suppressed.reason, suppressed.by) {
        (Some(reason), _) => suppression["justification"] = json!(one_line(reason)),
        (None, SuppressedBy::Baseline) => suppression["justification"] = json!("listed in the baseline"),
        (None, _) => {}
    }
    suppression
}

fn location(file: &SourceFile, finding: &Finding) -> Value {
    let mut location = json!({"physicalLocation": physical(file, finding.place.span)});
    if let Some(object) = &finding.object {
        let name = object.name.as_deref().unwrap_or("(no name)");
        let object = match &object.namespace {
            Some(namespace) => format!("{namespace}/{}/{name}", object.kind),
            None => format!("{}/{name}", object.kind),
        };
        location["logicalLocations"] =
            json!([{"fullyQualifiedName": format!("{object}/{}", finding.path), "kind": "member"}]);
    }
    location
}

fn physical(file: &SourceFile, span: Span) -> Value {
    json!({"artifactLocation": artifact(file), "region": region(file, span)})
}

fn artifact(file: &SourceFile) -> Value {
    let uri = uri(&file.name);
    if is_below(&uri) { json!({"uri": uri, "uriBaseId": "%SRCROOT%"}) } else { json!({"uri": uri}) }
}

fn region(file: &SourceFile, span: Span) -> Value {
    let (start, end) = (file.position(span.start), file.position(span.end));
    json!({
        "startLine": start.line, "startColumn": start.column,
        "endLine": end.line, "endColumn": end.column,
    })
}

fn repair(file: &SourceFile, fix: &Fix) -> Value {
    let title = match fix.applicability {
        Applicability::Safe => fix.title.clone(),
        Applicability::Unsafe => format!("{} (changes the meaning)", fix.title),
    };
    let replacements: Vec<_> = fix
        .edits
        .iter()
        .map(|edit| json!({"deletedRegion": region(file, edit.span), "insertedContent": {"text": edit.text}}))
        .collect();
    json!({
        "description": {"text": title},
        "artifactChanges": [{"artifactLocation": artifact(file), "replacements": replacements}],
    })
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Info => "note",
    }
}
