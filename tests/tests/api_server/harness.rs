//! What the other tests rely on.

use std::path::Path;

use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::Api;
use kube::api::ListParams;
use netpol_tests::apiserver::{ApiServer, block_on, skip};

const POD: &str = r"
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web}}
spec: {nodeName: node-1, containers: [{name: web, image: example.com/web}]}
status: {phase: Running, podIP: 10.244.1.7, podIPs: [{ip: 10.244.1.7}]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {key: value}
";

fn settings(server: &ApiServer, namespace: &str) -> Api<ConfigMap> {
    Api::namespaced(server.client().unwrap(), namespace)
}

#[test]
fn objects_with_their_status() {
    let Some(server) = ApiServer::shared("objects_with_their_status") else { return };
    let namespace = server.namespace("objects").unwrap();
    server.apply(namespace.name(), POD).unwrap();
    let pods = Api::<Pod>::namespaced(server.client().unwrap(), namespace.name());
    let pod = block_on(pods.get("web")).unwrap();
    assert_eq!(pod.status.unwrap().pod_ip.unwrap(), "10.244.1.7");
    server.delete(namespace.name(), POD).unwrap();
    assert!(block_on(pods.get_opt("web")).unwrap().is_none());
}

#[test]
fn nobody_has_rights_unless_given() {
    let Some(server) = ApiServer::shared("nobody_has_rights_unless_given") else { return };
    let client = server.client_as("reader", &[]).unwrap();
    let refused = block_on(Api::<Pod>::all(client).list(&ListParams::default())).unwrap_err();
    assert!(matches!(refused, kube::Error::Api(status) if status.code == 403));
}

#[test]
fn two_servers_on_one_store_and_a_restart() {
    if skip("two_servers_on_one_store_and_a_restart") || std::env::var_os("NETPOL_TEST_KUBECONFIG").is_some()
    {
        return;
    }
    let first = ApiServer::start().unwrap();
    let second = first.another().unwrap();
    let namespace = first.namespace("two").unwrap();
    second.apply(namespace.name(), POD).unwrap();
    assert!(block_on(settings(&first, namespace.name()).get("settings")).is_ok());

    first.stop().unwrap();
    assert!(block_on(settings(&first, namespace.name()).get("settings")).is_err());
    assert!(block_on(settings(&second, namespace.name()).get("settings")).is_ok());
    first.restart().unwrap();
    assert!(block_on(settings(&first, namespace.name()).get("settings")).is_ok());

    // Nothing is left of it.
    let directory = first.kubeconfig().parent().unwrap().to_owned();
    drop(namespace);
    drop(first);
    assert!(Path::new(&directory).exists(), "the other one still needs it");
    drop(second);
    assert!(!Path::new(&directory).exists());
}
