//! Connections, from the first to the last.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use super::{App, routes};

/// A client gets this long for its handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// And this long from one request to the headers of the next. The API server drops connections that were idle for
/// 90 seconds; a shorter time here would close some just as it sends on them, which it reports as EOF.
const HEADERS: Duration = Duration::from_secs(120);

/// The pause after a failed accept, which is about file descriptors and passes.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How the end goes.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// How long it still serves after it became unready, until every API server knows.
    pub drain: Duration,
    /// How long the requests that are then still open get.
    pub finish: Duration,
}

/// How the end went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Every request that had been accepted was answered.
    Finished,
    /// Some were still open when [`Limits::finish`] was over.
    Cut,
}

/// Serves until `stop` resolves, then drains: unready, on for [`Limits::drain`] or until `stop_now` resolves, no
/// further connections, and at most [`Limits::finish`] for the requests that are open.
pub async fn serve(
    app: Arc<App>,
    listener: TcpListener,
    tls: ServerConfig,
    limits: Limits,
    stop: impl Future<Output = ()>,
    stop_now: impl Future<Output = ()>,
) -> End {
    let tls = TlsAcceptor::from(Arc::new(tls));
    let service = TowerToHyperService::new(routes::router(Arc::clone(&app)));
    let graceful = GracefulShutdown::new();
    let end = async {
        stop.await;
        app.readiness.drain();
        tracing::info!(drain_s = limits.drain.as_secs_f64(), "unready, still serving");
        tokio::select! {
            () = sleep(limits.drain) => {}
            () = stop_now => {}
        }
    };
    tokio::pin!(end);
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    tokio::spawn(connection(stream, tls.clone(), service.clone(), graceful.watcher()));
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    sleep(ACCEPT_PAUSE).await;
                }
            },
            () = &mut end => break,
        }
    }
    drop(listener);
    tracing::info!(connections = graceful.count(), "finishing");
    match timeout(limits.finish, graceful.shutdown()).await {
        Ok(()) => End::Finished,
        Err(_) => End::Cut,
    }
}

async fn connection(
    stream: TcpStream,
    tls: TlsAcceptor,
    service: TowerToHyperService<axum::Router>,
    watcher: Watcher,
) {
    // Answers are small and written at once: there is nothing to wait for.
    let _ = stream.set_nodelay(true);
    let stream = match timeout(HANDSHAKE, tls.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return tracing::debug!(%error, "handshake failed"),
        Err(_) => return tracing::debug!("handshake not finished in time"),
    };
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEADERS);
    if let Err(error) = watcher.watch(http.serve_connection(TokioIo::new(stream), service)).await {
        tracing::debug!(%error, "connection ended");
    }
}
