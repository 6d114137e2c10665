//! Fixes and suppressions as code actions.

use lsp_types::{
    CodeAction, CodeActionKind, CodeActionParams, DocumentChanges, OneOf,
    OptionalVersionedTextDocumentIdentifier, TextDocumentEdit, TextEdit, WorkspaceEdit,
};
use netpol_policy::span::Span;

use super::diagnostics::diagnostic;
use super::text::{Encoding, Lines};
use super::workspace::{Open, Workspace};
use crate::check::Report;
use crate::finding::{Applicability, Edit, Finding, Place};
use crate::fix::{fix_file, proven};
use crate::index::Index;
use crate::settings::Settings;
use crate::suppress::add::add_ignores;

/// The kind of the action that applies every safe fix; clients that ask for `source.fixAll` on saving get it.
pub(super) const FIX_ALL: &str = "source.fixAll.netpol-lint";

/// What the client understands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Client {
    pub(super) encoding: Encoding,
    /// Edits that name the version that they are for.
    pub(super) versioned_edits: bool,
}

/// The actions for a range of an open document.
pub(super) fn of(
    workspace: &Workspace,
    open: &Open,
    settings: &Settings,
    params: &CodeActionParams,
    client: Client,
) -> Vec<CodeAction> {
    let file = workspace.file(open.number);
    let lines = Lines::new(&file.text, client.encoding);
    let (start, end) = (lines.offset(params.range.start) as u32, lines.offset(params.range.end) as u32);
    let wanted = |kind: &CodeActionKind| match &params.context.only {
        None => true,
        Some(only) => only.iter().any(|only| is_a(kind.as_str(), only.as_str())),
    };
    let mut actions = Vec::new();
    if wanted(&CodeActionKind::QUICKFIX) {
        let touched = |finding: &&Finding| finding.place.span.start <= end && start <= finding.place.span.end;
        let (mut fixes, mut ignores) = (Vec::new(), Vec::new());
        for finding in open.findings.iter().filter(touched) {
            let about = Some(vec![diagnostic(workspace, finding, &lines, client.encoding)]);
            let action = |title, edits: &[Edit], preferred| CodeAction {
                title,
                kind: Some(CodeActionKind::QUICKFIX),
                diagnostics: about.clone(),
                edit: Some(edit(open, edits, &lines, client)),
                is_preferred: Some(preferred),
                ..CodeAction::default()
            };
            let code = finding.rule.code;
            if let Some(fix) = finding.fix.as_ref().filter(|_| proven(file, finding)) {
                let safe = fix.applicability == Applicability::Safe;
                let warning = if safe { "" } else { " (changes the meaning)" };
                let title = format!("{code}: {}{warning}", fix.title);
                fixes.push((!safe, action(title, &fix.edits, safe)));
            }
            if let Some(edits) = ignore(workspace, open, finding) {
                ignores.push(action(format!("{code}: ignore this"), &edits, false));
            }
        }
        fixes.sort_by_key(|(changing, _)| *changing);
        actions.extend(fixes.into_iter().map(|(_, action)| action));
        actions.extend(ignores);
    }
    let fix_all = CodeActionKind::new(FIX_ALL);
    let has_safe = || {
        let fixes = open.findings.iter().filter_map(|finding| finding.fix.as_ref());
        fixes.into_iter().any(|fix| fix.applicability == Applicability::Safe)
    };
    if wanted(&fix_all) && has_safe() {
        let cluster = workspace.surroundings();
        let fixed = fix_file(file, &Index::new(&cluster), settings, Applicability::Safe);
        let edits = difference(&file.text, &fixed.file.text);
        if !edits.is_empty() {
            actions.push(CodeAction {
                title: "Apply all fixes of netpol-lint that keep the meaning".to_owned(),
                kind: Some(fix_all),
                edit: Some(edit(open, &edits, &lines, client)),
                ..CodeAction::default()
            });
        }
    }
    actions
}

/// `source.fixAll.x` is a `source.fixAll` and a `source`.
fn is_a(kind: &str, wanted: &str) -> bool {
    kind.strip_prefix(wanted)
        .is_some_and(|rest| wanted.is_empty() || rest.is_empty() || rest.starts_with('.'))
}

/// How to suppress a finding, if there is a way.
fn ignore(workspace: &Workspace, open: &Open, finding: &Finding) -> Option<Vec<Edit>> {
    let file = workspace.file(open.number);
    let alone = Finding {
        place: Place { file: 0, span: finding.place.span },
        related: Vec::new(),
        ..finding.clone()
    };
    let copy = file.reread(file.text.to_string());
    let report = Report { files: vec![copy], findings: vec![alone], suppressed: Vec::new() };
    let suppressed = add_ignores(&report, 0, None);
    (suppressed.added == 1).then(|| difference(&file.text, &suppressed.file.text))
}

/// The changes that make one text of another, by lines.
fn difference(before: &str, after: &str) -> Vec<Edit> {
    let diff = similar::TextDiff::from_lines(before, after);
    let starts = |slices: &[&str]| {
        let mut at = 0;
        let mut starts = vec![0];
        starts.extend(slices.iter().map(|slice| {
            at += slice.len();
            at
        }));
        starts
    };
    let old = starts(diff.old_slices());
    let new = starts(diff.new_slices());
    let changed = diff.ops().iter().filter(|op| op.tag() != similar::DiffTag::Equal);
    changed
        .map(|op| {
            let (from, to) = (op.old_range(), op.new_range());
            let span = Span::new(old[from.start] as u32, old[from.end] as u32);
            Edit::replace(span, &after[new[to.start]..new[to.end]])
        })
        .collect()
}

fn edit(open: &Open, edits: &[Edit], lines: &Lines<'_>, client: Client) -> WorkspaceEdit {
    let edits: Vec<_> = edits
        .iter()
        .map(|edit| TextEdit { range: lines.range(edit.span), new_text: edit.text.clone() })
        .collect();
    if client.versioned_edits {
        let text_document =
            OptionalVersionedTextDocumentIdentifier { uri: open.uri.clone(), version: Some(open.version) };
        let edits = edits.into_iter().map(OneOf::Left).collect();
        let changes = DocumentChanges::Edits(vec![TextDocumentEdit { text_document, edits }]);
        return WorkspaceEdit { document_changes: Some(changes), ..WorkspaceEdit::default() };
    }
    #[allow(clippy::mutable_key_type, reason = "the protocol's type; nothing changes the key")]
    let changes = [(open.uri.clone(), edits)].into_iter().collect();
    WorkspaceEdit { changes: Some(changes), ..WorkspaceEdit::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fix::apply;

    #[test]
    fn differences_apply() {
        for (before, after) in
            [("", ""), ("a\nb\n", "a\nc\n"), ("a\r\nb", "a\r\n"), ("a", "b\na"), ("é\nx\ny\n", "x\nü\ny\nz")]
        {
            assert_eq!(apply(before, &difference(before, after)).unwrap(), after);
        }
        assert!(difference("a\n", "a\n").is_empty());
    }

    #[test]
    fn kinds() {
        assert!(is_a(FIX_ALL, "source.fixAll") && is_a(FIX_ALL, "source") && is_a(FIX_ALL, FIX_ALL));
        assert!(!is_a(FIX_ALL, "source.fix") && !is_a("quickfix", "refactor") && is_a("quickfix", ""));
    }
}
