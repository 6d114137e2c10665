//! Any text: every rule looks at it; fixes come to an end, and the safe ones leave every policy as it was.

#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use netpol_lint::fix::fix_file;
use netpol_lint::{Applicability, Index, Selection, Settings, SourceFile, add_ignores, check};
use netpol_policy::cover::Cover;
use netpol_policy::model::NetworkPolicy;
use netpol_policy::source;

fuzz_target!(|text: &str| {
    let settings = Settings { selection: Selection::new(&["ALL"], &[]).expect("ALL is a word"), ..Settings::default() };
    let namespace = Arc::from("default");
    let read = |text: &str| SourceFile::read("fuzz.yaml", text, &namespace);
    let file = read(text);
    let cluster = source::cluster([&file.manifest]);
    let index = Index::new(&cluster);

    let report = check(vec![read(text)], &index, &settings);
    for finding in &report.findings {
        let span = finding.place.span;
        assert!(text.get(span.range()).is_some(), "{} points at {span:?}", finding.rule.code);
    }

    let before = meaning(&file);
    let safe = fix_file(&file, &index, &settings, Applicability::Safe);
    let after = meaning(&safe.file);
    assert_eq!(before.len(), after.len(), "a policy came or went");
    for (before, after) in before.into_iter().zip(after) {
        let Some(before) = before else { continue };
        let cover = Cover::new(Some(&before.name.namespace));
        let same = after.as_ref().is_some_and(|after| cover.equivalent(&before, after));
        assert!(same, "{before:?} became {after:?}");
    }
    let again = fix_file(&safe.file, &index, &settings, Applicability::Safe);
    assert_eq!(safe.file.text, again.file.text, "fixing again changes more");

    let changed = fix_file(&file, &index, &settings, Applicability::Unsafe);
    let again = fix_file(&changed.file, &index, &settings, Applicability::Unsafe);
    assert_eq!(changed.file.text, again.file.text, "fixing again changes more");

    let ignoring = add_ignores(&report, 0, None);
    let _ = ignoring;
});

/// What each policy means; `None` for one that the API server would refuse.
fn meaning(file: &SourceFile) -> Vec<Option<Arc<NetworkPolicy>>> {
    file.policies().map(|(_, policy)| policy.model.clone()).collect()
}
