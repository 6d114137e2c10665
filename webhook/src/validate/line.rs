//! A finding in one line.

use netpol_lint::Finding;

/// Code, place, what is wrong and what to do.
pub(super) fn line(finding: &Finding) -> String {
    let place = if finding.path.is_empty() { "" } else { " at " };
    join(&[finding.rule.code, " ", finding.rule.name, place, &finding.path, ": "], finding)
}

/// What is wrong and what to do.
pub(super) fn explained(finding: &Finding) -> String {
    join(&[], finding)
}

fn join(beginning: &[&str], finding: &Finding) -> String {
    let fix = finding.help.as_deref().or(finding.fix.as_ref().map(|fix| fix.title.as_str()));
    let fix = fix.map_or(["", ""], |fix| ["; fix: ", fix]);
    [beginning, &[&finding.message], &fix].concat().concat()
}
