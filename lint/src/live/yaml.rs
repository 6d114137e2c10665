//! Objects as people write them: findings show the text around them.

use serde_json::Value;

/// An object as block-style YAML; of an empty one, nothing.
///
/// # Panics
/// When the value is neither an object nor a list.
pub fn write(object: &Value) -> String {
    let mut out = String::new();
    block(object, 0, &mut out);
    out
}

/// A mapping or a sequence, each item on lines of its own.
fn block(value: &Value, indent: usize, out: &mut String) {
    match value {
        Value::Object(fields) => {
            for (number, (key, value)) in fields.iter().enumerate() {
                if number > 0 {
                    pad(indent, out);
                }
                scalar(key, out);
                out.push(':');
                // Sequences stay at the indentation of their key, as kubectl has it.
                nested(value, if value.is_array() { indent } else { indent + 2 }, out);
            }
        }
        Value::Array(items) => {
            for (number, item) in items.iter().enumerate() {
                if number > 0 {
                    pad(indent, out);
                }
                out.push('-');
                if is_block(item) {
                    out.push(' ');
                    block(item, indent + 2, out);
                } else {
                    nested(item, indent, out);
                }
            }
        }
        _ => unreachable!("scalars are written beside their keys"),
    }
}

/// A value after a key or a dash.
fn nested(value: &Value, indent: usize, out: &mut String) {
    if is_block(value) {
        out.push('\n');
        pad(indent, out);
        block(value, indent, out);
        return;
    }
    out.push(' ');
    match value {
        Value::String(text) => scalar(text, out),
        // Also the empty mapping and the empty sequence.
        value => out.push_str(&value.to_string()),
    }
    out.push('\n');
}

fn is_block(value: &Value) -> bool {
    match value {
        Value::Object(fields) => !fields.is_empty(),
        Value::Array(items) => !items.is_empty(),
        _ => false,
    }
}

fn pad(indent: usize, out: &mut String) {
    out.extend(std::iter::repeat_n(' ', indent));
}

/// A text: plain where nobody can take it for something else.
fn scalar(text: &str, out: &mut String) {
    let plain = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_./".contains(&b));
    const WORDS: [&str; 9] = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    if plain && !WORDS.iter().any(|word| text.eq_ignore_ascii_case(word)) {
        out.push_str(text);
    } else {
        // A JSON string is a double-quoted YAML scalar.
        out.push_str(&Value::from(text).to_string());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn as_kubectl_writes_it() {
        let policy = json!({
            "kind": "NetworkPolicy",
            "metadata": {"labels": {"a": "on", "b": "1"}, "name": "p"},
            "spec": {"podSelector": {}, "ingress": [{"from": [{"podSelector": {"matchLabels": {"app": "web"}}}], "ports": [{"port": 80}]}, {}], "policyTypes": ["Ingress"]},
        });
        insta::assert_snapshot!(write(&policy), @r#"
        kind: NetworkPolicy
        metadata:
          labels:
            a: "on"
            b: "1"
          name: p
        spec:
          ingress:
          - from:
            - podSelector:
                matchLabels:
                  app: web
            ports:
            - port: 80
          - {}
          podSelector: {}
          policyTypes:
          - Ingress
        "#);
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            "\\PC{0,6}|[a-z]{1,5}|[\\n\\t :#-]{1,4}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[a-zA-Z./-]{1,6}|\\PC{1,3}", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn reads_back(value in values()) {
            let value = json!({"value": value});
            let text = write(&value);
            let read: Value = serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
            prop_assert_eq!(read, value, "{}", text);
        }
    }
}
