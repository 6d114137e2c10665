use netpol_policy::cover::ports_cover;
use netpol_policy::model::{PortMatch, Ports};

use super::redundancy;
use crate::context::{Context, Reporter, RuleAt, head};
use crate::edits::remove_item;
use crate::finding::Fix;
use crate::rule::rule;

rule! {
    /// ## What it does
    /// Finds ports that are in a list twice, or inside a range of the same list and protocol.
    ///
    /// ## Why it matters
    /// The repeat changes nothing. Often it is a copy whose number or protocol somebody forgot to change.
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
    ///         - {protocol: TCP, port: 5432}
    ///         - port: 5432
    /// ```
    ///
    /// ## Fix
    /// `--fix` removes the repeat, unless it has a comment or an anchor.
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
    ///         - {protocol: TCP, port: 5432}
    /// ```
    NP302 "duplicate-port" {
        severity: Info,
        scope: Document,
        fix: Safe,
        check: Policy(check),
    }
}

fn check(cx: &Context<'_>, out: &mut Reporter<'_>) {
    let model = cx.policy.model.as_ref().filter(|_| redundancy::is_as_it_seems(cx));
    let Some(model) = model else { return };
    for at in cx.effective_rules() {
        let rules = model.rules(at.direction).unwrap_or_default();
        let ports = rules.get(at.index).map_or(&[][..], |rule| rule.ports.items());
        if ports.len() > 1 {
            check_ports(cx, out, &at, ports);
        }
    }
}

fn check_ports(cx: &Context<'_>, out: &mut Reporter<'_>, at: &RuleAt<'_>, ports: &[PortMatch]) {
    let Some(field) = at.rule.ports.present().filter(|field| field.value.items.len() == ports.len()) else {
        return;
    };
    // A protocol without a port has a rule of its own: the ports next to it are probably what was meant.
    let wide: Vec<_> = (0..ports.len()).filter(|index| is_wide(&ports[*index])).collect();
    let first = |index: usize| ports.iter().position(|port| *port == ports[index]);
    let candidates = |inner: usize| {
        let wide = wide.iter().copied().filter(move |outer| *outer != inner);
        first(inner).into_iter().chain(wide)
    };
    let covers = |outer: usize, inner: usize| match (&ports[outer], &ports[inner]) {
        (outer, inner) if outer == inner => true,
        (PortMatch::Every(_), _) => false,
        (outer, inner) => ports_cover([&Ports::Only(vec![outer.clone()])], &Ports::Only(vec![inner.clone()])),
    };
    for (inner, outer) in redundancy::redundant(ports.len(), candidates, covers) {
        let path = format!("{}.ports[{inner}]", at.path());
        let message = match &ports[outer] {
            same if *same == ports[inner] => format!("{same} is in this list already"),
            range => format!("{} is in this list already, in the range {range}", ports[inner]),
        };
        let item = |index: usize| &field.value.items[index];
        let editable = !at.shared && !field.shared;
        let edits = editable.then(|| remove_item(cx.file, &field.value, inner)).flatten();
        let place = |index: usize| head(cx.file, item(index).dash, item(index).span);
        let finding = out.report(place(inner), path, message);
        finding.label("again").near(place(outer), "already here");
        finding.help("remove the repeat, or correct it");
        finding.fix(edits.map(|edits| Fix::safe("remove the repeat", edits)));
    }
}

/// Whether it may have others in it.
fn is_wide(port: &PortMatch) -> bool {
    matches!(port, PortMatch::Range(_, first, last) if first != last)
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::{clean, findings, fixed};

    #[test]
    fn fails() {
        insta::assert_snapshot!(findings("NP302", r"
ingress:
- ports:
  - port: 80
  - {port: 80, protocol: TCP}
  - {port: 90, endPort: 99}
  - {port: 8, endPort: 100}
  - {port: 80, protocol: UDP}
  - {port: web}
  - {port: web}
  - {protocol: SCTP}
  - {protocol: SCTP}
  - {port: 7, endPort: 9}
"), @r"
        7:5 info spec.ingress[0].ports[0]: 80/TCP is in this list already, in the range 8-100/TCP
        8:5 info spec.ingress[0].ports[1]: 80/TCP is in this list already, in the range 8-100/TCP
        9:5 info spec.ingress[0].ports[2]: 90-99/TCP is in this list already, in the range 8-100/TCP
        13:5 info spec.ingress[0].ports[6]: web/TCP is in this list already
        15:5 info spec.ingress[0].ports[8]: SCTP is in this list already
        ");
    }

    #[test]
    fn passes() {
        for text in [
            "ingress: [{ports: [{port: 80}, {port: 80, protocol: UDP}, {port: web}, {port: web, protocol: UDP}]}]\n",
            "ingress: [{ports: [{port: 80, endPort: 90}, {port: 90, endPort: 99}, {port: 100}]}]\n",
            "ingress: [{ports: [{port: 80}, {protocol: TCP}]}, {ports: [{port: 80}]}]\n",
            "policyTypes: [Ingress]\negress: [{ports: [{port: 80}, {port: 80}]}]\n",
        ] {
            clean("NP302", text);
        }
    }

    #[test]
    fn fixes() {
        insta::assert_snapshot!(fixed("NP302", r"
ingress:
- ports:
  - port: 80
  - port: 80
    protocol: TCP
  - port: 80 # for tests
  - {port: 79, endPort: 81}
- ports: [{port: 80}, {port: 80}, {port: 80}]
- ports: &web
  - port: 80
  - port: 80
- ports: *web
"), @r"
        ingress:
        - ports:
          - port: 80 # for tests
          - {port: 79, endPort: 81}
        - ports: [{port: 80}]
        - ports: &web
          - port: 80
        - ports: *web
        ");
    }
}
