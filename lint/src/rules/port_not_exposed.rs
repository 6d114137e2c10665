use super::{destinations, service_port};
use crate::context::{Context, Reporter};
use crate::rule::rule;
use crate::words;

rule! {
    /// ## What it does
    /// Finds ports that no container of the rule's pods declares, where all of them declare ports. It looks at rules whose
    /// pods are known by their manifests: the pods that the policy selects for ingress, those of the peers for egress.
    ///
    /// ## Why it matters
    /// A container may listen on ports that it doesn't declare, so this is only a hint. More often the number is a slip,
    /// or is left from an older version, and the rule opens a port that nobody uses instead of the one that is needed.
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
    ///         - {protocol: TCP, port: 8008}
    /// ---
    /// apiVersion: v1
    /// kind: Pod
    /// metadata: {name: web, namespace: shop, labels: {app: web}}
    /// spec: {containers: [{name: web, image: example.com/web, ports: [{containerPort: 8080}]}]}
    /// ```
    ///
    /// ## Fix
    /// Correct the number, or declare the port in the container's `ports`.
    NP507 "port-not-exposed" {
        severity: Info,
        scope: Documents,
        fix: None,
        check: Policy(check),
    }
}

/// More ports than this are not listed.
const MANY: usize = 5;

fn check(cx: &Context<'_>, out: &mut Reporter<'_>) {
    let told = cx.selection.contains(&service_port::RULE);
    for port in destinations::ports(cx) {
        if !port.is_not_exposed() || (told && port.of_service().is_some()) {
            continue;
        }
        let pods = port.pods();
        let mut declared: Vec<_> =
            port.declared().iter().map(|(number, protocol)| format!("{number}/{protocol}")).collect();
        if declared.len() > MANY {
            declared.truncate(MANY);
            declared.push("others".to_owned());
        }
        let message = format!("no container of {pods} declares {}", port.port);
        let finding = out.report(port.span(cx), port.path(), message);
        finding.label("nobody seems to listen here");
        finding.help(format!("they declare {}", words::list(&declared)));
    }
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::{clean, findings};

    fn web(port: &str, ports: &str) -> String {
        format!(
            r"
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {{name: p, namespace: shop}}
spec:
  podSelector: {{matchLabels: {{app: web}}}}
  ingress: [{{ports: [{port}]}}]
---
apiVersion: v1
kind: Pod
metadata: {{name: web, namespace: shop, labels: {{app: web}}}}
spec: {{containers: [{{name: web, ports: [{ports}]}}]}}
"
        )
    }

    const DECLARED: &str = "{containerPort: 8080}, {containerPort: 53, protocol: UDP}";

    #[test]
    fn fails() {
        insta::assert_snapshot!(findings("NP507", &web("{port: 8008}", DECLARED)), @"6:29 info spec.ingress[0].ports[0].port: no container of the pods that this policy selects declares 8008/TCP");
        insta::assert_snapshot!(findings("NP507", &web("{port: 8080, protocol: UDP}", DECLARED)), @"6:29 info spec.ingress[0].ports[0].port: no container of the pods that this policy selects declares 8080/UDP");
        insta::assert_snapshot!(findings("NP507", &web("{port: 9000, endPort: 9100}", DECLARED)), @"6:29 info spec.ingress[0].ports[0].port: no container of the pods that this policy selects declares 9000-9100/TCP");
    }

    #[test]
    fn passes() {
        for (port, declared) in [
            ("{port: 8080}", DECLARED),
            ("{port: 53, protocol: UDP}", DECLARED),
            ("{port: 8000, endPort: 8100}", DECLARED),
            ("{port: web}", DECLARED),
            ("{protocol: UDP}", DECLARED),
            ("{port: 8008}", ""),
        ] {
            clean("NP507", &web(port, declared));
        }
    }
}
