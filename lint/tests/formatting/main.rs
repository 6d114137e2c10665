//! Policies written in every way that YAML has: fixes keep their meaning, their comments and each other.

mod cases;
mod fixable;
mod writer;

use std::sync::Arc;

use fixable::has_alias;
use netpol_lint::fix::fix_file;
use netpol_lint::{
    Applicability, Finding, Index, Selection, Settings, SourceFile, WithIgnores, add_ignores, check,
};
use netpol_policy::cover::Cover;
use netpol_policy::model::{Cluster, NetworkPolicy};
use proptest::prelude::*;
use proptest::sample::select;
use writer::Value::{self, List, Map, Raw, Text};
use writer::{Writer, map};

fn text(text: &str) -> Value {
    Text(text.to_owned())
}

fn number(number: u16) -> Value {
    Raw(number.to_string())
}

fn labels() -> impl Strategy<Value = Value> {
    let label = (select(vec!["app", "tier", "example.com/team"]), select(vec!["web", "db", "true"]));
    prop_oneof![
        1 => Just(Map(vec![])),
        4 => label.prop_map(|(key, value)| map([("matchLabels", map([(key, text(value))]))])),
    ]
}

fn peer() -> impl Strategy<Value = Value> {
    let namespace = select(vec!["shop", "office", "kube-system"])
        .prop_map(|name| map([("matchLabels", map([("kubernetes.io/metadata.name", text(name))]))]));
    let block = Just(map([("cidr", text("10.0.0.0/8")), ("except", List(vec![text("10.1.0.0/16")]))]));
    prop_oneof![
        4 => labels().prop_map(|pods| map([("podSelector", pods)])),
        4 => namespace.clone().prop_map(|namespaces| map([("namespaceSelector", namespaces)])),
        2 => (namespace, labels()).prop_map(|(namespaces, pods)| {
            map([("namespaceSelector", namespaces), ("podSelector", pods)])
        }),
        1 => block.prop_map(|block| map([("ipBlock", block)])),
        1 => select(vec!["10.0.0.0/8", "10.2.0.0/16", "10.1.2.0/24"])
            .prop_map(|cidr| map([("ipBlock", map([("cidr", text(cidr))]))])),
    ]
}

fn port() -> impl Strategy<Value = Value> {
    let port = prop_oneof![
        2 => (1..=u16::MAX).prop_map(number),
        2 => (80u16..83).prop_map(number),
        1 => Just(text("8080")),
        1 => Just(text("http")),
    ];
    (port, select(vec!["TCP", "UDP", "udp"]))
        .prop_map(|(port, protocol)| map([("port", port), ("protocol", text(protocol))]))
}

fn rule(peers: &'static str) -> impl Strategy<Value = Value> {
    let peer_list = prop::option::weighted(0.7, prop::collection::vec(peer(), 0..4).prop_map(List));
    let ports = prop::option::weighted(0.5, prop::collection::vec(port(), 0..3).prop_map(List));
    (peer_list, ports).prop_map(move |(peer_list, ports)| {
        let fields = [(peers, peer_list), ("ports", ports)];
        map(fields.into_iter().filter_map(|(key, value)| Some((key, value?))))
    })
}

fn policy() -> impl Strategy<Value = Value> {
    let rules = |peers| prop::option::weighted(0.6, prop::collection::vec(rule(peers), 0..4).prop_map(List));
    let types = prop::option::weighted(
        0.5,
        prop::sample::subsequence(vec![text("Ingress"), text("Egress")], 0..=2).prop_map(List),
    );
    let fields = (prop::option::weighted(0.8, labels()), types, rules("from"), rules("to")).prop_map(
        |(pods, types, ingress, egress)| {
            let fields =
                [("podSelector", pods), ("policyTypes", types), ("ingress", ingress), ("egress", egress)];
            fields.into_iter().filter_map(|(key, value)| Some((key, value?))).collect::<Vec<_>>()
        },
    );
    (fields.prop_shuffle(), any::<bool>()).prop_map(|(spec, old)| {
        let version = if old { "extensions/v1beta1" } else { "networking.k8s.io/v1" };
        map([
            ("apiVersion", text(version)),
            ("kind", text("NetworkPolicy")),
            ("metadata", map([("name", text("p")), ("namespace", text("shop"))])),
            ("spec", map(spec)),
        ])
    })
}

fn read(text: &str) -> SourceFile {
    SourceFile::read("test.yaml", text, &Arc::from("default"))
}

fn models(file: &SourceFile) -> Vec<Option<Arc<NetworkPolicy>>> {
    file.policies().map(|(_, policy)| policy.model.clone()).collect()
}

/// Whether a policy still allows the same.
fn same(old: Option<&NetworkPolicy>, new: Option<&NetworkPolicy>) -> bool {
    let Some(old) = old else { return true };
    new.is_some_and(|new| Cover::new(Some(&old.name.namespace)).equivalent(old, new))
}

/// The comments of a text, each up to the end of its line.
fn comments(text: &str) -> Vec<String> {
    let mut comments: Vec<_> =
        text.lines().filter_map(|line| Some(line[line.find("# note")?..].trim().to_owned())).collect();
    comments.sort();
    comments
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, ..ProptestConfig::default() })]

    #[test]
    fn fixes_keep_meaning_and_comments(
        policies in prop::collection::vec(policy(), 1..3),
        choices in prop::collection::vec(any::<u8>(), 200),
    ) {
        let text = Writer::write(&policies, choices);
        let before = read(&text);
        prop_assert!(before.manifest.errors.is_empty(), "{:?}\n{text}", before.manifest.errors);
        prop_assert_eq!(models(&before).len(), policies.len(), "{}", text);
        let cluster = Cluster::default();
        let all = Selection::new(&["ALL"], &[]).unwrap();
        let (index, rules) = (Index::new(&cluster), Settings { selection: all, ..Settings::default() });

        let safe = fix_file(&before, &index, &rules, Applicability::Safe);
        prop_assert!(safe.refused.is_empty() || has_alias(&text), "{:?}\n{text}", safe.refused);
        for (old, new) in models(&before).iter().zip(models(&safe.file)) {
            // What the API server refused has no meaning that could be lost.
            prop_assert!(same(old.as_deref(), new.as_deref()), "{}\n{}", text, safe.file.text);
        }
        prop_assert_eq!(comments(&text), comments(&safe.file.text), "{}\n{}", text, safe.file.text);
        let again = fix_file(&safe.file, &index, &rules, Applicability::Safe);
        prop_assert_eq!(&again.file.text, &safe.file.text);

        let all = fix_file(&before, &index, &rules, Applicability::Unsafe);
        prop_assert!(all.refused.is_empty() || has_alias(&text), "{:?}\n{text}", all.refused);
        prop_assert_eq!(comments(&text), comments(&all.file.text), "{}\n{}", text, all.file.text);
        let crs = |text: &str| text.matches("\r\n").count() == text.matches('\n').count();
        prop_assert!(!text.contains('\n') || crs(&text) == crs(&all.file.text), "line ends stay");
        let left = check(vec![all.file], &index, &rules);
        let is_refused = |finding: &Finding| all.refused.iter().any(|refused| refused.finding.path == finding.path);
        let mut left = left.findings.iter().filter(|finding| finding.fix.is_some());
        prop_assert!(left.all(is_refused), "{text}");
    }

    #[test]
    fn ignores_add_nothing_else(
        policies in prop::collection::vec(policy(), 1..3),
        choices in prop::collection::vec(any::<u8>(), 200),
    ) {
        let text = Writer::write(&policies, choices);
        let before = read(&text);
        let cluster = Cluster::default();
        let (index, rules) = (Index::new(&cluster), Settings::default());
        let report = check(vec![read(&text)], &index, &rules);

        let WithIgnores { file, added } = add_ignores(&report, 0, Some("known"));
        prop_assert_eq!(added, report.findings.len(), "{}\n{}", text, file.text);
        prop_assert_eq!(models(&file), models(&before), "{}\n{}", text, file.text);
        let mut after = file.text.chars();
        prop_assert!(text.chars().all(|c| after.any(|other| other == c)), "{}\n{}", text, file.text);
        let crs = |text: &str| text.matches("\r\n").count() == text.matches('\n').count();
        prop_assert_eq!(crs(&text), crs(&file.text), "line ends stay");
        let again = check(vec![read(&file.text)], &index, &rules);
        prop_assert!(again.findings.is_empty(), "{}\n{}", text, file.text);
        let unused = Settings::from(Selection::new(&["NP901"], &[]).unwrap());
        let report = check(vec![file], &index, &unused);
        prop_assert!(report.findings.is_empty(), "{text}\n{}", report.files[0].text);
    }

    #[test]
    fn damaged_texts_are_no_danger(
        policy in policy(),
        choices in prop::collection::vec(any::<u8>(), 200),
        damage in prop::collection::vec((any::<prop::sample::Index>(), 0..8usize, select(DEBRIS.to_vec())), 1..4),
    ) {
        let mut text = Writer::write(&[policy], choices);
        for (at, length, debris) in damage {
            let start = text.floor_char_boundary(at.index(text.len() + 1));
            let end = text.floor_char_boundary((start + length).min(text.len()));
            text.replace_range(start..end.max(start), debris);
        }
        let before = read(&text);
        let cluster = Cluster::default();
        let (index, rules) = (Index::new(&cluster), Settings::default());
        let fixed = fix_file(&before, &index, &rules, Applicability::Unsafe);
        let safe = fix_file(&before, &index, &rules, Applicability::Safe);
        for (old, new) in models(&before).iter().zip(models(&safe.file)) {
            prop_assert!(same(old.as_deref(), new.as_deref()), "{}\n{}", text, safe.file.text);
        }
        let report = check(vec![fixed.file], &index, &rules);
        add_ignores(&report, 0, None);
        netpol_lint::output::concise::write(&report, &mut Vec::new()).unwrap();
        netpol_lint::output::json::write(&report, &mut Vec::new()).unwrap();
        let look = netpol_lint::output::full::Look { colour: false, unicode: false, width: 80 };
        netpol_lint::output::full::write(&report, look, &mut Vec::new()).unwrap();
    }
}

/// What may end up in a text by accident.
const DEBRIS: [&str; 16] =
    ["", "-", "- ", ": ", "{", "}", "[", "\n", "\n    ", "\t", "#", "&a ", "*a", "!x ", "\u{fc}", "<<: *a\n"];
