//! Writing suppressions for everything that is found.

mod annotation;

use netpol_policy::span::Span;

use super::{Extent, Kind, MARK, Suppression, Suppressions};
use crate::check::Report;
use crate::edits::newline;
use crate::file::SourceFile;
use crate::finding::{Edit, Finding};
use crate::fix::{apply, prove};
use crate::rule::Check;
use crate::rules::unused_suppression;

/// A file with suppressions added.
#[derive(Debug)]
pub struct WithIgnores {
    /// The file as it is now.
    pub file: SourceFile,
    /// How many findings are suppressed that were not.
    pub added: usize,
}

/// Suppresses what was found in a file of a report: by a comment at the end of its line, on the line above where that
/// can't be, or by an annotation of the object where comments can't be, as in JSON. Nothing else changes. What there is
/// no way for stays as it is; findings about suppressions are not suppressed. The reason is one line.
pub fn add_ignores(report: &Report, file: usize, reason: Option<&str>) -> WithIgnores {
    let first = report.findings.partition_point(|finding| finding.place.file < file);
    let after = report.findings.partition_point(|finding| finding.place.file <= file);
    let findings = report.findings[first..after].iter();
    let findings: Vec<_> =
        findings.filter(|finding| *finding.rule != unused_suppression::RULE).cloned().collect();
    let before = findings.len();
    let file = &report.files[file];
    let mut writer = Writer { file: file.reread(file.text.to_string()), findings, reason };
    // What isn't UTF-8 has lost bytes when it was read, and is not written.
    let is_whole = file.manifest.errors.is_empty() || !file.text.contains(char::REPLACEMENT_CHARACTER);
    if before > 0 && is_whole {
        let ways = if is_json(file) {
            &[Way::Annotation][..]
        } else {
            &[Way::AtTop, Way::OnLine, Way::Above, Way::Annotation]
        };
        for way in ways {
            writer.suppress(*way);
        }
    }
    WithIgnores { added: before - writer.findings.len(), file: writer.file }
}

/// How to suppress findings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    AtTop,
    OnLine,
    Above,
    Annotation,
}

/// A change that suppresses some findings.
#[derive(Debug)]
struct Addition {
    edit: Edit,
    /// How many findings.
    count: usize,
    /// It must become a part of a comment.
    is_comment: bool,
}

struct Writer<'a> {
    file: SourceFile,
    /// What is not suppressed yet, in order, with places in the file as it is.
    findings: Vec<Finding>,
    reason: Option<&'a str>,
}

impl Writer<'_> {
    /// Suppresses in one way as much as can be.
    fn suppress(&mut self, way: Way) {
        let mut additions = Vec::new();
        let mut next = 0;
        while next < self.findings.len() {
            match self.addition(way, &self.findings[next..]) {
                Some(addition) => {
                    next += addition.count;
                    additions.push(addition);
                }
                None => next += 1,
            }
        }
        additions.sort_by_key(|addition| addition.edit.span);
        self.settle(&additions);
    }

    /// Suppresses some findings, from the first; `None` when this is no way for the first.
    fn addition(&self, way: Way, findings: &[Finding]) -> Option<Addition> {
        match way {
            Way::AtTop => self.at_top(findings),
            Way::OnLine => self.on_line(findings),
            Way::Above => self.above(findings),
            Way::Annotation => annotation::suppression(self, findings),
        }
    }

    /// Applies as many additions as work.
    fn settle(&mut self, additions: &[Addition]) {
        if additions.is_empty() {
            return;
        }
        if let Some((file, left)) = self.attempt(additions) {
            self.file = file;
            self.findings = left;
        } else if additions.len() > 1 {
            // The second first: what the others are for stays where it is.
            let (first, second) = additions.split_at(additions.len() / 2);
            self.settle(second);
            self.settle(first);
        }
    }

    /// The file with some additions and what is still found then, when they do nothing but suppress what they are for.
    fn attempt(&self, additions: &[Addition]) -> Option<(SourceFile, Vec<Finding>)> {
        let text = apply(&self.file.text, additions.iter().map(|addition| &addition.edit))?;
        let after = self.file.reread(text);
        prove(&self.file, &after, &[]).ok()?;
        let mut shift = 0;
        for Addition { edit, is_comment, .. } in additions {
            let start = edit.span.start + shift;
            shift += edit.text.len() as u32;
            let written = Span::new(start + leading(&edit.text), start + edit.text.trim_end().len() as u32);
            let comments = &after.manifest.comments;
            let last = comments.partition_point(|comment| comment.start <= written.start).checked_sub(1);
            if *is_comment && last.is_none_or(|last| written.end > comments[last].end) {
                return None;
            }
        }
        let left = self.left(&after, additions)?;
        let wanted: usize = additions.iter().map(|addition| addition.count).sum();
        (left.len() + wanted <= self.findings.len()).then_some((after, left))
    }

    /// What is not suppressed with some additions, which are sorted.
    fn left(&self, after: &SourceFile, additions: &[Addition]) -> Option<Vec<Finding>> {
        let mut suppressions = Suppressions::of(after)?;
        let mut shifts = Vec::with_capacity(additions.len());
        let mut total = 0;
        for addition in additions {
            total += addition.edit.text.len() as u32;
            shifts.push(total);
        }
        let moved = |at: u32| {
            let before = additions.partition_point(|addition| addition.edit.span.start <= at);
            at + before.checked_sub(1).map_or(0, |last| shifts[last])
        };
        let mut left = Vec::new();
        for finding in &self.findings {
            let mut finding = finding.clone();
            let Span { start, end } = finding.place.span;
            finding.place.span = Span::new(moved(start), moved(end));
            let policy = annotation::policy_of(after, &finding).map(|policy| policy.span);
            if suppressions.take(after, policy, &finding).is_none() {
                left.push(finding);
            }
        }
        Some(left)
    }

    fn line(&self, finding: &Finding) -> u32 {
        self.file.position(finding.place.span.start).line
    }

    /// For the file; only what can't be read needs that.
    fn at_top(&self, findings: &[Finding]) -> Option<Addition> {
        let count = findings.iter().take_while(|finding| is_unreadable(finding)).count();
        let codes = codes(&findings[..count])?;
        let existing = |suppression: &&Suppression| suppression.extent == Extent::File;
        if let Some(edit) = self.extended(existing, &codes) {
            return Some(Addition { edit, count, is_comment: true });
        }
        let start = self.file.text.len() - self.file.text.trim_start_matches('\u{feff}').len();
        let comment = self.comment("ignore-file", &codes);
        let edit = Edit::insert(start as u32, format!("{comment}{}", newline(&self.file.text)));
        Some(Addition { edit, count, is_comment: true })
    }

    /// At the end of the line.
    fn on_line(&self, findings: &[Finding]) -> Option<Addition> {
        let (line, count) = self.same_line(findings)?;
        let codes = codes(&findings[..count])?;
        let existing = |suppression: &&Suppression| {
            suppression.extent == Extent::Lines(line, line)
                && self.file.position(suppression.span.start).line == line
        };
        if let Some(edit) = self.extended(existing, &codes) {
            return Some(Addition { edit, count, is_comment: true });
        }
        let span = self.file.line(line)?;
        let written = self.file.slice(span);
        let space = match written.len() - written.trim_end().len() {
            _ if !self.file.comments_in(span).is_empty() => " ",
            0 => "  ",
            1 => " ",
            _ => "",
        };
        let edit = Edit::insert(span.end, format!("{space}{}", self.comment("ignore", &codes)));
        Some(Addition { edit, count, is_comment: true })
    }

    /// On a line of its own above.
    fn above(&self, findings: &[Finding]) -> Option<Addition> {
        let (line, count) = self.same_line(findings)?;
        let codes = codes(&findings[..count])?;
        let span = self.file.line(line)?;
        let written = self.file.slice(span);
        let indent = &written[..leading(written) as usize];
        let comment = self.comment("ignore", &codes);
        let edit = Edit::insert(span.start, format!("{indent}{comment}{}", newline(&self.file.text)));
        Some(Addition { edit, count, is_comment: true })
    }

    /// The line of the first finding, and how many are on it.
    fn same_line(&self, findings: &[Finding]) -> Option<(u32, usize)> {
        let line = self.line(findings.first().filter(|finding| !is_unreadable(finding))?);
        let on_line = |finding: &&Finding| !is_unreadable(finding) && self.line(finding) == line;
        Some((line, findings.iter().take_while(on_line).count()))
    }

    /// Adds codes to a comment that suppresses something already.
    fn extended(&self, is_it: impl Fn(&&Suppression) -> bool, codes: &[&str]) -> Option<Edit> {
        let suppressions = Suppressions::of(&self.file)?;
        let suppression = suppressions.list.iter().find(is_it)?;
        let Kind::Comment { list } = suppression.kind else { return None };
        let list_text = self.file.slice(list);
        let separator = if suppression.words.is_empty() { "" } else { ", " };
        let at = list.start + list_text.trim_end_matches([' ', '\t', ',']).len() as u32;
        Some(Edit::insert(at, format!("{separator}{}", codes.join(", "))))
    }

    fn comment(&self, instruction: &str, codes: &[&str]) -> String {
        let reason = self.reason.map(|reason| format!(" {reason}")).unwrap_or_default();
        format!("# {MARK} {instruction}[{}]{reason}", codes.join(", "))
    }
}

/// The codes of some findings, each once; `None` when there is none.
fn codes(findings: &[Finding]) -> Option<Vec<&'static str>> {
    let mut codes: Vec<_> = findings.iter().map(|finding| finding.rule.code).collect();
    codes.sort_unstable();
    codes.dedup();
    (!codes.is_empty()).then_some(codes)
}

fn is_unreadable(finding: &Finding) -> bool {
    matches!(finding.rule.check, Check::Unreadable(_))
}

/// Comments have no place in it.
fn is_json(file: &SourceFile) -> bool {
    let named = std::path::Path::new(&*file.name).extension().is_some_and(|e| e.eq_ignore_ascii_case("json"));
    let begins = file.text.trim_start_matches('\u{feff}').trim_start().starts_with(['{', '[']);
    named || (begins && serde_json::from_str::<serde::de::IgnoredAny>(&file.text).is_ok())
}

fn leading(text: &str) -> u32 {
    (text.len() - text.trim_start_matches([' ', '\t']).len()) as u32
}
