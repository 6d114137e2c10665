//! Metrics and health over HTTP.
//!
//! Three pages that anybody may read, one short request a connection. Whatever a client does, it holds one of a few threads
//! for a few seconds, and the agent's loop never waits for any of it.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::address::Address;
use super::scrape::Scraper;
use super::snapshot::Vitals;
use super::text::text;
use crate::log;

/// How many requests are answered at a time. Others are hung up on.
const CONNECTIONS: usize = 16;
/// How long a client may take, for its request and for reading the answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a request may be.
const LONGEST: usize = 8 << 10;
/// How often denied packets are booked on policies.
const ACCOUNT: Duration = Duration::from_secs(5);
/// How long to wait before trying again to listen.
const RETRY: Duration = Duration::from_secs(10);

struct Site {
    vitals: Arc<Vitals>,
    scraper: Mutex<Scraper>,
}

/// Serves on threads of its own. That the address is in use is told and tried again: an agent that can't be watched still enforces.
///
/// # Errors
/// When a thread can't be started.
pub fn serve(address: Address, vitals: Arc<Vitals>, scraper: Scraper) -> io::Result<()> {
    let site = Arc::new(Site { vitals, scraper: Mutex::new(scraper) });
    let booked = Arc::clone(&site);
    thread::Builder::new().name("accounts".into()).spawn(move || {
        loop {
            thread::sleep(ACCOUNT);
            let isolations = booked.vitals.update().isolations.clone();
            booked.scraper().account(&isolations);
        }
    })?;
    thread::Builder::new().name("metrics".into()).spawn(move || {
        let listener = loop {
            match listen(&address) {
                Ok(listener) => break listener,
                Err(error) => {
                    log::error(
                        "metrics and health can't be served; trying again",
                        &[("address", &address), ("error", &error)],
                    );
                    thread::sleep(RETRY);
                }
            }
        };
        accept(&listener, &site);
    })?;
    Ok(())
}

/// Listens, for IPv4 alone where there is no IPv6.
fn listen(address: &Address) -> io::Result<TcpListener> {
    let mut failed = io::Error::other("no address");
    for candidate in address.candidates() {
        match TcpListener::bind::<SocketAddr>(candidate) {
            Ok(listener) => {
                let shown = listener.local_addr().map_or_else(|_| candidate.to_string(), |it| it.to_string());
                log::info("metrics and health are served", &[("address", &shown)]);
                return Ok(listener);
            }
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

fn accept(listener: &TcpListener, site: &Arc<Site>) {
    let busy = Arc::new(AtomicUsize::new(0));
    loop {
        let Ok((stream, _)) = listener.accept() else {
            // Out of descriptors, perhaps: not to be asked again at once.
            thread::sleep(Duration::from_millis(100));
            continue;
        };
        if busy.fetch_add(1, Ordering::Relaxed) >= CONNECTIONS {
            busy.fetch_sub(1, Ordering::Relaxed);
            continue;
        }
        let (site, done) = (Arc::clone(site), Arc::clone(&busy));
        let answering = thread::Builder::new().name("http".into()).spawn(move || {
            // A client that is gone needs no answer.
            let _ = site.answer(stream);
            done.fetch_sub(1, Ordering::Relaxed);
        });
        if answering.is_err() {
            busy.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Site {
    fn scraper(&self) -> std::sync::MutexGuard<'_, Scraper> {
        self.scraper.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, mut stream: TcpStream) -> io::Result<()> {
        stream.set_write_timeout(Some(PATIENCE))?;
        let Some(request) = read_request(&mut stream)? else { return Ok(()) };
        let (status, body) = self.page(&request);
        let length = body.len();
        let kind = "text/plain; version=0.0.4; charset=utf-8";
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(head.as_bytes())?;
        if !request.starts_with("HEAD ") {
            stream.write_all(body.as_bytes())?;
        }
        stream.flush()
    }

    fn page(&self, request: &str) -> (&'static str, String) {
        let mut words = request.split_ascii_whitespace();
        let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        if !matches!(method, "GET" | "HEAD") {
            return ("405 Method Not Allowed", "only GET and HEAD\n".into());
        }
        let snapshot = self.vitals.read();
        match target.split_once('?').map_or(target, |(path, _)| path) {
            "/metrics" => match self.scraper().scrape(&snapshot.isolations) {
                Ok(scrape) => ("200 OK", text(&snapshot, &scrape)),
                Err(error) => ("500 Internal Server Error", format!("{error}\n")),
            },
            "/healthz" => match snapshot.stuck(Instant::now()) {
                None => ("200 OK", "ok\n".into()),
                Some(idle) => (
                    "503 Service Unavailable",
                    format!("the agent's loop is stuck for {} s\n", idle.as_secs()),
                ),
            },
            "/readyz" if snapshot.unready.is_empty() => ("200 OK", "ok\n".into()),
            "/readyz" => ("503 Service Unavailable", snapshot.unready.join("\n") + "\n"),
            _ => ("404 Not Found", "there are /metrics, /healthz and /readyz\n".into()),
        }
    }
}

/// The request's first line, once all of its head has come; `None` if it doesn't come in time or is too long.
fn read_request(stream: &mut TcpStream) -> io::Result<Option<String>> {
    let deadline = Instant::now() + PATIENCE;
    let mut head = Vec::new();
    let mut some = [0_u8; 1024];
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        let left = deadline.saturating_duration_since(Instant::now());
        if head.len() > LONGEST || left.is_zero() {
            return Ok(None);
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut some)? {
            0 => return Ok(None),
            length => head.extend_from_slice(&some[..length]),
        }
    }
    let head = String::from_utf8_lossy(&head);
    Ok(head.lines().next().map(Into::into))
}
