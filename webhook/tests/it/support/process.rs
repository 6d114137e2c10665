//! The program, started and ended.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use netpol_certs::Bundle;
use serde_json::Value;
use tempfile::TempDir;

use super::{Answer, Client, eventually};

/// `netpol-webhook` with these arguments.
pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_netpol-webhook"));
    command.args(arguments);
    command
}

/// A webhook that listens; killed when dropped.
pub(crate) struct Webhook {
    child: Child,
    logs: Receiver<Value>,
    address: SocketAddr,
    pub(crate) trust: Bundle,
    _directory: TempDir,
}

impl Webhook {
    /// Starts one with a certificate of its own for `localhost`.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let ca = directory.path().join("ca.crt");
        let own = ["--self-signed", "localhost", "--ca-file", ca.to_str().unwrap()];
        let (child, logs, address) = spawn(&[&own, arguments].concat());
        let trust = Bundle::from_pem(&std::fs::read_to_string(ca).unwrap()).unwrap();
        Self { child, logs, address, trust, _directory: directory }
    }

    /// Starts one with the certificate of a directory.
    pub(crate) fn with_directory(directory: TempDir, trust: Bundle, arguments: &[&str]) -> Self {
        let path = directory.path().to_str().unwrap().to_owned();
        let refresh = ["--cert-refresh", "50ms"];
        let refresh = if arguments.contains(&refresh[0]) { &[][..] } else { &refresh };
        let (child, logs, address) = spawn(&[&["--cert-dir", &path], refresh, arguments].concat());
        Self { child, logs, address, trust, _directory: directory }
    }

    /// A connection of its own.
    pub(crate) fn client(&self) -> Client {
        self.try_client().unwrap()
    }

    pub(crate) fn try_client(&self) -> std::io::Result<Client> {
        Client::connect(self.address, &self.trust)
    }

    pub(crate) fn try_client_trusting(&self, trust: &Bundle) -> std::io::Result<Client> {
        Client::connect(self.address, trust)
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.client().get(path)
    }

    pub(crate) fn post(&self, path: &str, body: impl AsRef<[u8]>) -> Answer {
        self.client().post(path, body.as_ref())
    }

    /// SIGTERM, as the kubelet sends it.
    pub(crate) fn terminate(&self) {
        let killed = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        assert!(killed.success());
    }

    /// Waits for its end.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let mut status = None;
        eventually("the end of the process", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }

    /// The next line of the log that a condition holds for.
    pub(crate) fn log(&self, condition: impl Fn(&Value) -> bool) -> Value {
        next(&self.logs, condition)
    }
}

impl Drop for Webhook {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(arguments: &[&str]) -> (Child, Receiver<Value>, SocketAddr) {
    let mut command = command(&["serve", "--listen", "127.0.0.1:0"]);
    let mut child = command.args(arguments).stderr(Stdio::piped()).spawn().unwrap();
    let errors = BufReader::new(child.stderr.take().unwrap());
    let (sender, logs) = channel();
    std::thread::spawn(move || {
        for line in errors.lines() {
            let line = line.unwrap();
            let line = serde_json::from_str(&line).unwrap_or(Value::String(line));
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    let listening = next(&logs, |line| line["message"] == "listening");
    let address = listening["address"].as_str().unwrap().parse().unwrap();
    (child, logs, address)
}

fn next(logs: &Receiver<Value>, condition: impl Fn(&Value) -> bool) -> Value {
    loop {
        let line = logs.recv_timeout(Duration::from_secs(20)).expect("a line of the log");
        if condition(&line) {
            return line;
        }
    }
}
