use proptest::prelude::{ProptestConfig, Strategy, any, prop, prop_assert_eq, prop_oneof, proptest};

use super::super::node::{Kind, Node};
use super::super::scalar::Value;
use super::*;

/// What it answers is what the full parser answers.
fn agrees(text: &str) -> bool {
    let limits = Limits::default();
    let Some(quick) = parse(text, &limits) else { return false };
    let full = super::super::parse::parse(text, &limits);
    assert_eq!(format!("{quick:#?}"), format!("{full:#?}"), "{text}");
    true
}

#[test]
fn reads_what_manifests_are_made_of() {
    let texts = [
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata:\n  name: a-b # c\n  namespace: x\nspec:\n  podSelector: {}\n  policyTypes: [Ingress, \"Egress\"]\n  ingress:\n  - from:\n    - podSelector:\n        matchLabels: {app: web, 'tier': x}\n    # both\n    - ipBlock:\n        cidr: 10.0.0.0/8\n        except:\n          - 10.1.0.0/16\n    ports:\n    - port: 80\n      protocol: TCP\n    -   port: 81\n  egress:\n    -\n    - {}\n",
        "a:\nb:\n- c\n-\n- - d\n  - e: f\n    g:\n  -\nh: 'x'\n",
        "# top\n---\n# a\na: 1   \n\n---  # next\n---\n- x:y\n- \"q\" # z\n",
        "a: http://x/y#z\nb: x - y\nc: ~\n",
        "",
        "# only\n",
        "---\n",
        "a: {b: [{c: d}, [], {}]}",
        "[a]\n",
        "{a: b}\n",
        "# JSON\n{\n  \"a\": [\n    1,\n\n    {\"b\":\"c\",\"d\":null}\n  ],\n  \"e\": {}\n}\n---\n[]\n",
        "a: {\"b\":\"c\"}\n",
        "a: bé # ü\nb: ['日本', 5] # –\n",
    ];
    for text in texts {
        assert!(agrees(text), "{text}");
    }
}

#[test]
fn gives_up_on_the_rest() {
    let texts = [
        "a:\n  text\n",
        "a: b\n  c\n",
        "a: |\n  b\n",
        "a: &x b\n",
        "a: *x\n",
        "a: !t b\n",
        "? a\n",
        "a: b: c\n",
        "a : b\n",
        "a: 'b\n",
        "a: \"\\n\"\n",
        "a: 'it''s'\n",
        "a:\tb\n",
        "a: b\r\n",
        "\u{feff}a: b\n",
        "é: b\n",
        "%YAML 1.2\n---\n",
        "a: b\n...\n",
        "text\n",
        "a: [b\n]\n",
        "a: [b,]\n",
        "a: {b}\n",
        "a: [b: c]\n",
        "a: {{ b }}\n",
        "<<: {a: b}\n",
        "a: b\n c: d\n",
        " a: b\nc: d\n",
        "- a\nb: c\n",
        "a: 1\n- b\n",
        "a: -\n",
        "- -1\n",
        "--- a\n",
        "a: \"b\"c\n",
        "a: [b]c\n",
        "a: [b]: c\n",
    ];
    for text in texts {
        assert!(!agrees(text), "{text}");
    }
}

fn line() -> impl Strategy<Value = String> {
    let indent = prop::sample::select(vec!["", "", "  ", "  ", "    ", " ", "      "]);
    let dashes = prop::sample::select(vec!["", "", "", "- ", "- ", "-   ", "- - ", "-"]);
    let keys = prop::sample::select(vec![
        "", "a: ", "b: ", "a: ", "b:", "'c': ", "\"d\": ", "e:", "a :", "spec: ", "- ",
    ]);
    let values = prop::sample::select(vec![
        "",
        "",
        "x",
        "1",
        "x y",
        "'q'",
        "\"q\"",
        "{}",
        "[]",
        "[a, 'b']",
        "{a: b}",
        "{a: [b, {c: d}] }",
        "[a b]",
        "x:y",
        "x: y",
        "http://x",
        "# c",
        "[a",
        "a]",
        "- x",
        "~",
        "{{ x }}",
        "x#y",
        "-1",
        "xé",
        "'é'",
        "# ü\u{a0}",
        "['é'] # é",
        "*a",
        "&a b",
        "|",
        "...",
        "---",
    ]);
    let ends = prop::sample::select(vec![
        "\n",
        "\n",
        "\n",
        " # c\n",
        "  \n",
        "\n\n",
        "#c\n",
        "\n---\n",
        "\n# c\n",
        "\n  # c\n",
        "",
    ]);
    (indent, dashes, keys, values, ends).prop_map(|(a, b, c, d, e)| [a, b, c, d, e].concat())
}
proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    #[test]
    fn agrees_with_the_full_parser(lines in prop::collection::vec(line(), 1..8)) {
            agrees(&lines.concat());
    }

    #[test]
    fn agrees_on_noise(text in "([a:\\-# \n'\"\\[\\]{},]|- |: |\n  ){0,24}") {
        agrees(&text);
    }
}

/// Documents of the kinds that are read most, to be damaged.
const DOCUMENTS: [&str; 3] = [
    "# Who may reach db.\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata:\n  name: db\n  labels:\n    app.kubernetes.io/part-of: shop\nspec:\n  podSelector:\n    matchLabels:\n      app: db\n  policyTypes:\n    - Ingress\n    - Egress\n  ingress:\n    - from:\n        - namespaceSelector: {}\n          podSelector:\n            matchExpressions:\n              - key: app\n                operator: In\n                values: [prometheus, \"agent\"] # both\n      ports:\n        - protocol: TCP\n          port: 9090\n  egress:\n  - to:\n    - ipBlock:\n        cidr: 10.1.0.0/16\n        except:\n        - '10.1.2.0/24'\n",
    "apiVersion: v1\nkind: List\nitems:\n- metadata: {name: a, labels: {app: web, 'tier': \"x y\"}}\n  spec:\n    ports: [{port: 80, name: http}, {port: 443}]\n---\nkind: Pod # second\nspec:\n  containers:\n  - name: c\n    args: [-v, --level=2]\n    env:\n    -   name: URL\n        value: http://x:80/y#z\n",
    "{\"kind\":\"NetworkPolicy\",\"spec\":{\"podSelector\":{},\"ingress\":[{\"from\":[{\"podSelector\":{\"matchLabels\":{\"app\":\"a-b\"}}}],\"ports\":[{\"port\":80},{\"port\":\"http\"}]}],\"on\":true,\"no\":null,\"n\":-1.5e3}}",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn agrees_on_damaged_manifests(
        document in 0..DOCUMENTS.len(),
        damages in prop::collection::vec((0..1_000_usize, 0..4_usize, 0..PIECES.len()), 0..6),
    ) {
        let mut text = DOCUMENTS[document].to_owned();
        for (at, length, piece) in damages {
            let at = at % (text.len() + 1);
            let end = (at + length).min(text.len());
            if text.is_char_boundary(at) && text.is_char_boundary(end) {
                text.replace_range(at..end, PIECES[piece]);
            }
        }
        agrees(&text);
    }
}

const PIECES: [&str; 44] = [
    "", "", "", " ", "  ", "    ", "\n", "\n  ", "- ", "-", ":", ": ", ",", ", ", "#", " #", "\"", "'", "[",
    "]", "{", "}", "a", "null", "~", "1", "0x1", "é", "\t", "\r\n", "|", "&a ", "*a", "!!str ", "?", "<<: ",
    "---\n", "...\n", "{{", "\\n", "%", "@", "true", "x: y",
];

/// The manifests of the repository's scenarios.
#[test]
fn agrees_on_scenarios() {
    let mut folders =
        vec![std::path::PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/scenarios"))];
    let (mut quick, mut others) = (0, Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "yaml") {
                match agrees(&std::fs::read_to_string(&path).unwrap()) {
                    true => quick += 1,
                    // No manifest.
                    false if path.ends_with("expected.yaml") => {}
                    false => others.push(path),
                }
            }
        }
    }
    assert!(quick > 9 * others.len(), "{quick} are read the fast way, but not {others:?}");
}

#[test]
fn leaves_limits_to_the_full_parser() {
    let text = "a: {b: [c, d]}\ne:\n- f\n";
    for (nodes, depth) in [(10, 3), (9, 3), (8, 3), (100, 2), (0, 100)] {
        let limits = Limits { nodes, depth, ..Limits::default() };
        let is_read = parse(text, &limits).is_some();
        let is_fine = super::super::parse::parse(text, &limits).errors.is_empty();
        assert!(!is_read || is_fine, "{nodes} {depth}");
    }
    assert!(parse(text, &Limits::default()).is_some());
}

/// JSON as text, with whatever may stand between its tokens; some is none that is read.
fn json() -> impl Strategy<Value = String> {
    let text =
        || "[a-cA-C\"\\\\\u{0}-\u{20}é€😀]{0,6}".prop_map(|text| serde_json::Value::from(text).to_string());
    let surrogates = "(\\\\u(d83d|D83D|d800|de00|0041|00)){1,3}".prop_map(|units| format!("\"{units}\""));
    let number = prop_oneof![
        any::<i64>().prop_map(|number| number.to_string()),
        (0_u16..300).prop_map(|number| number.to_string()),
        any::<f64>().prop_map(|number| number.to_string()),
        "0?[0-9]{1,20}",
    ];
    let word = prop::sample::select(vec!["null", "true", "false", "yes", "~", "", "nul", "<<"]);
    let leaf = prop_oneof![4 => text(), 4 => number, 1 => surrogates, 2 => word.prop_map(str::to_owned)];
    let gap = || prop::sample::select(vec!["", "", " ", "\n ", "\t"]);
    leaf.prop_recursive(4, 32, 5, move |inner| {
        let item =
            (gap(), inner.clone(), gap()).prop_map(|(before, item, after)| format!("{before}{item}{after}"));
        // Names are few: some come twice.
        let field =
            (gap(), text(), item.clone()).prop_map(|(gap, name, value)| format!("{gap}{name}{gap}:{value}"));
        prop_oneof![
            prop::collection::vec(item, 0..5).prop_map(|items| format!("[{}]", items.join(","))),
            prop::collection::vec(field, 0..5).prop_map(|fields| format!("{{{}}}", fields.join(","))),
        ]
    })
}

/// What a tree means as JSON; of fields of one name the last counts.
fn meaning(node: Node<'_>) -> serde_json::Value {
    match node.kind() {
        Kind::Scalar(..) => match node.value().unwrap() {
            Value::Null => serde_json::Value::Null,
            Value::Bool(value) => value.into(),
            Value::Int(value) => value.into(),
            Value::Float(value) => value.into(),
            Value::Str(text) => text.into(),
        },
        Kind::Sequence(_) => node.items().map(|item| meaning(item.value)).collect(),
        Kind::Mapping(_) => {
            let fields =
                node.entries().map(|entry| (entry.key.key_text().into_owned(), meaning(entry.value)));
            serde_json::Value::Object(fields.collect())
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// What is read as JSON is JSON, and means what it means there; without escapes it is what the full parser reads.
    #[test]
    fn json_is_read_as_json(text in json()) {
        let known = serde_json::from_str::<serde_json::Value>(&text);
        let Some(stream) = json::parse(&text, &Limits::default()) else { return Ok(()) };
        prop_assert_eq!(meaning(stream.documents[0].root()), known.unwrap());
        // YAML has the value of a key on its line.
        if !text.contains(['\\', '\n']) {
            let full = super::super::parse::parse(&text, &Limits::default());
            prop_assert_eq!(format!("{stream:#?}"), format!("{full:#?}"));
        }
    }
}

#[test]
fn usual_json_is_read() {
    for text in [
        r#"{"a":{"b":[1,"c",true,null,{}],"d":"x\n\u00e9\ud83d\ude00\/"},"e":[]}"#,
        " { \"a\" :\n [ 0 , 65535 ] } ",
        "[]",
        "\"é\"",
    ] {
        let stream = json::parse(text, &Limits::default()).expect(text);
        let known: serde_json::Value = serde_json::from_str(text).unwrap();
        assert_eq!(meaning(stream.documents[0].root()), known);
    }
    for text in [
        "",
        "{",
        "[1,]",
        "{\"a\" 1}",
        "01",
        "1.0",
        "-1",
        "\"\\ud800\"",
        "\"a\nb\"",
        "{\"<<\":{}}",
        "yes",
        "1 2",
    ] {
        assert!(json::parse(text, &Limits::default()).is_none(), "{text}");
    }
}
