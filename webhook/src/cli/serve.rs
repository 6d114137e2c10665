//! `netpol-webhook serve`.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use netpol_certs::Clients;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Mutex;

use super::certificate::Certificate;
use super::connect::Connect;
use super::namespaces::{Background, Namespaces};
use super::validation::Validation;
use crate::controller::Election;
use crate::duration;
use crate::server::{self, App, End, Limits};
use crate::telemetry;

#[derive(Debug, Args)]
pub(super) struct Serve {
    /// Where to listen. `[::]` is both IPv6 and IPv4, and IPv4 alone where there is no IPv6.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "[::]:8443")]
    listen: SocketAddr,
    #[command(flatten)]
    certificate: Certificate,
    #[command(flatten)]
    connect: Connect,
    #[command(flatten)]
    validation: Validation,
    /// Review at most this many requests at a time.
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..))]
    max_concurrent: u16,
    /// Keep at most this many connections; whoever has the most gives one for whoever has fewer.
    #[arg(long, value_name = "N", default_value_t = 1024, value_parser = clap::value_parser!(u16).range(2..))]
    max_connections: u16,
    /// Answer reviews only to clients whose certificate an authority of this file has signed; probes and metrics to all.
    #[arg(long, value_name = "FILE")]
    client_ca: Option<PathBuf>,
    /// And only if the certificate has this common name: an authority may have other clients too.
    #[arg(long = "client-name", value_name = "NAME", requires = "client_ca")]
    client_names: Vec<String>,
    /// After SIGTERM, keep serving this long, unready. A second signal ends it.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = duration::parse)]
    drain_time: Duration,
    /// After that, give open requests this long.
    #[arg(long, value_name = "DURATION", default_value = "15s", value_parser = duration::parse)]
    finish_time: Duration,
    /// Log events of this level and worse.
    #[arg(
        long,
        value_name = "LEVEL",
        default_value = "info",
        help = "Log error, warn, info, debug or trace and worse"
    )]
    log_level: tracing::Level,
    #[command(flatten)]
    namespaces: Namespaces,
}

impl Serve {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let _logs = telemetry::install_logs(self.log_level);
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
        runtime.context("cannot start threads")?.block_on(self.serve())
    }

    async fn serve(self) -> anyhow::Result<ExitCode> {
        // First of all: a signal that comes while starting up must not be lost.
        let signals = Mutex::new(Signals::listen()?);
        let client = self.connect.client().await?;
        tracing::info!(cluster = client.is_some(), "what is known of the cluster");
        let refresh = self.certificate.cert_refresh;
        let (source, resolver) = self.certificate.source(client.as_ref())?;
        let clients =
            self.client_ca.map(|file| Clients::open(file, self.client_names).map(Arc::new)).transpose()?;
        let labeler = self.namespaces.labeler();
        let guard = self.namespaces.guard(client.as_ref(), &labeler);
        let election = self.namespaces.election(client.as_ref())?;
        let leadership = election.as_ref().map(Election::leadership).unwrap_or_default();
        let concurrent = usize::from(self.max_concurrent);
        let mut app =
            App::new(self.validation.validator(client.as_ref())?, labeler, Arc::clone(&resolver), concurrent);
        if clients.is_some() {
            app = app.for_known_clients();
        }
        let app = Arc::new(app.guarded(guard).with_leadership(leadership));
        if source.begins_untrusted() {
            app.readiness().await_certificate();
        }
        let tls = server::tls_config(resolver, clients.clone())?;
        let listener =
            bind(self.listen).await.with_context(|| format!("cannot listen on {}", self.listen))?;
        tracing::info!(address = %listener.local_addr()?, default_deny = self.namespaces.default_deny().as_str(), "listening");

        let validation = self.validation.start(client.as_ref(), &app);
        let fresh = tokio::spawn(source.keep_fresh(Arc::clone(&app), refresh));
        let checked = clients.map(|clients| tokio::spawn(keep_checked(clients, refresh)));
        let background = client.map(|client| self.namespaces.start(client, &app, election));
        let limits = Limits {
            connections: usize::from(self.max_connections),
            drain: self.drain_time,
            finish: self.finish_time,
        };
        // Both halves of the end read the same signals, one after the other.
        let next = || async { signals.lock().await.next().await };
        let stop = async {
            next().await;
            background.iter().for_each(Background::stop);
        };
        let end = server::serve(app, listener, tls, limits, stop, next()).await;
        fresh.abort();
        if let Some(checked) = checked {
            checked.abort();
        }
        drop(validation);
        if let Some(background) = background {
            background.finish().await?;
        }
        if end == End::Cut {
            anyhow::bail!("requests were still open after {:?} and were cut", self.finish_time);
        }
        tracing::info!("done");
        Ok(ExitCode::SUCCESS)
    }
}

/// Looks for other authorities of clients again and again.
async fn keep_checked(clients: Arc<Clients>, every: Duration) {
    loop {
        tokio::time::sleep(every).await;
        match clients.refresh() {
            Ok(false) => {}
            Ok(true) => tracing::info!("other authorities of clients are trusted now"),
            Err(error) => {
                tracing::error!(%error, "the new authorities of clients are refused, the old ones stay");
            }
        }
    }
}

/// Listens; where the kernel has no IPv6, on IPv4 in the place of `[::]`.
async fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    let listener = TcpListener::bind(address).await;
    match &listener {
        Err(error) if address.ip() == Ipv6Addr::UNSPECIFIED && error.kind() != ErrorKind::AddrInUse => {
            TcpListener::bind((Ipv4Addr::UNSPECIFIED, address.port())).await
        }
        _ => listener,
    }
}

/// The signals that ask to end.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        let name = tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        };
        tracing::info!(signal = name, "asked to end");
    }
}

/// A duration that a timer can tick with.
pub(super) fn positive(text: &str) -> Result<Duration, String> {
    match duration::parse(text)? {
        Duration::ZERO => Err("must be more than zero".to_owned()),
        duration => Ok(duration),
    }
}
