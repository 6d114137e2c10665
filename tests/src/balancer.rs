//! What a Service is in a cluster: one address for several replicas. New connections go to those that accept them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Result;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::apiserver::block_on;

/// An address on loopback that leads to replicas in turn. Dropping it closes it; connections end when they end.
#[derive(Debug)]
pub struct Balancer {
    port: u16,
    task: JoinHandle<()>,
}

impl Balancer {
    /// In front of these ports on 127.0.0.1.
    ///
    /// # Errors
    /// When it can't listen.
    pub fn new(ports: &[u16]) -> Result<Self> {
        block_on(async {
            let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
            let port = listener.local_addr()?.port();
            let (ports, turn) = (Arc::<[u16]>::from(ports), Arc::new(AtomicUsize::new(0)));
            let task = tokio::spawn(async move {
                while let Ok((stream, _)) = listener.accept().await {
                    tokio::spawn(forward(stream, ports.clone(), turn.fetch_add(1, Ordering::Relaxed)));
                }
            });
            Ok(Self { port, task })
        })
    }

    /// Where it listens on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn forward(mut client: TcpStream, ports: Arc<[u16]>, turn: usize) {
    for at in 0..ports.len() {
        let port = ports[(turn + at) % ports.len()];
        if let Ok(mut replica) = TcpStream::connect(("127.0.0.1", port)).await {
            // Either side may break off: the other sees it as it would without us.
            let _ = copy_bidirectional(&mut client, &mut replica).await;
            return;
        }
    }
}
