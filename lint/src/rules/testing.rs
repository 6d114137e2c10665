//! What the tests of rules are made of.

use std::sync::Arc;

use netpol_policy::source;

use crate::check::{Report, check, check_text};
use crate::facts::{Evidence, Readable};
use crate::file::SourceFile;
use crate::finding::{Applicability, FixAvailability};
use crate::fix::fix_file;
use crate::index::Index;
use crate::registry::{RULES, find_rule};
use crate::rule::Scope;
use crate::select::Selection;
use crate::settings::Settings;

/// What one rule says: `line:column severity path: message`. A text without a `kind` is the spec of a policy.
pub(crate) fn findings(code: &str, text: &str) -> String {
    let report = report(code, &whole(text));
    let lines = report.findings.iter().map(|finding| {
        let at = report.file_of(finding).position(finding.place.span.start);
        let (severity, path, message) = (finding.severity, &finding.path, &finding.message);
        format!("{}:{} {severity} {path}: {message}\n", at.line, at.column)
    });
    lines.collect()
}

/// For rules that need a cluster, the objects of the text are the cluster's; where there is no pod among them, pods may
/// not be looked at.
fn report(code: &str, text: &str) -> Report {
    if find_rule(code).is_none_or(|rule| rule.scope != Scope::Cluster) {
        return check_text("test.yaml", text, &only(code, text));
    }
    let mut evidence = Evidence::default();
    let mut readable = Readable { namespaces: true, pods: false, daemon_sets: true };
    let objects = serde_saphyr::from_multiple::<serde_json::Value>(text).unwrap();
    for object in objects {
        let kind = object["kind"].as_str().unwrap();
        readable.pods |= kind == "Pod";
        evidence.add(kind, &object);
    }
    let mut facts = evidence.conclude(readable);
    let files = vec![SourceFile::read("test.yaml", text, &Arc::from("default"))];
    facts.tell_at_first(&files);
    let cluster = source::cluster([&files[0].manifest]);
    let index = Index::new(&cluster).with_facts(&facts);
    check(files, &index, &only(code, text))
}

/// Asserts that one rule has nothing to say.
#[track_caller]
pub(crate) fn clean(code: &str, text: &str) {
    assert_eq!(findings(code, text), "");
}

/// The codes of what the default rules find.
pub(crate) fn default_codes(text: &str) -> Vec<&'static str> {
    codes(&[], text)
}

/// The codes of what some rules find.
pub(crate) fn codes(select: &[&str], text: &str) -> Vec<&'static str> {
    let settings = Selection::new(select, &[]).unwrap().into();
    let report = check_text("test.yaml", &whole(text), &settings);
    report.findings.iter().map(|finding| finding.rule.code).collect()
}

/// The text after the fixes of one rule, or why they were refused. Fixing again changes nothing.
pub(crate) fn fixed(code: &str, text: &str) -> String {
    let fixed = fix(code, &whole(text));
    assert_eq!(fix(code, &fixed), fixed, "fixing again changes the text again");
    match fixed.strip_prefix(HEAD) {
        Some(spec) if !text.contains("kind:") => {
            spec.lines().map(|line| format!("{}\n", line.strip_prefix("  ").unwrap_or(line))).collect()
        }
        _ => fixed,
    }
}

fn fix(code: &str, text: &str) -> String {
    let file = SourceFile::read("test.yaml", text, &Arc::from("default"));
    let cluster = source::cluster([&file.manifest]);
    let fixed = fix_file(&file, &Index::new(&cluster), &only(code, text), Applicability::Unsafe);
    match fixed.refused.first() {
        Some(refused) => format!("refused: {}", refused.reason),
        None => fixed.file.text.into(),
    }
}

/// One rule; a text says in a comment where the configuration isn't as usual.
fn only(code: &str, text: &str) -> Settings {
    let selection = Selection::new(&[code], &[]).unwrap();
    Settings { dual_stack: text.contains("dual-stack = true"), ..selection.into() }
}

const HEAD: &str =
    "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: test, namespace: shop}\nspec:\n";

fn whole(text: &str) -> String {
    let text = text.trim_start();
    if text.contains("kind:") || text.contains("\"kind\"") {
        return text.to_owned();
    }
    let spec: String = text.lines().map(|line| format!("  {line}\n")).collect();
    format!("{HEAD}{spec}")
}

/// The YAML blocks of a section of a rule's page.
fn blocks(section: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut block: Option<String> = None;
    for line in section.lines() {
        match (&mut block, line) {
            (None, "```yaml") => block = Some(String::new()),
            (Some(_), "```") => blocks.extend(block.take()),
            (Some(text), line) => {
                text.push_str(line);
                text.push('\n');
            }
            _ => {}
        }
    }
    blocks
}

#[test]
fn pages_are_complete_and_their_examples_true() {
    for rule in RULES {
        let section = |title| rule.section(title).unwrap_or_else(|| panic!("{rule:?} lacks {title:?}"));
        for title in ["What it does", "Why it matters", "Example", "Fix"] {
            assert!(!section(title).trim().is_empty(), "{rule:?}: {title}");
        }
        assert!(!rule.summary().is_empty(), "{rule:?}");
        let examples = blocks(&section("Example"));
        assert!(!examples.is_empty(), "{rule:?} has no example");
        for example in examples {
            assert_ne!(findings(rule.code, &example), "", "{rule:?} finds nothing in its example");
        }
        for remedy in blocks(&section("Fix")) {
            assert_eq!(findings(rule.code, &remedy), "", "{rule:?} isn't content with its remedy");
            let Report { findings, .. } = check_text("fix", &remedy, &Settings::default());
            let others: Vec<_> = findings.iter().map(|finding| finding.rule).collect();
            assert!(others.is_empty(), "the remedy of {rule:?} is not clean: {others:?}");
        }
    }
}

#[test]
fn every_rule_has_its_cases() {
    for rule in RULES {
        let path = format!("{}/src/rules/{}", env!("CARGO_MANIFEST_DIR"), rule.name.replace('-', "_"));
        // Large ones have their tests in a file of their own.
        let texts = [format!("{path}.rs"), format!("{path}/tests.rs")].map(std::fs::read_to_string);
        let source: String = texts.into_iter().flatten().collect();
        let mut cases = vec!["fn fails()", "fn passes()"];
        if rule.fix != FixAvailability::None {
            cases.push("fn fixes()");
        }
        for case in cases {
            assert!(source.contains(case), "{path} lacks {case}");
        }
    }
}

#[test]
fn codes_are_sorted_and_names_are_unique() {
    assert!(RULES.windows(2).all(|pair| pair[0].code < pair[1].code));
    for rule in RULES {
        assert_eq!(find_rule(rule.name), Some(*rule));
        assert_eq!(find_rule(&rule.code.to_lowercase()), Some(*rule));
    }
}
