//! The command as people run it.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

const SPLIT: &str = "\
# The database takes connections from the office's backend.
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: db   # of the shop
  namespace: shop
spec:
  podSelector:
    matchLabels: {app: \"db\"}
  policyTypes: [Ingress]
  ingress:
    - from:
        # who
        - namespaceSelector:
            matchLabels:
              kubernetes.io/metadata.name: office

        - podSelector:
            matchLabels:
              app: 'backend' # theirs
      ports:
        - port: 5432
";

const CLEAN: &str = "\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: deny, namespace: shop}
spec: {podSelector: {}, policyTypes: [Ingress]}
";

struct Run {
    status: i32,
    out: String,
    err: String,
}

/// Runs the command in a folder.
fn run(folder: &Path, args: &[&str], stdin: &str) -> Run {
    let mut child = Command::new(env!("CARGO_BIN_EXE_netpol-lint"))
        .args(args)
        .current_dir(folder)
        .env_remove("NO_COLOR")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that doesn't read its input may be gone already.
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    Run {
        status: status.code().unwrap(),
        out: String::from_utf8(stdout).unwrap(),
        err: String::from_utf8(stderr).unwrap(),
    }
}

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

#[test]
fn exit_status() {
    let folder = folder(&[("clean.yaml", CLEAN), ("split.yaml", SPLIT), ("none.txt", "")]);
    for (args, status) in [
        (&["check", "clean.yaml"][..], 0),
        (&["check", "split.yaml"], 1),
        (&["check"], 1),
        (&["check", "split.yaml", "--ignore", "NP101"], 0),
        (&["check", "split.yaml", "--ignore", "split-peer-selectors"], 0),
        (&["check", "split.yaml", "--select", "NP0,NP5"], 0),
        (&["check", "missing.yaml"], 2),
        (&["check", "--select", "NP999"], 2),
        (&["check", "--no-such-option"], 2),
        (&["no-such-command"], 2),
        (&["rule", "NP101"], 0),
        (&["rule", "nothing"], 2),
        (&["rules"], 0),
        (&["completions", "bash"], 0),
        (&["--help"], 0),
    ] {
        let run = run(folder.path(), args, "");
        assert_eq!(run.status, status, "{args:?}\n{}{}", run.out, run.err);
        if status == 2 {
            assert!(
                run.out.is_empty() && !run.err.is_empty(),
                "{args:?}: what went wrong goes to standard error"
            );
        }
    }
}

#[test]
fn concise() {
    let folder =
        folder(&[("b/split.yaml", SPLIT), ("a.yaml", "kind: NetworkPolicy\nspec: {"), ("c.yaml", CLEAN)]);
    let run = run(folder.path(), &["check", "--output-format", "concise"], "");
    insta::assert_snapshot!(run.out, @r"
        a.yaml:2:7: NP013 error unclosed bracket '{'
        b/split.yaml:18:9: NP101 warning two peers (OR) where one (AND) was probably meant; as written: every pod of namespace office, and every app=backend pod of namespace shop; joined: only the app=backend pods of namespace office
        ");
    assert_eq!(run.err, "");
}

#[test]
fn full() {
    let folder = folder(&[("split.yaml", SPLIT)]);
    let run = run(folder.path(), &["check"], "");
    insta::assert_snapshot!(run.out, @r"
        NP101 split-peer-selectors

          ! two peers (OR) where one (AND) was probably meant; as written: every pod of namespace office,
          | and every app=backend pod of namespace shop; joined: only the app=backend pods of namespace
          | office
            ,-[split.yaml:18:9]
         13 |         # who
         14 |         - namespaceSelector:
            :         ^^^^^^^^^|^^^^^^^^^
            :                  `-- the first peer
         15 |             matchLabels:
         16 |               kubernetes.io/metadata.name: office
         17 | 
         18 |         - podSelector:
            :         ^^^^^^|^^^^^^
            :               `-- this dash begins a second peer
         19 |             matchLabels:
            `----
          help: each item of the list is a peer of its own; remove the dash to require both, or keep both
                items and say why with a comment on each
                fix: join the two items into one peer (--unsafe-fixes)
                     shop/db ingress: all pods of office, and pods app=backend of shop on 5432/TCP → pods
                app=backend of office on 5432/TCP
                more: netpol-lint rule NP101
        ");
    insta::assert_snapshot!(run.err, @"checked 1 policy in 1 file: 1 warning; --fix --unsafe-fixes repairs 1");
    assert!(!run.out.contains('\x1b'), "no colour for a pipe");
    let run = self::run(folder.path(), &["check", "--color", "always"], "");
    assert!(run.out.contains('\x1b'));
}

#[test]
fn json() {
    let folder = folder(&[("split.yaml", SPLIT), ("broken.yaml", "kind: NetworkPolicy\nspec: {")]);
    let run = run(folder.path(), &["check", "--output-format", "json"], "");
    let list: Value = serde_json::from_str(&run.out).unwrap();
    let findings = list.as_array().unwrap();
    assert_eq!(findings.len(), 2);
    let (broken, split) = (&findings[0], &findings[1]);
    assert_eq!(
        (&broken["code"], &broken["kind"], &broken["object"]),
        (&"NP013".into(), &Value::Null, &Value::Null)
    );
    for (key, value) in [
        ("code", "NP101"),
        ("name", "split-peer-selectors"),
        ("severity", "warning"),
        ("file", "split.yaml"),
        ("kind", "NetworkPolicy"),
        ("namespace", "shop"),
        ("object", "db"),
        ("path", "spec.ingress[0].from[1]"),
    ] {
        assert_eq!(split[key], value, "{key}");
    }
    assert!(split["message"].as_str().unwrap().contains("every pod of namespace office"));
    assert_eq!(split["document"], 0);
    let place = |key: &str| (split[key]["line"].as_u64().unwrap(), split[key]["column"].as_u64().unwrap());
    assert_eq!((place("start"), place("end")), ((18, 9), (18, 22)));
    assert_eq!(split["related"][0]["start"]["line"], 14);
    assert_eq!(split["fix"]["applicability"], "unsafe");
    assert_eq!(split["fix"]["edits"][0]["text"], " ");
    fs::write(folder.path().join("split.yaml"), CLEAN).unwrap();
    fs::remove_file(folder.path().join("broken.yaml")).unwrap();
    let run = self::run(folder.path(), &["check", "--output-format", "json"], "");
    assert_eq!((run.status, run.out.trim()), (0, "[]"));
}

#[test]
fn the_split_form_is_joined_and_then_clean() {
    let folder = folder(&[("policies/split.yaml", SPLIT)]);
    let path = folder.path().join("policies/split.yaml");

    let diff = run(folder.path(), &["check", "--unsafe-fixes", "--diff"], "");
    assert_eq!(diff.status, 1);
    insta::assert_snapshot!(diff.out, @r"
        # policies/split.yaml: NP101 split-peer-selectors changes what a policy means
        #   shop/db ingress: all pods of office, and pods app=backend of shop on 5432/TCP → pods app=backend of office on 5432/TCP
        --- a/policies/split.yaml
        +++ b/policies/split.yaml
        @@ -15,7 +15,7 @@
                     matchLabels:
                       kubernetes.io/metadata.name: office
         
        -        - podSelector:
        +          podSelector:
                     matchLabels:
                       app: 'backend' # theirs
               ports:
        ");
    assert_eq!(fs::read_to_string(&path).unwrap(), SPLIT, "a diff writes nothing");

    let safe = run(folder.path(), &["check", "--fix"], "");
    assert_eq!((safe.status, fs::read_to_string(&path).unwrap().as_str()), (1, SPLIT), "no safe fix applies");

    let fixed = run(folder.path(), &["check", "--fix", "--unsafe-fixes"], "");
    assert_eq!(fixed.status, 0, "{}", fixed.out);
    assert_eq!(
        fs::read_to_string(&path).unwrap(),
        SPLIT.replace("        - podSelector", "          podSelector")
    );
    let again = run(folder.path(), &["check"], "");
    assert_eq!((again.status, again.out.as_str()), (0, ""));
    assert_eq!(again.err, "checked 1 policy in 1 file: all clean\n");
    let diff = run(folder.path(), &["check", "--unsafe-fixes", "--diff"], "");
    assert_eq!((diff.status, diff.out.as_str()), (0, ""));
}

#[test]
fn standard_input() {
    let folder = folder(&[]);
    let run = |args: &[&str]| run(folder.path(), args, SPLIT);
    let checked = run(&["check", "-", "--output-format", "concise"]);
    assert!(
        checked.status == 1 && checked.out.starts_with("<stdin>:18:9: NP101 warning "),
        "{}",
        checked.out
    );
    let named = run(&["check", "-", "--output-format", "concise", "--stdin-filename", "a/b.yaml"]);
    assert!(named.out.starts_with("a/b.yaml:18:9: "), "{}", named.out);
    let fixed = run(&["check", "-", "--fix", "--unsafe-fixes"]);
    assert_eq!(fixed.out, SPLIT.replace("        - podSelector", "          podSelector"));
    let untouched = run(&["check", "-", "--fix"]);
    assert_eq!((untouched.status, untouched.out.as_str()), (1, SPLIT));
}

#[test]
fn json_objects_are_read_too() {
    let folder = folder(&[(
        "p.json",
        r#"{"apiVersion":"networking.k8s.io/v1","kind":"NetworkPolicy","metadata":{"name":"p"},"spec":{"podSelector":{},"ingress":[{"from":[]}]}}"#,
    )]);
    let found = run(folder.path(), &["check", "--output-format", "concise"], "");
    insta::assert_snapshot!(found.out, @r"
        p.json:1:85: NP106 warning policyTypes is left to the default, which is Ingress here
        p.json:1:122: NP103 error `from` is empty, which means no restriction: everyone may connect on every port
        ");
    let fixed = run(folder.path(), &["check", "--fix", "--ignore", "NP103"], "");
    assert_eq!(fixed.status, 0, "{}", fixed.out);
    let text = fs::read_to_string(folder.path().join("p.json")).unwrap();
    let value: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value["spec"]["policyTypes"], serde_json::json!(["Ingress"]));
}

#[test]
fn folders_are_searched_as_git_sees_them() {
    let folder = folder(&[
        (".gitignore", "ignored/\n"),
        ("ignored/split.yaml", SPLIT),
        (".hidden/split.yaml", SPLIT),
        ("notes.txt", SPLIT),
        ("deep/er/split.yml", SPLIT),
        ("broken-but-unrelated.yaml", "kind: Deployment\nspec: {"),
        ("chart/templates/np.yaml", "kind: NetworkPolicy\nmetadata:\n  name: {{ .Release.Name }}\n"),
    ]);
    let found = run(folder.path(), &["check", "--output-format", "concise"], "");
    assert_eq!(found.out.lines().count(), 1, "{}", found.out);
    assert!(found.out.starts_with("deep/er/split.yml:18:9: "));
    assert!(found.err.contains("skipped chart/templates/np.yaml: a Helm template"), "{}", found.err);
    // What is named is read, whatever it is called.
    let named =
        run(folder.path(), &["check", "--output-format", "concise", "ignored/split.yaml", "notes.txt"], "");
    assert_eq!(named.out.lines().count(), 2, "{}", named.out);
    let twice =
        run(folder.path(), &["check", "--output-format", "concise", "deep", "./deep/er/split.yml"], "");
    assert_eq!(twice.out.lines().count(), 1, "{}", twice.out);
}

#[test]
fn workloads_of_other_files_count() {
    let pod = |namespace, name, app| {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, namespace: {namespace}, labels: {{app: {app}}}}}\n"
        )
    };
    let pods = [pod("shop", "db", "db"), pod("office", "backend", "backend"), pod("office", "mail", "mail")];
    let folder = folder(&[("pods.yaml", &pods.join("---\n")), ("split.yaml", SPLIT)]);
    let found = run(folder.path(), &["check", "--output-format", "concise"], "");
    insta::assert_snapshot!(found.out, @"split.yaml:18:9: NP101 error two peers (OR) where one (AND) was meant; as written: every pod of namespace office (office/Pod/backend and office/Pod/mail), and every app=backend pod of namespace shop (none); joined: only the app=backend pods of namespace office (office/Pod/backend)");
    let list: Value =
        serde_json::from_str(&run(folder.path(), &["check", "--output-format", "json"], "").out).unwrap();
    let elsewhere = &list[0]["related"][1];
    assert_eq!((&elsewhere["file"], &elsewhere["start"]["line"]), (&"pods.yaml".into(), &7.into()));
    let alone = run(folder.path(), &["check", "--output-format", "concise", "split.yaml"], "");
    assert!(alone.out.contains(" NP101 warning "), "{}", alone.out);
}

#[test]
fn variants_of_a_workload_in_other_files_count_too() {
    let pod = |app| {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: db, namespace: shop, labels: {{app: {app}}}}}\n"
        )
    };
    let (base, overlay, split) =
        (pod("db"), pod("other"), SPLIT.replace("        - podSel", "          podSel"));
    let folder = folder(&[("base/pod.yaml", &base), ("overlay/pod.yaml", &overlay), ("split.yaml", &split)]);
    let found = run(folder.path(), &["check", "--output-format", "concise"], "");
    assert_eq!((found.status, found.out.as_str()), (0, ""));
    let found = run(folder.path(), &["check", "--output-format", "concise", "overlay", "split.yaml"], "");
    assert!(found.out.contains("NP501"), "{}", found.out);
}

#[test]
fn a_fix_that_an_alias_would_spread_is_refused() {
    let shared = "\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: p, namespace: shop}
spec:
  podSelector: {}
  policyTypes: [Ingress]
  ingress:
    - from: &office
        - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: office}}
        - podSelector: {matchLabels: {app: api}}
    - from: *office
      ports: [{port: 80}]
";
    let folder = folder(&[("shared.yaml", shared)]);
    let run = run(folder.path(), &["check", "--fix", "--unsafe-fixes", "--output-format", "concise"], "");
    assert_eq!(fs::read_to_string(folder.path().join("shared.yaml")).unwrap(), shared);
    assert!(
        run.err.contains("is refused: the policy would mean something else than intended"),
        "{}",
        run.err
    );
    assert_eq!(run.status, 1);
}

#[test]
fn pages_and_lists() {
    let folder = folder(&[]);
    let page = run(folder.path(), &["rule", "split-peer-selectors"], "").out;
    assert!(page.starts_with("# NP101 split-peer-selectors\n"), "{page}");
    assert!(page.contains("## Why it matters") && page.contains("```yaml"), "{page}");
    let rules: Value =
        serde_json::from_str(&run(folder.path(), &["rules", "--output-format", "json"], "").out).unwrap();
    let codes: Vec<_> = rules.as_array().unwrap().iter().map(|rule| rule["code"].as_str().unwrap()).collect();
    for code in
        "NP002 NP003 NP007 NP010 NP013 NP101 NP102 NP103 NP104 NP106 NP107 NP108 NP109 NP501 NP502".split(' ')
    {
        assert!(codes.contains(&code), "{code}");
    }
}

#[test]
fn a_namespace_for_what_names_none() {
    let pods = "apiVersion: v1\nkind: Pod\nmetadata: {name: db, namespace: shop, labels: {app: database}}\n";
    let policy = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p}\nspec:\n  podSelector: {matchLabels: {app: db}}\n  policyTypes: [Ingress]\n";
    let folder = folder(&[("pods.yaml", pods), ("policy.yaml", policy)]);
    assert_eq!(run(folder.path(), &["check"], "").status, 0, "nothing is known of the namespace default");
    let found = run(folder.path(), &["check", "-n", "shop", "--output-format", "concise"], "");
    assert!(
        found.out.starts_with("policy.yaml:5:30: NP501 warning no workload of namespace shop"),
        "{}",
        found.out
    );
}

#[test]
#[cfg(unix)]
fn folders_hold_more_than_files() {
    let folder = folder(&[("clean.yaml", CLEAN)]);
    let _socket = std::os::unix::net::UnixListener::bind(folder.path().join("socket.yaml")).unwrap();
    for (target, link) in [("socket.yaml", "link.yaml"), ("nowhere", "lost.yaml"), (".", "folder.yaml")] {
        std::os::unix::fs::symlink(target, folder.path().join(link)).unwrap();
    }
    let run = run(folder.path(), &["check"], "");
    assert_eq!((run.status, &*run.err), (0, "checked 1 policy in 1 file: all clean\n"));
}

#[test]
fn nothing_to_check() {
    let folder = folder(&[("readme.txt", "")]);
    let run = run(folder.path(), &["check"], "");
    assert_eq!((run.status, &*run.err), (0, "checked 0 files: no policy found\n"));
}

#[test]
fn broken_yaml_comes_with_a_remedy() {
    for (spec, remedy) in [
        (" spec: {}\n", "indent this line like the fields"),
        ("spec:\n- a: b\n c: d\n", "indent this line like the fields"),
        ("spec: {a: b\n  c: d}\n", "put a comma between"),
        ("spec: \"a\nb: c\n", "close the quotes"),
    ] {
        let folder =
            folder(&[("broken.yaml", &format!("kind: NetworkPolicy\nmetadata:\n  name: a\n{spec}"))]);
        let run = run(folder.path(), &["check"], "");
        assert!(run.status == 1 && run.out.contains(remedy), "{}", run.out);
    }
}

#[test]
fn manifests_do_not_command_the_terminal() {
    let name = "metadata: {name: \"a\\e[2J\\nb\"} # \u{202e}\n";
    let folder = folder(&[("odd.yaml", &CLEAN.replace("metadata: {name: deny, namespace: shop}\n", name))]);
    let concise = run(folder.path(), &["check", "--output-format", "concise"], "").out;
    assert!(concise.starts_with(r"odd.yaml:3:18: NP015 error `a\u{1b}[2J\nb` is no name"), "{concise}");
    assert_eq!(concise.lines().count(), 1);
    for color in ["always", "never"] {
        let full = run(folder.path(), &["check", "--color", color], "").out;
        assert!(
            full.contains("NP015") && !full.contains("\u{1b}[2J") && !full.contains('\u{202e}'),
            "{full}"
        );
    }
}

#[test]
fn unsafe_fixes_alone_change_nothing() {
    let folder = folder(&[("db.yaml", SPLIT)]);
    let run = run(folder.path(), &["check", "--unsafe-fixes"], "");
    assert_eq!(run.status, 1);
    assert!(run.err.contains("add --fix to apply"), "{}", run.err);
    assert_eq!(fs::read_to_string(folder.path().join("db.yaml")).unwrap(), SPLIT);
}

#[test]
#[cfg(unix)]
fn a_file_counts_once() {
    let folder = folder(&[("a.yaml", SPLIT), ("sub/c.yaml", CLEAN)]);
    std::os::unix::fs::symlink("a.yaml", folder.path().join("0.yaml")).unwrap();
    std::os::unix::fs::symlink("sub", folder.path().join("link")).unwrap();
    let absolute = folder.path().join("a.yaml").canonicalize().unwrap();
    let absolute = absolute.to_str().unwrap();
    for paths in [
        &["a.yaml", "./a.yaml"][..],
        &["."],
        &[".", "."],
        &[".", "a.yaml"],
        &["0.yaml", "a.yaml"],
        &["a.yaml", "sub/../a.yaml", "sub/c.yaml", "link/c.yaml"],
        &["a.yaml", absolute],
    ] {
        let args = [&["check", "--output-format", "concise"], paths].concat();
        let run = run(folder.path(), &args, "");
        assert_eq!(run.out.lines().count(), 1, "{paths:?}: {}", run.out);
        let name = if paths[paths.len() - 1] == absolute { "/" } else { "a.yaml:" };
        assert!(run.out.contains(name), "{paths:?}: {}", run.out);
    }
    // What the user calls a file is what it is called.
    let named = run(folder.path(), &["check", "--output-format", "concise", "0.yaml", "."], "");
    assert!(named.out.starts_with("0.yaml:") && named.out.lines().count() == 1, "{}", named.out);
    let seen = run(folder.path(), &["check", ".", "a.yaml"], "");
    assert!(seen.err.starts_with("checked 2 policies in 2 files"), "{}", seen.err);
}

#[test]
#[cfg(target_os = "linux")]
fn the_rest_is_checked_when_something_cannot_be_read() {
    let folder = folder(&[("a.yaml", SPLIT), ("sub/c.yaml", CLEAN)]);
    let check = |paths: &[&str]| {
        let args = [&["check", "--output-format", "concise"], paths].concat();
        run(folder.path(), &args, "")
    };
    let missing = check(&["missing.yaml", "a.yaml", "a.yaml/b.yaml", "--exit-zero"]);
    assert_eq!(missing.status, 2);
    assert!(missing.out.starts_with("a.yaml:"), "{}", missing.out);
    let told: Vec<_> = missing.err.lines().map(|line| line.split(": ").nth(1).unwrap()).collect();
    assert_eq!(told, ["can't read a.yaml/b.yaml", "can't read missing.yaml"]);
    // In a folder: this one exists, and reading it fails.
    std::os::unix::fs::symlink("/proc/self/mem", folder.path().join("sub/b.yaml")).unwrap();
    let unreadable = check(&["."]);
    assert_eq!(unreadable.status, 2);
    assert!(unreadable.out.starts_with("a.yaml:"), "{}", unreadable.out);
    assert!(unreadable.err.contains("can't read ./sub/b.yaml"), "{}", unreadable.err);
    // A clean rest doesn't make it clean.
    assert_eq!(check(&["sub"]).status, 2);
}

#[test]
#[cfg(unix)]
fn the_rest_is_repaired_when_something_cannot_be_written() {
    let folder = folder(&[("a.yaml", SPLIT), ("b.yaml", &SPLIT.replace("name: db ", "name: other "))]);
    let read_only = folder.path().join("a.yaml");
    let mut permissions = fs::metadata(&read_only).unwrap().permissions();
    permissions.set_readonly(true);
    fs::set_permissions(&read_only, permissions).unwrap();
    let run = run(folder.path(), &["check", "--fix", "--unsafe-fixes", "--output-format", "concise"], "");
    assert_eq!(run.status, 2);
    assert!(run.out.starts_with("a.yaml:") && run.out.lines().count() == 1, "{}", run.out);
    assert!(run.err.contains("read-only") && run.err.contains("repaired 1 finding in 1 file"), "{}", run.err);
}

/// The bindings have no name for the option that `main` sets, so its number could come to mean another.
#[test]
fn memory_is_kept_until_the_end() {
    let folder = tempfile::tempdir().unwrap();
    for number in 0..100 {
        let policy = CLEAN.replace("deny", &format!("deny-{number}"));
        fs::write(folder.path().join(format!("{number}.yaml")), policy).unwrap();
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_netpol-lint"));
    command.arg("check").arg(folder.path()).env("MIMALLOC_SHOW_STATS", "1");
    let text = String::from_utf8(command.output().unwrap().stderr).unwrap();
    let line = text.lines().find(|line| line.contains("purges")).expect("a line of purges");
    assert_eq!(line.split_whitespace().collect::<Vec<_>>(), ["purges", ":", "0"]);
}

#[test]
fn unsafe_fixes_together_bring_no_new_finding() {
    let policies = "\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: a, namespace: shop}
spec:
  podSelector: {}
  ingress: [{from: [{podSelector: {}}], ports: [{protocol: TCP, port: 80}]}]
  egress: []
";
    let folder = folder(&[("nn.yaml", policies)]);
    let found = |more: &[&str]| {
        let arguments = [&["check", "--select", "ALL", "--output-format", "concise"], more].concat();
        run(folder.path(), &arguments, "").out
    };
    let before = found(&[]);
    found(&["--fix", "--unsafe-fixes"]);
    let codes = |text: &str| {
        text.split_whitespace().filter(|word| word.starts_with("NP")).map(str::to_owned).collect::<Vec<_>>()
    };
    let (before, after) = (codes(&before), codes(&found(&[])));
    for code in ["NP108", "NP602"] {
        assert!(before.iter().any(|found| found == code), "{before:?}");
    }
    let new: Vec<_> = after.iter().filter(|code| !before.contains(code)).collect();
    assert!(new.is_empty(), "{before:?} {after:?}");
}

#[test]
fn wrong_values_say_which_are_right() {
    for (arguments, words) in [
        (&["--severity", "NP101=fatal"][..], "`fatal` is no severity: use error, warning or info"),
        (&["--wide-port-range", "abc"], "a number of ports from 1 to 65535"),
        (&["--stdin-filename", "x.yaml", "."], "add `-` to the paths"),
    ] {
        let run = run(&std::env::temp_dir(), &[&["check", "--isolated"], arguments].concat(), "");
        assert_eq!(run.status, 2, "{arguments:?}: {}", run.err);
        assert!(run.err.contains(words), "{arguments:?}: {}", run.err);
    }
}
