//! What is shipped fits the program: its flags, its paths, its port, its times.

use std::path::{Path, PathBuf};

use netpol_certs::Bundle;
use netpol_lint::{Settings, check_text};
use netpol_policy::syntax;
use serde_json::{Value, json};

use crate::support::{self, Webhook, command, namespace, policy, review};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../manifests")
}

fn objects(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    let stream = syntax::read(&text);
    assert!(stream.errors.is_empty(), "{}: {:?}", path.display(), stream.errors);
    stream.documents.iter().map(|document| support::json(document.root())).collect()
}

fn base(file: &str) -> Value {
    let mut objects = objects(&root().join("base").join(file));
    assert_eq!(objects.len(), 1, "{file}");
    objects.remove(0)
}

/// Every YAML file of `manifests/`.
fn files() -> Vec<PathBuf> {
    let (mut files, mut folders) = (Vec::new(), vec![root()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.extension() {
                _ if path.is_dir() => folders.push(path),
                Some(extension) if extension == "yaml" => files.push(path),
                _ => {}
            }
        }
    }
    files
}

#[test]
fn kustomizations_name_files_that_are_there() {
    let mut named = 0;
    for path in files() {
        for object in objects(&path) {
            let kustomization = path.file_name().unwrap() == "kustomization.yaml";
            for resource in object["resources"].as_array().into_iter().flatten().filter(|_| kustomization) {
                let target = path.parent().unwrap().join(resource.as_str().unwrap());
                assert!(target.exists(), "{} names {}", path.display(), target.display());
                named += 1;
            }
        }
    }
    assert!(named >= 10, "{named}");
    let listed = base("kustomization.yaml")["resources"].as_array().unwrap().len();
    let there = std::fs::read_dir(root().join("base")).unwrap().count();
    let generated = base("kustomization.yaml")["configMapGenerator"][0]["files"].as_array().unwrap().len();
    assert_eq!(listed + generated + 1, there, "a file of the base that is not in its kustomization");
}

#[test]
fn our_own_policies_are_clean() {
    for path in files() {
        let text = std::fs::read_to_string(&path).unwrap();
        // Kustomize leaves comments out.
        let built: String =
            text.split_inclusive('\n').filter(|line| !line.trim_start().starts_with('#')).collect();
        for text in [text, built] {
            let findings = check_text("manifest", &text, &Settings::default()).findings;
            let said: Vec<_> = findings.iter().map(|finding| (finding.rule.code, &finding.message)).collect();
            assert!(said.is_empty(), "{}: {said:?}", path.display());
        }
    }
}

#[test]
fn the_deployment_runs_and_the_configurations_lead_to_it() {
    let deployment = base("deployment.yaml");
    let pod = &deployment["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    let arguments: Vec<_> =
        container["args"].as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect();
    let value = |flag: &str| arguments.iter().find_map(|argument| argument.strip_prefix(flag)).unwrap();
    let seconds = |flag| value(flag).strip_suffix('s').unwrap().parse::<u64>().unwrap();
    let grace = pod["terminationGracePeriodSeconds"].as_u64().unwrap();
    assert!(grace > seconds("--drain-time=") + seconds("--finish-time="));
    let port = &container["ports"][0];
    assert!(value("--listen=").ends_with(&format!(":{}", port["containerPort"])));
    assert_eq!(base("service.yaml")["spec"]["ports"][0]["targetPort"], port["name"]);
    let mount = &container["volumeMounts"][0]["mountPath"];
    assert!(value("--config=").starts_with(mount.as_str().unwrap()));
    let config = root().join("base/config.yaml");

    // As deployed, but for where the files are and where it listens.
    let directory = tempfile::tempdir().unwrap();
    let made = command(&["certs", "generate", "--name", "localhost", "--out"]).arg(directory.path()).output();
    assert!(made.unwrap().status.success());
    let trust = Bundle::from_pem(&std::fs::read_to_string(directory.path().join("ca.crt")).unwrap()).unwrap();
    let ours = ["serve", "--listen", "--config", "--controller"];
    let mut rest: Vec<_> = arguments
        .iter()
        .copied()
        .filter(|argument| !ours.iter().any(|ours| argument.starts_with(ours)))
        .collect();
    rest.push("--config");
    rest.push(config.to_str().unwrap());
    let webhook = Webhook::with_directory(directory, trust, &rest);
    for probe in ["readinessProbe", "livenessProbe"] {
        let get = &container[probe]["httpGet"];
        assert_eq!(get["scheme"], "HTTPS");
        assert_eq!(webhook.get(get["path"].as_str().unwrap()).code, 200, "{probe}");
    }
    let clean = policy("{podSelector: {}, policyTypes: [Ingress]}");
    for (file, object, group, plural) in [
        ("validatingwebhookconfiguration.yaml", clean, "networking.k8s.io", "networkpolicies"),
        ("mutatingwebhookconfiguration.yaml", namespace("shop", &json!({})), "", "namespaces"),
    ] {
        let configuration = base(file);
        let hook = &configuration["webhooks"][0];
        let service = &hook["clientConfig"]["service"];
        let ours = base("service.yaml");
        assert_eq!(
            (&service["name"], &service["port"]),
            (&ours["metadata"]["name"], &ours["spec"]["ports"][0]["port"])
        );
        assert_eq!(service["namespace"], base("namespace.yaml")["metadata"]["name"]);
        assert_eq!(
            (&hook["rules"][0]["apiGroups"][0], &hook["rules"][0]["resources"][0]),
            (&group.into(), &plural.into())
        );
        // The webhook never stands in the way of what it needs itself.
        let exempt = hook["namespaceSelector"]["matchExpressions"][0]["values"].as_array().unwrap();
        assert!(exempt.contains(&service["namespace"]) && exempt.contains(&"kube-system".into()));
        let body = review("u", &object, &json!({}));
        assert_eq!(webhook.post(service["path"].as_str().unwrap(), body).response()["allowed"], true);
    }
}
