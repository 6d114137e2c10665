//! The NetworkPolicies of an isolated namespace.

use std::collections::BTreeMap;

use k8s_openapi::api::networking::v1::{
    NetworkPolicy, NetworkPolicyEgressRule, NetworkPolicyPeer, NetworkPolicyPort, NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::api::ObjectMeta;
use netpol_policy::model::{DefaultDeny, METADATA_NAME};

/// The field manager of everything that the controller writes.
pub(crate) const MANAGER: &str = "netpol-webhook";

/// The label that says who looks after a policy.
pub(crate) const MANAGED_BY: &str = "app.kubernetes.io/managed-by";

/// A policy that the controller keeps in place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Isolates every pod in the directions of the label.
    DefaultDeny,
    /// Lets every pod ask the cluster's DNS.
    AllowDns,
}

impl Kind {
    /// In the order in which they come; they go in the opposite one, so that DNS works at any time.
    pub(crate) const ALL: [Self; 2] = [Self::AllowDns, Self::DefaultDeny];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::DefaultDeny => "netpol-default-deny",
            Self::AllowDns => "netpol-allow-dns",
        }
    }

    /// The policy as it should be; none when the namespace shouldn't have it.
    pub(crate) fn wanted(self, namespace: &str, deny: DefaultDeny, allow_dns: bool) -> Option<NetworkPolicy> {
        let spec = match self {
            Self::DefaultDeny if deny.ingress || deny.egress => isolation(deny),
            Self::AllowDns if deny.egress && allow_dns => dns(),
            Self::DefaultDeny | Self::AllowDns => return None,
        };
        let metadata = ObjectMeta {
            name: Some(self.name().to_owned()),
            namespace: Some(namespace.to_owned()),
            labels: Some(label(MANAGED_BY, MANAGER)),
            ..ObjectMeta::default()
        };
        Some(NetworkPolicy { metadata, spec: Some(spec) })
    }
}

/// Whether it carries the controller's label: only such a policy is ever deleted.
pub(super) fn is_labelled(policy: &NetworkPolicy) -> bool {
    let labels = policy.metadata.labels.as_ref();
    labels.and_then(|labels| labels.get(MANAGED_BY)).is_some_and(|value| value == MANAGER)
}

/// Whether it is the controller's to write: it has the label, or had it when the controller wrote it.
pub(super) fn is_ours(policy: &NetworkPolicy) -> bool {
    let mut managers = policy.metadata.managed_fields.iter().flatten();
    is_labelled(policy) || managers.any(|entry| entry.manager.as_deref() == Some(MANAGER))
}

fn isolation(deny: DefaultDeny) -> NetworkPolicySpec {
    let types = [("Ingress", deny.ingress), ("Egress", deny.egress)];
    let types = types.into_iter().filter(|(_, isolated)| *isolated).map(|(name, _)| name.to_owned());
    NetworkPolicySpec {
        pod_selector: Some(LabelSelector::default()),
        policy_types: Some(types.collect()),
        ..NetworkPolicySpec::default()
    }
}

fn dns() -> NetworkPolicySpec {
    let port = |protocol: &str| NetworkPolicyPort {
        protocol: Some(protocol.to_owned()),
        port: Some(IntOrString::Int(53)),
        end_port: None,
    };
    let selects = |key: &str, value: &str| LabelSelector {
        match_labels: Some(label(key, value)),
        ..LabelSelector::default()
    };
    let rule = NetworkPolicyEgressRule {
        to: Some(vec![NetworkPolicyPeer {
            namespace_selector: Some(selects(METADATA_NAME, "kube-system")),
            pod_selector: Some(selects("k8s-app", "kube-dns")),
            ip_block: None,
        }]),
        ports: Some(vec![port("UDP"), port("TCP")]),
    };
    NetworkPolicySpec {
        pod_selector: Some(LabelSelector::default()),
        policy_types: Some(vec!["Egress".to_owned()]),
        egress: Some(vec![rule]),
        ingress: None,
    }
}

fn label(key: &str, value: &str) -> BTreeMap<String, String> {
    BTreeMap::from([(key.to_owned(), value.to_owned())])
}

#[cfg(test)]
mod tests {
    use netpol_lint::{Settings, check_text};

    use super::*;

    #[test]
    fn each_mode_has_its_policies() {
        for (ingress, egress, allow_dns, types, dns) in [
            (false, false, true, None, false),
            (true, false, true, Some(vec!["Ingress"]), false),
            (false, true, true, Some(vec!["Egress"]), true),
            (true, true, true, Some(vec!["Ingress", "Egress"]), true),
            (true, true, false, Some(vec!["Ingress", "Egress"]), false),
        ] {
            let deny = DefaultDeny { ingress, egress };
            let policy = Kind::DefaultDeny.wanted("shop", deny, allow_dns);
            let found = policy.and_then(|policy| policy.spec).and_then(|spec| spec.policy_types);
            assert_eq!(
                found,
                types.map(|types| types.into_iter().map(str::to_owned).collect()),
                "{ingress} {egress}"
            );
            assert_eq!(Kind::AllowDns.wanted("shop", deny, allow_dns).is_some(), dns, "{ingress} {egress}");
        }
    }

    #[test]
    fn the_linter_has_nothing_against_them() {
        let deny = DefaultDeny { ingress: true, egress: true };
        let both = Kind::ALL.map(|kind| kind.wanted("shop", deny, true).expect("it is wanted"));
        let text =
            both.map(|policy| serde_json::to_string_pretty(&policy).expect("it is JSON")).join("\n---\n");
        let findings = check_text("policies", &text, &Settings::default()).findings;
        assert!(findings.is_empty(), "{findings:?}");
    }
}
