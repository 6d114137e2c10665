//! One API server.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context as _, Result, anyhow};

use super::etcd::Etcd;
use super::{block_on, kubeconfig, ports, programs, wait_until_ready};
use crate::process::{Process, last_words};

/// An API server, which may be down at the moment.
#[derive(Debug)]
pub(super) struct Server {
    port: u16,
    log: PathBuf,
    kubeconfig: PathBuf,
    arguments: Vec<String>,
    process: Mutex<Option<Process>>,
}

impl Server {
    pub(super) fn start(etcd: &Etcd, arguments: &[String]) -> Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let mut attempts = 0;
        loop {
            let [port] = ports::free()?;
            let name = format!("apiserver-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
            let server = Self {
                port,
                log: etcd.directory.join(&format!("{name}.log")),
                kubeconfig: etcd.directory.join(&format!("{name}.kubeconfig")),
                arguments: arguments.to_vec(),
                process: Mutex::new(None),
            };
            kubeconfig::write(&server.kubeconfig, port, &etcd.pki.admin)?;
            match server.run(etcd) {
                Ok(()) => return Ok(server),
                // Its port may have been taken in the meantime.
                Err(error) if attempts == 3 => return Err(error),
                Err(_) => attempts += 1,
            }
        }
    }

    pub(super) fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// Runs it, and waits until it answers.
    pub(super) fn run(&self, etcd: &Etcd) -> Result<()> {
        let process = Process::spawn(self.command(etcd)?, || Ok(())).context("starting kube-apiserver")?;
        let client = kubeconfig::client(&self.kubeconfig, None)?;
        let ready = || {
            let request = http::Request::get("/readyz").body(Vec::new()).expect("it is a request");
            block_on(client.request_text(request)).is_ok()
        };
        wait_until_ready("kube-apiserver", ready, || process.has_ended())
            .with_context(|| last_words(&self.log))?;
        *self.process.lock().expect("nobody panics with the lock") = Some(process);
        Ok(())
    }

    pub(super) fn stop(&self) {
        *self.process.lock().expect("nobody panics with the lock") = None;
    }

    fn command(&self, etcd: &Etcd) -> Result<Command> {
        let program = programs::find().map_err(|missing| anyhow!(missing))?.join("kube-apiserver");
        let output = File::options().create(true).append(true).open(&self.log)?;
        let mut command = Command::new(program);
        for (flag, path) in [
            ("--cert-dir", etcd.directory.path()),
            ("--client-ca-file", &etcd.pki.authority),
            ("--tls-cert-file", &etcd.pki.server.public),
            ("--tls-private-key-file", &etcd.pki.server.private),
            ("--service-account-key-file", &etcd.pki.service_accounts.public),
            ("--service-account-signing-key-file", &etcd.pki.service_accounts.private),
        ] {
            command.arg(flag).arg(path);
        }
        command
            .args(["--etcd-servers", &etcd.url])
            .args(["--secure-port", &self.port.to_string()])
            // Webhooks by URL are on loopback too. The Service `kubernetes` gets no endpoint: it may not be there.
            .args(["--bind-address", "127.0.0.1", "--advertise-address", "127.0.0.1"])
            .args(["--endpoint-reconciler-type", "none"])
            .args(["--service-account-issuer", "https://kubernetes.default.svc.cluster.local"])
            .args(["--service-cluster-ip-range", "10.96.0.0/16"])
            .args(["--authorization-mode", "RBAC", "--anonymous-auth=false", "--allow-privileged"])
            // No controller makes the service accounts that it wants.
            .args(["--disable-admission-plugins", "ServiceAccount"])
            .args(["--profiling=false", "--v=0"])
            .args(&self.arguments)
            .env_clear()
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output);
        Ok(command)
    }
}
