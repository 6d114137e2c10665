//! An object as JSON that still lies in the request.

use netpol_policy::syntax::{self, Kind, Node, Stream, SyntaxError};

use crate::review::Raw;

/// An object that was read.
pub(super) struct Object<'a> {
    /// The text that it is in.
    pub(super) text: &'a str,
    tree: Tree<'a>,
}

enum Tree<'a> {
    /// With the request.
    Read(Node<'a>),
    Own(Stream<'a>),
}

impl<'a> Object<'a> {
    /// The object of a request; `None` where it is another value. What JSON and YAML may not understand alike is written
    /// anew, to `again`.
    pub(super) fn of(raw: Raw<'a>, again: &'a mut String) -> serde_json::Result<Option<Self>> {
        let Some((text, node)) = raw.read() else { return Self::read(raw.get(), again) };
        Ok(Some(Self { text, tree: Tree::Read(node) }).filter(Self::is_object))
    }

    /// Reads a text in the same way.
    pub(super) fn read(text: &'a str, again: &'a mut String) -> serde_json::Result<Option<Self>> {
        if let Some(stream) = syntax::read_json(text) {
            return Ok(Some(Self { text, tree: Tree::Own(stream) }).filter(Self::is_object));
        }
        let value: serde_json::Value = serde_json::from_str(text)?;
        *again = value.to_string();
        let text = &**again;
        Ok(value.is_object().then(|| Self { text, tree: Tree::Own(syntax::read(text)) }))
    }

    /// The whole of it, or why the linter can't read it.
    pub(super) fn root(&self) -> Result<Node<'_>, &[SyntaxError]> {
        match &self.tree {
            Tree::Read(node) => Ok(*node),
            Tree::Own(stream) => stream.documents.first().map(|one| one.root()).ok_or(&stream.errors),
        }
    }

    /// The value of a field by its path.
    pub(super) fn get(&self, path: &[&str]) -> Option<Node<'_>> {
        path.iter().try_fold(self.root().ok()?, |node, field| node.get(field))
    }

    fn is_object(&self) -> bool {
        self.root().is_ok_and(|root| matches!(root.kind(), Kind::Mapping(_)))
    }
}

/// Whether two values are the same, in whatever order their fields stand.
pub(super) fn is_same(one: Option<Node<'_>>, other: Option<Node<'_>>) -> bool {
    let (Some(one), Some(other)) = (one, other) else { return one.is_none() && other.is_none() };
    match (one.kind(), other.kind()) {
        (Kind::Scalar(..), Kind::Scalar(..)) => one.value() == other.value(),
        (Kind::Sequence(_), Kind::Sequence(_)) => {
            let (one, other) = (one.items(), other.items());
            one.len() == other.len()
                && one.zip(other).all(|(one, other)| is_same(Some(one.value), Some(other.value)))
        }
        (Kind::Mapping(_), Kind::Mapping(_)) => {
            one.entries().len() == other.entries().len()
                && one.entries().all(|entry| is_same(Some(entry.value), other.get(&entry.key.key_text())))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found() {
        let mut again = String::new();
        let object = Object::read(r#"{"z": {"b": 1, "a": "x\n"}, "k": [{}]}"#, &mut again).unwrap().unwrap();
        assert_eq!(object.get(&["z", "a"]).and_then(Node::as_str), Some("x\n"));
        assert!(object.get(&["k", "a"]).is_none() && object.get(&["y"]).is_none());
    }

    #[test]
    fn what_is_unusual_is_written_anew() {
        let deep = format!(r#"{{"a": {}{}}}"#, "[".repeat(200), "]".repeat(200));
        let table = [
            (r#"{"a": 1.50, "a": "é"}"#, Some(r#"{"a":"é"}"#)),
            ("{\t\"a\": -1e3}", Some(r#"{"a":-1000.0}"#)),
            (r#"[{"a": 1}]"#, None),
            ("\t7", None),
        ];
        for (text, written) in table {
            let mut again = String::new();
            let object = Object::read(text, &mut again).unwrap();
            assert_eq!(object.map(|object| object.text.to_owned()).as_deref(), written, "{text}");
        }
        for bad in
            [&*deep, "", "{", r#"{"a": 1,}"#, r#"{"a": "\ud800"}"#, r#"{"a": 01}"#, "{} {}", "{'a': 1}"]
        {
            assert!(Object::read(bad, &mut String::new()).is_err(), "{bad}");
        }
    }

    #[test]
    fn order_and_writing_make_no_difference() {
        let same = |one: &str, other: &str| {
            let (mut again, mut anew) = (String::new(), String::new());
            let one = Object::read(one, &mut again).unwrap().unwrap();
            let other = Object::read(other, &mut anew).unwrap().unwrap();
            is_same(one.get(&["a"]), other.get(&["a"]))
        };
        assert!(same(r#"{"a": {"b": 1, "c": [null]}}"#, r#"{"d": 1, "a": {"c": [null], "\u0062": 1}}"#));
        assert!(same("{}", "{}"));
        for (one, other) in [
            (r#"{"a": 1}"#, r#"{"a": "1"}"#),
            (r#"{"a": null}"#, "{}"),
            (r#"{"a": [1, 2]}"#, r#"{"a": [2, 1]}"#),
            (r#"{"a": {"b": 1}}"#, r#"{"a": {"b": 1, "c": 1}}"#),
            (r#"{"a": {"b": 1}}"#, r#"{"a": {"c": 1}}"#),
        ] {
            assert!(!same(one, other) && !same(other, one), "{one} {other}");
        }
    }
}
