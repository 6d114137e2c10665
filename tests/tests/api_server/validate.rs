//! Policies are checked as a real API server asks for it: every rule, every effect, and the way round.

mod audit;
mod effects;
mod rules;

use std::fs;
use std::time::{Duration, Instant};

use netpol_tests::apiserver::{ApiServer, TempKubeconfig};
use netpol_tests::webhook::Webhook;
use tempfile::NamedTempFile;

/// The rights of the installed webhook, and no others.
const RBAC: &str = include_str!("../../../manifests/base/validation-rbac.yaml");

const PATIENCE: Duration = Duration::from_secs(30);

/// A webhook with a configuration, ready. It has the rights of the installed one.
struct Validating {
    webhook: Webhook,
    config: NamedTempFile,
    kubeconfig: TempKubeconfig,
}

impl Validating {
    fn start(server: &ApiServer, config: &str, arguments: &[&str]) -> Self {
        server.apply("", RBAC).unwrap();
        let groups =
            ["system:serviceaccounts", "system:serviceaccounts:netpol-system", "system:authenticated"];
        let kubeconfig =
            server.kubeconfig_as("system:serviceaccount:netpol-system:netpol-webhook", &groups).unwrap();
        let file = NamedTempFile::new().unwrap();
        fs::write(file.path(), config).unwrap();
        let path = file.path().to_str().unwrap();
        let own = ["--config", path, "--config-refresh", "50ms"];
        let webhook = Webhook::start(&kubeconfig, &[&own, arguments].concat()).unwrap();
        eventually("it is ready", || webhook.get("/readyz").is_ok());
        Self { webhook, config: file, kubeconfig }
    }
}

/// Tries until the answer is yes.
#[track_caller]
fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "{what}: not in {PATIENCE:?}");
        std::thread::park_timeout(Duration::from_millis(50));
    }
}

/// A policy `db` with a spec in YAML, perhaps with annotations.
fn policy(spec: &str, annotations: &str) -> String {
    format!(
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: db, annotations: {{{annotations}}}}}\nspec: {spec}\n"
    )
}
