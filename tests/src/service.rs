//! What a Service is to its clients: one address, and behind it whoever is ready.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

use crate::https::Client;

/// How often `/readyz` is asked.
const PROBES: Duration = Duration::from_millis(100);

/// Forwards the connections of a port of 127.0.0.1 to those of its backends that are ready, in turn. A connection that is open
/// stays where it is.
#[derive(Debug)]
pub struct Service {
    port: u16,
    backends: Arc<Mutex<Vec<Backend>>>,
    runtime: Option<Runtime>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Backend {
    port: u16,
    ready: bool,
}

impl Service {
    /// One without backends.
    ///
    /// # Errors
    /// When it can't listen.
    pub fn start() -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))?;
        let port = listener.local_addr()?.port();
        let backends = Arc::<Mutex<Vec<Backend>>>::default();
        runtime.spawn(forward(listener, backends.clone()));
        runtime.spawn(probe(Client::careless()?, backends.clone()));
        Ok(Self { port, backends, runtime: Some(runtime) })
    }

    /// Where it listens on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// From now on this port is one of its backends, once it is ready.
    pub fn add(&self, port: u16) {
        lock(&self.backends).push(Backend { port, ready: false });
    }

    /// This port is a backend no more.
    pub fn remove(&self, port: u16) {
        lock(&self.backends).retain(|backend| backend.port != port);
    }

    /// The ports of those that are ready.
    #[must_use]
    pub fn ready(&self) -> Vec<u16> {
        lock(&self.backends).iter().filter(|backend| backend.ready).map(|backend| backend.port).collect()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn forward(listener: TcpListener, backends: Arc<Mutex<Vec<Backend>>>) -> io::Result<()> {
    let mut turn = 0;
    loop {
        let (mut client, _) = listener.accept().await?;
        let ready: Vec<_> = lock(&backends).iter().filter(|backend| backend.ready).copied().collect();
        turn += 1;
        // Without any, the connection is closed, as a Service refuses it.
        let Some(backend) = (!ready.is_empty()).then(|| ready[turn % ready.len()]) else { continue };
        tokio::spawn(async move {
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, backend.port));
            let Ok(mut server) = TcpStream::connect(address).await else { return };
            let _ = (client.set_nodelay(true), server.set_nodelay(true));
            let _ = copy_bidirectional(&mut client, &mut server).await;
        });
    }
}

async fn probe(client: Client, backends: Arc<Mutex<Vec<Backend>>>) {
    let mut ticks = tokio::time::interval(PROBES);
    loop {
        ticks.tick().await;
        let ports: Vec<_> = lock(&backends).iter().map(|backend| backend.port).collect();
        for port in ports {
            let client = client.clone();
            let asked = tokio::task::spawn_blocking(move || client.get(port, "/readyz"));
            let ready = asked.await.is_ok_and(|answer| answer.is_ok_and(|answer| answer.code == 200));
            if let Some(backend) = lock(&backends).iter_mut().find(|backend| backend.port == port) {
                backend.ready = ready;
            }
        }
    }
}

fn lock(backends: &Mutex<Vec<Backend>>) -> std::sync::MutexGuard<'_, Vec<Backend>> {
    backends.lock().unwrap_or_else(PoisonError::into_inner)
}
