//! `netpol-lint check --watch`, with a real folder.

#![cfg(unix)]

mod support;

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

const OPEN: &str = "\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: open, namespace: shop}
spec: {podSelector: {}, policyTypes: [Ingress], ingress: [{from: []}]}
";

/// Long enough for a slow machine.
const DEADLINE: Duration = Duration::from_secs(60);

struct Watch {
    child: Child,
    lines: Receiver<String>,
}

impl Watch {
    fn start(folder: &Path, args: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_netpol-lint"))
            .args(["check", "--watch", "--output-format", "grouped"])
            .args(args)
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, lines) = mpsc::channel();
        let err = BufReader::new(child.stderr.take().unwrap());
        std::thread::spawn(move || err.lines().map_while(Result::ok).all(|line| sender.send(line).is_ok()));
        Self { child, lines }
    }

    /// Waits until a line says something; returns what was said before.
    #[track_caller]
    fn until(&self, words: &str) -> Vec<String> {
        let end = Instant::now() + DEADLINE;
        let mut before = Vec::new();
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let Ok(line) = self.lines.recv_timeout(left) else {
                panic!("{words:?} doesn't come: {before:#?}")
            };
            if line.contains(words) {
                return before;
            }
            before.push(line);
        }
    }

    fn stop(mut self) -> i32 {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
        self.child.wait().unwrap().code().unwrap()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.child.kill();
    }
}

const READY: &str = "watching for changes";

#[test]
fn changes_are_seen() {
    let folder = support::folder(&[("a/open.yaml", OPEN), ("netpol-lint.toml", "")]);
    let watch = Watch::start(folder.path(), &[]);
    watch.until("1 error");
    watch.until(READY);
    fs::write(folder.path().join("a/open.yaml"), OPEN.replace(", ingress: [{from: []}]", "")).unwrap();
    watch.until("all clean");
    watch.until(READY);
    fs::create_dir(folder.path().join("b")).unwrap();
    fs::write(folder.path().join("b/more.yaml"), OPEN).unwrap();
    watch.until("1 error");
    watch.until(READY);
    fs::write(folder.path().join("netpol-lint.toml"), "selct = []").unwrap();
    watch.until("did you mean `select`?");
    watch.until(READY);
    fs::write(folder.path().join("netpol-lint.toml"), "ignore = ['NP103']").unwrap();
    watch.until("all clean");
    watch.until(READY);
    fs::write(folder.path().join("netpol-lint.toml"), "").unwrap();
    watch.until("1 error");
    watch.until(READY);
    assert_eq!(watch.stop(), 1, "the outcome of the last check");
}

#[test]
fn a_file_that_an_editor_replaces() {
    let folder = support::folder(&[("open.yaml", OPEN)]);
    let watch = Watch::start(folder.path(), &["open.yaml"]);
    watch.until(READY);
    fs::write(folder.path().join(".open.swp"), CLEAN).unwrap();
    fs::rename(folder.path().join(".open.swp"), folder.path().join("open.yaml")).unwrap();
    watch.until("all clean");
    watch.until(READY);
    fs::write(folder.path().join("notes.txt"), "nothing").unwrap();
    fs::write(folder.path().join("open.yaml"), OPEN).unwrap();
    let before = watch.until("1 error");
    assert_eq!(before, [""; 0], "notes don't count");
    watch.until(READY);
    fs::write(folder.path().join("open.yaml"), CLEAN).unwrap();
    watch.until("all clean");
    watch.until(READY);
    assert_eq!(watch.stop(), 0);
}

const CLEAN: &str = "\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: open, namespace: shop}
spec: {podSelector: {}, policyTypes: [Ingress]}
";

#[test]
fn standard_input_is_not_watched() {
    let run = support::run(Path::new("."), &["check", "--watch", "-"], "");
    assert_eq!((run.status, run.out.as_str()), (2, ""));
    assert!(run.err.contains("standard input can't be watched"), "{}", run.err);
}
