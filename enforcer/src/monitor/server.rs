//! The agent's side of the socket.

use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::net::Shutdown;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread;
use std::time::Duration;

use netpol_enforcer_common::reason::Reason;

use super::{Subscription, View, explain, socket};
use crate::kernel::Events;
use crate::log;

type Clients = Arc<Mutex<Vec<(UnixStream, Subscription)>>>;

/// Starts to listen, and to pass events on. `tell_allowed` hears whether anyone wants allowed flows, when that changes.
///
/// # Errors
/// When the socket can't be made.
pub fn serve(
    state_dir: &Path,
    events: Events,
    view: Arc<RwLock<View>>,
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
    thread::Builder::new().name("monitor-accept".into()).spawn(move || accept(&listener, &joined))?;
    thread::Builder::new()
        .name("monitor-events".into())
        .spawn(move || pass_on(events, &view, &clients, tell_allowed))?;
    Ok(())
}

fn accept(listener: &UnixListener, clients: &Clients) {
    for stream in listener.incoming().filter_map(Result::ok) {
        // A client that does not say what it wants, or does not read, must not hold up the others.
        let patience = Some(Duration::from_secs(1));
        let mut line = String::new();
        let asked = stream
            .set_read_timeout(patience)
            .and_then(|()| stream.set_write_timeout(Some(Duration::from_millis(100))))
            .and_then(|()| BufReader::new(&stream).read_line(&mut line));
        if let (Ok(_), Ok(subscription)) = (asked, serde_json::from_str(&line)) {
            lock(clients).push((stream, subscription));
        }
    }
}

fn pass_on(mut events: Events, view: &RwLock<View>, clients: &Clients, tell_allowed: impl Fn(bool)) {
    const PATIENCE_MILLISECONDS: i32 = 200;
    let mut telling = false;
    loop {
        let wanted = {
            let mut clients = lock(clients);
            clients.retain(|(stream, _)| is_open(stream));
            clients.iter().any(|(_, subscription)| subscription.allowed)
        };
        if wanted != telling {
            telling = wanted;
            tell_allowed(telling);
        }
        let waited = events.wait(PATIENCE_MILLISECONDS, |event| {
            let mut clients = lock(clients);
            // Without listeners, events are only taken off the buffer: explaining them costs more than deciding did.
            if clients.is_empty() {
                return;
            }
            let allowed = Reason::from_number(event.reason).is_some_and(|reason| !reason.is_drop());
            let notice = explain(event, &view.read().unwrap_or_else(PoisonError::into_inner));
            let Ok(mut line) = serde_json::to_vec(&notice) else { return };
            line.push(b'\n');
            clients.retain_mut(|(stream, subscription)| {
                (allowed && !subscription.allowed) || stream.write_all(&line).is_ok()
            });
        });
        if let Err(error) = waited {
            log::error("events can't be read any more", &[("error", &error)]);
            for (stream, _) in lock(clients).drain(..) {
                // The client sees its end.
                let _ = stream.shutdown(Shutdown::Both);
            }
            return;
        }
    }
}

/// Whether the client is still there: it sends nothing after its first line, so that only its end can be read.
fn is_open(stream: &UnixStream) -> bool {
    let mut byte = [0_u8; 1];
    let read = stream.set_nonblocking(true).and_then(|()| io::Read::read(&mut &*stream, &mut byte));
    let open = match read {
        Ok(0) => false,
        Ok(_) => true,
        Err(error) => error.kind() == io::ErrorKind::WouldBlock,
    };
    open && stream.set_nonblocking(false).is_ok()
}

fn lock(clients: &Clients) -> std::sync::MutexGuard<'_, Vec<(UnixStream, Subscription)>> {
    clients.lock().unwrap_or_else(PoisonError::into_inner)
}
