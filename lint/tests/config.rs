//! The configuration, as people use it.

mod support;

use std::fs;
use std::path::Path;

use serde_json::Value;
use support::{folder, run};

const OPEN: &str = "\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: open, namespace: shop}
spec:
  podSelector: {matchLabels: {app: db}}
  policyTypes: [Ingress]
  ingress:
    - from: []
";

fn pod(namespace: &str, app: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {app}, namespace: {namespace}, labels: {{app: {app}}}}}\n"
    )
}

/// The codes that are found, file by file.
fn found(folder: &Path, args: &[&str]) -> Vec<String> {
    // The files are variants of one policy.
    let run =
        run(folder, &[&["check", "--output-format", "concise", "--ignore", "NP401"], args].concat(), "");
    assert_ne!(run.status, 2, "{}", run.err);
    let code = |line: &str| {
        let (file, rest) = line.split_once(':').unwrap();
        format!("{file} {}", rest.split(' ').nth(1).unwrap())
    };
    run.out.lines().map(code).collect()
}

#[test]
fn the_nearest_file_counts() {
    let folder = folder(&[
        ("repo/.git/HEAD", ""),
        ("repo/netpol-lint.toml", "ignore = ['NP103']\n"),
        ("repo/apps/a.yaml", OPEN),
        ("repo/other/netpol-lint.toml", "select = ['NP5']\n"),
        ("repo/other/b.yaml", OPEN),
        ("netpol-lint.toml", "select = ['NP999']\n"),
    ]);
    let repo = folder.path().join("repo");
    assert_eq!(found(&repo, &[]), [""; 0]);
    assert_eq!(found(&repo, &["apps"]), [""; 0]);
    assert_eq!(found(&repo.join("apps"), &["a.yaml"]), [""; 0]);
    assert_eq!(found(&repo, &["--isolated"]), ["apps/a.yaml NP103", "other/b.yaml NP103"]);
    assert_eq!(found(&repo, &["--extend-select", "NP103", "apps"]), ["apps/a.yaml NP103"]);
    assert_eq!(found(&repo, &["--config", "other/netpol-lint.toml"]), [""; 0]);
    let named =
        run(&repo, &["check", "-", "--stdin-filename", "apps/c.yaml", "--output-format", "concise"], OPEN);
    assert_eq!((named.status, named.out.as_str()), (0, ""));
    let outside = run(folder.path(), &["check", "repo", "netpol-lint.toml"], "");
    assert_eq!(outside.status, 2);
}

#[test]
fn mistakes_are_shown_in_their_places() {
    let folder = folder(&[
        ("netpol-lint.toml", "ignore = ['NP103']\nselct = ['NP101', 'NP102']\nfail-on = 'errors'\n"),
        ("a.yaml", OPEN),
    ]);
    for command in [&["check"][..], &["matrix"], &["reach", "--from", "a", "--to", "b"]] {
        let run = run(folder.path(), command, "");
        assert_eq!((run.status, run.out.as_str()), (2, ""));
        insta::allow_duplicates! {
            insta::assert_snapshot!(run.err, @r"
              x unknown key `selct`
               ,-[netpol-lint.toml:2:1]
             1 | ignore = ['NP103']
             2 | selct = ['NP101', 'NP102']
               : ^^^^^
             3 | fail-on = 'errors'
               `----
              help: did you mean `select`?

              x `errors` is not a severity: did you mean `error`? Or use info, warning, error
               ,-[netpol-lint.toml:3:11]
             2 | selct = ['NP101', 'NP102']
             3 | fail-on = 'errors'
               :           ^^^^^^^^
               `----

            netpol-lint: the configuration netpol-lint.toml can't count
            ");
        }
    }
    let run = run(folder.path(), &["check", "--config", "none.toml"], "");
    assert_eq!(run.status, 2);
    assert!(run.err.contains("can't read the configuration none.toml"), "{}", run.err);
    assert_eq!(self::run(folder.path(), &["check", "--select", "NP999", "--isolated"], "").status, 2);
}

#[test]
fn severities_and_files() {
    let folder = folder(&[
        ("netpol-lint.toml", "[severity]\nNP103 = 'warning'\n[per-file-ignores]\n'legacy/' = ['NP1']\n"),
        ("legacy/a.yaml", OPEN),
        ("b.yaml", OPEN),
        ("c.gen.yaml", &OPEN.replace("name: open", "name: generated")),
    ]);
    assert_eq!(found(folder.path(), &[]), ["b.yaml NP103", "c.gen.yaml NP103"]);
    assert_eq!(found(&folder.path().join("legacy"), &[]), [""; 0]);
    assert_eq!(found(folder.path(), &["--per-file-ignores", "*.gen.yaml:empty-peer-list"]), ["b.yaml NP103"]);
    assert_eq!(found(folder.path(), &["--exclude", "*.gen.yaml,legacy/"]), ["b.yaml NP103"]);
    for (args, status) in [
        (&["check", "--fail-on", "error"][..], 0),
        (&["check", "--fail-on", "error", "--severity", "NP103=error"], 1),
        (&["check", "--fail-on", "warning"], 1),
        (&["check", "--severity", "NP103"], 2),
    ] {
        assert_eq!(run(folder.path(), args, "").status, status, "{args:?}");
    }
    let json = run(folder.path(), &["check", "b.yaml", "--output-format", "json"], "").out;
    assert!(json.contains(r#""severity": "warning""#), "{json}");
    let named = run(folder.path(), &["check", "--exclude", "b.yaml", "b.yaml"], "");
    assert_eq!(named.status, 0);
    assert!(named.err.contains("left out b.yaml: `exclude` names it"), "{}", named.err);
}

#[test]
fn context_is_known_and_not_reported_on() {
    let folder = folder(&[
        ("repo/.git/HEAD", ""),
        ("repo/netpol-lint.toml", "include = ['../platform', 'base']\nselect = ['NP5']\n"),
        ("repo/base/open.yaml", OPEN),
        ("repo/db.yaml", &OPEN.replace("from: []", "from: [{podSelector: {matchLabels: {app: web}}}]")),
        ("platform/pods.yaml", &format!("{}---\n{}", pod("shop", "mail"), pod("shop", "db"))),
    ]);
    let repo = folder.path().join("repo");
    assert_eq!(found(&repo, &["db.yaml"]), ["db.yaml NP502"], "db is among the context, web is not");
    assert_eq!(found(&repo, &["db.yaml", "--isolated"]), [""; 0], "no workload is known");
    fs::write(folder.path().join("platform/pods.yaml"), pod("shop", "mail")).unwrap();
    assert_eq!(found(&repo, &["db.yaml"]), ["db.yaml NP501", "db.yaml NP502"]);
    assert_eq!(found(&repo, &[]), ["base/open.yaml NP501", "db.yaml NP501", "db.yaml NP502"]);
    let matrix = run(&repo, &["matrix", "db.yaml"], "");
    assert!(matrix.out.contains("mail"), "{}{}", matrix.out, matrix.err);
    fs::remove_dir_all(folder.path().join("platform")).unwrap();
    assert_eq!(run(&repo, &["check", "db.yaml"], "").status, 2, "context that isn't there is an error");
}

#[test]
fn external_pods_and_namespaces() {
    let peer = "from: [{podSelector: {matchLabels: {app: prometheus, part: server}}}]";
    let folder = folder(&[
        ("netpol-lint.toml", "select = ['NP5']\n"),
        ("a.yaml", &OPEN.replace("from: []", peer)),
        ("pods.yaml", &pod("shop", "db")),
    ]);
    let found = |args: &[&str]| found(folder.path(), args);
    assert_eq!(found(&[]), ["a.yaml NP502"]);
    assert_eq!(found(&["--external-pods", "app=prometheus"]), [""; 0]);
    assert_eq!(found(&["--external-pods", "shop:app=prometheus"]), [""; 0]);
    assert_eq!(found(&["--external-pods", "office:app=prometheus"]), ["a.yaml NP502"]);
    assert_eq!(found(&["--external-pods", "app=prometheus,part=agent"]), ["a.yaml NP502"]);
    assert_eq!(found(&["--external-namespaces", "shop"]), [""; 0]);
    assert_eq!(found(&["--external-namespaces", "office"]), ["a.yaml NP502"]);
}

#[test]
fn what_counts_is_shown() {
    let folder = folder(&[("netpol-lint.toml", "namespace = 'shop'\nselect = ['NP101']\n")]);
    let run = run(folder.path(), &["check", "--show-config", "--fail-on", "error"], "");
    assert_eq!(run.status, 0);
    for line in [
        "select = [\"NP101\"]  # netpol-lint.toml (select)",
        "namespace = \"shop\"  # netpol-lint.toml",
        "fail-on = \"error\"  # --fail-on",
    ] {
        assert!(run.out.lines().any(|shown| shown == line), "{line}\n{}", run.out);
    }
    fs::write(folder.path().join("again.toml"), &run.out).unwrap();
    let again = self::run(folder.path(), &["check", "--config", "again.toml", "--show-config"], "");
    assert_eq!(again.status, 0, "{}", again.err);
}

#[test]
fn a_baseline() {
    let folder = folder(&[("netpol-lint.toml", "baseline = 'known.json'\n"), ("apps/a.yaml", OPEN)]);
    let written = run(folder.path(), &["check", "--write-baseline", "known.json"], "");
    assert_eq!(written.status, 0, "{}", written.err);
    assert_eq!(found(folder.path(), &[]), [""; 0]);
    assert_eq!(found(folder.path(), &["--isolated"]), ["apps/a.yaml NP103"]);
    fs::remove_file(folder.path().join("known.json")).unwrap();
    assert_eq!(run(folder.path(), &["check"], "").status, 2, "a list that isn't there");
}

#[test]
fn patterns_of_paths() {
    let folder = folder(&[
        (".gitignore", "ignored/\n"),
        ("deploy/a/one.yaml", OPEN),
        ("deploy/two.yaml", OPEN),
        ("deploy/three.txt", &OPEN.replace("name: open", "name: three")),
        ("deploy/ignored/four.yaml", OPEN),
        ("deploy/[x].yaml", &OPEN.replace("name: open", "name: x")),
    ]);
    let found = |args: &[&str]| found(folder.path(), args);
    assert_eq!(
        found(&["deploy/**/*.yaml"]),
        ["deploy/[x].yaml NP103", "deploy/a/one.yaml NP103", "deploy/two.yaml NP103"]
    );
    assert_eq!(found(&["./deploy/*.txt"]), ["deploy/three.txt NP103"]);
    assert_eq!(found(&["deploy/?"]), ["deploy/a/one.yaml NP103"]);
    assert_eq!(found(&["deploy/[x].yaml"]), ["deploy/[x].yaml NP103"]);
    let none = run(folder.path(), &["check", "deploy/*.json"], "");
    assert_eq!(none.status, 2);
    assert!(none.err.contains("can't read deploy/*.json: no file matches the pattern"), "{}", none.err);
}

#[test]
fn patches_of_kustomize_are_no_policies() {
    let patch = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: open}\nspec:\n  ingress: []\n";
    let folder = folder(&[
        (
            "overlay/kustomization.yaml",
            "resources: [../base]\npatches:\n- path: patches/one.yaml\n- patch: |-\n    a: b\npatchesStrategicMerge: [two.yaml]\n",
        ),
        ("overlay/patches/one.yaml", patch),
        ("overlay/two.yaml", patch),
        ("overlay/three.yaml", OPEN),
        ("base/kustomization.yaml", "resources: [open.yaml]\n"),
        ("base/open.yaml", OPEN),
    ]);
    let expected = ["base/open.yaml NP103", "overlay/three.yaml NP103"];
    assert_eq!(found(folder.path(), &[]), expected);
    let named = run(folder.path(), &["check", "overlay/two.yaml", "overlay/patches/one.yaml"], "");
    assert_eq!((named.status, named.out.as_str()), (0, ""));
    assert!(
        named.err.contains("skipped overlay/patches/one.yaml and 1 other file: a patch is"),
        "{}",
        named.err
    );
    assert_eq!(run(folder.path(), &["matrix"], "").status, 2);
    assert_eq!(run(folder.path(), &["matrix", "--lenient"], "").status, 0);
}

/// UTF-16 as some editors and shells write it, with a byte order mark.
fn utf16(text: &str) -> Vec<u8> {
    [0xfeff].into_iter().chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect()
}

#[test]
fn an_answer_needs_every_object_that_can_be_found() {
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\n";
    for (name, bytes, word) in [
        ("ns.yaml", b"apiVersion: v1\nkind: Namespace\nmetadata: {name: front\n".to_vec(), "ns.yaml:"),
        (
            "ns.yaml",
            b"{{- if .Values.ns }}\napiVersion: v1\nkind: Namespace\nmetadata: {name: front}\n{{- end }}\n"
                .to_vec(),
            "a Helm template is no manifest",
        ),
        ("policy.yaml", utf16(OPEN), "the text is UTF-16"),
        ("pod.yaml", utf16(pod), "the text is UTF-16"),
    ] {
        let folder = folder(&[("pods.yaml", pod)]);
        fs::write(folder.path().join(name), &bytes).unwrap();
        for command in [&["reach", "--from", "1.2.3.4", "--to", "web"][..], &["matrix"], &["explain"]] {
            let refused = run(folder.path(), command, "");
            assert_eq!((refused.status, refused.out.as_str()), (2, ""), "{command:?}: {}", refused.err);
            assert!(refused.err.contains(word), "{command:?}: {}", refused.err);
            let lenient = run(folder.path(), &[command, &["--lenient"]].concat(), "");
            assert_ne!(lenient.status, 2, "{command:?}: {}", lenient.err);
        }
        // A file without policies is none of the linter's business.
        let expected: &[&str] = if name == "policy.yaml" { &["policy.yaml NP013"] } else { &[] };
        assert_eq!(found(folder.path(), &[]), expected, "{name}");
    }
}

#[test]
fn json_objects_one_after_another_are_checked() {
    let deny = r#"{"apiVersion":"networking.k8s.io/v1","kind":"NetworkPolicy","metadata":{"name":"deny"},"spec":{"podSelector":{},"policyTypes":["Ingress"]}}"#;
    let open =
        deny.replace("deny", "open").replace(r#""policyTypes""#, r#""ingress":[{"from":[]}],"policyTypes""#);
    let folder = folder(&[("stream.json", &format!("{deny}\n{open}\n"))]);
    assert_eq!(found(folder.path(), &["--select", "NP103"]), ["stream.json NP103"]);
}

#[test]
fn patches_outside_of_the_overlay_are_no_policies() {
    let patch = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: open}\nspec:\n  ingress: []\n";
    let files = [
        ("ov/kustomization.yaml", "resources: [../base]\npatches: [{path: ../shared/p.yaml}]\n"),
        ("shared/p.yaml", patch),
        ("shared/q.yaml", OPEN),
        ("base/open.yaml", OPEN),
    ];
    let folder = folder(&files);
    assert_eq!(found(folder.path(), &[]), ["base/open.yaml NP103", "shared/q.yaml NP103"]);
    let fixed = run(folder.path(), &["check", "--fix"], "");
    assert!(fixed.err.contains("skipped shared/p.yaml"), "{}", fixed.err);
    assert_eq!(fs::read_to_string(folder.path().join("shared/p.yaml")).unwrap(), patch);
}

#[test]
fn patterns_that_would_not_do_what_they_seem_to_are_refused() {
    let folder = folder(&[("open.yaml", OPEN)]);
    for pattern in ["[", "foo[", "/", "//", "a{b"] {
        let text = format!("exclude = [{pattern:?}]\n");
        fs::write(folder.path().join("netpol-lint.toml"), &text).unwrap();
        let refused = run(folder.path(), &["check"], "");
        assert_eq!((refused.status, refused.out.as_str()), (2, ""), "{text}: {}", refused.err);
        let refused = run(folder.path(), &["check", "--isolated", "--exclude", pattern], "");
        assert_eq!((refused.status, refused.out.as_str()), (2, ""), "{pattern}: {}", refused.err);
    }
}

#[test]
fn no_rule_at_all_is_a_mistake() {
    let folder = folder(&[("open.yaml", OPEN), ("netpol-lint.toml", "select = []\n")]);
    for arguments in [&["check"][..], &["check", "--isolated", "--ignore", "ALL"]] {
        let run = run(folder.path(), arguments, "");
        assert_eq!(run.status, 2, "{arguments:?}: {}", run.err);
        assert!(run.err.contains("no rule is on"), "{}", run.err);
    }
    assert_eq!(run(folder.path(), &["check", "--extend-select", "NP103"], "").status, 1);
}

fn docs(file: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(file)).unwrap()
}

#[test]
fn the_schema_is_current() {
    let shown = run(Path::new("."), &["config-schema"], "").out;
    assert_eq!(
        docs("netpol-lint.schema.json"),
        shown,
        "netpol-lint config-schema > docs/netpol-lint.schema.json"
    );
}

#[test]
fn the_sample_is_right() {
    let sample = docs("netpol-lint.toml");
    netpol_lint::config::Options::parse("netpol-lint.toml", &sample).unwrap();
    let schema: Value = serde_json::from_str(&docs("netpol-lint.schema.json")).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let value = |text: &str| serde_json::to_value(toml::from_str::<toml::Value>(text).unwrap()).unwrap();
    validator.validate(&value(&sample)).unwrap();
    // The sample has every key.
    let uncommented = sample.replace("# select =", "select =").replace("# baseline =", "baseline =");
    let given = value(&uncommented);
    for key in schema["properties"].as_object().unwrap().keys() {
        assert!(given.get(key).is_some(), "the sample lacks {key}");
        assert!(docs("configuration.md").contains(&format!("| `{key}` |")), "{key} is not documented");
    }
    for wrong in
        ["selct = []", "select = 'NP1'", "fail-on = 'no'", "wide-port-range = 0", "severity = {NP1 = 1}"]
    {
        assert!(!validator.is_valid(&value(wrong)), "{wrong}");
        assert!(netpol_lint::config::Options::parse("c", wrong).is_err(), "{wrong}");
    }
}
