//! Values in every form that YAML has: block and flow style, JSON, quotes, anchors, comments with tabs, indentation of any
//! width, several documents and lists of objects, with either line end.

use serde_json::Value as Json;

/// A value before it has a form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    /// A text, with or without quotes.
    Text(String),
    /// A number, a boolean or null, as it is.
    Raw(String),
    List(Vec<Value>),
    Map(Vec<(String, Value)>),
}

use Value::{List, Map, Raw, Text};

pub(crate) fn map<'k>(entries: impl IntoIterator<Item = (&'k str, Value)>) -> Value {
    Map(entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
}

impl From<&Json> for Value {
    fn from(json: &Json) -> Self {
        match json {
            Json::String(text) => Text(text.clone()),
            Json::Array(items) => List(items.iter().map(Self::from).collect()),
            Json::Object(entries) => {
                Map(entries.iter().map(|(key, value)| (key.clone(), value.into())).collect())
            }
            other => Raw(other.to_string()),
        }
    }
}

/// Writes values, each in a form that the next of some random numbers picks. Where all of them are zero: block style and
/// nothing else.
pub(crate) struct Writer<'n> {
    choices: Vec<u8>,
    next: usize,
    text: String,
    comments: usize,
    /// What comments begin with.
    note: &'n str,
    /// Values of the document that have an anchor.
    anchors: Vec<Value>,
}

/// What stands in place of a value, or before it.
enum Mark {
    Nothing,
    Anchor(usize),
    Alias(usize),
}

impl<'n> Writer<'n> {
    /// Documents, perhaps with several of them in one as a list.
    pub(crate) fn write(values: &[Value], choices: Vec<u8>) -> String {
        Self::write_with(values, choices, "note")
    }

    /// The same with other comments.
    pub(crate) fn write_with(values: &[Value], choices: Vec<u8>, note: &'n str) -> String {
        let (text, anchors) = (String::new(), Vec::new());
        let mut writer = Writer { choices, next: 0, text, comments: 0, note, anchors };
        let values: Vec<_> = values.iter().map(|value| writer.reordered(value)).collect();
        if writer.one_in(6) {
            let items = List(values);
            let list =
                [("apiVersion", Text("v1".to_owned())), ("kind", Text("List".to_owned())), ("items", items)];
            writer.documents(&[map(list)]);
        } else {
            writer.documents(&values);
        }
        if writer.one_in(6) {
            writer.text.truncate(writer.text.trim_end().len());
        }
        if writer.one_in(3) { writer.text.replace('\n', "\r\n") } else { writer.text }
    }

    /// The fields of mappings in another order.
    fn reordered(&mut self, value: &Value) -> Value {
        match value {
            Map(entries) if !entries.is_empty() => {
                let mut entries: Vec<_> =
                    entries.iter().map(|(key, value)| (key.clone(), self.reordered(value))).collect();
                let first = self.pick(entries.len());
                entries.rotate_left(first);
                Map(entries)
            }
            List(items) => List(items.iter().map(|item| self.reordered(item)).collect()),
            other => other.clone(),
        }
    }

    fn documents(&mut self, values: &[Value]) {
        for (index, value) in values.iter().enumerate() {
            self.anchors.clear();
            if index > 0 || self.one_in(4) {
                if index > 0 && self.one_in(8) {
                    self.text.push_str("...\n");
                }
                self.text.push_str("---");
                self.end_line();
            }
            if self.one_in(8) {
                let text = self.json(value, 0);
                self.text.push_str(&text);
                self.text.push('\n');
            } else if self.one_in(8) {
                let text = self.flow(value);
                self.text.push_str(&text);
                self.text.push('\n');
            } else {
                self.block(value, 0);
            }
        }
    }

    fn pick(&mut self, of: usize) -> usize {
        self.next += 1;
        usize::from(self.choices[self.next % self.choices.len()]) % of
    }

    fn one_in(&mut self, of: usize) -> bool {
        self.pick(of) == of - 1
    }

    /// Comments and empty lines before a line of that indentation.
    fn pause(&mut self, indent: usize) {
        if self.one_in(7) {
            self.text.push('\n');
        }
        if self.one_in(6) {
            let indent = if self.one_in(4) { 0 } else { indent };
            let comment = self.comment();
            self.text.push_str(&format!("{}{comment}\n", " ".repeat(indent)));
        }
    }

    fn end_line(&mut self) {
        if self.one_in(6) {
            let space = ["\t", "  ", " "][self.pick(3)];
            let comment = self.comment();
            self.text.push_str(&format!("{space}{comment}"));
        }
        self.text.push('\n');
    }

    fn comment(&mut self) -> String {
        self.comments += 1;
        let tab = if self.one_in(3) { "\tafter a tab: - {#" } else { "" };
        format!("# {} {}{tab}", self.note, self.comments)
    }

    /// An anchor for a value that is first written here, or an alias for one that was written before.
    fn mark(&mut self, value: &Value) -> Mark {
        if matches!(value, Raw(_)) {
            return Mark::Nothing;
        }
        match self.anchors.iter().position(|anchored| anchored == value) {
            Some(number) if self.one_in(2) => Mark::Alias(number),
            None if self.one_in(7) => {
                self.anchors.push(value.clone());
                Mark::Anchor(self.anchors.len() - 1)
            }
            _ => Mark::Nothing,
        }
    }

    /// A value in block style where its first line is about to begin, or in flow style at the end of a line.
    fn block(&mut self, value: &Value, indent: usize) {
        match value {
            Map(entries) => {
                for (key, value) in entries {
                    self.pause(indent);
                    self.entry(key, value, indent);
                }
            }
            List(items) => {
                for item in items {
                    self.pause(indent);
                    self.item(item, indent);
                }
            }
            Text(_) | Raw(_) => {
                let text = self.flow_plain(value);
                self.text.push_str(&text);
                self.end_line();
            }
        }
    }

    fn entry(&mut self, key: &str, value: &Value, indent: usize) {
        let quote = ["", "", "", "", "'", "\""][self.pick(6)];
        self.text.push_str(&format!("{}{quote}{key}{quote}:", " ".repeat(indent)));
        self.value(value, indent);
    }

    /// What follows a colon or a dash.
    fn value(&mut self, value: &Value, indent: usize) {
        match self.mark(value) {
            Mark::Nothing => {}
            Mark::Anchor(number) => self.text.push_str(&format!(" &a{number}")),
            Mark::Alias(number) => {
                self.text.push_str(&format!(" *a{number}"));
                return self.end_line();
            }
        }
        match value {
            Map(entries) if !entries.is_empty() && !self.one_in(5) => {
                self.end_line();
                let deeper = indent + 1 + self.pick(4);
                self.block(value, deeper);
            }
            List(items) if !items.is_empty() && !self.one_in(5) => {
                self.end_line();
                let deeper = indent + self.pick(5);
                self.block(value, deeper);
            }
            _ => {
                self.text.push(' ');
                let text = self.flow_plain(value);
                self.text.push_str(&text);
                self.end_line();
            }
        }
    }

    fn item(&mut self, item: &Value, indent: usize) {
        self.text.push_str(&format!("{}-", " ".repeat(indent)));
        match item {
            Map(entries) if !entries.is_empty() && !self.one_in(4) => {
                let deeper = indent + 2 + self.pick(3);
                if self.one_in(5) {
                    self.end_line();
                    return self.block(item, deeper);
                }
                self.text.push_str(&" ".repeat(deeper - indent - 1));
                let ((key, value), rest) = entries.split_first().expect("not empty");
                self.text.push_str(&format!("{key}:"));
                self.value(value, deeper);
                for (key, value) in rest {
                    self.pause(deeper);
                    self.entry(key, value, deeper);
                }
            }
            // A list in a list has to be deeper than its dash.
            List(_) => self.value(item, indent + 1),
            _ => self.value(item, indent),
        }
    }

    fn flow(&mut self, value: &Value) -> String {
        match self.mark(value) {
            Mark::Nothing => self.flow_plain(value),
            Mark::Anchor(number) => format!("&a{number} {}", self.flow_plain(value)),
            Mark::Alias(number) => format!("*a{number} "),
        }
    }

    fn flow_plain(&mut self, value: &Value) -> String {
        let space = ["", " "][self.pick(2)];
        let comma = [", ", ",", " , "][self.pick(3)];
        match value {
            Text(text) => {
                let quote = ["'", "\"", "", ""][self.pick(if is_plain(text) { 4 } else { 2 })];
                format!("{quote}{text}{quote}")
            }
            Raw(text) => text.clone(),
            List(items) => {
                let items: Vec<_> = items.iter().map(|item| self.flow(item)).collect();
                format!("[{space}{}{space}]", items.join(comma))
            }
            Map(entries) => {
                let entries: Vec<_> =
                    entries.iter().map(|(key, value)| format!("{key}: {}", self.flow(value))).collect();
                format!("{{{space}{}{space}}}", entries.join(comma))
            }
        }
    }

    fn json(&mut self, value: &Value, indent: usize) -> String {
        let pad = " ".repeat(indent + 2);
        let (open, items, close): (_, Vec<_>, _) = match value {
            Text(text) => return format!("\"{text}\""),
            Raw(text) => return text.clone(),
            List(items) => ('[', items.iter().map(|item| self.json(item, indent + 2)).collect(), ']'),
            Map(entries) => {
                let entry =
                    |(key, value): &(String, Value)| format!("\"{key}\": {}", self.json(value, indent + 2));
                ('{', entries.iter().map(entry).collect(), '}')
            }
        };
        if items.is_empty() {
            return format!("{open}{close}");
        }
        let items: Vec<_> = items.iter().map(|item| format!("\n{pad}{item}")).collect();
        format!("{open}{}\n{}{close}", items.join(","), " ".repeat(indent))
    }
}

/// Whether a text without quotes is a text.
fn is_plain(text: &str) -> bool {
    let words = ["true", "false", "yes", "no", "on", "off", "null", "y", "n"];
    text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "./_-".contains(c))
        && text.parse::<f64>().is_err()
        && !words.contains(&&*text.to_ascii_lowercase())
}
