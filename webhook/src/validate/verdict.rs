//! What a review came to.

use netpol_lint::Finding;

use super::line::{explained, line};
use crate::review::{Cause, Details, Request, Response, Status};

/// How many findings the message spells out; `details.causes` has all of them.
const SPELLED_OUT: usize = 10;

/// The response with what is counted of it.
#[derive(Debug)]
pub struct Verdict {
    /// For the API server.
    pub response: Response,
    /// The codes of all findings that do something.
    pub codes: Vec<&'static str>,
    /// What it came to.
    pub kind: Kind,
}

/// What a review came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It isn't a review of a policy's content.
    Silent,
    /// Nothing to say.
    Allowed,
    /// Let in with a warning.
    Warned,
    /// This cluster can't enforce it as it is written. The response says whether it is refused.
    Unenforceable,
    /// Let in for the reason that it gives, in spite of what would refuse it.
    BrokenGlass,
    /// Refused.
    Denied,
}

impl Kind {
    /// All that are counted.
    pub const ALL: [Self; 5] =
        [Self::Allowed, Self::Warned, Self::Unenforceable, Self::BrokenGlass, Self::Denied];

    /// For metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Silent => "silent",
            Self::Allowed => "allowed",
            Self::Warned => "warned",
            Self::Unenforceable => "unenforceable",
            Self::BrokenGlass => "break_glass",
            Self::Denied => "denied",
        }
    }
}

impl Verdict {
    /// A response that no rule had a say in.
    pub(super) fn silent(response: Response) -> Self {
        Self { response, codes: Vec::new(), kind: Kind::Silent }
    }
}

/// Why a policy is refused. `unenforceable`: only because this cluster can't enforce it. `way_round` says why a way round
/// was not taken.
pub(super) fn status(
    request: &Request<'_>,
    refusing: &[&Finding],
    unenforceable: bool,
    way_round: Option<&str>,
) -> Status {
    let namespace = request.namespace.as_deref().unwrap_or_default();
    let name = &request.name;
    let because = if unenforceable { ", this cluster can't enforce it:" } else { ":" };
    let mut message = format!("NetworkPolicy {namespace}/{name} is refused{because}");
    for finding in refusing.iter().take(SPELLED_OUT) {
        message.push_str("\n  ");
        message.push_str(&line(finding));
    }
    if let more @ 1.. = refusing.len().saturating_sub(SPELLED_OUT) {
        message.push_str(&format!("\n  and {more} more; netpol-lint shows all of them"));
    }
    if let Some(refusal) = way_round {
        message.push_str(&format!("\n  {refusal}"));
    }
    let details = Details {
        name: name.clone(),
        group: request.kind.group.clone(),
        kind: request.kind.kind.clone(),
        causes: refusing.iter().map(|finding| cause(finding)).collect(),
    };
    Status::forbidden(message, details)
}

fn cause(finding: &Finding) -> Cause {
    Cause { reason: finding.rule.code.to_owned(), message: explained(finding), field: finding.path.clone() }
}
