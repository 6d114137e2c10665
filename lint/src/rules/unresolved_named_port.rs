use netpol_policy::model::PortMatch;
use netpol_policy::source;

use super::destinations;
use crate::context::{Context, Reporter};
use crate::rule::rule;
use crate::words;

rule! {
    /// ## What it does
    /// Finds ports by name that no container of the rule's pods declares, or only for another protocol. It looks at rules
    /// whose pods are known by their manifests: the pods that the policy selects for ingress, those of the peers for
    /// egress.
    ///
    /// ## Why it matters
    /// The name stands for the number that the container declares under it. Where none does, it stands for nothing and
    /// the rule allows nothing. Names of a Service's ports don't count.
    ///
    /// ## Example
    /// ```yaml
    /// apiVersion: networking.k8s.io/v1
    /// kind: NetworkPolicy
    /// metadata: {name: web, namespace: shop}
    /// spec:
    ///   podSelector: {matchLabels: {app: web}}
    ///   policyTypes: [Ingress]
    ///   ingress:
    ///     - from:
    ///         - podSelector: {}
    ///       ports:
    ///         - {protocol: TCP, port: https}
    /// ---
    /// apiVersion: v1
    /// kind: Pod
    /// metadata: {name: web, namespace: shop, labels: {app: web}}
    /// spec: {containers: [{name: web, image: example.com/web, ports: [{name: http, containerPort: 8080}]}]}
    /// ```
    ///
    /// ## Fix
    /// Correct the name or the protocol, name the container's port, or write the number.
    NP506 "unresolved-named-port" {
        severity: Error,
        scope: Documents,
        fix: None,
        check: Policy(check),
    }
}

fn check(cx: &Context<'_>, out: &mut Reporter<'_>) {
    for port in destinations::ports(cx) {
        let PortMatch::Named(protocol, name) = port.port else { continue };
        let names = port.names();
        if names.contains(&(name.as_str(), *protocol)) {
            continue;
        }
        let others: Vec<_> = names
            .iter()
            .filter(|(known, _)| *known == name.as_str())
            .map(|(_, protocol)| *protocol)
            .collect();
        let pods = port.pods();
        let message = match &others[..] {
            [] => format!("no container of {pods} has a port named `{name}`: this allows nothing"),
            others => {
                let others: Vec<_> = others.iter().map(|other| other.as_str()).collect();
                format!(
                    "the port `{name}` of {pods} is for {}, not for {protocol}: this allows nothing",
                    words::list(&others)
                )
            }
        };
        let finding = out.report(port.span(cx), port.path(), message);
        finding.label("stands for no port");
        let of_protocol = || names.iter().filter(|(_, other)| other == protocol).map(|(name, _)| *name);
        finding.help(if let [other, ..] = &others[..] {
            format!("write `protocol: {other}`, or correct the container's port")
        } else if let Some(near) = source::nearest(name.as_str(), of_protocol()) {
            format!("did you mean `{near}`?")
        } else {
            let mut known: Vec<_> = of_protocol().take(6).map(|name| format!("`{name}`")).collect();
            if known.len() > 5 {
                known[5] = "others".to_owned();
            }
            match &known[..] {
                [] => format!(
                    "they have no named {protocol} ports; write the number, or name the container's port"
                ),
                known => format!("their {protocol} ports are named {}", words::list(known)),
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::{clean, findings};

    fn dns(port: &str) -> String {
        format!(
            r"
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {{name: p, namespace: net}}
spec:
  podSelector: {{matchLabels: {{app: dns}}}}
  ingress: [{{ports: [{port}]}}]
---
apiVersion: v1
kind: Pod
metadata: {{name: dns, namespace: net, labels: {{app: dns}}}}
spec: {{containers: [{{name: dns, ports: [{{name: dns, containerPort: 53, protocol: UDP}}, {{name: metrics, containerPort: 9153}}]}}]}}
"
        )
    }

    #[test]
    fn fails() {
        insta::assert_snapshot!(findings("NP506", &dns("{port: metric}")), @"6:29 error spec.ingress[0].ports[0].port: no container of the pods that this policy selects has a port named `metric`: this allows nothing");
        insta::assert_snapshot!(findings("NP506", &dns("{port: dns}")), @"6:29 error spec.ingress[0].ports[0].port: the port `dns` of the pods that this policy selects is for UDP, not for TCP: this allows nothing");
        let egress = r"
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: p, namespace: shop}
spec:
  policyTypes: [Egress]
  egress:
  - to: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: net}}, podSelector: {matchLabels: {app: dns}}}]
    ports: [{port: web}]
---
apiVersion: v1
kind: Pod
metadata: {name: dns, namespace: net, labels: {app: dns}}
";
        insta::assert_snapshot!(findings("NP506", egress), @"8:20 error spec.egress[0].ports[0].port: no container of the pods of this rule's peers has a port named `web`: this allows nothing");
    }

    #[test]
    fn passes() {
        for port in ["{port: metrics}", "{port: dns, protocol: UDP}", "{port: 53}"] {
            clean("NP506", &dns(port));
        }
        clean("NP506", &dns("{port: x}").replace("{app: dns}}\n  ingress", "{app: web}}\n  ingress"));
        clean("NP506", "policyTypes: [Egress]\negress: [{to: [{podSelector: {}}], ports: [{port: x}]}]");
    }
}
