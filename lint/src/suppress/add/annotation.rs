//! Annotations for what comments can't say.

use netpol_policy::source::PolicySource;

use super::{Addition, Writer, codes, is_unreadable, leading};
use crate::edits::{column, line_start, newline};
use crate::file::SourceFile;
use crate::finding::{Edit, Finding, ObjectRef};
use crate::suppress::ANNOTATION;
use crate::suppress::read::listed;
use crate::suppress::remove::list_in;

/// Suppresses what is found about the policy of the first finding.
pub(super) fn suppression(writer: &Writer<'_>, findings: &[Finding]) -> Option<Addition> {
    let file = &writer.file;
    let policy = policy_of(file, findings.first()?)?;
    let about = |finding: &&Finding| policy_of(file, finding).is_some_and(|other| other.span == policy.span);
    let count = findings.iter().take_while(about).count();
    let codes = codes(&findings[..count])?;
    let edit = edit(file, policy, &codes, writer.reason)?;
    Some(Addition { edit, count, is_comment: false })
}

/// The policy that a finding is about.
pub(super) fn policy_of<'f>(file: &'f SourceFile, finding: &Finding) -> Option<&'f PolicySource> {
    if is_unreadable(finding) {
        return None;
    }
    let at = finding.place.span.start;
    let inside = |policy: &PolicySource| policy.span.start <= at && at <= policy.span.end;
    let named = |document, policy| {
        document == finding.document && finding.object.as_ref() == Some(&ObjectRef::of(policy))
    };
    file.policies()
        .find(|(document, policy)| inside(policy) && named(*document, policy))
        .or_else(|| file.policies().find(|(document, policy)| named(*document, policy)))
        .map(|(_, policy)| policy)
}

fn edit(file: &SourceFile, policy: &PolicySource, codes: &[&str], reason: Option<&str>) -> Option<Edit> {
    let text = &*file.text;
    let metadata = &policy.metadata;
    let list = codes.join(",");
    if let Some((_, value)) = metadata.annotations.iter().find(|(key, _)| &*key.value == ANNOTATION) {
        let (words, _) = listed(&value.value);
        let end = list_in(file.slice(value.span), &words)?.end;
        return Some(Edit::insert(value.span.start + end, format!(",{list}")));
    }
    let value = match reason {
        Some(reason) => format!("{list} {reason}"),
        None => list,
    };
    let json = file.slice(metadata.span).starts_with('{') && file.slice(metadata.span).contains('"');
    let key = |name: &str| if json { format!("\"{name}\"") } else { name.to_owned() };
    let in_flow = format!("{}: {}", key(ANNOTATION), quoted(&value));
    let in_block = format!("{ANNOTATION}: {}", if is_plain(&value) { value.clone() } else { quoted(&value) });
    if let Some((first, _)) = metadata.annotations.first() {
        let start = line_start(text, first.span.start);
        let before = &text[start..first.span.start as usize];
        let is_flow = text[..first.span.start as usize].trim_end().ends_with('{');
        let alone = before.trim().is_empty();
        return match (is_flow, alone) {
            (true, true) => Some(format!("{in_flow},{}{before}", newline(text))),
            (true, false) => Some(format!("{in_flow}, ")),
            (false, true) => Some(format!("{in_block}{}{before}", newline(text))),
            (false, false) => None,
        }
        .map(|text| Edit::insert(first.span.start, text));
    }
    let written = file.slice(metadata.span);
    if let Some(inner) = written.strip_prefix('{') {
        let content = inner.trim_start();
        let space = &inner[..inner.len() - content.len()];
        let at = metadata.span.start + 1 + space.len() as u32;
        let field = format!("{}: {{{in_flow}}}", key("annotations"));
        return Some(match () {
            () if content == "}" => Edit::insert(metadata.span.start + 1, field),
            () if space.contains('\n') => Edit::insert(at, format!("{field},{space}")),
            () => Edit::insert(at, format!("{field}, ")),
        });
    }
    let start = line_start(text, metadata.span.start);
    let indent = text.get(start..metadata.span.start as usize)?;
    if leading(indent) as usize != indent.len() || column(text, metadata.span.start) == 0 {
        return None;
    }
    let newline = newline(text);
    let field = format!("annotations:{newline}{indent}  {in_block}{newline}{indent}");
    Some(Edit::insert(metadata.span.start, field))
}

/// As a string of JSON and YAML.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Whether it needs no quotes as the value of a field in block style.
fn is_plain(value: &str) -> bool {
    value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b", -_/.".contains(&byte))
        && !value.ends_with(' ')
}
