//! The objects that are installed.

use kube::core::Selector;
use netpol_lint::Severity;
use serde_json::{Value, json};

use super::label;
use super::rules::{CelRule, RULES};
use super::selector::text;
use crate::namespace::Mode;

/// What holds for namespaces.
#[derive(Debug, Clone)]
pub struct Namespaces {
    /// The label of a new one.
    pub default_deny: Mode,
    /// Which ones get it.
    pub selector: Option<Selector>,
    /// Which ones are left alone besides `kube-*`.
    pub exempt: Vec<String>,
    /// Whether to take isolation away takes the right to.
    pub removal_takes_right: bool,
}

/// Namespaces whose policies aren't looked at: who repairs a cluster works there.
const SYSTEM: [&str; 3] = ["kube-system", "kube-public", "kube-node-lease"];

/// Policies and their bindings: the rules that refuse, those that warn, the label, and the right to remove it.
pub fn objects(namespaces: &Namespaces) -> Vec<Value> {
    let refuses = |rule: &&CelRule| rule.complete && rule.rule().severity == Severity::Error;
    let (errors, warnings): (Vec<_>, Vec<_>) = RULES.iter().partition(refuses);
    let exempt: Vec<_> = namespaces.exempt.iter().map(String::as_str).collect();
    let mut objects = Vec::new();
    objects.extend(rules("netpol-errors", &errors, &["Deny"], &exempt));
    objects.extend(rules("netpol-warnings", &warnings, &["Warn", "Audit"], &exempt));
    objects.extend(default_deny(namespaces));
    if namespaces.removal_takes_right {
        objects.extend(removal(namespaces));
    }
    objects
}

fn rules(name: &str, rules: &[&CelRule], actions: &[&str], exempt: &[&str]) -> [Value; 2] {
    let validations = rules.iter().map(|cel| {
        let rule = cel.rule();
        // A change is never refused because of what was there before.
        let (now, before) = (cel.found_in("object.spec"), cel.found_in("oldObject.spec"));
        json!({
            "expression": format!("!({now}) || (oldObject != null && ({before}))"),
            "message": format!("{} {}: {}", rule.code, rule.name, explained(&rule.summary(), rule.code)),
            "reason": "Forbidden",
        })
    });
    let alone = [&SYSTEM[..], exempt].concat();
    let constraints = json!({
        "namespaceSelector": {"matchExpressions": [
            {"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": alone},
        ]},
        "resourceRules": [{
            "apiGroups": ["networking.k8s.io"],
            "apiVersions": ["v1"],
            "operations": ["CREATE", "UPDATE"],
            "resources": ["networkpolicies"],
        }],
    });
    let spec = json!({
        "failurePolicy": "Fail",
        "matchConstraints": constraints,
        "matchConditions": [
            {"name": "has-a-spec", "expression": "has(object.spec)"},
            {"name": "new-or-changed", "expression": "oldObject == null || !has(oldObject.spec) || object.spec != oldObject.spec"},
            {"name": "stays", "expression": "!has(object.metadata.deletionTimestamp)"},
        ],
        "validations": validations.collect::<Vec<_>>(),
    });
    [
        object("ValidatingAdmissionPolicy", name, &spec),
        object(
            "ValidatingAdmissionPolicyBinding",
            name,
            &json!({"policyName": name, "validationActions": actions}),
        ),
    ]
}

/// The label in the write that creates a namespace or asks for isolation.
fn default_deny(namespaces: &Namespaces) -> [Value; 2] {
    let name = "netpol-default-deny";
    let variables = label::variables(namespaces);
    let variables =
        variables.iter().map(|(name, expression)| json!({"name": name, "expression": expression}));
    let spec = json!({
        "failurePolicy": "Fail",
        "reinvocationPolicy": "IfNeeded",
        "matchConstraints": of_namespaces(&["CREATE", "UPDATE"]),
        "matchConditions": conditions(namespaces),
        "variables": variables.collect::<Vec<_>>(),
        "mutations": [{
            "patchType": "ApplyConfiguration",
            "applyConfiguration": {"expression": label::mutation()},
        }],
    });
    [
        object("MutatingAdmissionPolicy", name, &spec),
        object("MutatingAdmissionPolicyBinding", name, &json!({"policyName": name})),
    ]
}

/// Who takes isolation away needs the right to.
fn removal(namespaces: &Namespaces) -> [Value; 2] {
    let name = "netpol-isolation-removal";
    let opens = |direction| {
        let [before, after] = ["oldObject", "object"].map(|object| label::isolates(object, direction));
        format!("({before} && !{after})")
    };
    let mut conditions = conditions(namespaces);
    let [before, after] = ["oldObject", "object"].map(label::audits);
    let opened = format!("{} || {} || ({after} && !{before})", opens("ingress"), opens("egress"));
    conditions.push(json!({"name": "isolates-less", "expression": opened}));
    let right = "authorizer.group('netpol.dev').resource('namespaces').name(object.metadata.name)\
                 .check('remove-isolation').allowed()";
    let spec = json!({
        "failurePolicy": "Fail",
        "matchConstraints": of_namespaces(&["UPDATE"]),
        "matchConditions": conditions,
        "validations": [{
            "expression": right,
            "message": "the namespace stays isolated: to change the label netpol.dev/default-deny so, or to set the annotation \
                        netpol.dev/audit to true, takes the right to remove-isolation namespaces.netpol.dev, in a ClusterRole",
            "reason": "Forbidden",
        }],
    });
    [
        object("ValidatingAdmissionPolicy", name, &spec),
        object(
            "ValidatingAdmissionPolicyBinding",
            name,
            &json!({"policyName": name, "validationActions": ["Deny"]}),
        ),
    ]
}

fn of_namespaces(operations: &[&str]) -> Value {
    json!({"resourceRules": [{
        "apiGroups": [""],
        "apiVersions": ["v1"],
        "operations": operations,
        "resources": ["namespaces"],
    }]})
}

/// Namespaces that are left alone, and those that are going.
fn conditions(namespaces: &Namespaces) -> Vec<Value> {
    let name = "(has(object.metadata.name) ? object.metadata.name : \
                has(object.metadata.generateName) ? object.metadata.generateName : '')";
    let exempt: Vec<_> = namespaces.exempt.iter().map(|name| text(name)).collect();
    let expression = format!("!{name}.startsWith('kube-') && !({name} in [{}])", exempt.join(", "));
    vec![
        json!({"name": "not-exempt", "expression": expression}),
        json!({"name": "stays", "expression": "!has(object.metadata.deletionTimestamp)"}),
    ]
}

fn object(kind: &str, name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": kind,
        "metadata": {"name": name},
        "spec": spec,
    })
}

/// A message has one line.
fn explained(summary: &str, code: &str) -> String {
    format!("{} See `netpol-lint rule {code}`", summary.replace('`', ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_is_the_linter_s() {
        for cel in RULES {
            let rule = cel.rule();
            assert!(rule.is_default(), "{} isn't on by default", rule.code);
            let open = cel.found_in("object.spec");
            assert_eq!(open.matches('(').count(), open.matches(')').count(), "{open}");
        }
        assert!(RULES.is_sorted_by_key(|rule| rule.code));
    }
}
