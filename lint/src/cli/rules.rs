//! `netpol-lint rules`

use std::io::{self, Write};

use serde::Serialize;

use super::Outcome;
use crate::finding::{FixAvailability, Severity};
use crate::registry::RULES;
use crate::rule::Scope;

/// List all rules
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The form of the output
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = Format::Text)]
    output_format: Format,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Format {
    /// A table
    Text,
    /// A JSON list
    Json,
}

#[derive(Serialize)]
struct Entry {
    code: &'static str,
    name: &'static str,
    severity: Severity,
    scope: Scope,
    fix: FixAvailability,
    summary: String,
    page: String,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Outcome> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    match args.output_format {
        Format::Text => {
            for rule in RULES {
                let fix = match rule.fix {
                    FixAvailability::None => "",
                    FixAvailability::Safe => "fix",
                    FixAvailability::Unsafe => "unsafe fix",
                };
                let severity = rule.severity.as_str();
                writeln!(out, "{}  {:30} {severity:8} {fix:11} {}", rule.code, rule.name, rule.summary())?;
            }
        }
        Format::Json => {
            let entries: Vec<_> = RULES
                .iter()
                .map(|rule| Entry {
                    code: rule.code,
                    name: rule.name,
                    severity: rule.severity,
                    scope: rule.scope,
                    fix: rule.fix,
                    summary: rule.summary(),
                    page: rule.page(),
                })
                .collect();
            serde_json::to_writer_pretty(&mut out, &entries)?;
            writeln!(out)?;
        }
    }
    out.flush()?;
    Ok(Outcome::Clean)
}
