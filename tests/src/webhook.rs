//! The webhook under test, as a process on loopback that a real API server asks.

use std::fmt;
use std::fs;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kube::{Client, Config};
use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::apiserver::{ApiServer, block_on};
use crate::process::{self, Process};
use crate::programs;

const VALIDATING: &str = include_str!("../../manifests/base/validatingwebhookconfiguration.yaml");
const MUTATING: &str = include_str!("../../manifests/base/mutatingwebhookconfiguration.yaml");

/// How long it may take to do what it was asked. A busy machine with two cores needs some seconds.
const PATIENCE: Duration = Duration::from_secs(60);

/// A webhook that listens on loopback; it is killed when this is dropped, and when this process ends in whatever way.
pub struct Webhook {
    process: Process,
    directory: TempDir,
    port: u16,
    /// Asks it.
    client: OnceLock<Client>,
}

impl Webhook {
    /// Starts `netpol-webhook serve` for the cluster of a kubeconfig, with a certificate in memory, and waits until it listens.
    ///
    /// # Errors
    /// When it can't be built or started; with its last words.
    pub fn start(kubeconfig: &Path, arguments: &[&str]) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let ca = directory.path().join("ca.crt");
        let own = ["--self-signed", "localhost,127.0.0.1", "--ca-file", ca.to_str().context("a plain path")?];
        Self::start_in(directory, kubeconfig, &[&own, arguments].concat())
    }

    /// The same with what `arguments` say of the certificate.
    ///
    /// # Errors
    /// When it can't be built or started; with its last words.
    pub fn start_with(kubeconfig: &Path, arguments: &[&str]) -> Result<Self> {
        Self::start_in(tempfile::tempdir()?, kubeconfig, arguments)
    }

    fn start_in(directory: TempDir, kubeconfig: &Path, arguments: &[&str]) -> Result<Self> {
        let log = File::create(directory.path().join(LOG))?;
        let mut command = Command::new(programs::webhook()?);
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--kubeconfig"])
            .arg(kubeconfig)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        let process = Process::spawn(command, || Ok(())).context("starting netpol-webhook")?;
        let mut webhook = Self { process, directory, port: 0, client: OnceLock::new() };
        let line = webhook.log(|line| line["message"] == "listening")?;
        let address = line["address"].as_str().context("it says where it listens")?;
        webhook.port = address.rsplit(':').next().unwrap_or_default().parse()?;
        Ok(webhook)
    }

    /// The first line of its log that a condition holds for; waits for it.
    ///
    /// # Errors
    /// When it never comes.
    pub fn log(&self, condition: impl Fn(&Value) -> bool) -> Result<Value> {
        let path = self.log_file();
        let deadline = Instant::now() + PATIENCE;
        loop {
            let text = fs::read_to_string(&path)?;
            let complete = text.rsplit_once('\n').map_or("", |(complete, _)| complete);
            let mut lines = complete.lines().filter_map(|line| serde_json::from_str(line).ok());
            if let Some(line) = lines.find(|line| condition(line)) {
                return Ok(line);
            }
            if self.process.has_ended() || Instant::now() > deadline {
                bail!("netpol-webhook doesn't say what it should:\n{}", process::last_words(&path));
            }
            thread::park_timeout(Duration::from_millis(20));
        }
    }

    /// Its log, JSON lines.
    #[must_use]
    pub fn log_file(&self) -> PathBuf {
        self.directory.path().join(LOG)
    }

    /// Where it listens on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.pid().as_raw_nonzero().get().unsigned_abs()
    }

    /// What clients trust: the authority of a webhook that was started with [`Self::start`].
    ///
    /// # Errors
    /// When there is none.
    pub fn ca(&self) -> Result<String> {
        Ok(fs::read_to_string(self.directory.path().join("ca.crt"))?)
    }

    /// Tells the API server to ask this webhook, by the configurations that are installed in a cluster; only about the
    /// namespaces given, so that tests don't meet.
    ///
    /// # Errors
    /// When the API server refuses.
    pub fn register<'s>(&self, server: &'s ApiServer, namespaces: &[&str]) -> Result<Registration<'s>> {
        let ours = json!({"key": "kubernetes.io/metadata.name", "operator": "In", "values": namespaces});
        register(server, self.port, &self.ca()?, &ours, None)
    }

    /// What it answers to a GET.
    ///
    /// # Errors
    /// When it doesn't answer, or not with success.
    pub fn get(&self, path: &str) -> Result<String> {
        self.ask(http::Request::get(path).body(Vec::new())?)
    }

    /// What it answers to a review.
    ///
    /// # Errors
    /// When it doesn't answer, or not with success.
    pub fn post(&self, path: &str, review: &Value) -> Result<Value> {
        let request = http::Request::post(path).header("content-type", "application/json");
        Ok(serde_json::from_str(&self.ask(request.body(review.to_string().into_bytes())?)?)?)
    }

    fn ask(&self, request: http::Request<Vec<u8>>) -> Result<String> {
        if self.client.get().is_none() {
            let mut config = Config::new(format!("https://127.0.0.1:{}", self.port).parse()?);
            config.root_cert = Some(vec![der(&self.ca()?)?]);
            let client = block_on(async { Client::try_from(config) })?;
            // Whoever was first: they are all the same.
            let _ = self.client.set(client);
        }
        let client = self.client.get().context("it was set")?;
        Ok(block_on(client.request_text(request))?)
    }

    /// A number from its metrics page; `name` is without the common prefix, and with the labels if there are any.
    ///
    /// # Errors
    /// When it doesn't answer, or there is no such metric.
    pub fn metric(&self, name: &str) -> Result<u64> {
        let page = self.get("/metrics")?;
        let value = page
            .lines()
            .find_map(|line| line.strip_prefix("netpol_webhook_")?.strip_prefix(name)?.strip_prefix(' '));
        Ok(value.with_context(|| format!("no metric {name}"))?.parse()?)
    }

    /// The most memory that it has held up to now, in bytes (`VmHWM`).
    ///
    /// # Errors
    /// When it has ended.
    pub fn peak_memory(&self) -> Result<u64> {
        let pid = self.process.pid().as_raw_nonzero();
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB")).context("VmHWM")?;
        Ok(kibibytes.trim().parse::<u64>()? * 1024)
    }

    /// Asks it to end, and waits for it.
    ///
    /// # Errors
    /// When it doesn't end.
    pub fn stop(self) -> Result<ExitStatus> {
        self.signal(Signal::TERM)?;
        self.process.wait(PATIENCE).context("netpol-webhook doesn't end")
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// When it has ended.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        self.process.signal(signal)
    }
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhook").field("process", &self.process).field("port", &self.port).finish()
    }
}

const LOG: &str = "webhook.log";

/// Tells the API server to ask whoever listens on a port of loopback; about namespaces for which `ours`, a requirement of
/// a label selector, holds. `failure_policy` is in the place of those of the installed configurations.
///
/// # Errors
/// When the API server refuses.
pub fn register<'s>(
    server: &'s ApiServer,
    port: u16,
    ca: &str,
    ours: &Value,
    failure_policy: Option<&str>,
) -> Result<Registration<'s>> {
    let mut objects = Vec::new();
    for text in [VALIDATING, MUTATING] {
        let mut object: Value = serde_saphyr::from_str(text)?;
        object["metadata"]["name"] = json!(format!("netpol-webhook-{port}"));
        for hook in object["webhooks"].as_array_mut().context("there are webhooks")? {
            let path = hook["clientConfig"]["service"]["path"].as_str().context("a path")?;
            let url = format!("https://127.0.0.1:{port}{path}");
            hook["clientConfig"] = json!({"url": url, "caBundle": STANDARD.encode(ca)});
            let selector = &mut hook["namespaceSelector"]["matchExpressions"];
            selector.as_array_mut().context("a selector")?.push(ours.clone());
            if let Some(policy) = failure_policy {
                hook["failurePolicy"] = json!(policy);
            }
        }
        objects.push(object.to_string());
    }
    let registration = Registration { server, objects: objects.join("\n---\n") };
    server.apply("", &registration.objects)?;
    Ok(registration)
}

/// The certificate of a PEM text.
fn der(pem: &str) -> Result<Vec<u8>> {
    let base64: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    Ok(STANDARD.decode(base64)?)
}

/// The API server asks the webhook as long as this is alive.
#[derive(Debug)]
pub struct Registration<'s> {
    server: &'s ApiServer,
    objects: String,
}

impl Drop for Registration<'_> {
    fn drop(&mut self) {
        // The API server may be down already, with all that it held.
        let _ = self.server.delete("", &self.objects);
    }
}
