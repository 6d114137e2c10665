//! Programs that enforce policies, those of networks that don't, and how to tell them by their pods.

use std::fmt;

use serde_json::Value;

use super::version::Version;

/// A program that enforces policies.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Agent {
    /// Which.
    pub kind: AgentKind,
    /// Its version, when its image says so.
    pub version: Option<Version>,
}

/// The programs that are known to enforce policies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "names")]
pub enum AgentKind {
    Antrea,
    AwsVpcCni,
    AzureNpm,
    Calico,
    Canal,
    Cilium,
    GkeDataplaneV2,
    K3s,
    Kindnet,
    KubeNetworkPolicies,
    KubeOvn,
    KubeRouter,
    NetpolEnforcer,
    OvnKubernetes,
    WeaveNet,
}

/// Something that policies can say and an agent doesn't enforce.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Limitation {
    /// `endPort`.
    EndPort,
    /// Ports by name.
    NamedPort,
    /// SCTP, unless it has been switched on.
    Sctp,
    /// Addresses of a family that pods of the cluster don't have.
    OtherFamily,
}

/// A limitation with the versions that have it.
#[derive(Debug)]
pub struct Limit {
    /// Whose.
    pub agent: AgentKind,
    /// The first version without it; `None`: every version has it.
    pub until: Option<Version>,
    /// What isn't enforced.
    pub limitation: Limitation,
    /// What happens instead, in words that follow the agent's name.
    pub effect: &'static str,
}

/// What is documented. What isn't documented isn't here.
static LIMITS: &[Limit] = &[
    // github.com/cilium/cilium/issues/28684; docs.cilium.io v1.15, "Known missing features for Kubernetes Network Policy".
    Limit {
        agent: AgentKind::Cilium,
        until: Some(Version::new(1, 16)),
        limitation: Limitation::EndPort,
        effect: "ignores endPort and allows the first port only",
    },
    // docs.cilium.io, "SCTP support (beta)": enabled by `sctp.enabled=true`.
    Limit {
        agent: AgentKind::Cilium,
        until: None,
        limitation: Limitation::Sctp,
        effect: "handles SCTP only where its beta support is switched on (sctp.enabled=true)",
    },
    // github.com/weaveworks/weave/issues/3032 and 3785, both open when the project was archived.
    Limit {
        agent: AgentKind::WeaveNet,
        until: None,
        limitation: Limitation::NamedPort,
        effect: "doesn't know named ports: its policy controller crashes on them",
    },
    // docs.aws.amazon.com/eks/latest/userguide/cni-network-policy.html, "Considerations".
    Limit {
        agent: AgentKind::AwsVpcCni,
        until: None,
        limitation: Limitation::OtherFamily,
        effect: "enforces only the family that the cluster's pods have and ignores blocks of the other",
    },
];

/// What the containers of a pod say about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Role {
    /// It enforces policies.
    Enforces(Agent),
    /// It would, but says that it doesn't.
    SaysNo(Agent),
    /// It connects pods and enforces nothing; the name of the network.
    ConnectsOnly(&'static str),
    /// It installs a CNI plugin that nothing is known about.
    UnknownNetwork,
}

impl Agent {
    /// What it doesn't enforce.
    pub fn limits(&self) -> impl Iterator<Item = &'static Limit> + use<> {
        let Self { kind, version } = *self;
        LIMITS.iter().filter(move |limit| {
            limit.agent == kind
                && match (limit.until, version) {
                    (None, _) => true,
                    (Some(until), Some(version)) => version < until,
                    // A tag that is no version says nothing.
                    (Some(_), None) => false,
                }
        })
    }

    fn of(kind: AgentKind, container: &Container<'_>) -> Role {
        Role::Enforces(Self { kind, version: Version::parse(container.tag) })
    }
}

impl AgentKind {
    /// As its makers write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Antrea => "Antrea",
            Self::AwsVpcCni => "AWS VPC CNI",
            Self::AzureNpm => "Azure NPM",
            Self::Calico => "Calico",
            Self::Canal => "Canal",
            Self::Cilium => "Cilium",
            Self::GkeDataplaneV2 => "GKE Dataplane V2",
            Self::K3s => "k3s",
            Self::Kindnet => "kindnet",
            Self::KubeNetworkPolicies => "kube-network-policies",
            Self::KubeOvn => "Kube-OVN",
            Self::KubeRouter => "kube-router",
            Self::NetpolEnforcer => "netpol-enforcer",
            Self::OvnKubernetes => "OVN-Kubernetes",
            Self::WeaveNet => "Weave Net",
        }
    }
}

/// What a pod, or a pod template, is to the network; `None` for any other workload. `name` is that of the DaemonSet.
pub(super) fn role(name: &str, spec: &Value) -> Option<Role> {
    let containers: Vec<_> = spec["containers"].as_array()?.iter().map(Container::of).collect();
    let find = |test: &dyn Fn(&Container<'_>) -> bool| containers.iter().find(|container| test(container));
    let named = |wanted: &'static str| move |container: &Container<'_>| container.name == wanted;
    let image = |wanted: &'static str| move |container: &Container<'_>| container.image_is(wanted);
    let flannel = find(&|c| c.name == "kube-flannel" || c.image_is("flannel"));
    let calico =
        find(&|c| c.name == "calico-node" || c.image_is("calico-node") || c.image_is("hardened-calico"));
    use AgentKind as K;
    let role = if let Some(found) = find(&image("netpol-enforcer")) {
        Agent::of(K::NetpolEnforcer, found)
    } else if let Some(found) = calico {
        Agent::of(if flannel.is_some() { K::Canal } else { K::Calico }, found)
    } else if let Some(found) = find(&named("cilium-agent")) {
        // GKE's own build: its DaemonSet is called anetd.
        Agent::of(if name.starts_with("anetd") { K::GkeDataplaneV2 } else { K::Cilium }, found)
    } else if let Some(found) = find(&named("antrea-agent")) {
        Agent::of(K::Antrea, found)
    } else if let Some(found) = find(&named("weave-npc")) {
        Agent::of(K::WeaveNet, found)
    } else if let Some(found) = find(&|c| c.name.starts_with("ovnkube-") || c.image_is("ovn-kube")) {
        Agent::of(K::OvnKubernetes, found)
    } else if let Some(found) = find(&|c| c.name == "cni-server" && c.image_is("kube-ovn")) {
        Agent::of(K::KubeOvn, found)
    } else if let Some(found) = find(&image("azure-npm")) {
        Agent::of(K::AzureNpm, found)
    } else if let Some(found) = find(&|c| c.image.starts_with("kube-network-policies")) {
        // Also beside flannel, whose chart offers it.
        Agent::of(K::KubeNetworkPolicies, found)
    } else if let Some(found) = find(&image("kube-router")) {
        if found.says("--run-firewall=false") {
            Role::ConnectsOnly("kube-router with --run-firewall=false")
        } else {
            Agent::of(K::KubeRouter, found)
        }
    } else if let Some(found) = find(&|c| c.image_is("kindnetd")) {
        kindnet(found)
    } else if name.starts_with("aws-node") || find(&named("aws-node")).is_some() {
        // Off unless switched on: docs.aws.amazon.com/eks/latest/userguide/cni-network-policy-configure.html
        match find(&|c| c.name == "aws-eks-nodeagent" || c.image_is("aws-network-policy-agent")) {
            Some(found) if found.says("--enable-network-policy=true") => Agent::of(K::AwsVpcCni, found),
            _ => Role::ConnectsOnly("AWS VPC CNI without its network policy agent"),
        }
    } else if flannel.is_some() {
        Role::ConnectsOnly("flannel")
    } else if is_no_network(&containers) || !installs_plugins(spec) {
        return None;
    } else {
        Role::UnknownNetwork
    };
    Some(role)
}

/// kindnet enforces policies since kind v0.24.0 (github.com/kubernetes-sigs/kind/issues/842), whose image carries a date,
/// and since v1.3.0 of its own releases (github.com/kubernetes/minikube/issues/19871).
fn kindnet(container: &Container<'_>) -> Role {
    const DATES: u32 = 20_000_000;
    match Version::parse(container.tag) {
        Some(version) if version.major > DATES => match version.major {
            20_240_813.. => Agent::of(AgentKind::Kindnet, container),
            // kind v0.23.0 has this one.
            ..=20_240_513 => Role::ConnectsOnly("kindnet of kind v0.23 or before"),
            // Built between two releases.
            _ => Role::UnknownNetwork,
        },
        Some(version) if version >= Version::new(1, 3) => Agent::of(AgentKind::Kindnet, container),
        Some(_) => Role::ConnectsOnly("kindnet before v1.3"),
        None => Role::UnknownNetwork,
    }
}

/// Service meshes and the like, which install a plugin beside the network's.
fn is_no_network(containers: &[Container<'_>]) -> bool {
    const NO_NETWORKS: [&str; 7] =
        ["multus-cni", "multus", "install-cni", "cni-plugin", "whereabouts", "sriov-cni", "cni-plugins"];
    containers.iter().any(|container| NO_NETWORKS.iter().any(|name| container.image_is(name)))
}

fn installs_plugins(spec: &Value) -> bool {
    let volumes = spec["volumes"].as_array().map(Vec::as_slice).unwrap_or_default();
    volumes.iter().filter_map(|volume| volume["hostPath"]["path"].as_str()).any(|path| {
        let path = path.trim_end_matches('/');
        path.ends_with("/cni/net.d") || path.ends_with("/cni/bin")
    })
}

struct Container<'a> {
    name: &'a str,
    /// The image's repository without registry and organisation; with the organisation where that is the name.
    image: String,
    tag: &'a str,
    arguments: Vec<&'a str>,
}

impl<'a> Container<'a> {
    fn of(container: &'a Value) -> Self {
        let image = container["image"].as_str().unwrap_or_default();
        let image = image.split_once('@').map_or(image, |(image, _)| image);
        let (path, tag) = match image.rsplit_once(':') {
            Some((path, tag)) if !tag.contains('/') => (path, tag),
            _ => (image, ""),
        };
        let mut parts = path.rsplit('/');
        let last = parts.next().unwrap_or_default();
        // calico/node
        let image = match (last, parts.next()) {
            ("node", Some(organisation)) => format!("{organisation}-node"),
            _ => last.to_owned(),
        };
        let texts = ["command", "args"].into_iter().filter_map(|field| container[field].as_array());
        let arguments = texts.flatten().filter_map(Value::as_str).collect();
        Self { name: container["name"].as_str().unwrap_or_default(), image, tag, arguments }
    }

    /// By its own name or mirrored under a longer one: `mirrored-calico-node`.
    fn image_is(&self, name: &str) -> bool {
        self.image.strip_suffix(name).is_some_and(|rest| rest.is_empty() || rest.ends_with('-'))
            || self.image.strip_prefix(name).is_some_and(|rest| rest.starts_with('-') && name == "ovn-kube")
    }

    fn says(&self, argument: &str) -> bool {
        self.arguments.contains(&argument)
    }
}

/// `Cilium 1.15`.
impl fmt::Display for Agent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.as_str())?;
        match self.version {
            Some(version) if version.minor > 0 || version.major < 1000 => write!(f, " {version}"),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn role_of(name: &str, containers: &[(&str, &str, &[&str])]) -> String {
        let containers: Vec<_> = containers
            .iter()
            .map(|(name, image, args)| json!({"name": name, "image": image, "args": args}))
            .collect();
        let spec = json!({
            "containers": containers,
            "volumes": [{"name": "cni", "hostPath": {"path": "/etc/cni/net.d"}}],
        });
        match role(name, &spec) {
            Some(Role::Enforces(agent) | Role::SaysNo(agent)) => agent.to_string(),
            Some(Role::ConnectsOnly(network)) => format!("not: {network}"),
            Some(Role::UnknownNetwork) => "unknown".into(),
            None => "nothing".into(),
        }
    }

    #[test]
    fn by_containers() {
        type Containers<'a> = &'a [(&'a str, &'a str, &'a [&'a str])];
        let cases: &[(&str, Containers<'_>, &str)] = &[
            ("calico-node", &[("calico-node", "quay.io/calico/node:v3.29.1", &[])], "Calico 3.29"),
            (
                "calico-node",
                &[("calico-node", "rancher/hardened-calico:v3.28.2-build20241016", &[])],
                "Calico 3.28",
            ),
            ("x", &[("node", "registry:5000/mirrored-calico-node:v3.27.0", &[])], "Calico 3.27"),
            (
                "canal",
                &[
                    ("calico-node", "calico/node:v3.26.1", &[]),
                    ("kube-flannel", "flannel/flannel:v0.24.0", &[]),
                ],
                "Canal 3.26",
            ),
            ("cilium", &[("cilium-agent", "quay.io/cilium/cilium:v1.15.3@sha256:abc", &[])], "Cilium 1.15"),
            ("anetd", &[("cilium-agent", "gke.gcr.io/cilium/cilium@sha256:abc", &[])], "GKE Dataplane V2"),
            ("antrea-agent", &[("antrea-agent", "antrea/antrea-agent-ubuntu:v2.2.0", &[])], "Antrea 2.2"),
            (
                "kube-router",
                &[("kube-router", "docker.io/cloudnativelabs/kube-router:v2.2.1", &[])],
                "kube-router 2.2",
            ),
            (
                "kube-router",
                &[("kube-router", "cloudnativelabs/kube-router", &["--run-firewall=false"])],
                "not: kube-router with --run-firewall=false",
            ),
            (
                "weave-net",
                &[
                    ("weave", "weaveworks/weave-kube:2.8.1", &[]),
                    ("weave-npc", "weaveworks/weave-npc:2.8.1", &[]),
                ],
                "Weave Net 2.8",
            ),
            (
                "ovnkube-node",
                &[("ovnkube-controller", "quay.io/openshift-release-dev/x@sha256:a", &[])],
                "OVN-Kubernetes",
            ),
            (
                "azure-npm",
                &[("azure-npm", "mcr.microsoft.com/containernetworking/azure-npm:v1.5.45", &[])],
                "Azure NPM 1.5",
            ),
            (
                "aws-node",
                &[
                    ("aws-node", "602401143452.dkr.ecr.example/amazon-k8s-cni:v1.19.0", &[]),
                    (
                        "aws-eks-nodeagent",
                        "x/amazon/aws-network-policy-agent:v1.1.5",
                        &["--enable-network-policy=true"],
                    ),
                ],
                "AWS VPC CNI 1.1",
            ),
            (
                "aws-node",
                &[
                    ("aws-node", "x/amazon-k8s-cni:v1.19.0", &[]),
                    (
                        "aws-eks-nodeagent",
                        "x/amazon/aws-network-policy-agent:v1.1.5",
                        &["--enable-network-policy=false"],
                    ),
                ],
                "not: AWS VPC CNI without its network policy agent",
            ),
            ("kindnet", &[("kindnet-cni", "docker.io/kindest/kindnetd:v20250214-acbabc1a", &[])], "kindnet"),
            (
                "kindnet",
                &[("kindnet-cni", "docker.io/kindest/kindnetd:v20240202-8f1494ea", &[])],
                "not: kindnet of kind v0.23 or before",
            ),
            ("kindnet", &[("kindnet-cni", "docker.io/kindest/kindnetd:v20240725-2e9e3c9c", &[])], "unknown"),
            ("kindnet", &[("kindnet-cni", "ghcr.io/aojea/kindnetd:v1.8.0", &[])], "kindnet 1.8"),
            ("kindnet", &[("kindnet-cni", "ghcr.io/aojea/kindnetd:v1.2.0", &[])], "not: kindnet before v1.3"),
            ("kube-ovn-cni", &[("cni-server", "docker.io/kubeovn/kube-ovn:v1.13.0", &[])], "Kube-OVN 1.13"),
            (
                "netpol-enforcer",
                &[("agent", "example.com/netpol-enforcer:v0.1.0", &[])],
                "netpol-enforcer 0.1",
            ),
            (
                "kube-flannel-ds",
                &[("kube-flannel", "ghcr.io/flannel-io/flannel:v0.26.1", &[])],
                "not: flannel",
            ),
            (
                "kube-flannel-ds",
                &[
                    ("kube-flannel", "ghcr.io/flannel-io/flannel:v0.26.1", &[]),
                    ("netpol", "registry.k8s.io/networking/kube-network-policies:v0.7.0", &[]),
                ],
                "kube-network-policies 0.7",
            ),
            ("istio-cni-node", &[("install-cni", "docker.io/istio/install-cni:1.24.1", &[])], "nothing"),
            ("terway", &[("terway", "registry.example/acs/terway:v1.11.0", &[])], "unknown"),
        ];
        for (name, containers, expected) in cases {
            assert_eq!(role_of(name, containers), *expected, "{containers:?}");
        }
    }

    #[test]
    fn limits_by_version() {
        let limits = |kind, version| {
            let agent = Agent { kind, version };
            agent.limits().map(|limit| limit.limitation).collect::<Vec<_>>()
        };
        let cilium = AgentKind::Cilium;
        assert_eq!(limits(cilium, Some(Version::new(1, 15))), [Limitation::EndPort, Limitation::Sctp]);
        assert_eq!(limits(cilium, Some(Version::new(1, 16))), [Limitation::Sctp]);
        assert_eq!(limits(cilium, None), [Limitation::Sctp], "a tag without a version says nothing");
        assert_eq!(limits(AgentKind::Calico, None), []);
    }
}
