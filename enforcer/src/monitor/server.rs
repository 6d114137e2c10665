//! The agent's side of the socket.

use std::fs;
use std::io::{self, BufRead, BufReader, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use netpol_enforcer_common::event::Event;

use super::client::{Client, client};
use super::{Explainer, Line, Lost, LostCounts, Request, View, socket};
use crate::kernel::{Events, LostEvents};
use crate::log;
use crate::trace::{Answer, Question};

type Clients = Arc<Mutex<Vec<Client>>>;

/// How many connections there may be at a time.
const CONNECTIONS: usize = 32;
/// A first line is no longer than this.
const LONGEST_REQUEST: u64 = 1 << 16;
/// How often clients hear of what was lost.
const TELL_LOST: Duration = Duration::from_secs(1);

/// What else the socket is asked, and who hears of the events.
pub struct Questions {
    /// Answers what would become of a packet.
    pub trace: Box<dyn Fn(&Question) -> Answer + Send + Sync>,
    /// Sees every event; it must not block.
    pub witness: Box<Witness>,
}

/// Sees an event beside what the agent knows.
pub(crate) type Witness = dyn FnMut(&Event, &View, &mut Explainer) + Send;

/// Starts to listen, and to pass events on. `tell_allowed` hears whether anyone wants allowed flows, when that changes.
///
/// # Errors
/// When the socket can't be made.
pub fn serve(
    state_dir: &Path,
    events: Events,
    lost: LostEvents,
    view: Arc<RwLock<View>>,
    questions: Questions,
    tell_allowed: impl Fn(bool) + Send + 'static,
) -> io::Result<()> {
    let path = socket(state_dir);
    // One that an earlier run left; a running agent's can't be here, it holds the lock on the directory.
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&path)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
    let clients: Clients = Clients::default();
    let joined = Arc::clone(&clients);
    let Questions { trace, witness } = questions;
    thread::Builder::new().name("socket".into()).spawn(move || accept(&listener, &joined, &trace.into()))?;
    thread::Builder::new()
        .name("events".into())
        .spawn(move || pass_on(events, &lost, &view, &clients, witness, tell_allowed))?;
    Ok(())
}

type Trace = Arc<dyn Fn(&Question) -> Answer + Send + Sync>;

fn accept(listener: &UnixListener, clients: &Clients, trace: &Trace) {
    let busy = Arc::new(AtomicUsize::new(0));
    for stream in listener.incoming().filter_map(Result::ok) {
        if busy.fetch_add(1, Ordering::Relaxed) >= CONNECTIONS {
            busy.fetch_sub(1, Ordering::Relaxed);
            continue;
        }
        let (clients, trace, done) = (Arc::clone(clients), Arc::clone(trace), Arc::clone(&busy));
        let serving = thread::Builder::new().name("connection".into()).spawn(move || {
            serve_one(stream, &clients, &*trace);
            done.fetch_sub(1, Ordering::Relaxed);
        });
        if serving.is_err() {
            busy.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

fn serve_one(mut stream: UnixStream, clients: &Clients, trace: &dyn Fn(&Question) -> Answer) {
    let mut line = String::new();
    let asked = stream
        .set_read_timeout(Some(Duration::from_secs(1)))
        .and_then(|()| stream.set_write_timeout(Some(Duration::from_secs(5))))
        .and_then(|()| BufReader::new((&stream).take(LONGEST_REQUEST)).read_line(&mut line));
    if asked.is_err() {
        return;
    }
    match serde_json::from_str(&line) {
        Ok(Request::Monitor(filter)) => {
            let (client, connection) = client(stream, filter);
            lock(clients).push(client);
            connection.run();
        }
        Ok(Request::Trace(question)) => {
            // A client that is gone does not need the answer.
            let _ = serde_json::to_writer(&mut stream, &trace(&question)).map(|()| stream.write_all(b"\n"));
        }
        Err(error) => {
            let _ = writeln!(stream, "{}", serde_json::json!({ "error": error.to_string() }));
        }
    }
}

fn pass_on(
    mut events: Events,
    lost: &LostEvents,
    view: &RwLock<View>,
    clients: &Clients,
    mut witness: impl FnMut(&Event, &View, &mut Explainer),
    tell_allowed: impl Fn(bool),
) {
    const PATIENCE_MILLISECONDS: i32 = 200;
    let mut telling = false;
    let mut explainer = Explainer::default();
    let mut told = lost.read();
    let mut next_lost = Instant::now();
    loop {
        let wanted = {
            let mut clients = lock(clients);
            clients.retain(Client::is_open);
            clients.iter().any(|client| client.filter.wants_allowed())
        };
        if wanted != telling {
            telling = wanted;
            tell_allowed(telling);
        }
        let waited = events.wait(PATIENCE_MILLISECONDS, |event| {
            let view = view.read().unwrap_or_else(PoisonError::into_inner);
            witness(event, &view, &mut explainer);
            tell(event, &view, &mut explainer, &lock(clients));
        });
        if Instant::now() >= next_lost {
            next_lost = Instant::now() + TELL_LOST;
            tell_lost(&lock(clients), lost, &mut told);
        }
        if let Err(error) = waited {
            log::error("events can't be read any more", &[("error", &error)]);
            // The clients see their end.
            lock(clients).clear();
            return;
        }
    }
}

/// Passes one event to those who want it. Without them it is only taken off the buffer: explaining costs more than deciding did.
fn tell(event: &Event, view: &View, explainer: &mut Explainer, clients: &[Client]) {
    let mut wanted = clients.iter().filter(|client| client.filter.may_match(event)).peekable();
    if wanted.peek().is_none() {
        return;
    }
    let notice = Box::new(explainer.explain(event, view));
    let wanted: Vec<&Client> = wanted.filter(|client| client.filter.matches(&notice)).collect();
    if wanted.is_empty() {
        return;
    }
    if let Some(line) = line(&Line::Notice(notice)) {
        for client in wanted {
            client.send(&line);
        }
    }
}

/// Tells each client what it did not see since it was last told.
fn tell_lost(clients: &[Client], lost: &LostEvents, told: &mut LostCounts) {
    let now = lost.read();
    let fresh = LostCounts {
        rate_limited: now.rate_limited.saturating_sub(told.rate_limited),
        buffer_full: now.buffer_full.saturating_sub(told.buffer_full),
        slow_reader: 0,
    };
    *told = now;
    for client in clients {
        let counts = LostCounts { slow_reader: client.take_missed(), ..fresh };
        let message = Lost { time: log::timestamp(SystemTime::now()), lost: counts };
        if counts.any() && !line(&Line::Lost(message)).is_some_and(|line| client.try_send(line)) {
            client.put_back(counts.slow_reader + counts.rate_limited + counts.buffer_full);
        }
    }
}

fn line(line: &Line) -> Option<Arc<[u8]>> {
    let mut bytes = serde_json::to_vec(line).ok()?;
    bytes.push(b'\n');
    Some(bytes.into())
}

fn lock(clients: &Clients) -> std::sync::MutexGuard<'_, Vec<Client>> {
    clients.lock().unwrap_or_else(PoisonError::into_inner)
}
