//! What is installed with `kubectl apply -k`: accepted as it is, and the webhook runs with the rights that it gives.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use netpol_tests::apiserver::{ApiServer, skip};
use netpol_tests::webhook::Webhook;
use serde_json::Value;

fn manifests() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../manifests")
}

fn rendered(server: &ApiServer, folder: &Path) -> Vec<Value> {
    let text = server.kubectl(&["kustomize", folder.to_str().unwrap()]).unwrap();
    serde_saphyr::from_multiple(&text).unwrap()
}

fn find<'o>(objects: &'o [Value], kind: &str) -> &'o Value {
    objects.iter().find(|object| object["kind"] == kind).unwrap_or_else(|| panic!("no {kind}"))
}

/// A copy of `manifests/` whose overlays have the files that a person makes first.
fn copy(to: &Path) -> PathBuf {
    let copied = std::process::Command::new("cp").arg("-r").arg(manifests()).arg(to).status().unwrap();
    assert!(copied.success());
    let certs = to.join("manifests/overlays/own-certificate/certs");
    let made = std::process::Command::new(netpol_tests::programs::webhook().unwrap())
        .args(["certs", "generate", "--name", "netpol-webhook.netpol-system.svc", "--out"])
        .arg(&certs)
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    to.join("manifests")
}

/// Every overlay, and what the components make of the default one.
#[test]
fn every_overlay_is_accepted() {
    if skip("every_overlay_is_accepted") || std::env::var_os("NETPOL_TEST_KUBECONFIG").is_some() {
        return;
    }
    let server = ApiServer::start().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let root = copy(folder.path());
    let components: Vec<_> = fs::read_dir(root.join("components"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "cert-files")
        .collect();
    assert!(components.len() >= 3, "{components:?}");
    let together = root.join("overlays/together");
    fs::create_dir(&together).unwrap();
    let list: String = components.iter().map(|name| format!("  - ../../components/{name}\n")).collect();
    let text = format!(
        "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n  - ../default\ncomponents:\n{list}"
    );
    fs::write(together.join("kustomization.yaml"), text).unwrap();

    // A namespace has to be there before anything in it can be looked at.
    for namespace in ["netpol-system", "netpol-enforcer"] {
        server.kubectl(&["create", "namespace", namespace]).unwrap();
    }
    let mut overlays = 0;
    for entry in fs::read_dir(root.join("overlays")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let mut objects = rendered(&server, &path);
        // Without cert-manager there is no such kind.
        objects.retain(|object| object["apiVersion"] != "cert-manager.io/v1");
        let all: Vec<_> = objects.iter().map(ToString::to_string).collect();
        let file = folder.path().join(format!("{name}.yaml"));
        fs::write(&file, all.join("\n---\n")).unwrap();
        let apply = ["apply", "--server-side", "--dry-run=server", "--validate=strict", "--filename"];
        let said = server.kubectl(&[&apply[..], &[file.to_str().unwrap()]].concat()).unwrap();
        assert!(!said.contains("Warning"), "{name}: {said}");
        if name == "together" {
            let deployment = find(&objects, "Deployment").to_string();
            assert!(deployment.contains("--default-deny=ingress") && deployment.contains("--label-existing"));
            let hook = &find(&objects, "MutatingWebhookConfiguration")["webhooks"][0];
            assert_eq!(hook["failurePolicy"], "Fail");
        }
        overlays += 1;
    }
    assert!(overlays >= 8, "{overlays}");
}

/// With the arguments of the Deployment and the rights of its ServiceAccount it becomes ready, and publishes its authority.
#[test]
fn the_default_overlay_is_all_that_is_needed() {
    if skip("the_default_overlay_is_all_that_is_needed")
        || std::env::var_os("NETPOL_TEST_KUBECONFIG").is_some()
    {
        return;
    }
    let server = ApiServer::start().unwrap();
    let overlay = manifests().join("overlays/default");
    server.kubectl(&["apply", "-k", overlay.to_str().unwrap()]).unwrap();
    let objects = rendered(&server, &overlay);
    let pod = &find(&objects, "Deployment")["spec"]["template"]["spec"];
    let account = pod["serviceAccountName"].as_str().unwrap();
    let user = format!("system:serviceaccount:netpol-system:{account}");
    let groups = ["system:serviceaccounts", "system:serviceaccounts:netpol-system", "system:authenticated"];
    let kubeconfig = server.kubeconfig_as(&user, &groups).unwrap();

    let config = manifests().join("base/config.yaml");
    let mut arguments = vec!["--config", config.to_str().unwrap(), "--own-namespace", "netpol-system"];
    let container = &pod["containers"][0]["args"];
    let given = container.as_array().unwrap().iter().map(|argument| argument.as_str().unwrap());
    let changed = ["serve", "--listen", "--config"];
    arguments.extend(given.filter(|argument| !changed.iter().any(|ours| argument.starts_with(ours))));
    let webhook = Webhook::start_with(&kubeconfig, &arguments).unwrap();

    let deadline = Instant::now() + Duration::from_secs(60);
    let bundle = |kind: &str| {
        let path = "jsonpath={.webhooks[*].clientConfig.caBundle}";
        server.kubectl(&["get", kind, "netpol-webhook", "-o", path]).unwrap()
    };
    for kind in ["validatingwebhookconfiguration", "mutatingwebhookconfiguration"] {
        while bundle(kind).is_empty() {
            assert!(Instant::now() < deadline, "{kind}: no caBundle");
            std::thread::park_timeout(Duration::from_millis(50));
        }
    }
    webhook.log(|line| line["message"] == "leading").unwrap();

    // Whatever it was refused would be in its log.
    let log = fs::read_to_string(webhook.log_file()).unwrap();
    let refused: Vec<_> = log.lines().filter(|line| line.contains("orbidden")).collect();
    assert!(refused.is_empty(), "{refused:#?}");
    // To apply it again changes nothing that the webhook has written.
    let before = bundle("validatingwebhookconfiguration");
    server.kubectl(&["apply", "-k", overlay.to_str().unwrap()]).unwrap();
    assert_eq!(bundle("validatingwebhookconfiguration"), before);
    assert!(webhook.stop().unwrap().success());
}
