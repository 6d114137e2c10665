use netpol_policy::model::Direction;
use netpol_policy::source::{self, List, ProblemKind, RuleSource, SelectorSource, Slot, StrayField};
use netpol_policy::span::Span;

use crate::context::{Context, Reporter, RuleAt};
use crate::finding::{Edit, Fix};
use crate::rule::rule;

rule! {
    /// ## What it does
    /// Finds fields that the API doesn't have at their place: slips of the pen and fields at the wrong depth.
    ///
    /// ## Why it matters
    /// The API server drops them, with no more than a warning. A rule that loses its `from` this way allows everyone; a
    /// selector that loses its labels matches everything; a spec that loses its `policyTypes` isolates another direction.
    ///
    /// ## Example
    /// ```yaml
    /// apiVersion: networking.k8s.io/v1
    /// kind: NetworkPolicy
    /// metadata: {name: web, namespace: shop}
    /// spec:
    ///   podSelector: {}
    ///   policyTypes: [Ingress]
    ///   ingress:
    ///     - form:
    ///         - podSelector: {matchLabels: {app: web}}
    /// ```
    ///
    /// ## Fix
    /// `--unsafe-fixes` renames the field where it is close to one that is missing.
    /// ```yaml
    /// apiVersion: networking.k8s.io/v1
    /// kind: NetworkPolicy
    /// metadata: {name: web, namespace: shop}
    /// spec:
    ///   podSelector: {}
    ///   policyTypes: [Ingress]
    ///   ingress:
    ///     - from:
    ///         - podSelector: {matchLabels: {app: web}}
    /// ```
    NP002 "unknown-field" {
        severity: Error,
        scope: Document,
        fix: Unsafe,
        check: Policy(check),
    }
}

fn check(cx: &Context<'_>, out: &mut Reporter<'_>) {
    for problem in cx.problems(ProblemKind::UnknownField) {
        let finding = out.problem(problem);
        if let Some(at) = emptied_rule(cx, problem.span) {
            finding.message = format!("{}; without it the rule allows {}", finding.message, opened(at));
        } else if let Some(everything) = emptied_selector(cx, problem.span) {
            finding.message = format!("{}; without it the selector means {everything}", finding.message);
        }
        let written = cx.file.slice(problem.span);
        let word = written.trim_matches(['"', '\'']);
        if let Some(place) = other_place(owner(&problem.path, word), word) {
            finding.help(place);
        }
        let Some(name) = suggestion(&problem.path, word) else { continue };
        let missing = !siblings(cx, problem.span).contains(&name);
        if missing && !is_shared(cx, problem.span) {
            let quoted = super::removed_api_version::requote(written, name);
            finding.fix(Some(Fix::changing(
                format!("rename it to `{name}`"),
                [Edit::replace(problem.span, quoted)],
            )));
        }
    }
}

/// The rule that the field with this key belongs to, when it is left without peers or without anything.
fn emptied_rule<'a>(cx: &Context<'a>, key: Span) -> Option<RuleAt<'a>> {
    cx.effective_rules().find(|at| {
        at.rule.stray.iter().any(|field| field.key.span == key)
            && (is_empty(&at.rule.peers) || is_empty(&at.rule.ports))
    })
}

/// What the selector that the field with this key belongs to means when it is left empty.
fn emptied_selector(cx: &Context<'_>, key: Span) -> Option<&'static str> {
    let emptied = |slot: &Slot<Box<SelectorSource>>| {
        slot.value().is_some_and(|selector| {
            selector.stray.iter().any(|field| field.key.span == key)
                && selector.match_labels.is_absent()
                && selector.match_expressions.is_absent()
        })
    };
    let own = "every pod of the policy's namespace";
    let spec = cx.spec()?;
    let below = |stray: &StrayField| {
        stray.key.span == key && ["matchLabels", "matchExpressions"].contains(&&*stray.key.value)
    };
    if emptied(&spec.pod_selector) || (spec.pod_selector.present().is_none() && spec.stray.iter().any(below))
    {
        return Some(own);
    }
    cx.effective_peers().find_map(|at| match at.peer {
        peer if emptied(&peer.namespace_selector) => Some("every namespace"),
        peer if !emptied(&peer.pod_selector) => None,
        peer if peer.namespace_selector.value().is_some() => Some("every pod of those namespaces"),
        _ => Some(own),
    })
}

/// Whether a list is not there, null or empty, which all mean no restriction.
pub(super) fn is_empty<T>(slot: &Slot<List<T>>) -> bool {
    slot.value().is_none_or(|list| list.items.is_empty()) && !matches!(slot, Slot::Wrong(_))
}

/// Whether the peers of a rule stand beside their list instead of in it, which this rule reports.
pub(super) fn emptied_peers(cx: &Context<'_>, rule: &RuleSource) -> bool {
    has_stray(cx, rule, &["podSelector", "namespaceSelector", "ipBlock"])
}

/// Whether the ports of a rule stand beside their list instead of in it, which this rule reports.
pub(super) fn emptied_ports(cx: &Context<'_>, rule: &RuleSource) -> bool {
    has_stray(cx, rule, &["port", "protocol", "endPort"])
}

fn has_stray(cx: &Context<'_>, rule: &RuleSource, names: &[&str]) -> bool {
    cx.selection.contains(&RULE) && rule.stray.iter().any(|field| names.contains(&&*field.key.value))
}

/// What a rule allows with the fields that the API server keeps.
pub(super) fn opened(at: RuleAt<'_>) -> &'static str {
    match (is_empty(&at.rule.peers), is_empty(&at.rule.ports), at.direction) {
        (true, true, Direction::Ingress) => "everyone on every port",
        (true, true, Direction::Egress) => "every destination on every port",
        (true, false, Direction::Ingress) => "everyone on these ports",
        (true, false, Direction::Egress) => "every destination on these ports",
        (false, ..) => "its peers on every port",
    }
}

/// The name of the field whose value holds the field with this path and name; of a list, without the index.
fn owner<'p>(path: &'p str, word: &str) -> &'p str {
    // Keys with dots, as labels have, are written `["key"]`.
    let parent = match path.strip_suffix(&format!("[\"{word}\"]")) {
        Some(parent) => parent,
        None => path.rsplit_once('.').map_or("", |(parent, _)| parent),
    };
    let last = parent.rsplit('.').next().unwrap_or_default();
    last.split('[').next().unwrap_or_default()
}

/// Where a field belongs that stands at a wrong depth.
fn other_place(owner: &str, word: &str) -> Option<String> {
    let peers = if owner == "ingress" { "from" } else { "to" };
    Some(match (owner, word) {
        ("", "podSelector" | "policyTypes" | "ingress" | "egress") => {
            format!("indent it, so that `{word}` belongs to `spec`")
        }
        ("spec", "matchLabels" | "matchExpressions") => {
            "indent it, so that it belongs to `podSelector`".to_owned()
        }
        ("spec", "from") => "write it in an item of `ingress`: `- from:`".to_owned(),
        ("spec", "to") => "write it in an item of `egress`: `- to:`".to_owned(),
        ("ingress" | "egress", "podSelector" | "namespaceSelector" | "ipBlock") => {
            format!("indent it and begin an item of `{peers}` with it: `- {word}:`")
        }
        ("ingress" | "egress", "protocol" | "endPort") => {
            "indent it, so that it belongs to an item of `ports`".to_owned()
        }
        ("from" | "to", "ports") => format!("indent it less, so that it stands beside `{owner}`"),
        ("from" | "to", "matchLabels" | "matchExpressions") => {
            "indent it, so that it belongs to a selector".to_owned()
        }
        ("podSelector" | "namespaceSelector", _)
            if source::nearest(word, ["matchLabels", "matchExpressions"].into_iter()).is_none() =>
        {
            "write labels under `matchLabels`".to_owned()
        }
        _ => return None,
    })
}

/// The field that was probably meant, by the place in the object.
fn suggestion(path: &str, word: &str) -> Option<&'static str> {
    let known: &[&str] = match owner(path, word) {
        "" => &["apiVersion", "kind", "metadata", "spec"],
        "spec" => &["podSelector", "policyTypes", "ingress", "egress"],
        "ingress" => &["from", "ports"],
        "egress" => &["to", "ports"],
        "from" | "to" => &["podSelector", "namespaceSelector", "ipBlock"],
        "ports" => &["port", "protocol", "endPort"],
        "ipBlock" => &["cidr", "except"],
        "podSelector" | "namespaceSelector" => &["matchLabels", "matchExpressions"],
        "matchExpressions" => &["key", "operator", "values"],
        _ => &[],
    };
    source::nearest(word, known.iter().copied())
}

/// The fields of the API that are written beside a stray field.
fn siblings(cx: &Context<'_>, key: Span) -> Vec<&'static str> {
    let mut names = Vec::new();
    let mut note = |stray: &[StrayField], slots: &[(&'static str, bool)]| {
        if stray.iter().any(|field| field.key.span == key) {
            names.extend(slots.iter().filter(|(_, absent)| !absent).map(|(name, _)| *name));
        }
    };
    if let Some(spec) = cx.spec() {
        note(
            &spec.stray,
            &[
                ("podSelector", spec.pod_selector.is_absent()),
                ("policyTypes", spec.policy_types.is_absent()),
                ("ingress", spec.ingress.is_absent()),
                ("egress", spec.egress.is_absent()),
            ],
        );
    }
    for at in cx.rules() {
        let rule = at.rule;
        note(
            &rule.stray,
            &[(at.direction.peer_field(), rule.peers.is_absent()), ("ports", rule.ports.is_absent())],
        );
        for at in at.peers() {
            note(
                &at.peer.stray,
                &[
                    ("podSelector", at.peer.pod_selector.is_absent()),
                    ("namespaceSelector", at.peer.namespace_selector.is_absent()),
                    ("ipBlock", at.peer.ip_block.is_absent()),
                ],
            );
        }
        for port in
            rule.ports.value().into_iter().flat_map(|list| &list.items).filter_map(|i| i.value.as_ref())
        {
            note(
                &port.stray,
                &[
                    ("port", port.port.is_absent()),
                    ("protocol", port.protocol.is_absent()),
                    ("endPort", port.end_port.is_absent()),
                ],
            );
        }
    }
    names
}

/// Whether the field is in a part of the text that an alias repeats.
fn is_shared(cx: &Context<'_>, key: Span) -> bool {
    !cx.policy.span.contains(key)
        || cx.policy.spec.present().is_some_and(|spec| spec.shared && spec.span.contains(key))
        || cx.rules().any(|at| at.shared && at.item.span.contains(key))
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::{clean, findings, fixed};

    #[test]
    fn fails() {
        insta::assert_snapshot!(findings("NP002", r"
podselector: {}
policyTypes: [Ingress]
ingress:
- form: []
- port: [{port: 80}]
  from: [{podSelector: {}}]
- ports:
  - {port: 80, potocol: UDP}
"), @r"
        5:3 error spec.podselector: the spec of a NetworkPolicy has no field `podselector`, the API server drops it
        8:5 error spec.ingress[0].form: a rule of `ingress` has no field `form`, the API server drops it; without it the rule allows everyone on every port
        9:5 error spec.ingress[1].port: a rule of `ingress` has no field `port`, the API server drops it; without it the rule allows its peers on every port
        12:18 error spec.ingress[2].ports[0].potocol: a port has no field `potocol`, the API server drops it
        ");
        insta::assert_snapshot!(findings("NP002", r"
podSelector: {app: web}
policyTypes: [Ingress]
"), @"5:17 error spec.podSelector.app: a selector has no field `app`, the API server drops it; without it the selector means every pod of the policy's namespace");
        insta::assert_snapshot!(findings("NP002", r"
podSelector: {}
policyTypes: [Ingress]
ingress:
- from:
  - namespaceSelector: {matchLabel: {team: a}}
  - podSelector: {app: web}
    namespaceSelector: {}
  - podSelector: {app: web, matchLabels: {app: web}}
"), @r"
        9:27 error spec.ingress[0].from[0].namespaceSelector.matchLabel: a selector has no field `matchLabel`, the API server drops it; without it the selector means every namespace
        10:21 error spec.ingress[0].from[1].podSelector.app: a selector has no field `app`, the API server drops it; without it the selector means every pod of those namespaces
        12:21 error spec.ingress[0].from[2].podSelector.app: a selector has no field `app`, the API server drops it
        ");
    }

    #[test]
    fn wrong_depth() {
        let text = r"
kind: NetworkPolicy
metadata: {name: a}
ingress: []
spec:
  podSelector:
  matchLabels: {app: web}
  from: []
  ingress:
  - from:
    podSelector: {}
  - from:
    - podSelector: {app.kubernetes.io/name: web}
      ports: []
";
        let selection = crate::select::Selection::new(&["NP002"], &[]).unwrap();
        let report = crate::check::check_text(
            "a.yaml",
            &format!("apiVersion: networking.k8s.io/v1{text}"),
            &selection.into(),
        );
        let helps = report
            .findings
            .iter()
            .map(|finding| format!("{}: {}\n", finding.path, finding.help.as_deref().unwrap_or_default()));
        insta::assert_snapshot!(helps.collect::<String>(), @r#"
        ingress: indent it, so that `ingress` belongs to `spec`
        spec.matchLabels: indent it, so that it belongs to `podSelector`
        spec.from: write it in an item of `ingress`: `- from:`
        spec.ingress[0].podSelector: indent it and begin an item of `from` with it: `- podSelector:`
        spec.ingress[1].from[0].podSelector["app.kubernetes.io/name"]: write labels under `matchLabels`
        spec.ingress[1].from[0].ports: indent it less, so that it stands beside `from`
        "#);
    }

    #[test]
    fn passes() {
        clean(
            "NP002",
            r"
podSelector: {}
ingress: [{from: [{podSelector: {}}], ports: [{port: 80, protocol: TCP}]}]
",
        );
    }

    #[test]
    fn fixes() {
        insta::assert_snapshot!(fixed("NP002", r#"
podselector: {} # all
ingress:
- "form": [{podSelector: {}}]
  ports: []
- from: []
  form: []
"#), @r#"
        podSelector: {} # all
        ingress:
        - "from": [{podSelector: {}}]
          ports: []
        - from: []
          form: []
        "#);
    }
}
