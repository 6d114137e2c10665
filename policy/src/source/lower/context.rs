//! What every part of an object is read with.

use std::collections::HashMap;

use crate::source::problem::{Problem, ProblemKind};
use crate::source::{Field, Item, List, ListStyle, Slot, StrayField, TextPair};
use crate::span::{Span, Spanned};
use crate::syntax::{Entry, Kind, Node, Style, Value};

use super::path::Path;
use super::suggest;

/// The most problems that one object reports.
const MOST_PROBLEMS: usize = 1_000;

/// Collects problems.
#[derive(Default)]
pub(in crate::source) struct Context {
    pub(in crate::source) problems: Vec<Problem>,
    /// The API server would refuse the object.
    pub(in crate::source) rejected: bool,
}

/// What becomes of a null item, in which the API server reads a value with nothing in it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::source) enum NullItems {
    /// That value is fine.
    Empty,
    /// That value is invalid.
    Refused,
}

/// The fields of a mapping.
pub(in crate::source) struct Fields<'a, const N: usize> {
    /// In the order in which they were asked for.
    pub(in crate::source) known: [Option<Entry<'a>>; N],
    /// The others.
    pub(in crate::source) stray: Vec<Entry<'a>>,
}

impl Context {
    pub(in crate::source) fn problem(
        &mut self,
        kind: ProblemKind,
        span: Span,
        path: &Path<'_>,
        message: impl Into<Box<str>>,
    ) -> &mut Problem {
        self.rejected |= kind.rejects();
        self.remark(kind, span, path, message)
    }

    /// A problem that the API server lets pass, whatever its kind usually means.
    pub(in crate::source) fn remark(
        &mut self,
        kind: ProblemKind,
        span: Span,
        path: &Path<'_>,
        message: impl Into<Box<str>>,
    ) -> &mut Problem {
        // Nobody reads more, and a hostile text must not fill the memory with them.
        if self.problems.len() == MOST_PROBLEMS {
            self.problems.pop();
        }
        let path = path.to_string().into();
        self.problems.push(Problem { kind, span, related: None, path, message: message.into(), help: None });
        let last = self.problems.len() - 1;
        &mut self.problems[last]
    }

    /// The fields of a mapping by name, or `None` with a problem when it is none.
    pub(in crate::source) fn fields<'a, const N: usize>(
        &mut self,
        node: Node<'a>,
        path: &Path<'_>,
        names: [&str; N],
    ) -> Option<Fields<'a, N>> {
        if !matches!(node.kind(), Kind::Mapping(_)) {
            self.wrong_type(node, path, "a mapping");
            return None;
        }
        let mut fields = Fields { known: [None; N], stray: Vec::new() };
        let mut again = false;
        for entry in node.entries() {
            let key = entry.key.key_text();
            // Nearly all differ in their length or their first character.
            let is = |name: &&str| {
                name.len() == key.len() && name.bytes().next() == key.bytes().next() && **name == *key
            };
            match names.iter().position(is) {
                Some(index) => again |= fields.known[index].replace(entry).is_some(),
                None => fields.stray.push(entry),
            }
        }
        // Only known fields that are there again, or several unknown ones, can be repeats.
        if again || fields.stray.len() > 1 {
            self.duplicate_keys(node, path);
        }
        Some(fields)
    }

    /// Reports fields that the API doesn't have.
    pub(in crate::source) fn stray(
        &mut self,
        entries: &[Entry<'_>],
        path: &Path<'_>,
        owner: &str,
        known: &[&str],
    ) -> Vec<StrayField> {
        let report = |entry: &Entry<'_>| {
            let key = entry.key.key_text();
            let message = format!("{owner} has no field `{key}`, the API server drops it");
            let help = suggest::field(&key, known);
            let problem =
                self.problem(ProblemKind::UnknownField, entry.key.span(), &path.field(&key), message);
            problem.help = help.map(Into::into);
            stray_field(entry)
        };
        entries.iter().map(report).collect()
    }

    /// A field's value, read by `read`, which reports a problem when it returns `None`.
    pub(in crate::source) fn slot<'a, T>(
        &mut self,
        entry: Option<Entry<'a>>,
        read: impl FnOnce(&mut Self, Node<'a>) -> Option<T>,
    ) -> Slot<T> {
        let Some(entry) = entry else { return Slot::Absent };
        let shared = entry.key.shared().is_some() || entry.value.shared().is_some();
        let (key, span) = (entry.key.span(), entry.value.span());
        if entry.value.is_null() {
            return Slot::Null(Field { key, span, shared, value: () });
        }
        match read(self, entry.value) {
            Some(value) => Slot::Present(Field { key, span, shared, value }),
            None => Slot::Wrong(Field { key, span, shared, value: () }),
        }
    }

    /// A list whose items `read` reads. Null items are a problem each.
    pub(in crate::source) fn list<'a, T>(
        &mut self,
        node: Node<'a>,
        path: &Path<'_>,
        null: NullItems,
        mut read: impl FnMut(&mut Self, Node<'a>, &Path<'_>) -> Option<T>,
    ) -> Option<List<T>> {
        let Kind::Sequence(style) = node.kind() else {
            let problem = self.wrong_type(node, path, "a list");
            if matches!(node.kind(), Kind::Mapping(_)) {
                problem.help = Some("begin the item with `- `".into());
            }
            return None;
        };
        let items = node.items().enumerate().map(|(index, item)| {
            let path = path.index(index);
            let (span, shared) = (item.value.span(), item.value.shared().is_some());
            let value = if item.value.is_null() {
                let place = item.dash.map_or(span, |dash| dash.to(span));
                let problem = self.remark(ProblemKind::NullItem, place, &path, "this item is null");
                problem.help = Some("remove it, or indent what belongs to it below it".into());
                self.rejected |= null == NullItems::Refused;
                None
            } else {
                read(self, item.value, &path)
            };
            Item { dash: item.dash, span, shared, value }
        });
        let items = items.collect();
        Some(List { style: if style == Style::Flow { ListStyle::Flow } else { ListStyle::Block }, items })
    }

    /// A text.
    pub(in crate::source) fn text(&mut self, node: Node<'_>, path: &Path<'_>) -> Option<Box<str>> {
        match node.as_str() {
            Some(text) => Some(text.into()),
            None => {
                self.wrong_type(node, path, "a text");
                None
            }
        }
    }

    /// A field that holds a text; null is as good as absent.
    pub(in crate::source) fn text_field(
        &mut self,
        entry: Option<Entry<'_>>,
        path: &Path<'_>,
    ) -> Option<Spanned<Box<str>>> {
        let value = entry?.value;
        if value.is_null() {
            return None;
        }
        Some(Spanned::new(self.text(value, path)?, value.span()))
    }

    /// Pairs of texts, such as labels. Values that are no texts are reported and left out, and so are all but the
    /// last of equal keys.
    pub(in crate::source) fn pairs(
        &mut self,
        node: Node<'_>,
        path: &Path<'_>,
        what: &str,
    ) -> Option<Vec<TextPair>> {
        if !matches!(node.kind(), Kind::Mapping(_)) {
            self.wrong_type(node, path, "a mapping");
            return None;
        }
        // Of equal keys only the last counts, whatever the others are.
        let mut last = HashMap::new();
        if self.duplicate_keys(node, path) {
            last.extend(node.entries().enumerate().map(|(index, entry)| (entry.key.key_text(), index)));
        }
        let mut pairs = Vec::with_capacity(node.entries().len());
        for (index, entry) in node.entries().enumerate() {
            let key = entry.key.key_text();
            if last.get(&key).is_some_and(|last| *last != index) {
                continue;
            }
            let path = path.field(&key);
            if let Some(value) = self.label_value(entry.value, &path, what) {
                let key = Spanned::new(key.as_ref().into(), entry.key.span());
                pairs.push((key, Spanned::new(value, entry.value.span())));
            }
        }
        Some(pairs)
    }

    /// A label's value, which must be a text.
    pub(in crate::source) fn label_value(
        &mut self,
        node: Node<'_>,
        path: &Path<'_>,
        what: &str,
    ) -> Option<Box<str>> {
        if let Some(text) = node.as_str() {
            return Some(text.into());
        }
        if node.value().is_none() {
            self.wrong_type(node, path, "a text");
            return None;
        }
        if node.is_null() {
            let message =
                format!("the value of this {what} is null, which the API server takes as an empty text");
            let problem = self.remark(ProblemKind::NonStringLabel, node.span(), path, message);
            problem.help = Some("write `\"\"` if it is meant to be empty".into());
            return Some(Box::default());
        }
        let message = format!("the value of a {what} must be a text, but YAML reads {}", describe(node));
        let problem = self.problem(ProblemKind::NonStringLabel, node.span(), path, message);
        problem.help = Some("put it in quotes".into());
        None
    }

    pub(in crate::source) fn wrong_type(
        &mut self,
        node: Node<'_>,
        path: &Path<'_>,
        wanted: &str,
    ) -> &mut Problem {
        let message = format!("this must be {wanted}, but is {}", describe(node));
        let problem = self.problem(ProblemKind::WrongType, first_line(node), path, message);
        if wanted == "a text" && node.value().is_some() {
            problem.help = Some("put it in quotes".into());
        }
        problem
    }

    /// Reports keys that are there again, and says whether there are any.
    fn duplicate_keys(&mut self, node: Node<'_>, path: &Path<'_>) -> bool {
        let entries = node.entries();
        let mut found = false;
        // Most mappings are small, and comparing is cheaper than hashing.
        if entries.len() <= 8 {
            for (index, entry) in node.entries().enumerate().skip(1) {
                let key = entry.key.key_text();
                if let Some(first) = node.entries().take(index).find(|e| e.key.key_text() == key) {
                    self.duplicate_key(&key, entry.key.span(), first.key.span(), path);
                    found = true;
                }
            }
            return found;
        }
        let mut seen = HashMap::with_capacity(entries.len());
        for entry in entries {
            let key = entry.key.key_text();
            let span = entry.key.span();
            match seen.get(&key) {
                Some(first) => {
                    self.duplicate_key(&key, span, *first, path);
                    found = true;
                }
                None => _ = seen.insert(key, span),
            }
        }
        found
    }

    fn duplicate_key(&mut self, key: &str, again: Span, first: Span, path: &Path<'_>) {
        let message = format!("the key `{key}` is here twice, only the last counts");
        let problem = self.problem(ProblemKind::DuplicateKey, again, &path.field(key), message);
        problem.related = Some(first);
        problem.help = Some("keep one of them; two items of a list begin with `- ` each".into());
    }
}

pub(in crate::source) fn stray_field(entry: &Entry<'_>) -> StrayField {
    let key = Spanned::new(entry.key.key_text().as_ref().into(), entry.key.span());
    StrayField { key, value: entry.value.span() }
}

fn describe(node: Node<'_>) -> &'static str {
    match (node.kind(), node.value()) {
        (Kind::Mapping(_), _) => "a mapping",
        (Kind::Sequence(_), _) => "a list",
        (_, None | Some(Value::Null)) => "null",
        (_, Some(Value::Bool(true))) => "the bool true",
        (_, Some(Value::Bool(false))) => "the bool false",
        (_, Some(Value::Int(_) | Value::Float(_))) => "a number",
        (_, Some(Value::Str(_))) => "a text",
    }
}

/// The place to point at: of a block collection only its first key or dash.
fn first_line(node: Node<'_>) -> Span {
    match node.kind() {
        Kind::Mapping(Style::Block) => node.entries().next().map_or(node.span(), |entry| entry.key.span()),
        Kind::Sequence(Style::Block) => {
            node.items().next().and_then(|item| item.dash).unwrap_or_else(|| node.span())
        }
        _ => node.span(),
    }
}
