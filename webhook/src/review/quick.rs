//! Reviews as API servers write them, read in one go.

use std::collections::BTreeMap;

use netpol_policy::syntax::{self, Kind as Shape, Node, Value};

use super::raw::{Body, Part};
use super::request::{Kind, Operation, Request, UserInfo};

/// A longer body is mostly what nobody looks at; it isn't worth the memory.
const LONGEST: usize = 64 * 1024;

/// The request of a body, with its objects. `None` for everything unusual: `serde_json` knows what to make of it.
pub(super) fn request(body: &[u8]) -> Option<Request<'_>> {
    if body.len() > LONGEST {
        return None;
    }
    let text = std::str::from_utf8(body).ok()?;
    let document = syntax::read_json(text)?.documents.pop()?;
    let request = of(text, document.root())?;
    Some(Request { body: Some(Body { text, document }), ..request })
}

fn of<'a>(text: &'a str, review: Node<'_>) -> Option<Request<'a>> {
    let [version, kind, request] = fields(review, ["apiVersion", "kind", "request"])?;
    if version?.as_str()? != super::API_VERSION || kind?.as_str()? != super::KIND {
        return None;
    }
    let names = [
        "uid",
        "kind",
        "operation",
        "name",
        "namespace",
        "subResource",
        "userInfo",
        "object",
        "oldObject",
        "dryRun",
    ];
    let [uid, kind, operation, name, namespace, sub_resource, user_info, object, old_object, dry_run] =
        fields(request?, names)?;
    let [group, version, kind] = fields(kind?, ["group", "version", "kind"])?;
    Some(Request {
        uid: uid?.as_str().filter(|uid| !uid.is_empty())?.to_owned(),
        kind: Kind { group: or_default(group, owned)?, version: owned(version?)?, kind: owned(kind?)? },
        sub_resource: optional(sub_resource, owned)?,
        name: or_default(name, owned)?,
        namespace: optional(namespace, owned)?,
        operation: match operation?.as_str()? {
            "CREATE" => Operation::Create,
            "UPDATE" => Operation::Update,
            "DELETE" => Operation::Delete,
            "CONNECT" => Operation::Connect,
            _ => return None,
        },
        user_info: or_default(user_info, user)?,
        object: optional(object, |node| part(text, node))?,
        old_object: optional(old_object, |node| part(text, node))?,
        dry_run: or_default(dry_run, |node| match node.value() {
            Some(Value::Bool(value)) => Some(value),
            _ => None,
        })?,
        body: None,
    })
}

fn user(node: Node<'_>) -> Option<UserInfo> {
    let [username, uid, groups, extra] = fields(node, ["username", "uid", "groups", "extra"])?;
    let all_extra = |node: Node<'_>| {
        let pair = |entry: syntax::Entry<'_>| Some((entry.key.key_text().into_owned(), texts(entry.value)?));
        matches!(node.kind(), Shape::Mapping(_))
            .then(|| node.entries().map(pair).collect::<Option<BTreeMap<_, _>>>())?
    };
    Some(UserInfo {
        username: or_default(username, owned)?,
        uid: optional(uid, owned)?,
        groups: optional(groups, texts)?,
        extra: optional(extra, all_extra)?,
    })
}

/// Some fields of an object, none of which may be there twice.
fn fields<'a, const N: usize>(node: Node<'a>, names: [&str; N]) -> Option<[Option<Node<'a>>; N]> {
    if !matches!(node.kind(), Shape::Mapping(_)) {
        return None;
    }
    let mut found = [None; N];
    for entry in node.entries() {
        let key = entry.key.as_str()?;
        let is = |name: &&str| name.len() == key.len() && *name == key;
        if let Some(index) = names.iter().position(is)
            && found[index].replace(entry.value).is_some()
        {
            return None;
        }
    }
    Some(found)
}

/// A value that may be missing or null.
fn optional<'a, T>(node: Option<Node<'a>>, read: impl FnOnce(Node<'a>) -> Option<T>) -> Option<Option<T>> {
    match node.filter(|node| !node.is_null()) {
        Some(node) => read(node).map(Some),
        None => Some(None),
    }
}

/// A value that may be missing.
fn or_default<'a, T: Default>(node: Option<Node<'a>>, read: impl FnOnce(Node<'a>) -> Option<T>) -> Option<T> {
    node.map_or_else(|| Some(T::default()), read)
}

fn owned(node: Node<'_>) -> Option<String> {
    node.as_str().map(str::to_owned)
}

fn texts(node: Node<'_>) -> Option<Vec<String>> {
    matches!(node.kind(), Shape::Sequence(_)).then(|| node.items().map(|item| owned(item.value)).collect())?
}

fn part<'a>(text: &'a str, node: Node<'_>) -> Option<Part<'a>> {
    Some(Part { text: text.get(node.span().range())?, node: Some(node.id()) })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Fields as they are, of another kind, missing, null and twice.
    fn field(name: &'static str, value: &'static str) -> impl Strategy<Value = String> {
        let others =
            ["null", "7", "\"x\"", "[]", "{}", "[\"a\"]", "true", "{\"a\":[\"b\"]}", "\"\\u00e9\"", "\"\""];
        let other = prop::sample::select(others.to_vec());
        let with = move |value: &str| format!("\"{name}\": {value},");
        prop_oneof![
            12 => Just(with(value)),
            2 => other.clone().prop_map(with),
            1 => Just(String::new()),
            1 => other.prop_map(move |other| with(value) + &with(other)),
        ]
    }

    fn object(fields: &[(&'static str, &'static str)]) -> impl Strategy<Value = String> {
        let fields: Vec<_> = fields.iter().map(|(name, value)| field(name, value)).collect();
        fields.prop_map(|fields| format!("{{{}}}", fields.concat().trim_end_matches(',')))
    }

    fn body() -> impl Strategy<Value = String> {
        let kind = object(&[
            ("group", "\"networking.k8s.io\""),
            ("version", "\"v1\""),
            ("kind", "\"NetworkPolicy\""),
        ]);
        let user = object(&[
            ("username", "\"u\""),
            ("uid", "\"1\""),
            ("groups", "[\"g\"]"),
            ("extra", "{\"k\": [\"v\"], \"k\": []}"),
        ]);
        let others = object(&[
            ("uid", "\"705a\""),
            ("operation", "\"UPDATE\""),
            ("name", "\"n\""),
            ("namespace", "\"s\""),
            ("subResource", "\"status\""),
            ("object", "{\"a\": {\"b\": [1, \"\\n\"]}}"),
            ("oldObject", "{ }"),
            ("dryRun", "true"),
            ("options", "{\"kind\": \"CreateOptions\"}"),
        ]);
        (
            kind,
            user,
            others,
            object(&[("apiVersion", "\"admission.k8s.io/v1\""), ("kind", "\"AdmissionReview\"")]),
        )
            .prop_map(|(kind, user, others, review)| {
                let others = others.trim_matches(['{', '}']).to_owned();
                let others = if others.is_empty() { others } else { format!(",{others}") };
                let review = review.trim_matches(['{', '}']).to_owned();
                let review = if review.is_empty() { review } else { format!(",{review}") };
                format!("{{\"request\": {{\"kind\": {kind}, \"userInfo\": {user}{others}}}{review}}}")
            })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        /// What it reads is what `serde_json` reads.
        #[test]
        fn reads_as_the_usual_reader_does(body in body()) {
            let Some(quick) = request(body.as_bytes()) else { return Ok(()) };
            let usual = Request::parse_usual(body.as_bytes()).expect("it can be read");
            let shown = |request: &Request<'_>| {
                let objects = [request.object(), request.old_object()].map(|raw| raw.map(|raw| raw.get().to_owned()));
                let Request { uid, kind, sub_resource, name, namespace, operation, user_info, dry_run, .. } = request;
                format!("{uid:?} {kind:?} {sub_resource:?} {name:?} {namespace:?} {operation:?} {user_info:?} {dry_run:?} {objects:?}")
            };
            prop_assert_eq!(shown(&quick), shown(&usual));
        }
    }

    #[test]
    fn the_usual_is_read() {
        let body = r#"{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":"u","kind":{"group":"","version":"v1","kind":"Pod"},"operation":"CREATE","userInfo":{"username":"a","extra":{"k":["v"]}},"object":{"a":[]},"oldObject":null}}"#;
        let request = request(body.as_bytes()).expect("it is usual");
        let (text, node) = request.object().and_then(Raw::read).expect("it was read");
        assert_eq!(&text[node.span().range()], r#"{"a":[]}"#);
        assert!(request.old_object().is_none());
    }

    use super::super::Raw;
}
