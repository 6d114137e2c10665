//! From findings to a verdict.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::line::line;
use super::object::Object;
use super::repair::are_new;
use super::verdict::{Kind, Verdict, status};
use crate::config::{BREAK_GLASS, Config, Effect, Effects, UNENFORCEABLE};
use crate::review::{Request, Response, may_have_control};
use netpol_lint::Finding;
use netpol_lint::effect::Preview;
use netpol_policy::syntax::Node;

/// How much of the findings goes to the audit log, in bytes.
const NOTED: usize = 4096;

/// The most characters of a line.
const LINE: usize = 500;

/// What was found.
pub(super) struct Findings<'f> {
    /// In what is to be stored.
    pub(super) stored: &'f [Finding],
    /// In what is stored.
    pub(super) before: &'f [Finding],
    /// In the manifest as its author wrote it, and not in what is to be stored.
    pub(super) written: &'f [Finding],
    /// The request changes what the policy means; only then it can be refused.
    pub(super) changes: bool,
}

/// What the findings of one request do.
pub(super) struct Judge<'a> {
    pub(super) request: &'a Request<'a>,
    pub(super) config: &'a Config,
    pub(super) effects: &'a Effects,
    /// The reason to let the policy in all the same.
    pub(super) break_glass: Option<String>,
}

impl Judge<'_> {
    /// New errors refuse what changes; what doesn't refuse warns, or is only noted; what was only written never refuses.
    /// The effect of a change is told when it is let in.
    pub(super) fn verdict(
        &self,
        findings: &Findings<'_>,
        preview: impl FnOnce() -> Option<Preview>,
    ) -> Verdict {
        let Findings { stored, before, written, changes } = *findings;
        let new = are_new(stored, before);
        let (mut refusing, mut warning, mut noted) = (Vec::new(), Vec::new(), Vec::new());
        for (finding, new) in stored.iter().zip(new) {
            match self.effects.of(finding) {
                Effect::Deny if changes && new => refusing.push(finding),
                Effect::Deny | Effect::Warn => warning.push(finding),
                Effect::Audit => noted.push(finding),
                Effect::Off => {}
            }
        }
        let written: Vec<_> =
            written.iter().filter(|finding| self.effects.of(finding) >= Effect::Warn).collect();
        let codes = |all: &[&Finding]| {
            let codes: BTreeSet<_> = all.iter().map(|finding| finding.rule.code).collect();
            codes.into_iter().collect::<Vec<_>>().join(",")
        };
        let is_unenforceable = |finding: &&Finding| UNENFORCEABLE.contains(&finding.rule.code);
        let counted: Vec<_> = [&refusing[..], &warning, &noted, &written].concat();
        let unenforceable: Vec<_> = counted.iter().copied().filter(is_unenforceable).collect();

        let way_round = self.break_glass.as_deref().filter(|_| !refusing.is_empty());
        let way_round = way_round.map(|reason| {
            let groups = self.request.user_info.groups.as_deref().unwrap_or_default();
            self.config.break_glass.accept(reason, groups).map(|()| one_line(reason))
        });
        let mut response = Response::allow(&self.request.uid);
        let mut kind = match (&unenforceable[..], &warning[..]) {
            ([], []) => Kind::Allowed,
            ([], _) => Kind::Warned,
            _ => Kind::Unenforceable,
        };
        let mut first = None;
        match (&refusing[..], &way_round) {
            ([], _) => {}
            (refused, Some(Ok(reason))) => {
                kind = Kind::BrokenGlass;
                first = Some(format!(
                    "let in by the annotation {BREAK_GLASS} ({reason}) in spite of what follows"
                ));
                let user = one_line(&self.request.user_info.username);
                let note = format!("user={user} codes={} reason={reason}", codes(refused));
                response = response.with_audit("break-glass", note);
            }
            (refused, refusal) => {
                let hopeless = refused.iter().all(is_unenforceable);
                kind = if hopeless { Kind::Unenforceable } else { Kind::Denied };
                let refusal = refusal.as_ref().and_then(|refusal| refusal.as_ref().err());
                response = Response::deny(
                    &self.request.uid,
                    status(self.request, refused, hopeless, refusal.map(String::as_str)),
                );
            }
        }
        let let_in = if kind == Kind::BrokenGlass { &refusing[..] } else { &[] };
        let effect = if response.is_allowed() { preview() } else { None };
        let effect: Vec<_> = effect.iter().flat_map(Preview::sentences).collect();
        if !effect.is_empty() {
            response = response.with_audit("effect", one_line(&effect.join("; ")).into_owned());
        }
        let effect = effect.into_iter().map(|sentence| format!("effect: {sentence}"));
        let lines: Vec<_> =
            [&refusing, &warning, &noted].into_iter().flatten().map(|one| line(one)).collect();
        let note = note(&lines);
        let told = refusing.len() - let_in.len()..refusing.len() + warning.len();
        let told = lines.into_iter().skip(told.start).take(told.len());
        let warnings = first.into_iter().chain(effect).chain(told);
        let written = written.iter().map(|finding| format!("{} (in the manifest as applied)", line(finding)));
        response = response.with_warnings(warnings.chain(written));
        if !unenforceable.is_empty() {
            response = response.with_audit("unenforceable", codes(&unenforceable));
        }
        if let Some(text) = note {
            response = response.with_audit("findings", text);
        }
        let codes = counted.iter().map(|finding| finding.rule.code).collect();
        Verdict { response, codes, kind }
    }
}

/// The reason that a policy gives to be let in all the same.
pub(super) fn reason(object: &Object<'_>) -> Option<String> {
    object.get(&["metadata", "annotations", BREAK_GLASS]).and_then(Node::as_str).map(str::to_owned)
}

/// Findings for the audit log: nobody is told of some of them otherwise.
fn note(lines: &[String]) -> Option<String> {
    let most = lines.iter().map(|line| line.len() + 2).sum::<usize>().min(NOTED);
    let mut text = String::with_capacity(most);
    for (number, line) in lines.iter().enumerate() {
        let line = one_line(line);
        if text.len() + line.len() > NOTED {
            text.push_str(&format!("; and {} more", lines.len() - number));
            break;
        }
        text.push_str(if number == 0 { "" } else { "; " });
        text.push_str(&line);
    }
    (!text.is_empty()).then_some(text)
}

/// For logs and headers: no control characters, and not without end.
fn one_line(text: &str) -> Cow<'_, str> {
    let text = text.trim();
    let end = if text.len() > LINE { text.char_indices().nth(LINE).map(|(end, _)| end) } else { None };
    let text = &text[..end.unwrap_or(text.len())];
    if may_have_control(text) {
        return text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>().into();
    }
    text.into()
}
