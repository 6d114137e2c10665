//! From manifests to a cluster.

use netpol_policy::model::{Cluster, Protocol, TargetPort};
use netpol_policy::source::{Content, Manifest, ProblemKind, load};

fn cluster(text: &str) -> Cluster {
    let loaded = load([("text", text)], "default");
    for (_, manifest) in &loaded.manifests {
        assert_eq!(manifest.errors, []);
        for object in &manifest.objects {
            assert_eq!(object.problems, []);
        }
    }
    loaded.cluster
}

fn pods(cluster: &Cluster) -> Vec<String> {
    cluster.pods.iter().map(|pod| pod.name.to_string()).collect()
}

#[test]
fn a_pod() {
    let cluster = cluster(
        "apiVersion: v1\nkind: Pod\nmetadata:\n  name: a\n  namespace: ns\n  labels: {app: a}\n  creationTimestamp: 2024-05-01T10:00:00Z\nspec:\n  nodeName: node-1\n  hostNetwork: true\n  initContainers:\n  - name: sidecar\n    restartPolicy: Always\n    ports: [{containerPort: 15000, name: proxy}]\n  - name: init\n    ports: [{containerPort: 1}]\n  containers:\n  - name: web\n    ports:\n    - containerPort: 8080\n      name: http\n    - {containerPort: 53, protocol: UDP}\nstatus:\n  phase: Running\n  podIP: 10.0.0.1\n  podIPs: [{ip: 10.0.0.1}, {ip: 'fd00::1'}]\n",
    );
    let [pod] = &cluster.pods[..] else { panic!() };
    assert_eq!(pod.name.to_string(), "ns/Pod/a");
    assert_eq!(pod.labels.get("app").unwrap().as_str(), "a");
    assert_eq!(pod.addresses, ["10.0.0.1".parse::<std::net::IpAddr>().unwrap(), "fd00::1".parse().unwrap()]);
    assert_eq!((pod.node.as_deref(), pod.host_network, pod.finished), (Some("node-1"), true, false));
    assert_eq!(pod.created.as_deref(), Some("2024-05-01T10:00:00Z"));
    let ports: Vec<_> = pod
        .ports
        .iter()
        .map(|p| (p.name.as_ref().map(ToString::to_string), p.protocol, p.port.get()))
        .collect();
    let tcp = Protocol::Tcp;
    assert_eq!(
        ports,
        [(Some("http".into()), tcp, 8080), (None, Protocol::Udp, 53), (Some("proxy".into()), tcp, 15000)]
    );
}

/// The API server makes a name of its own for each object with `generateName`, whatever file it is in.
#[test]
fn names_that_are_yet_to_be_made() {
    let policy = |labels: &str| {
        format!(
            "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{generateName: deny-}}\nspec: {{podSelector: {{matchLabels: {{app: {labels}}}}}}}\n"
        )
    };
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: {generateName: p-}\nspec: {}\n";
    let job = "apiVersion: batch/v1\nkind: Job\nmetadata: {generateName: p-}\nspec: {template: {spec: {}}}\n";
    let named = "apiVersion: v1\nkind: Pod\nmetadata: {generateName: p-, name: p-x}\nspec: {}\n";
    let texts = [
        ["---\n", &policy("a"), "---\n", pod, "---\n", job, "---\n", &policy("b")].concat(),
        ["---\n", &policy("c"), "---\n", pod, "---\n", pod, "---\n", job, "---\n", named, "---\n", named]
            .concat(),
        format!("apiVersion: v1\nkind: List\nitems:\n- {}", job.trim_end().replace('\n', "\n  ")),
    ];
    let loaded = load(texts.map(|text| ("text", text)), "default");
    let shown: Vec<_> = loaded
        .cluster
        .policies
        .iter()
        .map(|policy| format!("{} {}", policy.name, policy.pod_selector))
        .collect();
    assert_eq!(shown, ["default/deny-… app=a", "default/deny-…2 app=b", "default/deny-…3 app=c"]);
    assert_eq!(
        pods(&loaded.cluster),
        [
            "default/Job/p-…",
            "default/Job/p-…2",
            "default/Job/p-…3",
            "default/Pod/p-x",
            "default/Pod/p-…",
            "default/Pod/p-…2",
            "default/Pod/p-…3"
        ]
    );
    // The manifests say the same names.
    let last = loaded.manifests[1].1.policies().next().unwrap();
    assert_eq!(last.model.as_ref().unwrap().name.to_string(), "default/deny-…3");
}

#[test]
fn workloads_by_their_templates() {
    let template =
        "{metadata: {labels: {app: x}}, spec: {containers: [{name: c, ports: [{containerPort: 80}]}]}}";
    let kinds = [
        ("apps/v1", "Deployment"),
        ("apps/v1", "ReplicaSet"),
        ("apps/v1", "StatefulSet"),
        ("apps/v1", "DaemonSet"),
        ("batch/v1", "Job"),
        ("v1", "ReplicationController"),
    ];
    let mut text: String = kinds
        .iter()
        .map(|(version, kind)| {
            format!("apiVersion: {version}\nkind: {kind}\nmetadata: {{name: w}}\nspec:\n  template: {template}\n---\n")
        })
        .collect();
    text += &format!(
        "apiVersion: batch/v1\nkind: CronJob\nmetadata: {{name: w}}\nspec: {{jobTemplate: {{spec: {{template: {template}}}}}}}\n"
    );
    let cluster = cluster(&text);
    assert_eq!(
        pods(&cluster),
        ["CronJob", "DaemonSet", "Deployment", "Job", "ReplicaSet", "ReplicationController", "StatefulSet"]
            .map(|kind| format!("default/{kind}/w"))
    );
    for pod in &cluster.pods {
        assert_eq!(pod.labels.get("app").unwrap().as_str(), "x");
        assert_eq!(pod.ports.len(), 1);
        assert!(pod.is_template());
    }
}

#[test]
fn services() {
    let cluster = cluster(
        "apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec:\n  type: LoadBalancer\n  selector: {app: a}\n  clusterIP: 10.96.0.1\n  clusterIPs: [10.96.0.1, 'fd00::96']\n  externalIPs: [192.0.2.1]\n  externalTrafficPolicy: Local\n  ports:\n  - {name: a, port: 80}\n  - {name: b, port: 81, targetPort: 8081, protocol: UDP, nodePort: 30081}\n  - {name: c, port: 82, targetPort: http}\nstatus: {loadBalancer: {ingress: [{ip: 192.0.2.2}, {hostname: x}]}}\n---\napiVersion: v1\nkind: Service\nmetadata: {name: headless}\nspec: {clusterIP: None, ports: [{port: 1}]}\n---\napiVersion: v1\nkind: Service\nmetadata: {name: external}\nspec: {type: ExternalName, externalName: x.y, selector: {a: b}}\n---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: s-x, labels: {kubernetes.io/service-name: s}}\naddressType: IPv4\nendpoints:\n- {addresses: [10.0.0.1]}\n- {addresses: [10.0.0.2], conditions: {ready: true}}\n- {addresses: [10.0.0.3], conditions: {ready: false}}\nports: [{name: a, port: 8080}, {name: b, port: 8081, protocol: UDP}]\n",
    );
    let [external, headless, service] = &cluster.services[..] else { panic!() };
    assert_eq!((&external.selector, headless.headless, service.headless), (&None, true, false));
    assert_eq!(service.selector.as_ref().unwrap().to_string(), "app=a");
    let addresses = |list: &[std::net::IpAddr]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(addresses(&service.cluster_addresses), ["10.96.0.1", "fd00::96"]);
    assert_eq!(addresses(&service.external_addresses), ["192.0.2.1", "192.0.2.2"]);
    assert!(service.external_traffic_local);
    let [a, b, c] = &service.ports[..] else { panic!() };
    assert_eq!((a.protocol, a.target.clone()), (Protocol::Tcp, TargetPort::Number(a.port)));
    assert_eq!((b.protocol, b.node_port.map(std::num::NonZero::get)), (Protocol::Udp, Some(30081)));
    assert!(matches!(&c.target, TargetPort::Name(name) if name.as_str() == "http"));
    let [slice] = &cluster.endpoint_slices[..] else { panic!() };
    assert_eq!(slice.service.to_string(), "default/s");
    assert_eq!(addresses(&slice.addresses), ["10.0.0.1", "10.0.0.2"]);
    assert_eq!(slice.ports.len(), 2);
}

#[test]
fn namespaces_and_nodes() {
    let cluster = cluster(
        "apiVersion: v1\nkind: Namespace\nmetadata: {name: ns, labels: {team: a}}\n---\napiVersion: v1\nkind: Node\nmetadata: {name: node-1}\nspec: {podCIDR: 10.1.0.0/24, podCIDRs: [10.1.0.0/24, 'fd00:1::/64']}\nstatus:\n  addresses:\n  - {type: InternalIP, address: 172.16.0.1}\n  - {type: Hostname, address: node-1}\n  - {type: ExternalIP, address: 192.0.2.9}\n",
    );
    let labels: Vec<_> = cluster.namespace("ns").labels().iter().map(|(k, v)| format!("{k}={v}")).collect();
    assert_eq!(labels, ["kubernetes.io/metadata.name=ns", "team=a"]);
    let [node] = &cluster.nodes[..] else { panic!() };
    assert_eq!((node.addresses.len(), node.pod_cidrs.len()), (2, 2));
}

#[test]
fn pods_and_the_workloads_that_own_them() {
    let workload = |kind: &str, name: &str, owner: &str| {
        let version = if kind.ends_with("Job") { "batch/v1" } else { "apps/v1" };
        let template = "{metadata: {labels: {a: b}}, spec: {}}";
        let spec = if kind == "CronJob" {
            format!("{{jobTemplate: {{spec: {{template: {template}}}}}}}")
        } else {
            format!("{{template: {template}}}")
        };
        format!("apiVersion: {version}\nkind: {kind}\nmetadata:\n  name: {name}\n{owner}spec: {spec}\n---\n")
    };
    let pod = |name: &str, owner: &str, phase: &str| {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata:\n  name: {name}\n{owner}status: {{phase: {phase}}}\n---\n"
        )
    };
    let owner = |kind: &str, name: &str| {
        format!("  ownerReferences: [{{kind: {kind}, name: {name}, controller: true}}]\n")
    };
    let deployment = workload("Deployment", "web", "");
    let set = workload("ReplicaSet", "web-5d", &owner("Deployment", "web"));
    let of_set = pod("web-5d-x", &owner("ReplicaSet", "web-5d"), "Running");
    let job = workload("Job", "tick-1", &owner("CronJob", "tick"));
    let cron = workload("CronJob", "tick", "");
    let of_job = |phase| pod("tick-1-x", &owner("Job", "tick-1"), phase);
    // Names as their controllers make them (`rand.SafeEncodeString`, `getJobName`) lead past an owner that isn't given.
    let canary =
        |set: &str| workload("Deployment", "web", "") + &pod("x", &owner("ReplicaSet", set), "Running");
    let tick = |job: &str| workload("CronJob", "tick", "") + &pod("x", &owner("Job", job), "Running");
    let cases: [(String, &[&str]); 15] = [
        (canary("web-6b7f8c9d4f"), &["Pod/x"]),
        (canary("web-canary"), &["Deployment/web", "Pod/x"]),
        (canary("web-6b7f8c9d4f5"), &["Deployment/web", "Pod/x"]),
        (canary("web-"), &["Deployment/web", "Pod/x"]),
        (canary("api-6b7f8c9d4f"), &["Deployment/web", "Pod/x"]),
        (tick("tick-29384756"), &["Pod/x"]),
        (tick("tick-manual-bcd"), &["CronJob/tick", "Pod/x"]),
        (deployment.clone() + &set, &["Deployment/web"]),
        (deployment.clone() + &set + &of_set, &["Pod/web-5d-x"]),
        (of_set.clone() + &deployment, &["Pod/web-5d-x"]),
        (set.clone(), &["ReplicaSet/web-5d"]),
        (deployment + &pod("other", "", "Running"), &["Deployment/web", "Pod/other"]),
        (job.clone() + &cron + &of_job("Running"), &["Pod/tick-1-x"]),
        (job.clone() + &cron + &of_job("Succeeded"), &["CronJob/tick", "Pod/tick-1-x"]),
        (of_job("Failed") + &cron, &["CronJob/tick", "Pod/tick-1-x"]),
    ];
    for (text, expected) in cases {
        let expected: Vec<_> = expected.iter().map(|name| format!("default/{name}")).collect();
        assert_eq!(pods(&cluster(&text)), expected, "{text}");
    }
}

/// Any value but `none` isolates: what isn't known, both directions (docs/semantics.md).
#[test]
fn values_of_the_default_deny_label() {
    for (label, expected) in [
        ("{}", [false, false]),
        ("{netpol.dev/default-deny: none}", [false, false]),
        ("{netpol.dev/default-deny: ingress}", [true, false]),
        ("{netpol.dev/default-deny: egress}", [false, true]),
        ("{netpol.dev/default-deny: all}", [true, true]),
        ("{netpol.dev/default-deny: ''}", [true, true]),
        ("{netpol.dev/default-deny: None}", [true, true]),
        ("{netpol.dev/default-deny: isolate}", [true, true]),
    ] {
        let cluster =
            cluster(&format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: a, labels: {label}}}\n"));
        let found = cluster.namespaces["a"].default_deny();
        assert_eq!([found.ingress, found.egress], expected, "{label}");
    }
}

#[test]
fn the_last_of_equal_names_counts() {
    let policy = |selector: &str| {
        format!(
            "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: p}}\nspec: {{podSelector: {{matchLabels: {{a: {selector}}}}}}}\n"
        )
    };
    let loaded = load([("one", policy("x")), ("two", policy("z"))], "default");
    let [policy] = &loaded.cluster.policies[..] else { panic!() };
    assert_eq!(policy.pod_selector.to_string(), "a=z");
}

#[test]
fn refused_policies_and_broken_documents_are_left_out() {
    let loaded = load(
        [(
            "a",
            "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p}\nspec: {ingress: [{from: [{}]}]}\n---\na: [\n---\napiVersion: v1\nkind: Namespace\nmetadata: {name: ns}\n",
        )],
        "default",
    );
    assert!(loaded.cluster.policies.is_empty());
    assert!(loaded.cluster.namespaces.contains_key("ns"));
    assert_eq!(loaded.manifests[0].1.errors.len(), 1);
}

#[test]
fn problems_of_other_objects() {
    let cases = [
        ("apiVersion: v1\nkind: Pod\nmetadata: {labels: {a: b}}\n", ProblemKind::InvalidName),
        ("apiVersion: v1\nkind: Pod\nmetadata: {name: a, labels: {a: 1}}\n", ProblemKind::NonStringLabel),
        ("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\nspec: {}\n", ProblemKind::WrongType),
        (
            "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: [{ports: [{containerPort: 0}]}]}\n",
            ProblemKind::InvalidPort,
        ),
        (
            "apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {ports: [{port: 80, targetPort: '81'}]}\n",
            ProblemKind::InvalidPort,
        ),
    ];
    for (text, kind) in cases {
        let manifest = Manifest::read(text, "default");
        let [object] = &manifest.objects[..] else { panic!("{text}") };
        assert_eq!(object.problems.iter().map(|p| p.kind).collect::<Vec<_>>(), [kind], "{text}");
        assert!(!matches!(object.content, Content::Policy(_)));
    }
}

#[test]
fn entry_points() {
    let cluster = cluster(
        "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: web, namespace: shop}\nspec:\n  ingressClassName: front\n  defaultBackend: {service: {name: web, port: {number: 80}}}\n  rules:\n  - http: {paths: [{backend: {service: {name: web, port: {number: 80}}}}, {backend: {service: {name: api, port: {name: http}}}}, {backend: {resource: {kind: X, name: y}}}]}\n  - {host: x}\n---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: web, namespace: shop}\nspec:\n  parentRefs: [{name: edge, namespace: infra}, {name: s, kind: Service}]\n  rules: [{backendRefs: [{name: web, port: 80}, {name: other, namespace: office, port: 81}, {name: b, kind: Bucket, port: 1}]}]\n---\napiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingWebhookConfiguration\nmetadata: {name: guard}\nwebhooks:\n- clientConfig: {service: {name: guard, namespace: shop, path: /x}}\n- clientConfig: {service: {name: guard, namespace: shop, port: 8443}}\n- clientConfig: {url: 'https://example.com'}\n---\napiVersion: apiregistration.k8s.io/v1\nkind: APIService\nmetadata: {name: v1.metrics.example.com}\nspec: {service: {name: metrics, namespace: infra}}\n---\napiVersion: apiregistration.k8s.io/v1\nkind: APIService\nmetadata: {name: v1.}\nspec: {version: v1}\n---\napiVersion: extensions/v1beta1\nkind: Ingress\nmetadata: {name: old}\nspec: {backend: {serviceName: x, servicePort: 80}}\n",
    );
    let shown: Vec<_> = cluster
        .entry_points
        .iter()
        .map(|entry| {
            let backends = entry.backends.iter().map(|b| format!("{}:{}", b.service, b.port));
            format!("{entry} {:?} {}", entry.callers, backends.collect::<Vec<_>>().join(" "))
        })
        .collect();
    assert_eq!(
        shown,
        [
            "Ingress shop/web IngressController(Some(\"front\")) shop/web:80 shop/api:http",
            "HTTPRoute shop/web Gateways([ObjectName { namespace: \"infra\", name: \"edge\" }]) shop/web:80 office/other:81",
            "ValidatingWebhookConfiguration guard ApiServer shop/guard:443 shop/guard:8443",
            "APIService v1. ApiServer ",
            "APIService v1.metrics.example.com ApiServer infra/metrics:443",
        ]
    );
}
