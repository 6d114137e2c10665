//! JSON values as YAML.

use std::fmt::Write as _;

use serde_json::Value;

/// Block style, a document for each value. Fields keep their order by name but for those that come first in every object.
pub fn to_yaml(objects: &[Value]) -> String {
    let mut text = String::new();
    for (index, object) in objects.iter().enumerate() {
        if index > 0 {
            text.push_str("---\n");
        }
        block(object, 0, &mut text);
    }
    text
}

/// Fields that come before the others.
const FIRST: [&str; 4] = ["apiVersion", "kind", "metadata", "name"];

/// What stands on lines of its own, each indented.
fn block(value: &Value, indent: usize, text: &mut String) {
    match value {
        Value::Object(fields) => {
            let first = FIRST.iter().filter_map(|name| fields.get_key_value(*name));
            let mut rest: Vec<_> =
                fields.iter().filter(|(name, _)| !FIRST.contains(&name.as_str())).collect();
            rest.sort_by_key(|(name, _)| *name);
            for (name, value) in first.chain(rest) {
                let _ = write!(text, "{:indent$}{name}:", "");
                after(value, indent, text);
            }
        }
        Value::Array(items) => {
            for item in items {
                let _ = write!(text, "{:indent$}-", "");
                let mut lines = String::new();
                after_dash(item, indent, &mut lines);
                text.push_str(&lines);
            }
        }
        scalar => {
            let _ = writeln!(text, "{:indent$}{}", "", plain(scalar));
        }
    }
}

/// What follows `name:`.
fn after(value: &Value, indent: usize, text: &mut String) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            text.push('\n');
            block(value, indent + 2, text);
        }
        Value::Array(items) if !items.is_empty() => {
            text.push('\n');
            block(value, indent + 2, text);
        }
        scalar => {
            let _ = writeln!(text, " {}", plain(scalar));
        }
    }
}

/// What follows a dash: an object begins on the same line.
fn after_dash(value: &Value, indent: usize, text: &mut String) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            let mut lines = String::new();
            block(value, indent + 2, &mut lines);
            text.push(' ');
            text.push_str(lines.trim_start());
        }
        other => after(other, indent, text),
    }
}

/// A scalar, or an empty list or object. JSON's quotes are YAML's too.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) if is_plain(text) => text.clone(),
        other => other.to_string(),
    }
}

fn is_plain(text: &str) -> bool {
    let letters = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(letters)
        && !matches!(text, "true" | "false" | "null" | "yes" | "no" | "on" | "off" | "y" | "n")
}

#[cfg(test)]
mod tests {
    use netpol_policy::syntax;
    use serde_json::json;

    use super::*;

    #[test]
    fn it_reads_as_it_was() {
        let object = json!({
            "spec": {"b": [{"x": 1, "name": "n"}, "no", [], {}, [[1, 2]]], "a": "it's: \"so\" #1", "v": "v1"},
            "kind": "K",
            "apiVersion": "g/v1",
        });
        let text = to_yaml(&[object]);
        assert_eq!(
            text,
            "apiVersion: g/v1\nkind: K\nspec:\n  a: \"it's: \\\"so\\\" #1\"\n  b:\n    - name: \"n\"\n      x: 1\n    - \"no\"\n    \
             - []\n    - {}\n    -\n      -\n        - 1\n        - 2\n  v: v1\n"
        );
        assert!(syntax::read(&text).errors.is_empty());
    }
}
