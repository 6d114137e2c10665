//! Policies written in every way that YAML has: fixes keep their meaning, their comments and each other.

use std::sync::Arc;

use netpol_lint::fix::fix_file;
use netpol_lint::{Applicability, Index, Selection, Settings, SourceFile, WithIgnores, add_ignores, check};
use netpol_policy::cover::Cover;
use netpol_policy::model::{Cluster, NetworkPolicy};
use proptest::prelude::*;
use proptest::sample::select;

/// A value before it has a form.
#[derive(Debug, Clone)]
enum Value {
    Text(&'static str),
    Number(u16),
    List(Vec<Value>),
    Map(Vec<(&'static str, Value)>),
}

use Value::{List, Map, Number, Text};

fn labels() -> impl Strategy<Value = Value> {
    let label = (select(vec!["app", "tier", "example.com/team"]), select(vec!["web", "db", "true"]));
    prop_oneof![
        1 => Just(Map(vec![])),
        4 => label.prop_map(|(key, value)| Map(vec![("matchLabels", Map(vec![(key, Text(value))]))])),
    ]
}

fn peer() -> impl Strategy<Value = Value> {
    let namespace = select(vec!["shop", "office", "kube-system"])
        .prop_map(|name| Map(vec![("matchLabels", Map(vec![("kubernetes.io/metadata.name", Text(name))]))]));
    let block = Just(Map(vec![("cidr", Text("10.0.0.0/8")), ("except", List(vec![Text("10.1.0.0/16")]))]));
    prop_oneof![
        4 => labels().prop_map(|pods| Map(vec![("podSelector", pods)])),
        4 => namespace.clone().prop_map(|namespaces| Map(vec![("namespaceSelector", namespaces)])),
        2 => (namespace, labels()).prop_map(|(namespaces, pods)| {
            Map(vec![("namespaceSelector", namespaces), ("podSelector", pods)])
        }),
        1 => block.prop_map(|block| Map(vec![("ipBlock", block)])),
        1 => select(vec!["10.0.0.0/8", "10.2.0.0/16", "10.1.2.0/24"])
            .prop_map(|cidr| Map(vec![("ipBlock", Map(vec![("cidr", Text(cidr))]))])),
    ]
}

fn port() -> impl Strategy<Value = Value> {
    let number = prop_oneof![2 => (1..=u16::MAX).prop_map(Number), 2 => (80u16..83).prop_map(Number), 1 => Just(Text("8080")), 1 => Just(Text("http"))];
    (number, select(vec!["TCP", "UDP", "udp"]))
        .prop_map(|(port, protocol)| Map(vec![("port", port), ("protocol", Text(protocol))]))
}

fn rule(peers: &'static str) -> impl Strategy<Value = Value> {
    let peer_list = prop::option::weighted(0.7, prop::collection::vec(peer(), 0..4).prop_map(List));
    let ports = prop::option::weighted(0.5, prop::collection::vec(port(), 0..3).prop_map(List));
    (peer_list, ports).prop_map(move |(peer_list, ports)| {
        let fields = [(peers, peer_list), ("ports", ports)];
        Map(fields.into_iter().filter_map(|(key, value)| Some((key, value?))).collect())
    })
}

fn policy() -> impl Strategy<Value = Value> {
    let rules = |peers| prop::option::weighted(0.6, prop::collection::vec(rule(peers), 0..4).prop_map(List));
    let types = prop::option::weighted(
        0.5,
        prop::sample::subsequence(vec![Text("Ingress"), Text("Egress")], 0..=2).prop_map(List),
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
        Map(vec![
            ("apiVersion", Text(version)),
            ("kind", Text("NetworkPolicy")),
            ("metadata", Map(vec![("name", Text("p")), ("namespace", Text("shop"))])),
            ("spec", Map(spec)),
        ])
    })
}

/// Writes values, each in a form that the next of some random numbers picks.
struct Writer {
    choices: Vec<u8>,
    next: usize,
    text: String,
    comments: usize,
}

impl Writer {
    fn write(values: &[Value], choices: Vec<u8>) -> String {
        let mut writer = Self { choices, next: 0, text: String::new(), comments: 0 };
        for (index, value) in values.iter().enumerate() {
            if index > 0 || writer.one_in(4) {
                writer.text.push_str("---\n");
            }
            if writer.one_in(8) {
                let text = writer.json(value, 0);
                writer.text.push_str(&text);
                writer.text.push('\n');
            } else {
                writer.block(value, 0);
            }
        }
        if writer.one_in(6) {
            writer.text.truncate(writer.text.trim_end().len());
        }
        if writer.one_in(3) { writer.text.replace('\n', "\r\n") } else { writer.text }
    }

    fn pick(&mut self, of: usize) -> usize {
        self.next += 1;
        usize::from(self.choices[self.next % self.choices.len()]) % of
    }

    fn one_in(&mut self, of: usize) -> bool {
        self.pick(of) == of - 1
    }

    /// Comments and empty lines before a line of that indentation.
    fn pause(&mut self, indent: usize) {
        if self.one_in(7) {
            self.text.push('\n');
        }
        if self.one_in(6) {
            self.comments += 1;
            let indent = if self.one_in(4) { 0 } else { indent };
            self.text.push_str(&format!("{}# note {}\n", " ".repeat(indent), self.comments));
        }
    }

    fn end_line(&mut self) {
        if self.one_in(6) {
            self.comments += 1;
            self.text.push_str(&format!(" # note {}", self.comments));
        }
        self.text.push('\n');
    }

    /// A value in block style where its first line is about to begin, or in flow style at the end of a line.
    fn block(&mut self, value: &Value, indent: usize) {
        match value {
            Map(entries) => {
                for (key, value) in entries {
                    self.pause(indent);
                    self.entry(key, value, indent);
                }
            }
            List(items) => {
                for item in items {
                    self.pause(indent);
                    self.item(item, indent);
                }
            }
            Text(_) | Number(_) => {
                let text = self.flow(value);
                self.text.push_str(&text);
                self.end_line();
            }
        }
    }

    fn entry(&mut self, key: &str, value: &Value, indent: usize) {
        let quote = ["", "", "", "", "'", "\""][self.pick(6)];
        self.text.push_str(&format!("{}{quote}{key}{quote}:", " ".repeat(indent)));
        self.value(value, indent);
    }

    fn value(&mut self, value: &Value, indent: usize) {
        match value {
            Map(entries) if !entries.is_empty() && !self.one_in(5) => {
                self.end_line();
                let deeper = indent + 1 + self.pick(4);
                self.block(value, deeper);
            }
            List(items) if !items.is_empty() && !self.one_in(5) => {
                self.end_line();
                let deeper = indent + self.pick(5);
                self.block(value, deeper);
            }
            _ => {
                self.text.push(' ');
                let text = self.flow(value);
                self.text.push_str(&text);
                self.end_line();
            }
        }
    }

    fn item(&mut self, item: &Value, indent: usize) {
        self.text.push_str(&format!("{}-", " ".repeat(indent)));
        match item {
            Map(entries) if !entries.is_empty() && !self.one_in(5) => {
                let deeper = indent + 2 + self.pick(3);
                if self.one_in(5) {
                    self.end_line();
                    return self.block(item, deeper);
                }
                self.text.push_str(&" ".repeat(deeper - indent - 1));
                let ((key, value), rest) = entries.split_first().expect("not empty");
                self.text.push_str(&format!("{key}:"));
                self.value(value, deeper);
                for (key, value) in rest {
                    self.pause(deeper);
                    self.entry(key, value, deeper);
                }
            }
            _ => self.value(item, indent),
        }
    }

    fn flow(&mut self, value: &Value) -> String {
        let space = ["", " "][self.pick(2)];
        let comma = [", ", ",", " , "][self.pick(3)];
        match value {
            Text(text) => {
                let plain = *text != "true" && text.parse::<u16>().is_err();
                let quote = ["'", "\"", "", ""][self.pick(if plain { 4 } else { 2 })];
                format!("{quote}{text}{quote}")
            }
            Number(number) => number.to_string(),
            List(items) => {
                let items: Vec<_> = items.iter().map(|item| self.flow(item)).collect();
                format!("[{space}{}{space}]", items.join(comma))
            }
            Map(entries) => {
                let entries: Vec<_> =
                    entries.iter().map(|(key, value)| format!("{key}: {}", self.flow(value))).collect();
                format!("{{{space}{}{space}}}", entries.join(comma))
            }
        }
    }

    fn json(&mut self, value: &Value, indent: usize) -> String {
        let pad = " ".repeat(indent + 2);
        let (open, items, close): (_, Vec<_>, _) = match value {
            Text(text) => return format!("\"{text}\""),
            Number(number) => return number.to_string(),
            List(items) => ('[', items.iter().map(|item| self.json(item, indent + 2)).collect(), ']'),
            Map(entries) => {
                let entry =
                    |(key, value): &(&str, Value)| format!("\"{key}\": {}", self.json(value, indent + 2));
                ('{', entries.iter().map(entry).collect(), '}')
            }
        };
        if items.is_empty() {
            return format!("{open}{close}");
        }
        let items: Vec<_> = items.iter().map(|item| format!("\n{pad}{item}")).collect();
        format!("{open}{}\n{}{close}", items.join(","), " ".repeat(indent))
    }
}

fn read(text: &str) -> SourceFile {
    SourceFile::read("test.yaml", text, &Arc::from("default"))
}

fn models(file: &SourceFile) -> Vec<Option<NetworkPolicy>> {
    file.policies().map(|(_, policy)| policy.model.clone()).collect()
}

/// Whether a policy still allows the same.
fn same(old: Option<&NetworkPolicy>, new: Option<&NetworkPolicy>) -> bool {
    let Some(old) = old else { return true };
    new.is_some_and(|new| Cover::new(Some(&old.name.namespace)).equivalent(old, new))
}

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
        prop_assert!(safe.refused.is_empty(), "{:?}\n{text}", safe.refused);
        for (old, new) in models(&before).iter().zip(models(&safe.file)) {
            // What the API server refused has no meaning that could be lost.
            prop_assert!(same(old.as_ref(), new.as_ref()), "{}\n{}", text, safe.file.text);
        }
        prop_assert_eq!(comments(&text), comments(&safe.file.text), "{}\n{}", text, safe.file.text);
        let again = fix_file(&safe.file, &index, &rules, Applicability::Safe);
        prop_assert_eq!(&again.file.text, &safe.file.text);

        let all = fix_file(&before, &index, &rules, Applicability::Unsafe);
        prop_assert!(all.refused.is_empty(), "{:?}\n{text}", all.refused);
        prop_assert_eq!(comments(&text), comments(&all.file.text), "{}\n{}", text, all.file.text);
        let crs = |text: &str| text.matches("\r\n").count() == text.matches('\n').count();
        prop_assert_eq!(crs(&text), crs(&all.file.text), "line ends stay");
        let left = check(vec![all.file], &index, &rules);
        prop_assert!(left.findings.iter().all(|finding| finding.fix.is_none()), "{text}");
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
            prop_assert!(same(old.as_ref(), new.as_ref()), "{}\n{}", text, safe.file.text);
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
