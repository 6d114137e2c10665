//! What a comment counts for.

use netpol_policy::span::Span;

use crate::edits::line_start;
use crate::file::SourceFile;

/// What a suppression counts for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    /// The whole file, and what can't be read in it.
    File,
    /// Findings that begin on these lines, from 1; both count.
    Lines(u32, u32),
    /// A policy, by its bytes.
    Object(Span),
    /// It stands where it can't count.
    Nothing,
}

impl Extent {
    /// Whether it holds what is found on a line. `policy` is the policy that it is about; without one it is about
    /// something that can't be read, where places mean little.
    pub(super) fn covers(self, policy: Option<Span>, line: u32) -> bool {
        match self {
            Self::File => true,
            Self::Lines(first, last) => policy.is_some() && (first..=last).contains(&line),
            Self::Object(span) => policy == Some(span),
            Self::Nothing => false,
        }
    }

    /// A comment that names the whole file: only before everything else.
    pub(super) fn of_file(file: &SourceFile, comment: Span) -> Self {
        let before = &file.text[..line_start(&file.text, comment.start)];
        if stands_alone(file, comment) && before.lines().all(is_between) { Self::File } else { Self::Nothing }
    }

    /// A comment: for its line or, standing alone, for the object, the list item or the field that begins on the next
    /// line, with all that it holds.
    pub(super) fn of_comment(file: &SourceFile, comment: Span) -> Self {
        let own = file.position(comment.start).line;
        if !stands_alone(file, comment) {
            return Self::Lines(own, own);
        }
        let lines = (own + 1..).map_while(|line| Some((line, file.line(line)?)));
        let Some((first, span)) = lines.into_iter().find(|(_, line)| !is_between(file.slice(*line))) else {
            return Self::Nothing;
        };
        let begin = span.start + indentation(file.slice(span)) as u32;
        match file.policies().find(|(_, policy)| policy.span.start == begin) {
            Some((_, policy)) => Self::Object(policy.span),
            None => Self::Lines(first, last_of_block(file, first, span)),
        }
    }
}

/// Whether there is nothing else on the line. A document marker doesn't count.
fn stands_alone(file: &SourceFile, comment: Span) -> bool {
    let before = &file.text[line_start(&file.text, comment.start)..comment.start as usize];
    matches!(before.trim_start_matches('\u{feff}').trim(), "" | "---")
}

/// Whether a line holds nothing of a document: it is empty, a comment, a directive or a document marker.
fn is_between(line: &str) -> bool {
    let line = line.trim_start_matches('\u{feff}').trim();
    let marker = line.strip_prefix("---").map(str::trim_start);
    line.is_empty()
        || line.starts_with(['#', '%'])
        || marker.is_some_and(|rest| rest.is_empty() || rest.starts_with('#'))
}

/// The last line of the list item or field that begins on a line: what is indented further belongs to it, and the
/// dashes of a list may stand right below its key.
fn last_of_block(file: &SourceFile, first: u32, span: Span) -> u32 {
    let head = file.slice(span);
    let indent = indentation(head);
    let is_field = !is_item(head);
    let mut last = first;
    for number in first + 1.. {
        let Some(line) = file.line(number).map(|span| file.slice(span)) else { break };
        let content = line.trim();
        if content.is_empty() || content.starts_with('#') {
            continue;
        }
        let below = indentation(line);
        if below < indent || (below == indent && !(is_field && is_item(line))) {
            break;
        }
        last = number;
    }
    last
}

fn indentation(line: &str) -> usize {
    line.bytes().take_while(|byte| *byte == b' ').count()
}

fn is_item(line: &str) -> bool {
    let line = line.trim();
    line == "-" || line.starts_with("- ") || line.starts_with("-\t")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    /// The lines that a comment `#!` counts for.
    fn lines(text: &str) -> String {
        let file = SourceFile::read("test.yaml", text, &Arc::from("default"));
        let at = text.find("#!").unwrap();
        let comment = *file.manifest.comments.iter().find(|span| span.start as usize == at).unwrap();
        match Extent::of_comment(&file, comment) {
            Extent::Lines(first, last) => format!("{first}-{last}"),
            Extent::Object(span) => {
                format!("object {}-{}", file.position(span.start).line, file.position(span.end).line)
            }
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn what_comments_count_for() {
        for (text, expected) in [
            ("a: 1 #!\nb: 2\n", "1-1"),
            ("#!\na: 1\nb: 2\n", "2-2"),
            ("#!\n# more\n\na:\n  b: 1\n\n# other\n  c: 1\nd: 1\n", "4-8"),
            ("a:\n#!\n- b: 1\n  c: 1\n- d: 1\n", "3-4"),
            ("a:\n  -  #!\n    b: 1\n    c: 1\n", "2-2"),
            ("#!\na:\n- b: 1\n-\n  c: 1\nd: 1\n", "2-5"),
            ("#!\na: [\n{b: 1}]\n", "2-2"),
            ("a: 1\n#!\n---\nb: 1\n---\nc: 1\n", "4-4"),
            ("a: 1\n#!\n", "Nothing"),
            ("#!\r\na:\r\n  b: 1\r\nc: 1\r\n", "2-3"),
            (
                "x: 1\n--- #!\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nspec:\n  podSelector: {}",
                "object 3-6",
            ),
            (
                "items:\n#!\n- apiVersion: networking.k8s.io/v1\n  kind: NetworkPolicy\n  spec: {}\n- kind: x\n",
                "3-5",
            ),
        ] {
            assert_eq!(lines(text), expected, "{text}");
        }
    }
}
