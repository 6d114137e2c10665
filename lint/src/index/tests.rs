use netpol_policy::model::{
    LabelKey, LabelValue, Labels, METADATA_NAME, Namespace, ObjectName, Requirement, WorkloadKind,
    WorkloadName,
};

use super::*;

fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().map(|(k, v)| (LabelKey::new(k).unwrap(), LabelValue::new(v).unwrap())).collect()
}

fn selector(pairs: &[(&str, &str)]) -> LabelSelector {
    LabelSelector::new(labels(pairs).into_iter().map(|(key, value)| Requirement::equals(key, value)))
}

fn cluster() -> Cluster {
    let mut cluster = Cluster::default();
    cluster.add_namespace(Namespace::new("shop", labels(&[("team", "shop")])));
    cluster.add_namespace(Namespace::new("empty", labels(&[("team", "shop"), ("stage", "test")])));
    for (namespace, name, app) in [("shop", "a", "web"), ("shop", "b", "db"), ("other", "c", "web")] {
        let name = WorkloadName::new(namespace, WorkloadKind::Deployment, name);
        cluster.pods.push(Pod::new(name, labels(&[("app", app), ("all", "yes")])));
    }
    cluster
}

#[test]
fn pods_by_label() {
    let cluster = cluster();
    let index = Index::new(&cluster);
    let names = |namespace: &str, selector: &LabelSelector| {
        index.pods(namespace, selector).map(|pod| pod.name.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(names("shop", &selector(&[("app", "web")])), ["shop/Deployment/a"]);
    assert_eq!(names("shop", &selector(&[("app", "web"), ("all", "no")])), [""; 0]);
    assert_eq!(names("shop", &LabelSelector::everything()).len(), 2);
    assert_eq!(names("none", &LabelSelector::everything()).len(), 0);
}

#[test]
fn policies_of_at_least_the_same_pods() {
    let mut cluster = Cluster::default();
    let policy = |namespace: &str, name: &str, pods: &[(&str, &str)]| {
        Arc::new(NetworkPolicy {
            name: ObjectName::new(namespace, name),
            pod_selector: selector(pods),
            ingress: None,
            egress: None,
        })
    };
    let (web, v1) = (("app", "web"), ("version", "v1"));
    cluster.policies = vec![
        policy("shop", "all", &[]),
        policy("shop", "web", &[web]),
        policy("shop", "v1", &[v1]),
        policy("shop", "both", &[web, v1]),
        policy("office", "web", &[web]),
    ];
    let index = Index::new(&cluster);
    let covering = |policy: usize| {
        let covering = index.policies_covering(&cluster.policies[policy]);
        covering.map(|policy| &*policy.name.name).collect::<Vec<_>>()
    };
    assert_eq!(covering(0), ["all"]);
    assert_eq!(covering(1), ["all", "web"]);
    assert_eq!(covering(3), ["all", "web", "both", "v1"]);
    assert_eq!(covering(4), ["web"]);
}

#[test]
fn only_what_is_known_is_judged() {
    let cluster = cluster();
    let index = Index::new(&cluster);
    let of = |namespaces: &[(&str, &str)]| {
        let namespaces = PodNamespaces::Selected(selector(namespaces));
        index.pods_of(&namespaces, "shop", &selector(&[("app", "web")])).map(Iterator::count)
    };
    assert_eq!(of(&[(METADATA_NAME, "shop")]), Some(1));
    assert_eq!(of(&[(METADATA_NAME, "other")]), Some(1));
    assert_eq!(of(&[(METADATA_NAME, "unknown")]), None);
    assert_eq!(of(&[(METADATA_NAME, "empty")]), None, "no workload of it was given");
    assert_eq!(of(&[("team", "shop")]), None, "one of the two has no workload");
    assert_eq!(of(&[]), None, "the cluster has more namespaces than were given");
}

#[test]
fn a_namespace_without_manifest_is_known_by_name_only() {
    let cluster = cluster();
    let index = Index::new(&cluster);
    assert!(index.namespace_surely_matches("other", &selector(&[(METADATA_NAME, "other")])));
    assert!(index.namespace_surely_matches("shop", &selector(&[("team", "shop")])));
    let missing =
        LabelSelector::new([Requirement::new(LabelKey::new("team").unwrap(), "DoesNotExist", []).unwrap()]);
    assert!(!index.namespace_surely_matches("other", &missing));
}

#[test]
fn policies_that_select_a_pod() {
    let policy = |name: &str, pod_selector| {
        Arc::new(NetworkPolicy {
            name: ObjectName::new("shop", name),
            pod_selector,
            ingress: Some(Vec::new()),
            egress: None,
        })
    };
    let either = Requirement::new(
        LabelKey::new("app").unwrap(),
        "In",
        ["web", "db"].map(|value| LabelValue::new(value).unwrap()),
    );
    let mut cluster = cluster();
    cluster.policies = vec![
        policy("all", LabelSelector::everything()),
        policy("web", selector(&[("app", "web"), ("all", "yes")])),
        policy("db", selector(&[("app", "db"), ("all", "yes")])),
        policy("either", LabelSelector::new([either.unwrap()])),
        policy("none", selector(&[("app", "web"), ("all", "no")])),
    ];
    let index = Index::new(&cluster);
    let names = |index: &Index<'_>, pod: &Pod, direction| {
        let mut names: Vec<_> =
            index.isolating(pod, direction).map(|policy| policy.name.name.to_string()).collect();
        names.sort();
        names
    };
    let (web, db, other) = (&cluster.pods[0], &cluster.pods[1], &cluster.pods[2]);
    assert_eq!(names(&index, web, Direction::Ingress), ["all", "either", "web"]);
    assert_eq!(names(&index, db, Direction::Ingress), ["all", "db", "either"]);
    assert_eq!(names(&index, web, Direction::Egress), [""; 0]);
    assert_eq!(names(&index, other, Direction::Ingress), [""; 0], "another namespace");
    let newer = [policy("web", selector(&[("app", "db")]))];
    let gone = ObjectName::new("shop", "either");
    let index = index.replacing(newer.iter().map(Arc::as_ref), [&gone]);
    assert_eq!(names(&index, web, Direction::Ingress), ["all"]);
    assert_eq!(names(&index, db, Direction::Ingress), ["all", "db", "web"]);
    assert_eq!(index.policies("shop").count(), 4);
}
