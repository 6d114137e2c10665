//! Says what is wrong with a document in the words of those who write manifests.

use granit_parser::{ErrorKind, ScanError};

use super::build::Fault;
use super::error::SyntaxErrorKind;
use super::node::{Data, Document, Node, ScalarStyle};
use crate::span::Span;

/// An error of the parser.
pub(super) fn parser_error(text: &str, error: &ScanError) -> Fault {
    let offset = text.floor_char_boundary(error.marker().byte_offset().unwrap_or_default().min(text.len()));
    let (kind, help) = match error.kind() {
        ErrorKind::UnknownAnchor => (SyntaxErrorKind::Alias, "anchors count only within their own document"),
        ErrorKind::RecursionLimitExceeded => {
            (SyntaxErrorKind::Limit, "no Kubernetes object is that deep; check the brackets")
        }
        ErrorKind::MappingValueNotAllowed => {
            (SyntaxErrorKind::Yaml, "check the indentation; a value that holds `: ` needs quotes")
        }
        ErrorKind::SimpleKeyExpected => {
            (SyntaxErrorKind::Yaml, "write `key: value`; a text over several lines must be indented")
        }
        ErrorKind::UnclosedFlowCollection { .. } => (SyntaxErrorKind::Yaml, "close the bracket"),
        ErrorKind::ExpectedFlowMappingSeparator | ErrorKind::ExpectedFlowSequenceSeparator => {
            (SyntaxErrorKind::Yaml, "put a comma between the items, or close the bracket before")
        }
        ErrorKind::ExpectedBlockMappingKey
        | ErrorKind::ExpectedBlockSequenceEntry
        | ErrorKind::InvalidIndentation => {
            (SyntaxErrorKind::Yaml, "indent this line like the fields or items that it stands with")
        }
        ErrorKind::UnclosedQuotedScalar | ErrorKind::InvalidQuotedScalarIndent => {
            (SyntaxErrorKind::Yaml, "close the quotes; a text over several lines must be indented")
        }
        ErrorKind::ExpectedDocumentStart => {
            (SyntaxErrorKind::Yaml, "put `---` on a line of its own between documents")
        }
        _ => (SyntaxErrorKind::Yaml, ""),
    };
    if kind == SyntaxErrorKind::Yaml
        && let Some(tab) = tab(text, offset)
    {
        let message = "YAML can't be indented with a tab";
        return Fault { kind, span: tab, message: message.into(), help: "indent with spaces" };
    }
    let span = token(text, offset);
    Fault { kind, span, message: error.info().into(), help }
}

/// A document that parses, but surely not as it was meant.
pub(super) fn misread(text: &str, document: &Document<'_>) -> Option<Fault> {
    let range = document.span.range();
    let content = text.get(range.clone())?;
    if memchr::memmem::find(content.as_bytes(), b"{{").is_some() {
        // Alerting rules and workflows have templates of their own in texts that are fine as they are.
        let is_policy = document.root().get("kind").and_then(Node::as_str) == Some("NetworkPolicy");
        let template = document.nodes.iter().find(|node| match &node.data {
            Data::Scalar { text, style: ScalarStyle::Plain, .. } => {
                text.contains("{{") && (is_policy || is_helm(text))
            }
            _ => false,
        });
        let quoted = || if charts(text) { quoted_action(document.root()) } else { None };
        if let Some(span) = template.map(|node| node.span).or_else(quoted) {
            let at = memchr::memmem::find(&text.as_bytes()[span.range()], b"{{").unwrap_or_default();
            return Some(helm(text, span.start as usize + at));
        }
    }
    let root = document.root();
    let lost = ["metadata", "spec"].iter().any(|key| root.get(key).is_some_and(Node::is_null));
    if lost { flattened(text, range.start) } else { None }
}

/// The real reason behind an error, where the text around it tells.
pub(super) fn explain(text: &str, fault: Fault) -> Fault {
    if matches!(fault.kind, SyntaxErrorKind::Yaml | SyntaxErrorKind::Key) {
        let range = document_around(text, fault.span.start as usize);
        if let Some(at) = template_action(&text[range.clone()]) {
            return helm(text, range.start + at);
        }
        if let Some(flattened) = flattened(text, range.start) {
            return flattened;
        }
    }
    fault
}

/// Whether an action of a template is one that charts are written with.
fn is_helm(text: &str) -> bool {
    const WORDS: [&str; 12] = [
        ".Values",
        ".Release",
        ".Chart",
        ".Capabilities",
        ".Files",
        ".Template",
        "include ",
        "template ",
        "toYaml ",
        "if ",
        "range ",
        "with ",
    ];
    let mut actions = text.split("{{").skip(1).map(|action| action.trim_start_matches(['-', ' ', '(']));
    actions.any(|action| WORDS.iter().any(|word| action.starts_with(word)))
}

/// What only charts have: control words such as `if` stand in other templates, too.
const CHARTS: [&str; 5] = [".Values", ".Release", ".Chart", ".Capabilities", "include "];

/// Whether a text has an action that only charts have.
fn charts(text: &str) -> bool {
    let mut actions = text.split("{{").skip(1).map(|action| action.trim_start_matches(['-', ' ', '(']));
    actions.any(|action| CHARTS.iter().any(|word| action.starts_with(word)))
}

/// The first scalar with such an action in it, be it quoted, where a manifest names or numbers something. Annotations, files and what
/// containers are told may speak of templates.
fn quoted_action(node: Node<'_>) -> Option<Span> {
    const TEXTS: [&str; 7] = ["annotations", "data", "stringData", "binaryData", "env", "args", "command"];
    // What an alias stands for is looked at in its own place, and only there.
    if node.shared().is_some() {
        return None;
    }
    if let Some(text) = node.as_str() {
        return charts(text).then(|| node.span());
    }
    let entries = node.entries().filter(|entry| !entry.key.as_str().is_some_and(|key| TEXTS.contains(&key)));
    let mut values = entries.map(|entry| entry.value).chain(node.items().map(|item| item.value));
    values.find_map(quoted_action)
}

fn helm(text: &str, at: usize) -> Fault {
    let line = text[at..].lines().next().unwrap_or_default();
    let length = line.find("}}").map_or(line.len(), |end| end + 2);
    Fault {
        kind: SyntaxErrorKind::HelmTemplate,
        span: span(at, at + length),
        message: "this is a template, not a manifest".into(),
        help: "render it first, such as with `helm template`, and check the result",
    }
}

/// The first `{{` outside of comments.
fn template_action(text: &str) -> Option<usize> {
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let code = match line.find(" #") {
            _ if line.trim_start().starts_with('#') => "",
            Some(comment) => &line[..comment],
            None => line,
        };
        if let Some(at) = code.find("{{") {
            return Some(start + at);
        }
        start += line.len();
    }
    None
}

/// `metadata:` or `spec:` whose fields stand at the left margin too.
fn flattened(text: &str, start: usize) -> Option<Fault> {
    let range = document_around(text, start);
    let mut parent: Option<&str> = None;
    let mut at = range.start;
    for line in text[range].split_inclusive('\n') {
        let content = line.trim_end();
        let key = content.split_once(':').map(|(key, _)| key);
        if content.is_empty() || content.starts_with('#') {
            // Between a key and its value there may be anything that is no content.
        } else if let (Some(parent), Some(key)) = (parent, key)
            && belongs(parent, key)
        {
            return Some(Fault {
                kind: SyntaxErrorKind::Flattened,
                span: span(at, at + content.len()),
                message: format!("the indentation is lost: `{key}` belongs under `{parent}`").into(),
                help: "indent the fields of `metadata` and `spec` again, each level by two spaces",
            });
        } else {
            parent = ["metadata", "spec"].into_iter().find(|key| {
                let rest = content.strip_prefix(key).and_then(|rest| rest.strip_prefix(':'));
                rest.is_some_and(|rest| rest.trim_start().is_empty() || rest.trim_start().starts_with('#'))
            });
        }
        at += line.len();
    }
    None
}

/// Fields that manifests have under `metadata` and `spec`, and never at their top.
fn belongs(parent: &str, key: &str) -> bool {
    match parent {
        "metadata" => matches!(key, "name" | "namespace" | "labels" | "annotations" | "generateName"),
        _ => matches!(
            key,
            "podSelector"
                | "policyTypes"
                | "ingress"
                | "egress"
                | "selector"
                | "replicas"
                | "template"
                | "containers"
                | "ports"
                | "serviceName"
        ),
    }
}

/// From the separator before an offset to the next one.
fn document_around(text: &str, offset: usize) -> std::ops::Range<usize> {
    let offset = text.floor_char_boundary(offset.min(text.len()));
    let start = text[..offset].rfind("\n---").map_or(0, |at| at + 4);
    let start = if start == 0 && text.starts_with("---") { 3 } else { start };
    let end = text[offset.max(start)..].find("\n---").map_or(text.len(), |at| offset.max(start) + at + 1);
    start..end
}

/// A tab in the indentation of the line with the trouble, or of the next: the parser may point at either.
fn tab(text: &str, offset: usize) -> Option<Span> {
    // JSON may be indented with whatever it likes.
    if text[document_around(text, offset)].trim_start().starts_with(['{', '[']) {
        return None;
    }
    let mut start = text[..offset].rfind('\n').map_or(0, |at| at + 1);
    for line in text[start..].split_inclusive('\n').take(2) {
        let indent = line.len() - line.trim_start_matches([' ', '\t']).len();
        if let Some(at) = line[..indent].find('\t') {
            return Some(span(start + at, start + at + 1));
        }
        start += line.len();
    }
    None
}

/// The run of characters at an offset, one at least where there is one.
fn token(text: &str, offset: usize) -> Span {
    let rest = &text[offset..];
    let first = rest.chars().next().map_or(0, char::len_utf8);
    let length = rest.find(|c: char| c.is_whitespace() || matches!(c, ',' | ']' | '}')).unwrap_or(rest.len());
    span(offset, offset + length.max(if rest.starts_with(['\n', '\r']) { 0 } else { first }))
}

fn span(start: usize, end: usize) -> Span {
    let narrow = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
    Span::new(narrow(start), narrow(end))
}
