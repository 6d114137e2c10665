use proptest::prelude::{ProptestConfig, Strategy, prop, proptest};

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
