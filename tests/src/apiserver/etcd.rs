//! The store.

use std::fs::File;
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};

use super::directory::Directory;
use super::pki::Pki;
use super::{ports, programs, wait_until_ready};
use crate::process::{Process, last_words};

/// An etcd that runs, with the directory and the keys that its API servers share.
#[derive(Debug)]
pub(super) struct Etcd {
    pub(super) url: String,
    pub(super) pki: Pki,
    // In this order: first the process goes, then its data.
    _process: Process,
    pub(super) directory: Directory,
}

impl Etcd {
    pub(super) fn start() -> Result<Self> {
        let directory = Directory::new()?;
        let pki = Pki::create(directory.path())?;
        let mut attempts = 0;
        loop {
            match run(&directory) {
                Ok((url, process)) => return Ok(Self { url, pki, _process: process, directory }),
                // Its port may have been taken in the meantime.
                Err(error) if attempts == 3 => return Err(error),
                Err(_) => attempts += 1,
            }
        }
    }
}

fn run(directory: &Directory) -> Result<(String, Process)> {
    let program = programs::find().map_err(|missing| anyhow!(missing))?.join("etcd");
    let [client, peer] = ports::free()?;
    let (url, peer) = (format!("http://127.0.0.1:{client}"), format!("http://127.0.0.1:{peer}"));
    let log = directory.join("etcd.log");
    let output = File::create(&log)?;
    let mut command = Command::new(&program);
    command
        .arg("--data-dir")
        .arg(directory.join("etcd"))
        .args(["--listen-client-urls", &url, "--advertise-client-urls", &url])
        .args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer])
        .args(["--initial-cluster", &format!("default={peer}")])
        // What a crash of the machine would lose is of no use.
        .args(["--unsafe-no-fsync", "--log-level", "warn"])
        .env_clear()
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output);
    let process =
        Process::spawn(command, || Ok(())).with_context(|| format!("starting {}", program.display()))?;
    let address = ([127, 0, 0, 1], client).into();
    let ready = || TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok();
    wait_until_ready("etcd", ready, || process.has_ended()).with_context(|| last_words(&log))?;
    Ok((url, process))
}
