//! One connection of the socket.

use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use super::Filter;

/// How many lines may wait for a client to read them.
const QUEUE: usize = 4096;
/// How often a silent connection is looked at.
const LOOK: Duration = Duration::from_millis(200);

/// A client that monitors, as the reader of events sees it. It never waits for one.
pub(super) struct Client {
    pub(super) filter: Filter,
    lines: SyncSender<Arc<[u8]>>,
    /// Lines that did not fit.
    missed: AtomicU64,
    open: Arc<AtomicBool>,
}

/// The other end, on the connection's own thread.
pub(super) struct Connection {
    stream: UnixStream,
    lines: Receiver<Arc<[u8]>>,
    open: Arc<AtomicBool>,
}

pub(super) fn client(stream: UnixStream, filter: Filter) -> (Client, Connection) {
    let (sender, receiver) = sync_channel(QUEUE);
    let open = Arc::new(AtomicBool::new(true));
    let client = Client { filter, lines: sender, missed: AtomicU64::new(0), open: Arc::clone(&open) };
    (client, Connection { stream, lines: receiver, open })
}

impl Client {
    pub(super) fn is_open(&self) -> bool {
        self.open.load(Ordering::Relaxed)
    }

    pub(super) fn send(&self, line: &Arc<[u8]>) {
        match self.lines.try_send(Arc::clone(line)) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => {
                self.missed.fetch_add(1, Ordering::Relaxed);
            }
            Err(TrySendError::Disconnected(_)) => self.open.store(false, Ordering::Relaxed),
        }
    }

    /// How many lines did not fit since this was last asked.
    pub(super) fn take_missed(&self) -> u64 {
        self.missed.swap(0, Ordering::Relaxed)
    }

    /// The line that says so did not fit, either.
    pub(super) fn put_back(&self, missed: u64) {
        self.missed.fetch_add(missed, Ordering::Relaxed);
    }

    /// Whether a line fits now.
    pub(super) fn try_send(&self, line: Arc<[u8]>) -> bool {
        self.lines.try_send(line).is_ok()
    }
}

impl Connection {
    /// Writes lines until the client, or the reader of events, ends.
    pub(super) fn run(mut self) {
        loop {
            match self.lines.recv_timeout(LOOK) {
                Ok(line) if self.stream.write_all(&line).is_err() => break,
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) if is_open(&self.stream) => {}
                Err(_) => break,
            }
        }
        self.open.store(false, Ordering::Relaxed);
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
