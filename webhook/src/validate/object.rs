//! An object as JSON that still lies in the request.
//!
//! Every review reads one or two, takes out a field or two and writes the rest for the linter: texts stay where they are, and
//! fields lie in a list instead of a tree.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, Serializer};
use serde_json::Number;

/// Fields by name, sorted, each once.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Object<'a>(Vec<(Text<'a>, Value<'a>)>);

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value<'a> {
    Null,
    Bool(bool),
    Number(Number),
    Text(Text<'a>),
    List(Vec<Value<'a>>),
    Object(Object<'a>),
}

/// A text without escapes, or a copy of one that has some.
type Text<'a> = Cow<'a, str>;

impl<'a> Object<'a> {
    /// Reads an object; `None` where there is another value.
    pub(super) fn read(json: &'a str) -> serde_json::Result<Option<Self>> {
        Ok(match serde_json::from_str(json)? {
            Value::Object(object) => Some(object),
            _ => None,
        })
    }

    /// The value of a field.
    pub(super) fn get(&self, name: &str) -> Option<&Value<'a>> {
        self.find(name).ok().map(|at| &self.0[at].1)
    }

    /// The fields of a field that is an object.
    pub(super) fn object_mut(&mut self, name: &str) -> Option<&mut Self> {
        match self.find(name).ok().map(|at| &mut self.0[at].1) {
            Some(Value::Object(object)) => Some(object),
            _ => None,
        }
    }

    /// Gives a field this text.
    pub(super) fn set(&mut self, name: &'a str, text: impl Into<Text<'a>>) {
        let value = Value::Text(text.into());
        match self.find(name) {
            Ok(at) => self.0[at].1 = value,
            Err(at) => self.0.insert(at, (name.into(), value)),
        }
    }

    /// Takes a field out.
    pub(super) fn remove(&mut self, name: &str) {
        if let Ok(at) = self.find(name) {
            self.0.remove(at);
        }
    }

    fn find(&self, name: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|(known, _)| (**known).cmp(name))
    }
}

impl<'a> Value<'a> {
    /// The value of a field, where this is an object that has it.
    pub(super) fn get(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Object(object) => object.get(name),
            _ => None,
        }
    }

    /// The text that it is.
    pub(super) fn as_str(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Value<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Any)
    }
}

struct Any;

impl<'de> Visitor<'de> for Any {
    type Value = Value<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any valid JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Self::Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Self::Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Self::Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_borrowed_str<E: Error>(self, value: &'de str) -> Result<Self::Value, E> {
        Ok(Value::Text(Cow::Borrowed(value)))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Self::Value, E> {
        Ok(Value::Text(Cow::Owned(value.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = Vec::<(Text<'de>, Value<'de>)>::new();
        let mut sorted = true;
        while let Some((Name(name), value)) = map.next_entry()? {
            sorted = sorted && fields.last().is_none_or(|(last, _)| *last < name);
            fields.push((name, value));
        }
        if !sorted {
            fields.sort_by(|a, b| a.0.cmp(&b.0));
            // Of several of one name the last counts.
            fields.dedup_by(|later, kept| {
                let same = later.0 == kept.0;
                if same {
                    std::mem::swap(later, kept);
                }
                same
            });
        }
        Ok(Value::Object(Object(fields)))
    }
}

/// A field's name; a [`Cow`] alone would always be copied.
struct Name<'a>(Text<'a>);

impl<'de: 'a, 'a> Deserialize<'de> for Name<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match deserializer.deserialize_str(Any)? {
            Value::Text(text) => Ok(Self(text)),
            _ => Err(D::Error::custom("a name is a text")),
        }
    }
}

impl Serialize for Object<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

impl Serialize for Value<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Number(number) => number.serialize(serializer),
            Self::Text(text) => serializer.serialize_str(text),
            Self::List(list) => serializer.collect_seq(list),
            Self::Object(object) => object.serialize(serializer),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn json() -> impl Strategy<Value = String> {
        let text = || "[a-cA-C\"\\\\\u{0}-\u{20}é€😀]{0,6}".prop_map(serde_json::Value::from);
        let number = prop_oneof![
            any::<i64>().prop_map(serde_json::Value::from),
            any::<f64>().prop_map(serde_json::Value::from)
        ];
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(serde_json::Value::from),
            number,
            text()
        ];
        let leaf = leaf.prop_map(|value| value.to_string());
        leaf.prop_recursive(4, 32, 5, move |inner| {
            let field = (text(), inner.clone()).prop_map(|(name, value)| format!("{name}: {value}"));
            prop_oneof![
                prop::collection::vec(inner, 0..5).prop_map(|items| format!("[{}]", items.join(", "))),
                // Names are few: some come twice.
                prop::collection::vec(field, 0..5).prop_map(|fields| format!("{{{}}}", fields.join(","))),
            ]
        })
    }

    proptest! {
        /// It says what `serde_json::Value` says.
        #[test]
        fn is_written_as_it_is_understood(text in json()) {
            let known: serde_json::Value = serde_json::from_str(&text).unwrap();
            let value: Value<'_> = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(serde_json::to_string(&value).unwrap(), known.to_string());
        }
    }

    #[test]
    fn fields_are_found_changed_and_taken_out() {
        let text = r#"{"z": {"b": 1, "a": "x"}, "k": "old", "k": "newer", "gone": [{}]}"#;
        let mut object = Object::read(text).unwrap().unwrap();
        assert_eq!(object.get("z").and_then(|z| z.get("a")).and_then(Value::as_str), Some("x"));
        assert_eq!(object.get("k").and_then(Value::as_str), Some("newer"));
        object.remove("gone");
        object.set("k", "newest");
        object.object_mut("z").unwrap().set("aa", String::from("y"));
        assert_eq!(serde_json::to_string(&object).unwrap(), r#"{"k":"newest","z":{"a":"x","aa":"y","b":1}}"#);
    }

    #[test]
    fn what_is_too_deep_is_refused() {
        let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
        let error = |result: serde_json::Result<()>| result.unwrap_err().to_string();
        let known = error(serde_json::from_str::<serde_json::Value>(&deep).map(drop));
        assert_eq!(error(serde_json::from_str::<Value<'_>>(&deep).map(drop)), known);
    }
}
