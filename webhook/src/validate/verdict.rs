//! Findings as an admission response.

use netpol_lint::{Finding, Severity};

use super::refuses;
use crate::review::{Cause, Details, Request, Response, Status};

/// How many findings the message spells out; `details.causes` has all of them.
const SPELLED_OUT: usize = 10;

/// The response with what is counted of it.
#[derive(Debug)]
pub struct Verdict {
    /// For the API server.
    pub response: Response,
    /// The codes of all findings, those that only inform included.
    pub codes: Vec<&'static str>,
}

impl Verdict {
    /// A response that no rule had a say in.
    pub(super) fn silent(response: Response) -> Self {
        Self { response, codes: Vec::new() }
    }

    /// Errors in what is stored deny where they are binding, and warn where not; warnings warn; what was only written
    /// warns too; the rest is silent.
    pub(super) fn new(request: &Request<'_>, stored: &[Finding], written: &[Finding], binding: bool) -> Self {
        let codes = stored.iter().chain(written).map(|finding| finding.rule.code).collect();
        let (refusing, others): (Vec<_>, Vec<_>) =
            stored.iter().partition(|finding| binding && refuses(finding));
        let loud = |finding: &&Finding| finding.severity >= Severity::Warning;
        let warnings = others.into_iter().filter(loud).map(line);
        let written = written
            .iter()
            .filter(loud)
            .map(|finding| format!("{} (in the manifest as applied)", line(finding)));
        let warnings = warnings.chain(written);
        let response = match refusing.as_slice() {
            [] => Response::allow(&request.uid),
            refusing => Response::deny(&request.uid, status(request, refusing)),
        };
        Self { response: response.with_warnings(warnings), codes }
    }
}

fn status(request: &Request<'_>, refusing: &[&Finding]) -> Status {
    let namespace = request.namespace.as_deref().unwrap_or_default();
    let name = &request.name;
    let mut message = format!("NetworkPolicy {namespace}/{name} is refused:");
    for finding in refusing.iter().take(SPELLED_OUT) {
        message.push_str("\n  ");
        message.push_str(&line(finding));
    }
    if let more @ 1.. = refusing.len().saturating_sub(SPELLED_OUT) {
        message.push_str(&format!("\n  and {more} more; netpol-lint shows all of them"));
    }
    let details = Details {
        name: name.clone(),
        group: request.kind.group.clone(),
        kind: request.kind.kind.clone(),
        causes: refusing.iter().map(|finding| cause(finding)).collect(),
    };
    Status::forbidden(message, details)
}

/// Code, place, what is wrong and what to do.
fn line(finding: &Finding) -> String {
    let (code, name) = (finding.rule.code, finding.rule.name);
    let place = if finding.path.is_empty() { String::new() } else { format!(" at {}", finding.path) };
    format!("{code} {name}{place}: {}", explained(finding))
}

fn cause(finding: &Finding) -> Cause {
    Cause { reason: finding.rule.code.to_owned(), message: explained(finding), field: finding.path.clone() }
}

fn explained(finding: &Finding) -> String {
    let fix = finding.help.as_deref().or(finding.fix.as_ref().map(|fix| fix.title.as_str()));
    match fix {
        Some(fix) => format!("{}; fix: {fix}", finding.message),
        None => finding.message.clone(),
    }
}
