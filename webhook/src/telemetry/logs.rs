//! Logs: one JSON object a line, on standard error.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

use super::line::Line;

/// How long a line may wait for others to be written together with it.
const GATHER: Duration = Duration::from_millis(1);

/// With more bytes than this waiting, whoever has another line writes all of them.
const MOST: usize = 256 * 1024;

/// From here on, events of `level` and worse are written, those that nobody waits for a moment later. What was logged before
/// the end is written when the returned value is dropped.
pub(crate) fn install(level: Level) -> Written {
    let lines = Arc::new(Lines::default());
    let kept = Arc::clone(&lines);
    // Without a thread each line is written at once.
    let thread = std::thread::Builder::new().name("log".to_owned()).spawn(move || kept.keep_writing());
    lines.lock().gathers = thread.is_ok();
    tracing_subscriber::fmt()
        .event_format(Line)
        .with_max_level(level)
        .with_writer(Shared(Arc::clone(&lines)))
        .init();
    Written(lines)
}

/// Writes what still waits when it is dropped.
#[must_use]
pub(crate) struct Written(Arc<Lines>);

impl Drop for Written {
    fn drop(&mut self) {
        self.0.lock().gathers = false;
        self.0.write();
    }
}

/// Lines on their way to standard error. Under load many go with one call of the system.
#[derive(Default)]
struct Lines {
    waiting: Mutex<Waiting>,
    some: Condvar,
    /// What is being written; whoever holds it writes what waits, so that lines keep their order.
    written: Mutex<Vec<u8>>,
}

#[derive(Default)]
struct Waiting {
    text: Vec<u8>,
    /// Somebody will write what waits.
    gathers: bool,
}

impl Lines {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep_writing(&self) {
        loop {
            let none = |waiting: &mut Waiting| waiting.text.is_empty();
            drop(self.some.wait_while(self.lock(), none));
            std::thread::sleep(GATHER);
            self.write();
        }
    }

    fn write(&self) {
        let mut text = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::swap(&mut *text, &mut self.lock().text);
        // There is nobody to tell that it can't be written.
        let _ = io::stderr().write_all(&text);
        text.clear();
    }
}

struct Shared(Arc<Lines>);

/// Takes one line.
struct OneLine<'l> {
    lines: &'l Lines,
    /// It isn't to wait.
    at_once: bool,
}

impl<'l> MakeWriter<'l> for Shared {
    type Writer = OneLine<'l>;

    fn make_writer(&'l self) -> Self::Writer {
        OneLine { lines: &self.0, at_once: true }
    }

    fn make_writer_for(&'l self, event: &Metadata<'_>) -> Self::Writer {
        // What is wrong is to be known even if this is the last that is heard.
        OneLine { lines: &self.0, at_once: *event.level() <= Level::WARN }
    }
}

impl Write for OneLine<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut waiting = self.lines.lock();
        let first = waiting.text.is_empty();
        waiting.text.extend_from_slice(line);
        let full = !waiting.gathers || waiting.text.len() > MOST;
        drop(waiting);
        if self.at_once || full {
            self.lines.write();
        } else if first {
            self.lines.some.notify_one();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_gather_until_one_must_not_wait() {
        let lines = Lines::default();
        lines.lock().gathers = true;
        let log = |at_once| OneLine { lines: &lines, at_once }.write_all(b"{}\n").unwrap();
        (0..3).for_each(|_| log(false));
        assert_eq!(lines.lock().text, b"{}\n{}\n{}\n");
        log(true);
        assert_eq!(lines.lock().text, b"");
        lines.lock().gathers = false;
        log(false);
        assert_eq!(lines.lock().text, b"");
    }
}
