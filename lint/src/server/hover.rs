//! What is shown for a place: the page of a rule, or what the policy does.

use lsp_types::{Hover, HoverContents, MarkupContent, MarkupKind, Position};
use netpol_policy::model::Direction;
use netpol_policy::source::{ObjectMeta, PolicySource};
use netpol_policy::span::Span;

use super::text::{Encoding, Lines};
use super::workspace::{Open, Workspace};
use crate::explain::markdown::{self, escaped};
use crate::explain::{Effect, Explainer, Explanation};
use crate::finding::Finding;

/// What is shown at a position; `None` where there is nothing to say.
pub(super) fn at(
    workspace: &Workspace,
    open: &Open,
    position: Position,
    encoding: Encoding,
) -> Option<Hover> {
    let file = workspace.file(open.number);
    let lines = Lines::new(&file.text, encoding);
    let offset = u32::try_from(lines.offset(position)).ok()?;
    let here = |span: Span| span.start <= offset && offset <= span.end;
    let found: Vec<_> = open.findings.iter().filter(|finding| here(finding.place.span)).collect();
    let (text, span) = if found.is_empty() {
        let policy = file.policies().map(|(_, policy)| policy).find(|policy| here(policy.span))?;
        let cluster = workspace.cluster();
        meaning(policy, &Explainer::new(&cluster).explain(policy), offset)?
    } else {
        // The narrowest place, where several overlap.
        let span = found.iter().map(|finding| finding.place.span).min_by_key(|span| span.len())?;
        (found.into_iter().map(page).collect::<Vec<_>>().join("\n---\n\n"), span)
    };
    let contents = HoverContents::Markup(MarkupContent { kind: MarkupKind::Markdown, value: text });
    Some(Hover { contents, range: Some(lines.range(span)) })
}

fn page(finding: &Finding) -> String {
    let rule = finding.rule;
    let help = finding.help.as_deref().map(|help| format!("\n\nhelp: {}", escaped(help))).unwrap_or_default();
    // Headings as large as the editor's own would be too large here.
    let page = rule.page().replace("\n## ", "\n#### ");
    let page = page.strip_prefix("## ").map_or_else(|| page.clone(), |rest| format!("#### {rest}"));
    let (code, name, message) = (rule.code, rule.name, escaped(&finding.message));
    format!("**{code} {name}** ({})\n\n{message}{help}\n\n{page}", finding.severity)
}

/// The part of the explanation that a place is about.
fn meaning(policy: &PolicySource, explanation: &Explanation, offset: u32) -> Option<(String, Span)> {
    let here = |span: Span| span.start <= offset && offset <= span.end;
    let ObjectMeta { name, .. } = &policy.metadata;
    let spec = policy.spec.present();
    let heads = [Some(policy.kind), name.as_ref().map(|name| name.span), spec.map(|spec| spec.key)];
    if let Some(span) = heads.into_iter().flatten().find(|span| here(*span)) {
        return Some((markdown::policy(explanation), span));
    }
    let Effect::Stored(meaning) = &explanation.effect else { return None };
    let spec = &spec?.value;
    if let Some(span) = spec.pod_selector.whole().filter(|span| here(*span)) {
        return Some((markdown::subject(&meaning.subject), span));
    }
    for direction in Direction::ALL {
        let side = meaning.side(direction);
        let Some(list) = spec.rules(direction).present() else { continue };
        for (item, rule) in list.value.items.iter().zip(&side.rules) {
            if here(item.dash.map_or(item.span, |dash| dash.to(item.span))) {
                return Some((markdown::rule(rule, direction), item.span));
            }
        }
        if here(list.key) {
            return Some((markdown::side(side), list.key));
        }
    }
    let types = spec.policy_types.whole().filter(|span| here(*span))?;
    Some((format!("{}\n{}", markdown::side(&meaning.ingress), markdown::side(&meaning.egress)), types))
}
