use netpol_policy::model::{self, NetworkPolicy, PortMatch};
use netpol_policy::source::{Item, PortSource, Slot};
use netpol_policy::span::Span;

use crate::context::{Context, Reporter, RuleAt, head};
use crate::edits::join_items;
use crate::finding::Fix;
use crate::rule::rule;

rule! {
    /// ## What it does
    /// Finds items of `ports` that name no port.
    ///
    /// ## Why it matters
    /// A protocol without a port is every port of that protocol; an empty item is every TCP port. A dash too many does
    /// that: `- protocol: UDP` and `- port: 53` are every UDP port, and TCP port 53.
    ///
    /// Silent where a rule lists several protocols and no port at all, which is done on purpose.
    ///
    /// ## Example
    /// ```yaml
    /// apiVersion: networking.k8s.io/v1
    /// kind: NetworkPolicy
    /// metadata: {name: db, namespace: shop}
    /// spec:
    ///   podSelector: {matchLabels: {app: db}}
    ///   policyTypes: [Ingress]
    ///   ingress:
    ///     - from:
    ///         - podSelector: {matchLabels: {app: api}}
    ///       ports:
    ///         - protocol: TCP
    /// ```
    ///
    /// ## Fix
    /// Name the port. For every port of a protocol, write the range. `--unsafe-fixes` joins a protocol and a port that
    /// are two items.
    /// ```yaml
    /// apiVersion: networking.k8s.io/v1
    /// kind: NetworkPolicy
    /// metadata: {name: db, namespace: shop}
    /// spec:
    ///   podSelector: {matchLabels: {app: db}}
    ///   policyTypes: [Ingress]
    ///   ingress:
    ///     - from:
    ///         - podSelector: {matchLabels: {app: api}}
    ///       ports:
    ///         - protocol: TCP
    ///           port: 5432
    /// ```
    NP110 "port-without-number" {
        severity: Warning,
        scope: Document,
        fix: Unsafe,
        check: Policy(check),
    }
}

fn check(cx: &Context<'_>, out: &mut Reporter<'_>) {
    for rule in cx.effective_rules() {
        let list = Ports::of(rule);
        if list.is_deliberate() {
            continue;
        }
        let mut index = 0;
        while index < list.items.len() {
            if list.is_split(index) {
                report_split(cx, list, index, out);
                index += 2;
                continue;
            }
            if let Some(port) = list.at(index).filter(|port| names_no_port(port))
                && let Some(protocol) = protocol(port)
            {
                report_wide(cx, list, index, protocol, out);
            }
            index += 1;
        }
    }
}

/// Whether this rule says that an item of `ports` belongs to the item before or after it.
pub(super) fn explains(cx: &Context<'_>, rule: RuleAt<'_>, index: usize) -> bool {
    let list = Ports::of(rule);
    cx.selection.contains(&RULE) && (list.is_split(index) || index > 0 && list.is_split(index - 1))
}

/// The ports of a rule as they are written.
#[derive(Clone, Copy)]
struct Ports<'a> {
    rule: RuleAt<'a>,
    items: &'a [Item<PortSource>],
}

impl<'a> Ports<'a> {
    fn of(rule: RuleAt<'a>) -> Self {
        let items = rule.rule.ports.value().map(|list| list.items.as_slice()).unwrap_or_default();
        Self { rule, items }
    }

    fn at(&self, index: usize) -> Option<&'a PortSource> {
        self.items.get(index)?.value.as_ref()
    }

    /// Several protocols and nothing else are every port on purpose.
    fn is_deliberate(&self) -> bool {
        let names_protocol_only =
            |item: &Item<PortSource>| item.value.as_ref().is_some_and(has_only_protocol);
        self.items.len() > 1 && self.items.iter().all(names_protocol_only)
    }

    /// Whether an item has only a protocol and the next only a port, or the reverse.
    fn is_split(&self, index: usize) -> bool {
        let (Some(first), Some(second)) = (self.at(index), self.at(index + 1)) else { return false };
        has_only_protocol(first) && has_only_port(second) || has_only_port(first) && has_only_protocol(second)
    }

    fn path(&self, index: usize) -> String {
        format!("{}.ports[{index}]", self.rule.path())
    }

    fn head(&self, cx: &Context<'_>, index: usize) -> Span {
        head(cx.file, self.items[index].dash, self.items[index].span)
    }
}

fn report_split(cx: &Context<'_>, list: Ports<'_>, index: usize, out: &mut Reporter<'_>) {
    let (first, second) = (&list.items[index], &list.items[index + 1]);
    let protocol =
        [first, second].into_iter().filter_map(|item| item.value.as_ref()).find(|p| names_no_port(p));
    let protocol = protocol.and_then(protocol_written).unwrap_or("TCP");
    let list_shared = list.rule.rule.ports.present().is_some_and(|list| list.shared);
    let edits = join_items(&cx.file.text, first, second).filter(|_| !list.rule.shared && !list_shared);
    let fix = edits.map(|edits| {
        Fix::changing("make one port of the two items", edits).expecting(joined(cx, list, index))
    });
    let port = if list.at(index).is_some_and(has_only_port) { index } else { index + 1 };
    let written = list.at(port).and_then(|port| port.port.present()).map(|field| cx.file.slice(field.span));
    let written = written.unwrap_or_default();
    let dash = match second.dash {
        Some(_) => "remove the second dash",
        None => "write both into one pair of braces",
    };
    out.report(
        list.head(cx, index + 1),
        list.path(index + 1),
        format!(
            "two items where one was probably meant: every {protocol} port, and port {written} of TCP; \
             as one item: port {written} of {protocol}"
        ),
    )
    .label("a second item begins here")
    .near(list.head(cx, index), "the first item")
    .help(format!("{dash}, so that the protocol and the port belong together"))
    .fix(fix);
}

fn report_wide(cx: &Context<'_>, list: Ports<'_>, index: usize, protocol: &str, out: &mut Reporter<'_>) {
    let numbered = (0..list.items.len()).find(|other| {
        list.at(*other)
            .is_some_and(|port| port.port.present().is_some() && self::protocol(port) == Some(protocol))
    });
    let message = match numbered {
        Some(_) => format!("a port without a number is every {protocol} port, whatever else is listed"),
        None => format!("a port without a number is every {protocol} port"),
    };
    let finding = out.report(list.head(cx, index), list.path(index), message);
    finding.label(format!("every {protocol} port"));
    if let Some(numbered) = numbered {
        finding.near(list.head(cx, numbered), "has no effect beside it");
    }
    finding.help("name the port, or write the range: `port: 1` and `endPort: 65535`");
}

/// What else is wrong with it has rules of its own.
fn names_no_port(port: &PortSource) -> bool {
    matches!(port.port, Slot::Absent | Slot::Null(_)) && port.end_port.is_absent() && port.stray.is_empty()
}

fn has_only_protocol(port: &PortSource) -> bool {
    names_no_port(port) && port.port.is_absent() && protocol_written(port).is_some()
}

fn has_only_port(port: &PortSource) -> bool {
    port.port.present().is_some()
        && port.protocol.is_absent()
        && port.end_port.is_absent()
        && port.stray.is_empty()
}

fn protocol_written(port: &PortSource) -> Option<&str> {
    port.protocol.value().map(|protocol| &**protocol)
}

/// The protocol with its default; `None` for one that can't be read.
fn protocol(port: &PortSource) -> Option<&str> {
    match &port.protocol {
        Slot::Absent | Slot::Null(_) => Some("TCP"),
        _ => protocol_written(port),
    }
}

/// The policy with an item of `ports` and the next one as one.
fn joined(cx: &Context<'_>, list: Ports<'_>, index: usize) -> Option<NetworkPolicy> {
    let mut policy = cx.policy.model.as_deref().cloned()?;
    let ports = match &mut super::place::rule_mut(&mut policy, &list.rule)?.ports {
        model::Ports::Only(ports) => ports,
        model::Ports::All => return None,
    };
    if index + 1 >= ports.len() {
        return None;
    }
    let second = ports.remove(index + 1);
    let first = &mut ports[index];
    *first = match (&*first, &second) {
        (PortMatch::Every(protocol), PortMatch::Range(_, start, end))
        | (PortMatch::Range(_, start, end), PortMatch::Every(protocol)) => {
            PortMatch::Range(*protocol, *start, *end)
        }
        (PortMatch::Every(protocol), PortMatch::Named(_, name))
        | (PortMatch::Named(_, name), PortMatch::Every(protocol)) => {
            PortMatch::Named(*protocol, name.clone())
        }
        _ => return None,
    };
    Some(policy)
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::{clean, findings, fixed};

    #[test]
    fn fails() {
        insta::assert_snapshot!(findings("NP110", r"
policyTypes: [Ingress]
ingress:
- ports:
  - protocol: UDP
  - protocol: TCP
    port:
  - port: 80
- ports: [{}]
- ports: [{protocol: TCP}]
- ports: [{protocol: UDP}, {protocol: TCP, port: 443}]
"), @r"
        8:5 warning spec.ingress[0].ports[0]: a port without a number is every UDP port
        9:5 warning spec.ingress[0].ports[1]: a port without a number is every TCP port, whatever else is listed
        12:13 warning spec.ingress[1].ports[0]: a port without a number is every TCP port
        13:13 warning spec.ingress[2].ports[0]: a port without a number is every TCP port
        14:13 warning spec.ingress[3].ports[0]: a port without a number is every UDP port
        ");
    }

    #[test]
    fn a_dash_too_many() {
        insta::assert_snapshot!(findings("NP110", r"
policyTypes: [Egress]
egress:
- ports:
  - protocol: UDP
  - port: 53
  - protocol: TCP
  - port: 53
- ports: [{port: http}, {protocol: TCP}]
"), @r"
        9:5 warning spec.egress[0].ports[1]: two items where one was probably meant: every UDP port, and port 53 of TCP; as one item: port 53 of UDP
        11:5 warning spec.egress[0].ports[3]: two items where one was probably meant: every TCP port, and port 53 of TCP; as one item: port 53 of TCP
        12:27 warning spec.egress[1].ports[1]: two items where one was probably meant: every TCP port, and port http of TCP; as one item: port http of TCP
        ");
    }

    #[test]
    fn passes() {
        clean(
            "NP110",
            r"
policyTypes: [Ingress]
ingress:
- ports: [{port: 80}, {port: http, protocol: TCP}, {port: 1, endPort: 65535}]
- ports: [{protocol: TCP, prot: 80}, {protocol: TCP, endPort: 90}, null]
- ports: [{protocol: TCP}, {protocol: UDP}]
egress:
- ports: [{protocol: TCP}]
",
        );
    }

    #[test]
    fn fixes() {
        insta::assert_snapshot!(fixed("NP110", r"
policyTypes: [Egress]
egress:
- ports:
    - protocol: UDP # names
    - port: 53
    - protocol: TCP
    - port: domain
- ports: [{port: 80}, {protocol: TCP}]
"), @r"
        policyTypes: [Egress]
        egress:
        - ports:
            - protocol: UDP # names
              port: 53
            - protocol: TCP
              port: domain
        - ports: [{port: 80, protocol: TCP}]
        ");
    }
}
