//! The uid of a request that is otherwise of no use.

use std::fmt;

use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor};

/// `request.uid` of a body that is cut short, too large or wrong elsewhere, if it stands before the fault. The API
/// server writes it first, before the object.
pub fn uid(body: &[u8]) -> Option<String> {
    let mut found = None;
    let mut reader = serde_json::Deserializer::from_slice(body);
    // What follows the uid may well be broken; the error says nothing that is needed here.
    let _ = Field { name: "request", inner: Field { name: "uid", inner: Text(&mut found) } }
        .deserialize(&mut reader);
    found.filter(|uid: &String| !uid.is_empty())
}

/// Looks for a field of an object and gives its value to `inner`.
struct Field<S> {
    name: &'static str,
    inner: S,
}

struct Text<'a>(&'a mut Option<String>);

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Field<S> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, S: DeserializeSeed<'de>> Visitor<'de> for Field<S> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an object with a field {}", self.name)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut inner = Some(self.inner);
        while let Some(key) = map.next_key::<String>()? {
            match inner.take() {
                Some(seed) if key == self.name => {
                    map.next_value_seed(seed)?;
                }
                kept => {
                    inner = kept;
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Text<'_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        *self.0 = Some(serde::Deserialize::deserialize(deserializer)?);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::uid;

    #[test]
    fn it_is_found_before_the_fault() {
        for (body, found) in [
            (r#"{"kind":"AdmissionReview","request":{"uid":"a-1","object":{"#, Some("a-1")),
            (r#"{"request":{"uid":"a-1""#, Some("a-1")),
            (r#"{"request":{"kind":{},"uid":"a-1"},"request":{"uid":"a-2"}}"#, Some("a-1")),
            (r#"{"uid":"outside","request":{"object":{"uid":"inside"}}}"#, None),
            (r#"{"request":{"uid":7}}"#, None),
            (r#"{"request":{"uid":""}}"#, None),
            (r#"{"request":{"object":{"#, None),
            ("\u{0}", None),
        ] {
            assert_eq!(uid(body.as_bytes()).as_deref(), found, "{body}");
        }
    }
}
