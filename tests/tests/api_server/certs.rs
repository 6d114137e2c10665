//! The authority that replicas share: made once, replaced under load, and with the rights of the manifest alone.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingWebhookConfiguration,
};
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{DeleteParams, PostParams};
use netpol_certs::{Bundle, Lifetimes, Rotation, Seen};
use netpol_tests::apiserver::{ApiServer, TempKubeconfig, block_on};
use netpol_tests::https::Client;
use netpol_tests::programs;
use netpol_tests::service::Service;
use netpol_tests::webhook::Webhook;
use serde_json::{Value, json};

use crate::load::Load;

const RBAC: &str = include_str!("../../../manifests/overlays/default/certs-rbac.yaml");
const NAMESPACE: &str = include_str!("../../../manifests/base/namespace.yaml");
const VALIDATING: &str = include_str!("../../../manifests/base/validatingwebhookconfiguration.yaml");
const MUTATING: &str = include_str!("../../../manifests/base/mutatingwebhookconfiguration.yaml");

const SHARED: [&str; 4] = [
    "--tls-secret=netpol-system/netpol-webhook-ca",
    "--server-name=127.0.0.1",
    "--webhook-configuration=netpol-webhook",
    // Its rights are those of certificates alone.
    "--ready-without-cluster",
];

/// What the type of the Secret is.
const SECRET_TYPE: &str = "netpol.dev/rotating-authority";

/// No condition takes longer.
const PATIENCE: Duration = Duration::from_secs(90);

/// An installation in the shared API server: one at a time, for its names are those of the manifests.
pub(crate) struct Installation<'s> {
    pub(crate) server: &'s ApiServer,
    kubeconfig: TempKubeconfig,
    pub(crate) service: Service,
    _alone: MutexGuard<'static, ()>,
}

impl<'s> Installation<'s> {
    /// Installs RBAC and configurations for these namespaces; no replica runs yet.
    pub(crate) fn new(server: &'s ApiServer, namespaces: &[&str]) -> Self {
        static ALONE: Mutex<()> = Mutex::new(());
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let account = ("system:serviceaccount:netpol-system:netpol-webhook", "system:serviceaccounts");
        let kubeconfig = server.kubeconfig_as(account.0, &[account.1]).unwrap();
        let installation = Self { server, kubeconfig, service: Service::start().unwrap(), _alone: alone };
        server.apply("", NAMESPACE).unwrap();
        server.apply("", RBAC).unwrap();
        installation.remove();
        server.apply("", &configurations(installation.service.port(), namespaces)).unwrap();
        installation
    }

    /// Gives these rights to another account, and starts a replica with them.
    fn replica_with_rights(&self, account: &str, rights: &str) -> Webhook {
        let rights = rights
            .replace("name: netpol-webhook-certs", &format!("name: {account}"))
            .replace("name: netpol-webhook\n", &format!("name: {account}\n"));
        self.server.apply("", &rights).unwrap();
        let user = format!("system:serviceaccount:netpol-system:{account}");
        let kubeconfig = self.server.kubeconfig_as(&user, &["system:serviceaccounts"]).unwrap();
        Webhook::start_with(&kubeconfig, &[&SHARED[..], &["--cert-refresh=300ms"]].concat()).unwrap()
    }

    pub(crate) fn remove(&self) {
        let _ = self.server.delete("", &configurations(1, &[]));
        let deleted = block_on(self.secrets().delete("netpol-webhook-ca", &DeleteParams::default()));
        assert!(deleted.is_ok() || matches!(deleted, Err(kube::Error::Api(status)) if status.code == 404));
    }

    /// Starts a replica; it is a backend of the service once it is ready.
    pub(crate) fn replica(&self, arguments: &[&str]) -> Webhook {
        let webhook = Webhook::start_with(&self.kubeconfig, &[&SHARED[..], arguments].concat()).unwrap();
        self.service.add(webhook.port());
        webhook
    }

    pub(crate) fn wait_ready(&self, replicas: usize) {
        eventually("the replicas to be ready", || self.service.ready().len() == replicas);
    }

    pub(crate) fn secrets(&self) -> Api<Secret> {
        Api::namespaced(self.server.client().unwrap(), "netpol-system")
    }

    /// The Secret's entries, and `resourceVersion`.
    pub(crate) fn secret(&self) -> (BTreeMap<String, Vec<u8>>, String) {
        let secret = block_on(self.secrets().get("netpol-webhook-ca")).unwrap();
        let entries = secret.data.unwrap_or_default().into_iter().map(|(name, value)| (name, value.0));
        (entries.collect(), secret.metadata.resource_version.unwrap_or_default())
    }

    fn rotation(&self) -> Rotation {
        Rotation::read(&self.secret().0, SystemTime::now()).unwrap()
    }

    /// Makes the Secret before any replica does.
    fn put_secret(&self, entries: BTreeMap<String, Vec<u8>>) {
        let data = entries.into_iter().map(|(name, value)| (name, ByteString(value))).collect();
        let mut secret =
            Secret { data: Some(data), type_: Some(SECRET_TYPE.to_owned()), ..Secret::default() };
        secret.metadata.name = Some("netpol-webhook-ca".to_owned());
        block_on(self.secrets().create(&PostParams::default(), &secret)).unwrap();
    }

    /// What each webhook of both configurations trusts.
    fn published(&self) -> Vec<Bundle> {
        let client = || self.server.client().unwrap();
        let validating = Api::<ValidatingWebhookConfiguration>::all(client());
        let mutating = Api::<MutatingWebhookConfiguration>::all(client());
        let validating = block_on(validating.get("netpol-webhook")).unwrap().webhooks.unwrap_or_default();
        let mutating = block_on(mutating.get("netpol-webhook")).unwrap().webhooks.unwrap_or_default();
        let validating = validating.into_iter().map(|hook| hook.client_config.ca_bundle);
        let bundles = validating.chain(mutating.into_iter().map(|hook| hook.client_config.ca_bundle));
        let bundle = |held: Option<ByteString>| {
            held.map_or_else(Bundle::default, |held| {
                Bundle::from_pem(std::str::from_utf8(&held.0).unwrap()).unwrap()
            })
        };
        bundles.map(bundle).collect()
    }
}

impl Drop for Installation<'_> {
    fn drop(&mut self) {
        self.remove();
    }
}

/// The configurations of the manifests, for a port of loopback and these namespaces.
fn configurations(port: u16, namespaces: &[&str]) -> String {
    let objects = [VALIDATING, MUTATING].map(|text| {
        let mut object: Value = serde_saphyr::from_str(text).unwrap();
        for hook in object["webhooks"].as_array_mut().unwrap() {
            let path = hook["clientConfig"]["service"]["path"].as_str().unwrap();
            hook["clientConfig"] = json!({"url": format!("https://127.0.0.1:{port}{path}")});
            let ours = json!({"key": "kubernetes.io/metadata.name", "operator": "In", "values": namespaces});
            let selector = hook["namespaceSelector"]["matchExpressions"].as_array_mut().unwrap();
            if !namespaces.is_empty() {
                selector.push(ours);
            }
        }
        object.to_string()
    });
    objects.join("\n---\n")
}

#[track_caller]
pub(crate) fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "{what}: not in time");
        thread::park_timeout(Duration::from_millis(50));
    }
}

pub(crate) fn metric(webhook: &Webhook, name: &str) -> Option<f64> {
    let text = Client::careless().unwrap().get(webhook.port(), "/metrics").unwrap().text;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().parse().ok()
}

/// Times so short that everything happens in a test.
const SHORT: [&str; 4] = ["--ca-life=60s", "--leaf-life=6s", "--ca-settle=2s", "--cert-refresh=300ms"];

fn short() -> Lifetimes {
    let seconds = Duration::from_secs;
    Lifetimes::new(seconds(60), seconds(6), seconds(2), Duration::from_millis(300)).unwrap()
}

#[test]
fn three_replicas_at_once_agree_on_one_authority() {
    let Some(server) = ApiServer::shared("three_replicas_at_once_agree_on_one_authority") else { return };
    let namespace = server.namespace("agree").unwrap();
    let installation = Installation::new(server, &[namespace.name()]);
    let replicas: Vec<_> = thread::scope(|scope| {
        let starts = [(); 3].map(|()| scope.spawn(|| installation.replica(&["--cert-refresh=1s"])));
        starts.into_iter().map(|start| start.join().unwrap()).collect()
    });
    installation.wait_ready(3);

    let bundles = installation.published();
    assert_eq!(bundles.len(), 4);
    let rotation = installation.rotation();
    for bundle in &bundles {
        assert_eq!(bundle.certificates(), [rotation.current().certificate().clone()]);
    }
    let trusting = Client::trusting(&bundles[0], None).unwrap();
    let mut shown = Vec::new();
    for replica in &replicas {
        let connection = trusting.connect(replica.port()).unwrap();
        shown.push(connection.shown().unwrap());
        assert!(metric(replica, "netpol_webhook_authority_not_after_seconds ").unwrap() > 1e9);
    }
    shown.dedup();
    assert_eq!(shown.len(), 3, "each signs its own");

    // The API server calls each of them.
    let load = Load::start(server, namespace.name(), 4);
    eventually("a call of each replica", || {
        replicas.iter().all(|replica| {
            metric(replica, "netpol_webhook_reviews_total{endpoint=\"validate\",outcome=\"allowed\"} ")
                > Some(0.0)
        })
    });
    let (calls, failures) = load.end();
    println!("{calls} calls, failed: {failures:?}");
    assert!(failures.is_empty(), "{failures:?}");

    // Nobody writes when there is nothing to write, and only caBundle is written.
    let (_, before) = installation.secret();
    let looks =
        || replicas.iter().map(|replica| metric(replica, "netpol_webhook_ca_bundle_writes_total ").unwrap());
    let writes: f64 = looks().sum();
    assert!((2.0..=6.0).contains(&writes), "{writes}");
    let api = Api::<ValidatingWebhookConfiguration>::all(server.client().unwrap());
    let configuration = block_on(api.get("netpol-webhook")).unwrap();
    let managers = configuration.metadata.managed_fields.unwrap();
    let ours =
        managers.iter().find(|entry| entry.manager.as_deref() == Some("netpol-webhook-certs")).unwrap();
    let hook = json!({".": {}, "f:name": {}, "f:clientConfig": {"f:caBundle": {}}});
    assert_eq!(
        ours.fields_v1.as_ref().unwrap().0,
        json!({"f:webhooks": {
            "k:{\"name\":\"networkpolicies.netpol.dev\"}": hook, "k:{\"name\":\"isolation.netpol.dev\"}": hook}})
    );
    assert_eq!(installation.secret().1, before);
    for replica in replicas {
        assert!(replica.stop().unwrap().success());
    }
}

#[test]
fn an_authority_is_replaced_under_load() {
    let Some(server) = ApiServer::shared("an_authority_is_replaced_under_load") else { return };
    let namespace = server.namespace("rotate").unwrap();
    let installation = Installation::new(server, &[namespace.name()]);
    programs::webhook().unwrap();
    // An authority that was made a while ago, and is due for replacement soon.
    let made = SystemTime::now() - Duration::from_secs(30);
    let old = Rotation::create("netpol-webhook", &short(), &Bundle::default(), made).unwrap();
    let (old, _) = old.advance("netpol-webhook", Seen::Holding, &short(), made).unwrap().unwrap();
    installation.put_secret(old.entries());

    let replicas: Vec<_> = (0..3).map(|_| installation.replica(&SHORT)).collect();
    installation.wait_ready(3);
    assert_eq!(installation.rotation().current().certificate(), old.current().certificate());
    let load = Load::start(server, namespace.name(), 4);
    eventually("both authorities to be trusted", || {
        installation.published().iter().all(|bundle| bundle.certificates().len() == 2)
    });
    eventually("the old one to be dropped", || {
        let bundles = installation.published();
        bundles.iter().all(|bundle| {
            bundle.certificates().len() == 1 && bundle.certificates()[0] != *old.current().certificate()
        })
    });
    // Each signs by the new one, and still is called.
    let before = load.calls();
    eventually("calls after it", || load.calls() > before + 100);
    let trusting = Client::trusting(&installation.published()[0], None).unwrap();
    for replica in &replicas {
        assert_eq!(trusting.get(replica.port(), "/readyz").unwrap().code, 200);
        assert!(metric(replica, "netpol_webhook_certificate_changes_total ").unwrap() >= 2.0);
    }
    let (calls, failures) = load.end();
    println!("{calls} calls while the authority was replaced, failed: {failures:?}");
    assert!(failures.is_empty(), "{calls} calls: {failures:#?}");
    let promoted = |replica| metric(replica, "netpol_webhook_authority_rotations_total ").unwrap();
    assert_eq!(replicas.iter().map(promoted).sum::<f64>(), 1.0);
}

#[test]
fn a_lost_authority_is_replaced_under_load() {
    let Some(server) = ApiServer::shared("a_lost_authority_is_replaced_under_load") else { return };
    let namespace = server.namespace("lost").unwrap();
    let installation = Installation::new(server, &[namespace.name()]);
    let short = ["--ca-life=120s", "--leaf-life=10s", "--ca-settle=2s", "--cert-refresh=300ms"];
    let replicas: Vec<_> = (0..2).map(|_| installation.replica(&short)).collect();
    installation.wait_ready(2);
    let load = Load::start(server, namespace.name(), 4);
    let mut lost = installation.rotation().current().certificate().clone();
    for damaged in [true, false] {
        if damaged {
            let mut secret = block_on(installation.secrets().get("netpol-webhook-ca")).unwrap();
            secret.data = Some([("ca.crt".to_owned(), ByteString(b"no certificate".to_vec()))].into());
            secret.metadata.resource_version = None;
            block_on(installation.secrets().replace("netpol-webhook-ca", &PostParams::default(), &secret))
                .unwrap();
        } else {
            block_on(installation.secrets().delete("netpol-webhook-ca", &DeleteParams::default())).unwrap();
        }
        // There is a new one, the lost one stays trusted, and in the end each replica signs by the new one.
        eventually("both to be trusted", || {
            installation
                .published()
                .iter()
                .all(|bundle| bundle.certificates().len() >= 2 && bundle.certificates()[1..].contains(&lost))
        });
        let new = installation.rotation();
        assert_ne!(*new.current().certificate(), lost);
        let only_new =
            Client::trusting(&[new.current().certificate().clone()].into_iter().collect(), None).unwrap();
        eventually("the replicas to sign by the new one", || {
            replicas.iter().all(|replica| only_new.connect(replica.port()).is_ok())
        });
        lost = new.current().certificate().clone();
    }
    let before = load.calls();
    eventually("calls after it", || load.calls() > before + 50);
    let (calls, failures) = load.end();
    println!("{calls} calls while the authority was lost twice, failed: {failures:?}");
    assert!(failures.is_empty(), "{calls} calls: {failures:#?}");
    for replica in &replicas {
        let log = std::fs::read_to_string(replica.log_file()).unwrap();
        assert!(!log.contains("PRIVATE") && !log.contains(&STANDARD.encode("-----BEGIN EC")[..12]), "{log}");
    }
    let said = replicas.iter().any(|replica| {
        std::fs::read_to_string(replica.log_file()).unwrap().contains("the authority's Secret is unusable")
    });
    assert!(said);
}

#[test]
fn each_right_is_needed() {
    let Some(server) = ApiServer::shared("each_right_is_needed") else { return };
    let namespace = server.namespace("rights").unwrap();
    let installation = Installation::new(server, &[namespace.name()]);
    for (number, (all, fewer, missing)) in [
        ("[create]", "[watch]", "cannot create the Secret"),
        ("[get, update]", "[update]", "cannot get the Secret"),
        ("[get, update]", "[get]", "cannot update the Secret"),
        ("[get, patch]", "[patch]", "cannot get the ValidatingWebhookConfiguration"),
        ("[get, patch]", "[get]", "cannot patch the ValidatingWebhookConfiguration"),
    ]
    .into_iter()
    .enumerate()
    {
        assert!(RBAC.contains(all));
        installation.remove();
        server.apply("", &configurations(installation.service.port(), &[namespace.name()])).unwrap();
        let replica = installation.replica_with_rights(&format!("few-{number}"), &RBAC.replace(all, fewer));
        // Rights reach the API server's own view one after the other, so other refusals may come before.
        eventually(missing, || {
            let log = std::fs::read_to_string(replica.log_file()).unwrap();
            log.lines()
                .rfind(|line| line.contains("can't be kept up"))
                .is_some_and(|line| line.contains(missing) && line.contains("forbidden"))
        });
        assert_eq!(
            Client::careless().unwrap().get(replica.port(), "/readyz").unwrap().code,
            503,
            "{missing}"
        );
        assert!(metric(&replica, "netpol_webhook_authority_failures_total ") > Some(0.0));
    }
}

#[test]
fn what_belongs_to_others_is_left_alone_and_shown() {
    let Some(server) = ApiServer::shared("what_belongs_to_others_is_left_alone_and_shown") else { return };
    let namespace = server.namespace("others").unwrap();
    let installation = Installation::new(server, &[namespace.name()]);
    let theirs = "apiVersion: v1\nkind: Secret\nmetadata: {name: netpol-webhook-ca}\ntype: Opaque\nstringData: {ca.crt: theirs}\n";
    server.apply("netpol-system", theirs).unwrap();
    let before = installation.secret();
    let replica = installation.replica(&["--cert-refresh=300ms"]);
    replica
        .log(|line| line["error"].as_str().is_some_and(|error| error.contains("belongs to something else")))
        .unwrap();
    assert_eq!(Client::careless().unwrap().get(replica.port(), "/healthz").unwrap().code, 200);
    assert_eq!(Client::careless().unwrap().get(replica.port(), "/readyz").unwrap().code, 503);
    assert_eq!(installation.secret(), before);

    // Once it is gone, all is well without a restart.
    block_on(installation.secrets().delete("netpol-webhook-ca", &DeleteParams::default())).unwrap();
    installation.wait_ready(1);
    let shown = std::process::Command::new(programs::webhook().unwrap())
        .args(["certs", "show", "--secret", "netpol-system/netpol-webhook-ca"])
        .args(["--webhook-configuration", "netpol-webhook", "--kubeconfig"])
        .arg(server.kubeconfig())
        .output()
        .unwrap();
    let text = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.status.success(), "{}", String::from_utf8_lossy(&shown.stderr));
    for said in [
        "netpol-system/netpol-webhook-ca: signs, valid ",
        "364 days left",
        "ValidatingWebhookConfiguration netpol-webhook trusts it",
        "MutatingWebhookConfiguration netpol-webhook trusts it",
    ] {
        assert!(text.contains(said), "{text}");
    }
    assert!(!text.contains("PRIVATE"));
}
