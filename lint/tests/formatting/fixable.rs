//! Every rule that has a fix, in every form.

use std::collections::BTreeSet;

use netpol_lint::fix::{apply, fix_file, proven};
use netpol_lint::{
    Applicability, Finding, FixAvailability, Index, RULES, Report, Selection, Settings, SourceFile, check,
};
use netpol_policy::source::{self, ListStyle, PolicySource};
use proptest::prelude::*;
use proptest::test_runner::{TestCaseResult, TestError, TestRunner};

use super::cases::{CASES, Case};
use super::writer::{Value, Writer, map};
use super::{comments, policy, read, same};

/// So many texts for each case.
const TEXTS: u32 = 40;

impl Case {
    fn settings(&self) -> Settings {
        Settings::from(Selection::new(&[self.code], &[]).unwrap())
    }

    fn values(&self) -> Vec<Value> {
        let value = |(number, document): (usize, &&str)| {
            let json: serde_json::Value = serde_saphyr::from_str(document).unwrap();
            if json.get("kind").is_some() {
                return Value::from(&json);
            }
            let text = |text: &str| Value::Text(text.to_owned());
            map([
                ("apiVersion", text("networking.k8s.io/v1")),
                ("kind", text("NetworkPolicy")),
                ("metadata", map([("name", text(&format!("case-{number}"))), ("namespace", text("shop"))])),
                ("spec", Value::from(&json)),
            ])
        };
        self.documents.iter().enumerate().map(value).collect()
    }

    /// Whether comments may go: those are what is repaired.
    fn is_about_comments(&self) -> bool {
        self.note != "note"
    }
}

/// What one rule finds in a text that is all there is.
fn report(file: SourceFile, settings: &Settings) -> Report {
    let cluster = source::cluster([&file.manifest]);
    let index = Index::new(&cluster);
    let mut report = check(vec![file], &index, settings);
    report.tell_effects(&index);
    report
}

fn fixed(file: &SourceFile, settings: &Settings, up_to: Applicability) -> netpol_lint::fix::FixedFile {
    let cluster = source::cluster([&file.manifest]);
    fix_file(file, &Index::new(&cluster), settings, up_to)
}

#[test]
fn every_rule_with_a_fix_has_a_case() {
    let with_fix = RULES.iter().filter(|rule| rule.fix != FixAvailability::None);
    let with_case: BTreeSet<_> = CASES.iter().map(|case| case.code).collect();
    assert_eq!(
        with_case,
        with_fix.map(|rule| rule.code).collect(),
        "give each rule with a fix a case in cases.rs"
    );
    for case in CASES {
        let settings = case.settings();
        // One choice of the note's comments is as good as another.
        let choices = if case.is_about_comments() { vec![5] } else { vec![0] };
        let text = Writer::write_with(&case.values(), choices, case.note);
        let report = report(read(&text), &settings);
        let offered =
            |finding: &Finding| finding.fix.as_ref().is_some_and(|fix| fix.applicability == case.fix);
        assert!(report.findings.iter().any(offered), "{} has no such fix:\n{text}", case.code);
    }
}

#[test]
fn every_fix_keeps_its_promise_in_every_form() {
    let mut failures = Vec::new();
    for case in CASES {
        let offers = std::cell::Cell::new(0);
        let others = prop::collection::vec((any::<prop::sample::Index>(), policy()), 0..3);
        let strategy = (others, prop::collection::vec(any::<u8>(), 200));
        let config = ProptestConfig { cases: TEXTS, failure_persistence: None, ..ProptestConfig::default() };
        let result = TestRunner::new(config).run(&strategy, |(others, choices)| {
            let mut values = case.values();
            for (number, (at, other)) in others.into_iter().enumerate() {
                values.insert(at.index(values.len() + 1), named(other, number));
            }
            let text = Writer::write_with(&values, choices, case.note);
            offers.set(offers.get() + single_fixes(case, &text)?);
            all_fixes(case, &text)
        });
        match result {
            Err(TestError::Fail(reason, _)) => failures.push(format!("{}: {reason}", case.code)),
            Err(TestError::Abort(reason)) => panic!("{reason}"),
            Ok(()) => {}
        }
        let offered = offers.get();
        if offered < TEXTS as usize / 10 {
            failures.push(format!("{}: repaired only {offered} times in {TEXTS} texts", case.code));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

/// A random policy under another name than the rest.
fn named(policy: Value, number: usize) -> Value {
    let Value::Map(mut fields) = policy else { unreachable!("a policy") };
    for (key, value) in &mut fields {
        if key == "metadata" {
            let text = |text: String| Value::Text(text);
            *value = map([("name", text(format!("p{number}"))), ("namespace", text("shop".to_owned()))]);
        }
    }
    Value::Map(fields)
}

/// Each fix for itself. Returns how many there are.
fn single_fixes(case: &Case, text: &str) -> Result<usize, TestCaseError> {
    let before = read(text);
    prop_assert!(before.manifest.errors.is_empty(), "{:?}\n{text}", before.manifest.errors);
    let report = report(read(text), &case.settings());
    let mut count = 0;
    for finding in &report.findings {
        let Some(fix) = &finding.fix else { continue };
        // Text that has an alias elsewhere may not change as one place alone wants it.
        if has_alias(text) && !proven(&before, finding) {
            continue;
        }
        count += 1;
        let Some(text_after) = apply(text, &fix.edits) else {
            return Err(TestCaseError::fail(format!("edits overlap: {:?}\n{text}", fix.edits)));
        };
        let after = read(&text_after);
        let shown = format!("{}\n{text}\n=== after\n{text_after}", finding.path);
        prop_assert!(after.manifest.errors.is_empty(), "{:?} {shown}", after.manifest.errors);
        same_line_ends(text, &text_after)?;
        let is_json = |text: &str| serde_json::from_str::<serde_json::Value>(text).is_ok();
        prop_assert!(is_json(&text_after) || !is_json(text), "no JSON any more: {shown}");
        if !case.is_about_comments() {
            prop_assert_eq!(comments(text), comments(&text_after), "{}", shown);
        }
        let at = finding.place.span.start;
        let (old, new): (Vec<_>, Vec<_>) = (policies(&before), policies(&after));
        prop_assert_eq!(new.len(), old.len() + usize::from(fix.added.is_some()), "{}", &shown);
        let repaired = old.iter().position(|policy| policy.span.start <= at && at <= policy.span.end);
        for (number, (old, new)) in old.iter().zip(&new).enumerate() {
            let shown = format!("policy {number} {shown}");
            prop_assert!(openings(new) <= openings(old), "something is open now: {shown}");
            if Some(number) != repaired || fix.added.is_some() {
                if !has_alias(text) {
                    prop_assert_eq!(&old.model, &new.model, "{}", shown);
                }
                prop_assert!(same(old.model.as_deref(), new.model.as_deref()), "{shown}");
                // Comments about the suppressions of others stand in them.
                if !case.is_about_comments() {
                    prop_assert_eq!(before.slice(old.span), after.slice(new.span), "{}", shown);
                }
                continue;
            }
            match fix.applicability {
                Applicability::Safe => {
                    prop_assert!(
                        same(old.model.as_deref(), new.model.as_deref()),
                        "the meaning changes: {shown}"
                    );
                }
                Applicability::Unsafe => {
                    prop_assert!(old.model.is_none() || new.model.is_some(), "refused now: {shown}");
                    if let Some(expected) = &fix.expected {
                        prop_assert_eq!(Some(&**expected), new.model.as_deref(), "{}", shown);
                    }
                    let changes = new.model.is_some() && old.model != new.model;
                    prop_assert_eq!(fix.effect.is_some(), changes, "{}", shown);
                }
            }
        }
        if let Some(number) = repaired.filter(|_| fix.added.is_none() && !case.is_about_comments()) {
            only_within(text, &text_after, old[number], &shown)?;
        }
        if let Some(added) = &fix.added {
            prop_assert!(text_after.starts_with(text), "{}", shown);
            prop_assert_eq!(Some(&**added), new[old.len()].model.as_deref(), "{}", shown);
            prop_assert!(fix.effect.is_some(), "{}", shown);
        }
    }
    Ok(count)
}

/// All fixes together, until there are no more.
fn all_fixes(case: &Case, text: &str) -> TestCaseResult {
    let (before, settings) = (read(text), case.settings());
    for up_to in [Applicability::Safe, Applicability::Unsafe] {
        let result = fixed(&before, &settings, up_to);
        let shown = format!("{up_to:?}\n{text}\n=== after\n{}", result.file.text);
        prop_assert!(result.refused.is_empty() || has_alias(text), "{:?} {shown}", result.refused);
        same_line_ends(text, &result.file.text)?;
        if !case.is_about_comments() {
            prop_assert_eq!(comments(text), comments(&result.file.text), "{}", shown);
        }
        let again = fixed(&result.file, &settings, up_to);
        prop_assert_eq!(&again.file.text, &result.file.text, "{}", shown);
        let refused: BTreeSet<_> = again.refused.iter().map(|refused| refused.finding.path.clone()).collect();
        let left = report(again.file, &settings);
        let mut left = left.findings.iter().filter(|finding| !refused.contains(&finding.path));
        let applies = |finding: &Finding| finding.fix.as_ref().is_some_and(|fix| fix.applicability <= up_to);
        prop_assert!(!left.any(applies), "{}", shown);
        if up_to == Applicability::Safe {
            prop_assert!(result.changes.is_empty(), "{}", shown);
            for (old, new) in policies(&before).iter().zip(policies(&result.file)) {
                prop_assert!(same(old.model.as_deref(), new.model.as_deref()), "{shown}");
            }
        }
    }
    Ok(())
}

pub(crate) fn has_alias(text: &str) -> bool {
    text.contains("*a")
}

fn policies(file: &SourceFile) -> Vec<&PolicySource> {
    file.policies().map(|(_, policy)| policy).collect()
}

/// How many lists of peers and of ports are absent or empty, so that everything is allowed.
fn openings(policy: &PolicySource) -> usize {
    let is_open = |items: Option<usize>| usize::from(items.unwrap_or_default() == 0);
    let rules = policy.rules();
    rules
        .map(|(_, _, rule)| {
            let peers = rule.peers.value().map(|list| list.items.len());
            let ports = rule.ports.value().map(|list| list.items.len());
            is_open(peers) + is_open(ports)
        })
        .sum()
}

fn same_line_ends(before: &str, after: &str) -> TestCaseResult {
    let crs = |text: &str| text.matches("\r\n").count() == text.matches('\n').count();
    if before.contains('\n') {
        prop_assert_eq!(crs(before), crs(after), "line ends stay");
    }
    Ok(())
}

/// Nothing else changes than the lines of a policy; on a line with others, only the policy.
fn only_within(before: &str, after: &str, policy: &PolicySource, shown: &str) -> TestCaseResult {
    let (start, end) = (policy.span.start as usize, policy.span.end as usize);
    let start = before[..start].rfind('\n').map_or(0, |newline| newline + 1);
    let is_flow = before[policy.span.range()].starts_with('{');
    let end = match before[end..].find('\n') {
        _ if is_flow => end,
        Some(newline) => end + newline,
        None => before.len(),
    };
    let head = before.bytes().zip(after.bytes()).take_while(|(a, b)| a == b).count();
    let tail = before.bytes().rev().zip(after.bytes().rev()).take_while(|(a, b)| a == b).count();
    prop_assert!(head >= start && tail >= before.len() - end, "something outside changes: {}", shown);
    Ok(())
}

/// So that the forms are all there.
#[test]
fn forms() {
    let mut seen = BTreeSet::new();
    let case = CASES.iter().find(|case| case.code == "NP402").unwrap();
    let mut runner = TestRunner::deterministic();
    for _ in 0..200 {
        let choices = prop::collection::vec(any::<u8>(), 200);
        let choices = proptest::strategy::Strategy::new_tree(&choices, &mut runner).unwrap();
        let text = Writer::write(&case.values(), proptest::strategy::ValueTree::current(&choices));
        let file = read(&text);
        for (form, is_there) in [
            ("CRLF", text.contains("\r\n")),
            ("anchor", text.contains("&a0")),
            ("alias", text.contains("*a0")),
            ("tab", text.contains('\t')),
            ("list", text.contains("List")),
            ("JSON", text.contains("\"kind\": \"NetworkPolicy\",")),
        ] {
            if is_there {
                seen.insert(form);
            }
        }
        for rule in policies(&file).iter().flat_map(|policy| policy.rules()) {
            let Some(ports) = rule.2.ports.value() else { continue };
            seen.insert(if ports.style == ListStyle::Flow { "flow" } else { "block" });
        }
    }
    let all = ["CRLF", "JSON", "alias", "anchor", "block", "flow", "list", "tab"];
    assert_eq!(seen, BTreeSet::from(all));
}
