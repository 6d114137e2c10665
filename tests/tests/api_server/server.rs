//! The server around the reviews: replaced under load, flooded, shown a certificate, and left without an API server.

use std::net::Ipv4Addr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};
use std::{env, fs, thread};

use k8s_openapi::api::core::v1::Secret;
use kube::api::DeleteParams;
use netpol_certs::{Bundle, Leaf};
use netpol_tests::apiserver::{ApiServer, block_on, skip};
use netpol_tests::https::Client;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustix::process::Signal;

use crate::certs::{Installation, eventually, metric};
use crate::load::Load;

#[test]
fn a_roll_out_under_load_loses_nothing() {
    let Some(server) = ApiServer::shared("a_roll_out_under_load_loses_nothing") else { return };
    let namespace = server.namespace("roll").unwrap();
    let installation = Installation::new(server, &[namespace.name()]);
    let arguments = ["--cert-refresh=500ms", "--drain-time=3s", "--finish-time=10s"];
    let mut replicas: Vec<_> = (0..2).map(|_| installation.replica(&arguments)).collect();
    installation.wait_ready(2);
    let load = Load::start(server, namespace.name(), 4);
    for _ in 0..4 {
        // As maxSurge: 1 and maxUnavailable: 0 have it.
        replicas.push(installation.replica(&arguments));
        installation.wait_ready(3);
        let old = replicas.remove(0);
        let port = old.port();
        assert!(old.stop().unwrap().success());
        installation.service.remove(port);
        let before = load.calls();
        eventually("calls of the others", || load.calls() > before + 20);
    }
    let (calls, failures) = load.end();
    println!("{calls} calls while 4 replicas were replaced, failed: {failures:?}");
    assert!(failures.is_empty(), "{calls} calls: {failures:#?}");
}

#[test]
fn a_flood_takes_nothing_from_others() {
    let Some(server) = ApiServer::shared("a_flood_takes_nothing_from_others") else { return };
    let namespace = server.namespace("flood").unwrap();
    let installation = Installation::new(server, &[namespace.name()]);
    let replica = installation.replica(&["--cert-refresh=1s", "--max-connections=100", "--max-concurrent=8"]);
    installation.wait_ready(1);
    let idle = replica.peak_memory().unwrap();

    let connections = env::var("NETPOL_FLOOD").map_or(600, |number| number.parse().unwrap());
    let (stop, opened, refused) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
    let port = replica.port();
    thread::scope(|scope| {
        // From another address, as another pod has it.
        let client = Client::careless().unwrap().from(Ipv4Addr::new(127, 0, 0, 2));
        for thread in 0..6 {
            let (client, stop, opened, refused) = (client.clone(), &stop, &opened, &refused);
            scope.spawn(move || flood(thread, &client, port, stop, opened, refused));
        }
        eventually("the flood to be over the limits", || {
            opened.load(Ordering::Relaxed) > connections / 6 && refused.load(Ordering::Relaxed) > 0
        });
        let load = Load::start(server, namespace.name(), 2);
        let careless = Client::careless().unwrap();
        let mut probes = 0;
        let mut slowest = Duration::ZERO;
        while opened.load(Ordering::Relaxed) + refused.load(Ordering::Relaxed) < connections
            || load.calls() < 50
        {
            let start = Instant::now();
            let answer = careless.get(port, "/readyz").unwrap();
            assert_eq!(answer.code, 200, "{}", answer.text);
            slowest = slowest.max(start.elapsed());
            probes += 1;
        }
        let (calls, failures) = load.end();
        stop.store(true, Ordering::Relaxed);
        let peak = replica.peak_memory().unwrap();
        println!(
            "flood of {} connections, {} turned away: {probes} probes ready, the slowest in {slowest:?}; {calls} calls, \
             failed: {failures:?}; memory {} MiB, {} MiB before",
            opened.load(Ordering::Relaxed),
            refused.load(Ordering::Relaxed),
            peak >> 20,
            idle >> 20,
        );
        assert!(failures.is_empty(), "{failures:#?}");
        assert!(slowest < Duration::from_secs(5), "{slowest:?}");
        // The Deployment's limit is 512 MiB.
        assert!(peak < 400 << 20, "{} MiB", peak >> 20);
    });
    assert!(metric(&replica, "netpol_webhook_connections_refused_total ") > Some(0.0));
}

/// Opens connections of every bad kind until it is stopped, and keeps the last hundred.
fn flood(
    thread: usize,
    client: &Client,
    port: u16,
    stop: &AtomicBool,
    opened: &AtomicUsize,
    refused: &AtomicUsize,
) {
    let large = large_review();
    let (mut silent, mut kept) = (Vec::new(), Vec::new());
    while !stop.load(Ordering::Relaxed) {
        let done = match thread {
            // No handshake.
            0 => client.tcp(port).map(|stream| silent.push(stream)),
            // Nothing after it; the beginning of headers; of a small body; of a large one.
            1..=4 => client.connect(port).and_then(|mut connection| {
                match thread {
                    2 => connection.send(b"POST /validate HTTP/1.1\r\nHost: ")?,
                    3 => connection.begin("/validate?timeout=30s", 1000)?,
                    4 => connection.begin("/validate?timeout=30s", large.len())?,
                    _ => {}
                }
                kept.push(connection);
                Ok(())
            }),
            // Whole large reviews, one after the other.
            _ => client
                .connect(port)
                .and_then(|mut connection| connection.post("/validate?timeout=30s", &large))
                .map(drop),
        };
        (if done.is_ok() { opened } else { refused }).fetch_add(1, Ordering::Relaxed);
        // More than there is room for, and no more descriptors than a process may have.
        silent.drain(..silent.len().saturating_sub(100));
        kept.drain(..kept.len().saturating_sub(100));
        thread::park_timeout(Duration::from_millis(5));
    }
}

/// A review of a policy with very many rules, just within the limit.
fn large_review() -> Vec<u8> {
    let rule = r#"{"from":[{"ipBlock":{"cidr":"10.0.0.0/8"}}],"ports":[{"protocol":"TCP","port":80}]},"#;
    let begin = r#"{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":"large","kind":{"group":"networking.k8s.io","version":"v1","kind":"NetworkPolicy"},"name":"p","namespace":"shop","operation":"CREATE","userInfo":{},"object":{"apiVersion":"networking.k8s.io/v1","kind":"NetworkPolicy","metadata":{"name":"p","namespace":"shop"},"spec":{"podSelector":{},"ingress":["#;
    let rules = rule.repeat(6 * 1024 * 1024 / rule.len());
    format!("{begin}{}]}}}}}}}}", rules.trim_end_matches(',')).into_bytes()
}

/// An authority for clients, and clients of it.
struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let pem = params.self_signed(&key).unwrap().pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    fn client(&self, name: &str) -> Leaf {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(["client".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Leaf::from_pem(&certificate.pem(), &key.serialize_pem(), SystemTime::now()).unwrap()
    }
}

/// An API server that shows webhooks a certificate, and may be stopped; with the authority of that certificate.
fn showing() -> &'static (ApiServer, Authority) {
    static SHOWING: OnceLock<(ApiServer, Authority)> = OnceLock::new();
    SHOWING.get_or_init(|| {
        let authority = Authority::new("clients");
        let client = authority.client("kube-apiserver");
        let server = ApiServer::start_with(|directory| {
        let file = |name: &str, text: &str| {
            fs::write(directory.join(name), text).unwrap();
            directory.join(name).to_str().unwrap().to_owned()
        };
        let (certificate, key) = (file("client.crt", &client.chain_pem()), file("client.key", client.key_pem()));
        let kubeconfig = file(
            "webhooks.kubeconfig",
            &format!(
                "apiVersion: v1\nkind: Config\nusers:\n- name: '*'\n  user:\n    client-certificate: {certificate}\n    \
                 client-key: {key}\n"
            ),
        );
        let plugin = |name: &str| {
            format!(
                "- name: {name}\n  configuration:\n    apiVersion: apiserver.config.k8s.io/v1\n    \
                 kind: WebhookAdmissionConfiguration\n    kubeConfigFile: {kubeconfig}\n"
            )
        };
        let configuration = format!(
            "apiVersion: apiserver.config.k8s.io/v1\nkind: AdmissionConfiguration\nplugins:\n{}{}",
            plugin("ValidatingAdmissionWebhook"),
            plugin("MutatingAdmissionWebhook"),
        );
        let configuration = file("admission.yaml", &configuration);
            Ok(vec![format!("--admission-control-config-file={configuration}")])
        });
        (server.unwrap(), authority)
    })
}

fn cannot_be_told(test: &str) -> bool {
    skip(test) || env::var_os("NETPOL_TEST_KUBECONFIG").is_some()
}

#[test]
fn the_api_server_shows_a_certificate() {
    if cannot_be_told("the_api_server_shows_a_certificate") {
        return;
    }
    let (server, authority) = showing();
    let namespace = server.namespace("client").unwrap();
    let installation = Installation::new(server, &[namespace.name()]);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("ca.crt");
    fs::write(&file, &authority.pem).unwrap();
    let client_ca = format!("--client-ca={}", file.display());
    let replica = installation.replica(&["--cert-refresh=300ms", &client_ca, "--client-name=kube-apiserver"]);
    installation.wait_ready(1);
    let load = Load::start(server, namespace.name(), 2);
    eventually("calls", || load.calls() > 20);
    let (calls, failures) = load.end();
    println!("{calls} calls with a certificate, failed: {failures:?}");
    assert!(failures.is_empty(), "{failures:#?}");

    // Probes and scrapers need none; reviews do.
    let port = replica.port();
    let careless = Client::careless().unwrap();
    for (path, code) in [("/healthz", 200), ("/readyz", 200), ("/metrics", 200)] {
        assert_eq!(careless.get(port, path).unwrap().code, code, "{path}");
    }
    let secret: Secret = block_on(installation.secrets().get("netpol-webhook-ca")).unwrap();
    let bundle = Bundle::from_pem(std::str::from_utf8(&secret.data.unwrap()["ca.crt"].0).unwrap()).unwrap();
    let review = |shown: Option<&Leaf>| {
        let client = Client::trusting(&bundle, shown).unwrap();
        ["/validate", "/mutate", "/protect"].map(|path| {
            client
                .connect(port)
                .and_then(|mut connection| connection.post(path, b"{}"))
                .map(|answer| answer.code)
                .ok()
        })
    };
    assert_eq!(review(None), [Some(403); 3]);
    // It gets as far as its body, which is none.
    let (good, other) = (authority.client("kube-apiserver"), Authority::new("clients"));
    assert_eq!(review(Some(&good)), [Some(400); 3]);
    assert_eq!(review(Some(&authority.client("kubelet"))), [None; 3]);
    assert_eq!(review(Some(&other.client("kube-apiserver"))), [None; 3]);

    // Another authority is taken into use without a restart, and no authority at all is not.
    fs::write(&file, &other.pem).unwrap();
    eventually("the other authority", || review(Some(&other.client("kube-apiserver"))) == [Some(400); 3]);
    assert_eq!(review(Some(&good)), [None; 3]);
    fs::write(&file, "nothing").unwrap();
    replica
        .log(|line| {
            line["message"]
                .as_str()
                .is_some_and(|said| said.contains("new authorities of clients are refused"))
        })
        .unwrap();
    assert_eq!(review(Some(&other.client("kube-apiserver"))), [Some(400); 3]);
    assert_eq!(review(None), [Some(403); 3]);
}

#[test]
fn the_api_server_goes_and_comes_back() {
    if cannot_be_told("the_api_server_goes_and_comes_back") {
        return;
    }
    let (server, _) = showing();
    let namespace = server.namespace("back").unwrap();
    let installation = Installation::new(server, &[namespace.name()]);
    let first = installation.replica(&["--cert-refresh=300ms"]);
    installation.wait_ready(1);
    server.stop().unwrap();
    eventually("failures", || metric(&first, "netpol_webhook_authority_failures_total ") > Some(1.0));
    // What is served stays, and who starts now waits.
    let careless = Client::careless().unwrap();
    assert_eq!(careless.get(first.port(), "/readyz").unwrap().code, 200);
    let second = installation.replica(&["--cert-refresh=300ms"]);
    assert_eq!(careless.get(second.port(), "/healthz").unwrap().code, 200);
    assert_eq!(careless.get(second.port(), "/readyz").unwrap().code, 503);
    server.restart().unwrap();
    installation.wait_ready(2);
    // All goes on: a lost authority is made anew.
    let (before, _) = installation.secret();
    block_on(installation.secrets().delete("netpol-webhook-ca", &DeleteParams::default())).unwrap();
    eventually("another authority", || {
        let found = block_on(installation.secrets().get_opt("netpol-webhook-ca")).unwrap();
        found.is_some_and(|secret| secret.data.is_some_and(|data| data["ca.crt"].0 != before["ca.crt"]))
    });
    let load = Load::start(server, namespace.name(), 2);
    eventually("calls", || load.calls() > 20);
    let (calls, failures) = load.end();
    println!("{calls} calls after the API server's restart, failed: {failures:?}");
    assert!(failures.is_empty(), "{failures:#?}");
    first.signal(Signal::TERM).unwrap();
}
