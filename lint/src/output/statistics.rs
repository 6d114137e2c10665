//! How often each rule found something.

use std::io::{self, Write};

use serde::Serialize;

use crate::check::Report;
use crate::registry::RULES;

/// What one rule found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RuleCount {
    /// Its code.
    pub code: &'static str,
    /// Its name.
    pub name: &'static str,
    /// Number of findings.
    pub count: usize,
    /// How many of them have a fix, safe or not.
    pub fixable: usize,
}

/// Counts the findings of each rule that has some, the most frequent first.
pub fn count(report: &Report) -> Vec<RuleCount> {
    let counts = RULES.iter().map(|rule| {
        let mine = || report.findings.iter().filter(|finding| finding.rule == *rule);
        let fixable = mine().filter(|finding| finding.fix.is_some()).count();
        RuleCount { code: rule.code, name: rule.name, count: mine().count(), fixable }
    });
    let mut counts: Vec<_> = counts.filter(|rule| rule.count > 0).collect();
    // The sort is stable: equal counts stay in the order of the codes.
    counts.sort_by_key(|rule| std::cmp::Reverse(rule.count));
    counts
}

/// Writes a table.
pub fn write(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let counts = count(report);
    let width = counts.first().map_or(0, |rule| rule.count.to_string().len());
    for RuleCount { code, name, count, fixable } in counts {
        let fixes = if fixable > 0 { format!("  ({fixable} with a fix)") } else { String::new() };
        writeln!(out, "{count:width$}  {code}  {name}{fixes}")?;
    }
    Ok(())
}

/// Writes a JSON list.
pub fn write_json(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, &count(report))?;
    writeln!(out)
}
