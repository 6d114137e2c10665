//! A finding in one line.

use netpol_lint::Finding;

/// Code, place, what is wrong and what to do.
pub(super) fn line(finding: &Finding) -> String {
    let (code, name) = (finding.rule.code, finding.rule.name);
    let place = if finding.path.is_empty() { String::new() } else { format!(" at {}", finding.path) };
    format!("{code} {name}{place}: {}", explained(finding))
}

/// What is wrong and what to do.
pub(super) fn explained(finding: &Finding) -> String {
    let fix = finding.help.as_deref().or(finding.fix.as_ref().map(|fix| fix.title.as_str()));
    match fix {
        Some(fix) => format!("{}; fix: {fix}", finding.message),
        None => finding.message.clone(),
    }
}
