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

use super::room::{Place, Room};
use super::{App, routes};

/// A client gets this long for its handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// And this long from one request to the headers of the next. The API server drops connections that were idle for
/// 90 seconds; a shorter time here would close some just as it sends on them, which it reports as EOF.
const HEADERS: Duration = Duration::from_secs(120);

/// What a connection buffers at most; also the most that headers can be.
const BUFFER: usize = 64 * 1024;

/// The pause after a failed accept, which is about file descriptors and passes.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How much at a time, and how the end goes.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections that are open at a time; one more takes the place of another, see [`serve`].
    pub connections: usize,
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
///
/// When all [`Limits::connections`] are taken, whoever has the most gives: a connection of the address with the most of them
/// is closed for one of an address with fewer, and an address with the most itself gets no more. So whoever floods
/// the server does so at its own expense.
pub async fn serve(
    app: Arc<App>,
    listener: TcpListener,
    tls: ServerConfig,
    limits: Limits,
    stop: impl Future<Output = ()>,
    stop_now: impl Future<Output = ()>,
) -> End {
    let tls = TlsAcceptor::from(Arc::new(tls));
    let services = Services {
        known: TowerToHyperService::new(routes::router(Arc::clone(&app))),
        unknown: TowerToHyperService::new(routes::without_reviews(Arc::clone(&app))),
        ask: app.known_clients,
    };
    let room = Room::of(limits.connections);
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
                Ok((stream, address)) => match room.take(address.ip()) {
                    Some(place) => {
                        let connection = connection(stream, tls.clone(), services.clone(), graceful.watcher());
                        tokio::spawn(held(place, connection, Arc::clone(&app)));
                    }
                    None => app.metrics.connection_refused(),
                },
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

/// Who gets which answers.
#[derive(Clone)]
struct Services {
    known: TowerToHyperService<axum::Router>,
    /// For clients without a certificate, where one is asked for.
    unknown: TowerToHyperService<axum::Router>,
    ask: bool,
}

/// Ends a connection when its place is given to another.
async fn held(mut place: Place, connection: impl Future<Output = ()>, app: Arc<App>) {
    app.metrics.connection_opened();
    tokio::select! {
        () = connection => {}
        () = place.lost() => {
            app.metrics.connection_refused();
            tracing::debug!("closed for a connection of another address");
        }
    }
    app.metrics.connection_closed();
}

async fn connection(stream: TcpStream, tls: TlsAcceptor, services: Services, watcher: Watcher) {
    // Answers are small and written at once: there is nothing to wait for.
    let _ = stream.set_nodelay(true);
    let stream = match timeout(HANDSHAKE, tls.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return tracing::debug!(%error, "handshake failed"),
        Err(_) => return tracing::debug!("handshake not finished in time"),
    };
    let known = !services.ask || stream.get_ref().1.peer_certificates().is_some();
    let service = if known { services.known } else { services.unknown };
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEADERS).max_buf_size(BUFFER);
    if let Err(error) = watcher.watch(http.serve_connection(TokioIo::new(stream), service)).await {
        tracing::debug!(%error, "connection ended");
    }
}
