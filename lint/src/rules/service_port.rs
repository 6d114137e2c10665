use netpol_policy::model::PortMatch;

use super::destinations;
use crate::context::{Context, Reporter};
use crate::finding::{Edit, Fix};
use crate::rule::rule;
use crate::words;

rule! {
    /// ## What it does
    /// Finds ports of a Service in a rule, where the pods behind it listen on another port. It looks at rules whose pods
    /// are known by their manifests: the pods that the policy selects for ingress, those of the peers for egress.
    ///
    /// ## Why it matters
    /// A Service translates its `port` to the `targetPort` before a policy sees the packet. A policy must name the port
    /// that the pods listen on; with the Service's port it allows nothing that anybody uses.
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
    ///         - {protocol: TCP, port: 80}
    /// ---
    /// apiVersion: v1
    /// kind: Service
    /// metadata: {name: web, namespace: shop}
    /// spec:
    ///   selector: {app: web}
    ///   ports: [{port: 80, targetPort: 8080}]
    /// ---
    /// apiVersion: v1
    /// kind: Pod
    /// metadata: {name: web, namespace: shop, labels: {app: web}}
    /// spec: {containers: [{name: web, image: example.com/web, ports: [{containerPort: 8080}]}]}
    /// ```
    ///
    /// ## Fix
    /// Write the port of the pods, which `--unsafe-fixes` does where there is one.
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
    ///         - {protocol: TCP, port: 8080}
    /// ---
    /// apiVersion: v1
    /// kind: Service
    /// metadata: {name: web, namespace: shop}
    /// spec:
    ///   selector: {app: web}
    ///   ports: [{port: 80, targetPort: 8080}]
    /// ---
    /// apiVersion: v1
    /// kind: Pod
    /// metadata: {name: web, namespace: shop, labels: {app: web}}
    /// spec: {containers: [{name: web, image: example.com/web, ports: [{containerPort: 8080}]}]}
    /// ```
    NP505 "service-port" {
        severity: Error,
        scope: Documents,
        fix: Unsafe,
        check: Policy(check),
    }
}

fn check(cx: &Context<'_>, out: &mut Reporter<'_>) {
    for port in destinations::ports(cx) {
        let Some(found) = port.of_service() else { continue };
        let mut services = found.services.clone();
        services.extend(found.more.then(|| "others".to_owned()));
        let targets: Vec<_> = found.targets.iter().map(ToString::to_string).collect();
        let (number, protocol) = (found.number, found.protocol);
        let service = if services.len() == 1 { "Service" } else { "the Services" };
        let ports = if targets.len() == 1 { "port" } else { "ports" };
        let message = format!(
            "{number}/{protocol} is a port of {service} {}, but its pods listen on {ports} {}: this allows nothing",
            words::list(&services),
            words::list(&targets),
        );
        let finding = out.report(port.span(cx), port.path(), message);
        finding.label("no pod listens here");
        finding.help(format!(
            "a Service translates its port before a policy sees the packet; write {ports} {}",
            words::list(&targets)
        ));
        let (mut targets, source) = (found.targets.iter(), port.item.value.as_ref());
        if let (Some(target), None, false) = (targets.next(), targets.next(), port.shared)
            && let Some(field) = source.and_then(|port| port.port.present()).filter(|field| !field.shared)
            && source.is_some_and(|port| port.end_port.is_absent())
        {
            let title = format!("write the port of the pods, {target}");
            let edits = [Edit::replace(field.span, target.to_string())];
            let meaning = port.replaced(PortMatch::number(protocol, *target));
            finding.fix(Some(Fix::changing(title, edits).expecting(meaning)));
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::{clean, findings, fixed};

    /// A Pod `web` with the Service `web`, whose port 80 leads to `target`.
    fn web(target: &str, ports: &str, spec: &str) -> String {
        format!(
            r"
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {{name: p, namespace: shop}}
spec:
  {spec}
---
apiVersion: v1
kind: Service
metadata: {{name: web, namespace: shop}}
spec:
  selector: {{app: web}}
  ports: [{{port: 80, targetPort: {target}}}]
---
apiVersion: v1
kind: Pod
metadata: {{name: web, namespace: shop, labels: {{app: web}}}}
spec: {{containers: [{{name: web, ports: [{ports}]}}]}}
"
        )
    }

    const INGRESS: &str = "{podSelector: {matchLabels: {app: web}}, ingress: [{ports: [{port: 80}]}]}";
    const EGRESS: &str = "{podSelector: {}, policyTypes: [Egress], egress: [{to: [{podSelector: {matchLabels: {app: web}}}], ports: [{port: 80, protocol: TCP}]}]}";
    const HTTP: &str = "{name: http, containerPort: 8080}";

    #[test]
    fn fails() {
        insta::assert_snapshot!(findings("NP505", &web("8080", HTTP, INGRESS)), @"5:70 error spec.ingress[0].ports[0].port: 80/TCP is a port of Service shop/web, but its pods listen on port 8080: this allows nothing");
        insta::assert_snapshot!(findings("NP505", &web("http", HTTP, INGRESS)), @"5:70 error spec.ingress[0].ports[0].port: 80/TCP is a port of Service shop/web, but its pods listen on port 8080: this allows nothing");
        insta::assert_snapshot!(findings("NP505", &web("8080", "", EGRESS)), @"5:117 error spec.egress[0].ports[0].port: 80/TCP is a port of Service shop/web, but its pods listen on port 8080: this allows nothing");
        assert_eq!(findings("NP5", &web("8080", HTTP, INGRESS)).lines().count(), 1, "one finding per cause");
    }

    #[test]
    fn passes() {
        let listens_on_both = "{containerPort: 8080}, {containerPort: 80}";
        for (target, ports, spec) in [
            ("80", "", INGRESS),
            ("8080", listens_on_both, INGRESS),
            (
                "8080",
                HTTP,
                "{podSelector: {matchLabels: {app: web}}, ingress: [{ports: [{port: 80}, {port: 8080}]}]}",
            ),
            (
                "8080",
                HTTP,
                "{podSelector: {matchLabels: {app: web}}, ingress: [{ports: [{port: 80}, {port: http}]}]}",
            ),
            (
                "8080",
                HTTP,
                "{podSelector: {matchLabels: {app: web}}, ingress: [{ports: [{port: 80, protocol: UDP}]}]}",
            ),
            (
                "8080",
                HTTP,
                "{podSelector: {matchLabels: {app: web}}, ingress: [{ports: [{port: 80, endPort: 9000}]}]}",
            ),
            ("8080", HTTP, "{podSelector: {}, policyTypes: [Egress], egress: [{ports: [{port: 80}]}]}"),
            (
                "8080",
                HTTP,
                "{podSelector: {}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 10.0.0.0/8}}, {podSelector: {}}], ports: [{port: 80}]}]}",
            ),
        ] {
            clean("NP505", &web(target, ports, spec));
        }
        // Another pod may well listen there.
        let other =
            "---\nkind: Pod\napiVersion: v1\nmetadata: {name: x, namespace: shop, labels: {app: x}}\n";
        clean("NP505", &(web("8080", HTTP, "{podSelector: {}, ingress: [{ports: [{port: 80}]}]}") + other));
    }

    #[test]
    fn fixes() {
        let text = web("8080", HTTP, INGRESS);
        assert_eq!(fixed("NP505", &text), text.replacen("{port: 80}", "{port: 8080}", 1).trim_start());
        let text = web("8080", HTTP, EGRESS);
        assert_eq!(fixed("NP505", &text), text.replacen("{port: 80,", "{port: 8080,", 1).trim_start());
    }
}
