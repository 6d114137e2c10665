//! The reader against texts of all sorts.

use std::fmt::Write as _;

use netpol_policy::span::Span;
use netpol_policy::syntax::{
    self, Document, Kind, Limits, Node, ScalarStyle, Stream, Style, SyntaxErrorKind, Value,
};

/// A document as JSON-like text, with a `*` before what came through an alias or a merge key.
fn outline(node: Node<'_>) -> String {
    let mut out = String::new();
    write_node(&mut out, node);
    out
}

fn write_node(out: &mut String, node: Node<'_>) {
    if node.shared().is_some() {
        out.push('*');
    }
    match node.kind() {
        Kind::Scalar(..) => match node.value().unwrap() {
            Value::Null => out.push_str("null"),
            Value::Bool(value) => write!(out, "{value}").unwrap(),
            Value::Int(value) => write!(out, "{value}").unwrap(),
            Value::Float(value) => write!(out, "{value}f").unwrap(),
            Value::Str(value) => write!(out, "{value:?}").unwrap(),
        },
        Kind::Sequence(_) => {
            out.push('[');
            for (index, item) in node.items().enumerate() {
                out.push_str(if index == 0 { "" } else { ", " });
                write_node(out, item.value);
            }
            out.push(']');
        }
        Kind::Mapping(_) => {
            out.push('{');
            for (index, entry) in node.entries().enumerate() {
                out.push_str(if index == 0 { "" } else { ", " });
                write!(out, "{}: ", entry.key.key_text()).unwrap();
                write_node(out, entry.value);
            }
            out.push('}');
        }
    }
}

fn outlines(stream: &Stream<'_>) -> Vec<String> {
    stream.documents.iter().map(|document| outline(document.root())).collect()
}

fn one(text: &str) -> String {
    let stream = syntax::read(text);
    assert_eq!(stream.errors, [], "{text}");
    let [document] = &stream.documents[..] else { panic!("{} documents: {text}", stream.documents.len()) };
    outline(document.root())
}

/// Follows keys and indexes.
fn at<'a>(document: &'a Document<'_>, path: &[&str]) -> Node<'a> {
    path.iter().fold(document.root(), |node, step| match step.parse::<usize>() {
        Ok(index) => node.items().nth(index).expect("index").value,
        Err(_) => node.get(step).unwrap_or_else(|| panic!("{step} in {path:?}")),
    })
}

#[test]
fn values() {
    let cases = [
        ("a: 1\nb: [x, 'y', \"z\"]\n", r#"{a: 1, b: ["x", "y", "z"]}"#),
        ("a:\n- b\n- c\n", r#"{a: ["b", "c"]}"#),
        ("a:\n  - - 1\n    - 2\n  -\n    - 3\n", "{a: [[1, 2], [3]]}"),
        ("a:\r\n  b: 1\r\n  c:\r\n  - d\r\n", r#"{a: {b: 1, c: ["d"]}}"#),
        ("a:\t1\t# tabs\nb: 2\n", "{a: 1, b: 2}"),
        ("\u{feff}a: 1\n", "{a: 1}"),
        ("%YAML 1.2\n---\na: 1\n", "{a: 1}"),
        ("%YAML 1.1\n---\na: yes\n", "{a: true}"),
        ("a: |\n  one\n  two\n\nb: >-\n  three\n  four\n", r#"{a: "one\ntwo\n", b: "three four"}"#),
        ("a: |+\n  x\n\nb: |2\n   y\n", r#"{a: "x\n\n", b: " y\n"}"#),
        (
            "{\n\t\"a\": [1, 2.5, null, true],\n\t\"b\": {\"c\": \"\\u00e9\"}\n}\n",
            r#"{a: [1, 2.5f, null, true], b: {c: "é"}}"#,
        ),
        ("[1,{\"a\":2}]", "[1, {a: 2}]"),
        ("a: &x {b: 1}\nc: *x\nd: [*x]\n", "{a: {b: 1}, c: *{b: *1}, d: [*{b: *1}]}"),
        ("base: &b {a: 1, b: 2}\nc: {a: 0, <<: *b, b: 3}\n", "{base: {a: 1, b: 2}, c: {a: 0, b: 3, a: *1}}"),
        ("c: {<<: {yes: 1, 010: 2}, on: 3}\n", "{c: {true: 3, 8: *2}}"),
        ("c: {a: 0, <<: []}\n", "{c: {a: 0}}"),
        ("base: &b {a: 1, b: 2}\nc:\n  <<: *b\n  b: 3\n", "{base: {a: 1, b: 2}, c: {b: 3, a: *1}}"),
        (
            "p: &x {a: 1}\nq: &y {a: 2, b: 2}\nc: {<<: [*x, *y], d: 4}\n",
            "{p: {a: 1}, q: {a: 2, b: 2}, c: {d: 4, b: *2, a: *1}}",
        ),
        (
            "p: &x {a: 1}\nq: &y {<<: *x, b: 2}\nz: {<<: *y}\n",
            "{p: {a: 1}, q: {b: 2, a: *1}, z: {b: *2, a: *1}}",
        ),
        ("a: {'<<': 1}\n", "{a: {<<: 1}}"),
        ("on: 1\n010: 2\n1.5: 4\n", "{true: 1, 8: 2, 1.5: 4}"),
        ("? a\n: b\n? c\n", r#"{a: "b", c: null}"#),
        ("a: !!str 80\nb: !!int \"80\"\nc: !custom 80\n", r#"{a: "80", b: 80, c: "80"}"#),
        ("a: b #c\nd: e#f\ng: 'h #i'\n", r#"{a: "b", d: "e#f", g: "h #i"}"#),
        ("a: multi\n  line\n  text\n", r#"{a: "multi line text"}"#),
        ("a: 1\na: 2\n", "{a: 1, a: 2}"),
        ("--- {a: 1}\n", "{a: 1}"),
        ("just text", r#""just text""#),
        ("# nothing\n---\n", "null"),
        ("host: a:b\nurl: http://x/y\n", r#"{host: "a:b", url: "http://x/y"}"#),
    ];
    for (text, expected) in cases {
        assert_eq!(one(text), expected, "{text}");
    }
}

#[test]
fn the_last_of_equal_keys_counts() {
    let stream = syntax::read("a: 1\nb: 0\na: 2\n");
    assert_eq!(stream.documents[0].root().get("a").unwrap().value(), Some(Value::Int(2)));
    assert_eq!(stream.documents[0].root().entries().count(), 3);
}

#[test]
fn documents() {
    let cases: &[(&str, &[&str], &[usize])] = &[
        ("", &[], &[]),
        ("# only a comment\n", &[], &[]),
        ("---\n---\na: 1\n", &["null", "{a: 1}"], &[0, 1]),
        ("a: 1\n---\nb: 2\n...\n---\nc: 3\n", &["{a: 1}", "{b: 2}", "{c: 3}"], &[0, 1, 2]),
        ("a: 1\r\n---\r\nb: 2\r\n", &["{a: 1}", "{b: 2}"], &[0, 1]),
        ("a: |\n  ---\n  b\n--- # next\nc: 3\n", &[r#"{a: "---\nb\n"}"#, "{c: 3}"], &[0, 1]),
    ];
    for (text, expected, indexes) in cases {
        let stream = syntax::read(text);
        assert_eq!(stream.errors, [], "{text}");
        assert_eq!(outlines(&stream), *expected, "{text}");
        assert_eq!(stream.documents.iter().map(|d| d.index).collect::<Vec<_>>(), *indexes, "{text}");
    }
}

/// Every node's bytes, in the order of a walk.
#[test]
fn spans() {
    let text = "# é\nkey: välue # c\nlist:\n  - a\n  - # none\n  -   é: 1\n      b: |  # c\n        x\n\n  - \"q\\n\"\n\nindentless:\n- {f: [1,\n    2 ]  }\n-\nempty:\nanchored: &n\n  deep: 'x'\nnull_anchor: &m\ntagged: !!str 5\nfolded: >-\n\n  text\n  more\n";
    let stream = syntax::read(text);
    assert_eq!(stream.errors, []);
    let document = &stream.documents[0];
    let written = |path: &[&str]| &text[at(document, path).span().range()];
    let cases: &[(&[&str], &str)] = &[
        (&["key"], "välue"),
        (&["list"], "- a\n  - # none\n  -   é: 1\n      b: |  # c\n        x\n\n  - \"q\\n\""),
        (&["list", "0"], "a"),
        (&["list", "1"], ""),
        (&["list", "2"], "é: 1\n      b: |  # c\n        x"),
        (&["list", "2", "é"], "1"),
        (&["list", "2", "b"], "|  # c\n        x"),
        (&["list", "3"], "\"q\\n\""),
        (&["indentless"], "- {f: [1,\n    2 ]  }\n-"),
        (&["indentless", "0"], "{f: [1,\n    2 ]  }"),
        (&["indentless", "0", "f"], "[1,\n    2 ]"),
        (&["indentless", "1"], ""),
        (&["empty"], ""),
        (&["anchored"], "deep: 'x'"),
        (&["null_anchor"], ""),
        (&["tagged"], "5"),
        (&["folded"], ">-\n\n  text\n  more"),
    ];
    for (path, expected) in cases {
        assert_eq!(written(path), *expected, "{path:?}");
    }
    let before = |path: &[&str]| &text[..at(document, path).span().start as usize];
    assert!(before(&["empty"]).ends_with("empty:"));
    assert!(before(&["list", "1"]).ends_with("\n  -"));
    assert!(before(&["indentless", "1"]).ends_with("}\n-"));
    assert!(before(&["null_anchor"]).ends_with("&m"));
    assert_eq!(at(document, &["anchored"]).anchor().map(|span| &text[span.range()]), Some("&n"));
    assert_eq!(at(document, &["key"]).anchor(), None);

    let items: Vec<_> = at(document, &["list"]).items().map(|item| &text[item.span().range()]).collect();
    assert_eq!(items, ["- a", "-", "-   é: 1\n      b: |  # c\n        x", "- \"q\\n\""]);
    let entry = document.root().entry("anchored").unwrap();
    assert_eq!(&text[entry.span().range()], "anchored: &n\n  deep: 'x'");
    let comments: Vec<_> = stream.comments.iter().map(|span| &text[span.range()]).collect();
    assert_eq!(comments, ["# é", "# c", "# none", "# c"]);
    assert_eq!(stream.comments_in(at(document, &["list"]).span()).len(), 2);
    assert_eq!(document.span.end as usize, text.trim_end().len());
}

#[test]
fn aliases_keep_the_place_of_their_target() {
    let text = "a: &x\n  - 1\nb: *x\nc:\n  - *x\n";
    let stream = syntax::read(text);
    let b = stream.documents[0].root().entry("b").unwrap();
    assert_eq!(&text[b.value.span().range()], "- 1");
    assert_eq!(&text[b.value.shared().unwrap().range()], "*x");
    assert_eq!(b.span(), b.key.span());
    let item = at(&stream.documents[0], &["c"]).items().next().unwrap();
    assert_eq!(&text[item.span().range()], "- *x");
}

#[test]
fn styles() {
    let text = "a: x\nb: 'x'\nc: \"x\"\nd: |\n  x\ne: >\n  x\nf: {}\ng: []\nh:\n- 1\n";
    let stream = syntax::read(text);
    let kinds: Vec<_> = stream.documents[0].root().entries().map(|entry| entry.value.kind()).collect();
    assert_eq!(
        kinds,
        [
            Kind::Scalar("x", ScalarStyle::Plain),
            Kind::Scalar("x", ScalarStyle::SingleQuoted),
            Kind::Scalar("x", ScalarStyle::DoubleQuoted),
            Kind::Scalar("x\n", ScalarStyle::Literal),
            Kind::Scalar("x\n", ScalarStyle::Folded),
            Kind::Mapping(Style::Flow),
            Kind::Sequence(Style::Flow),
            Kind::Sequence(Style::Block),
        ]
    );
}

/// Text, kind of the one error, the characters it points at, and what remains readable.
#[test]
fn errors() {
    use SyntaxErrorKind::{Alias, Encoding, Flattened, HelmTemplate, Key, Limit, Merge, Yaml};
    let cases: &[(&str, SyntaxErrorKind, &str, &[&str])] = &[
        ("a: [1\n---\nb: 2\n", Yaml, "[1", &["{b: 2}"]),
        ("a: 1\n---\nb: 'x\n---\nc: 3\n", Yaml, "", &["{a: 1}", "{c: 3}"]),
        ("a:\n\t- b\n", Yaml, "\t", &[]),
        ("a: b: c\n", Yaml, ":", &[]),
        ("a: 1\nb\nc: 2\n", Yaml, "b", &[]),
        ("{a: 1}\n{b: 2}\n", Yaml, "{b:", &["{a: 1}"]),
        ("a: *none\n---\nb: 1\n", Alias, "*none", &["{b: 1}"]),
        ("a: &x [*x]\n---\nb: 1\n", Alias, "*x", &["{b: 1}"]),
        ("a: &x 1\n---\nb: *x\n", Alias, "*x", &["{a: 1}"]),
        ("a: {<<: 1}\n", Merge, "1", &[]),
        ("a: &x [1]\n<<: *x\n", Merge, "*x", &[]),
        ("a: &x [{b: 1}]\n<<: *x\n", Merge, "*x", &[]),
        ("[a]: 1\n", Key, "[", &[]),
        ("? {a: 1}\n: 2\n", Key, "{", &[]),
        ("a: 1\n~: 2\n", Key, "~", &[]),
        ("a: &x [1]\n*x : 2\n", Key, "*x", &[]),
        ("a: 1\nb: \0\n", Encoding, "\0", &[]),
        ("name: {{ .Values.name }}\n---\nb: 1\n", HelmTemplate, "{{ .Values.name }}", &["{b: 1}"]),
        ("{{- if .Values.on }}\na: 1\n{{- end }}\n", HelmTemplate, "{{- if .Values.on }}", &[]),
        ("a: 1 # {{ no }}\nname: x-{{ .Release.Name }}-y\n", HelmTemplate, "{{ .Release.Name }}", &[]),
        (
            "a:\n  {{- toYaml .Values.a | nindent 2 }}\n",
            HelmTemplate,
            "{{- toYaml .Values.a | nindent 2 }}",
            &[],
        ),
        ("kind: NetworkPolicy\nmetadata:\nname: x\nspec:\npodSelector: {}\n", Flattened, "name: x", &[]),
        (
            "kind: NetworkPolicy\nmetadata:\n  name: x\nspec:\n\n# c\npodSelector:\nmatchLabels:\napp: x\n",
            Flattened,
            "podSelector:",
            &[],
        ),
        (
            "metadata:\nname: x\nspec:\ningress:\n- from:\n- podSelector:\nmatchLabels: x: y\n",
            Flattened,
            "name: x",
            &[],
        ),
        (&"[".repeat(100_000), Limit, "[", &[]),
        (&"- ".repeat(200), Limit, "", &[]),
    ];
    for (text, kind, place, rest) in cases {
        let shown = &text[..text.len().min(80)];
        let stream = syntax::read(text);
        let [error] = &stream.errors[..] else { panic!("{:?}: {shown}", stream.errors) };
        assert_eq!(error.kind, *kind, "{error:?}: {shown}");
        let written = &text[error.span.range()];
        if !place.is_empty() {
            assert!(written.starts_with(place), "{written:?}: {shown}");
        }
        assert_eq!(outlines(&stream), *rest, "{shown}");
        assert!(!error.message.is_empty() && !error.message.ends_with('.'), "{error}");
    }
}

#[test]
fn templates_in_quotes_and_comments_are_text() {
    assert_eq!(
        one("a: '{{ x }}'\nb: 1 # {{ y }}\nc: |\n  {{ z }}\n"),
        r#"{a: "{{ x }}", b: 1, c: "{{ z }}\n"}"#
    );
}

#[test]
fn other_templates_are_text() {
    let alert = "kind: PrometheusRule\nsummary: pod {{ $labels.pod }} of {{ .Labels.app }} is down\n";
    assert!(one(alert).contains("pod {{ $labels.pod }}"));
    for text in ["a: x-{{ include \"name\" . }}\n", "kind: NetworkPolicy\na: x-{{ name }}\n"] {
        assert_eq!(syntax::read(text).errors[0].kind, SyntaxErrorKind::HelmTemplate, "{text}");
    }
}

#[test]
fn json_objects_one_after_another_are_documents() {
    for text in [
        "{\"a\": 1}\n{\"b\": [true]}\n",
        "{\"a\": 1}{\"b\": [true]}",
        "\n{\n  \"a\": 1\n}\n\n{\n  \"b\": [\n    true\n  ]\n}",
    ] {
        let stream = syntax::read(text);
        assert_eq!(
            (stream.errors.len(), outlines(&stream)),
            (0, vec!["{a: 1}".into(), "{b: [true]}".into()]),
            "{text}"
        );
        let spans = stream.documents.iter().map(|document| &text[document.span.range()]).collect::<Vec<_>>();
        assert!(spans.iter().all(|span| span.starts_with('{') && span.ends_with('}')), "{spans:?}");
        assert_eq!(stream.documents.iter().map(|document| document.index).collect::<Vec<_>>(), [0, 1]);
    }
    // What follows is no object: YAML says what it is.
    for text in ["{\"a\": 1}\nb: 2\n", "{\"a\": 1}\n{\"b\": ", "{\"a\": 1}\n[1]\n"] {
        assert!(!syntax::read(text).errors.is_empty(), "{text}");
    }
}

#[test]
fn quoted_actions_of_charts_are_templates() {
    for text in [
        "kind: Pod\nmetadata: {name: \"{{ .Release.Name }}-db\"}\n",
        "kind: NetworkPolicy\nspec: {ingress: [{from: [{ipBlock: {cidr: '{{ .Values.cidr }}'}}]}]}\n",
        "kind: Namespace\nmetadata: {labels: {team: '{{ include \"team\" . }}'}}\n",
        "{\"kind\": \"Pod\", \"metadata\": {\"name\": \"{{- .Chart.Name }}\"}}",
    ] {
        let stream = syntax::read(text);
        let error = stream.errors.first().unwrap_or_else(|| panic!("{text}"));
        assert_eq!((error.kind, stream.documents.len()), (SyntaxErrorKind::HelmTemplate, 0), "{text}");
        assert!(
            text[error.span.range()].starts_with("{{") && text[error.span.range()].ends_with("}}"),
            "{text}"
        );
    }
    for text in [
        "kind: Pod\nmetadata: {annotations: {note: 'see {{ .Values.note }}'}}\n",
        "kind: ConfigMap\ndata:\n  tmpl: '{{ .Values.x }}'\n",
        "spec: {containers: [{env: [{name: T, value: '{{ .Release.Name }}'}], args: ['{{ .Values.a }}']}]}\n",
        "route: '{{ if .Labels }}x{{ end }}'\n",
        "a: &a [x, &b ['{{ name }}']]\nb: *a\nc: *b\n",
    ] {
        assert_eq!(syntax::read(text).errors, [], "{text}");
    }
}

#[test]
fn broken_documents_keep_their_number() {
    let stream = syntax::read("a: 1\n---\nb: [\n---\nc: 3\n");
    assert_eq!(stream.errors[0].document, 1);
    assert_eq!(stream.documents.iter().map(|d| d.index).collect::<Vec<_>>(), [0, 2]);
}

#[test]
fn bytes() {
    assert_eq!(outlines(&syntax::read_bytes(b"\xef\xbb\xbfa: 1\n")), ["{a: 1}"]);
    for bytes in [&b"a: \xff\n"[..], b"\xff\xfea\0", b"\xfe\xff\0a", b"a: \xe2\x82"] {
        assert_eq!(syntax::read_bytes(bytes).errors[0].kind, SyntaxErrorKind::Encoding, "{bytes:?}");
    }
}

#[test]
fn hostile_texts_are_bounded() {
    // Ten levels of ten aliases each.
    let mut bomb = String::from("a0: &a0 x\n");
    for level in 1..=10 {
        let row = vec![format!("*a{}", level - 1); 10].join(", ");
        writeln!(bomb, "a{level}: &a{level} [{row}]").unwrap();
    }
    let mut merges = String::from("a0: &a0 {k: v}\n");
    for level in 1..=5_000 {
        writeln!(merges, "a{level}: &a{level} {{<<: *a{}, k{level}: v}}", level - 1).unwrap();
    }
    let many = "a: 1\n---\n".repeat(50_000);
    let chain = "- ".repeat(150);
    let limits = Limits { nodes: 1_000, ..Limits::default() };
    let nodes = "- a\n".repeat(2_000);
    let long = "x".repeat(5_000);
    let cases: [(&str, Limits); 5] = [
        (&bomb, Limits::default()),
        (&merges, Limits::default()),
        (&chain, Limits::default()),
        (&nodes, limits),
        (&long, Limits { bytes: 4_999, ..Limits::default() }),
    ];
    let start = std::time::Instant::now();
    assert_eq!(syntax::read(&"a".repeat(100 << 20)).errors[0].kind, SyntaxErrorKind::Limit);
    for (text, limits) in cases {
        let stream = syntax::read_within(text, &limits);
        assert_eq!(stream.errors[0].kind, SyntaxErrorKind::Limit, "{}", &text[..60]);
        assert!(stream.documents.is_empty());
    }
    assert_eq!(syntax::read(&many).documents.len(), 50_001);
    for open in ["[", "{", "- ", "? ", "a: [", "{a: ", "\"", "'", "&", "*", "!", "|\n", "#\n", "-\n ", ": "] {
        syntax::read(&open.repeat(200_000 / open.len()));
    }
    // A linear reader takes a fraction of this, also unoptimised on a busy machine; a quadratic one hours.
    assert!(start.elapsed().as_secs() < 60, "{:?}", start.elapsed());
}

/// A span that isn't inside its parent or splits a character.
fn misplaced(text: &str, node: Node<'_>, within: Span) -> Option<Span> {
    let span = node.span();
    if text.get(span.range()).is_none() || (node.shared().is_none() && !within.contains(span)) {
        return Some(span);
    }
    if node.shared().is_some() {
        return None;
    }
    let items = node.items().find_map(|item| misplaced(text, item.value, span));
    items.or_else(|| {
        node.entries()
            .flat_map(|entry| [entry.key, entry.value])
            .find_map(|child| misplaced(text, child, span))
    })
}

fn check(text: &str) {
    let stream = syntax::read(text);
    let whole = Span::new(0, u32::try_from(text.len()).unwrap());
    for document in &stream.documents {
        assert_eq!(misplaced(text, document.root(), whole), None, "{text:?}");
    }
    for error in &stream.errors {
        assert!(text.get(error.span.range()).is_some(), "{error:?} in {text:?}");
    }
    for comment in &stream.comments {
        assert!(text[comment.range()].starts_with('#'), "{text:?}");
    }
    assert!(stream.comments.is_sorted());
}

const MANIFEST: &str = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: é, namespace: 'x'}\nspec:\n  podSelector: &sel\n    matchLabels:\n      app: web # c\n  ingress:\n  - from:\n      - podSelector: *sel\n      -\n    ports: [{port: 80}, ]\n  note: |\n    text\n---\n{\"a\": [1, null]}\n";

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(2_000))]

    #[test]
    fn random_bytes(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
        syntax::read_bytes(&bytes);
        check(&String::from_utf8_lossy(&bytes).replace('\0', " "));
    }

    #[test]
    fn random_yaml(text in "([-:?,\\[\\]{}#&*!|>'\"%@a0 ~é\n\t]|\n  |\n- |: |---\n|<<: |\\*a|&a |\\{\\{){0,60}") {
        check(&text);
    }

    #[test]
    fn mutated_manifest(edits in proptest::collection::vec((0..1000usize, 0..6usize, "[-:\\[\\]{}#&*!|>'\" \n\té]{0,4}"), 1..8)) {
        let mut text = MANIFEST.to_owned();
        for (at, cut, insert) in edits {
            let start = text.floor_char_boundary(at % text.len().max(1));
            let end = text.ceil_char_boundary((start + cut).min(text.len()));
            text.replace_range(start..end, &insert);
        }
        check(&text);
    }
}
