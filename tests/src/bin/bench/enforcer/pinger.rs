//! Datagrams without end from one pod to another, and when they are answered.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use netpol_tests::cluster::running::RunningCluster;

/// The port that answers.
pub(crate) const PORT: u16 = 53;

const EVERY: Duration = Duration::from_micros(500);
/// How often to look for an answer.
const LOOK: Duration = Duration::from_micros(100);
/// So long without an answer means that there will be none.
const SILENCE: Duration = Duration::from_millis(250);
const WAIT: Duration = Duration::from_secs(20);

/// A pod that asks another one. It ends when it is dropped.
pub(crate) struct Pinger {
    begin: Instant,
    /// Microseconds from the beginning to the last answer.
    last: Arc<AtomicU64>,
    end: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Pinger {
    pub(crate) fn new(running: &RunningCluster, from: &str, to: &str) -> Result<Self> {
        let pod = |name: &str| running.lab.pods.get(name).with_context(|| format!("no pod {name}"));
        let to = (pod(to)?.address.v4, PORT);
        let socket = pod(from)?.namespace.run(|| -> Result<UdpSocket> {
            let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
            socket.connect(to)?;
            socket.set_nonblocking(true)?;
            Ok(socket)
        })?;
        let (begin, last, end) =
            (Instant::now(), Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (answered, over) = (Arc::clone(&last), Arc::clone(&end));
        let thread = thread::spawn(move || {
            let mut buffer = [0; 512];
            while !over.load(Ordering::Relaxed) {
                // A port that is closed for now may be refused; what counts are answers.
                let _ = socket.send(b"?");
                let next = Instant::now() + EVERY;
                while Instant::now() < next {
                    match socket.recv(&mut buffer) {
                        Ok(_) => {
                            let at = begin.elapsed().as_micros();
                            answered.store(u64::try_from(at).unwrap_or(u64::MAX), Ordering::Relaxed);
                        }
                        // The kernel rounds a socket's own timeouts up to its ticks, which are many milliseconds.
                        Err(error) if error.kind() == ErrorKind::WouldBlock => {
                            thread::park_timeout(LOOK);
                        }
                        Err(_) => {}
                    }
                }
            }
        });
        Ok(Self { begin, last, end, thread: Some(thread) })
    }

    /// Whether there was an answer a moment ago.
    pub(crate) fn is_answered(&self) -> bool {
        self.last().is_some_and(|last| last.elapsed() < Duration::from_millis(20))
    }

    /// Waits for the end of answers; how long after the start the last one came.
    pub(crate) fn last_answer(&self, start: Instant) -> Result<Duration> {
        self.wait_for_silence()?;
        Ok(self.last().map_or(Duration::ZERO, |last| last.saturating_duration_since(start)))
    }

    pub(crate) fn wait_for_silence(&self) -> Result<()> {
        let deadline = Instant::now() + WAIT;
        while self.last().is_some_and(|last| last.elapsed() < SILENCE) {
            ensure!(Instant::now() < deadline, "the answers don't end");
            thread::park_timeout(Duration::from_millis(5));
        }
        Ok(())
    }

    /// Waits for the next answer; how long after the start it came.
    pub(crate) fn first_answer(&self, start: Instant) -> Result<Duration> {
        let before = self.last.load(Ordering::Relaxed);
        let deadline = Instant::now() + WAIT;
        while self.last.load(Ordering::Relaxed) == before {
            ensure!(Instant::now() < deadline, "there is no answer");
            thread::park_timeout(Duration::from_micros(200));
        }
        Ok(self.last().map_or(Duration::ZERO, |last| last.saturating_duration_since(start)))
    }

    fn last(&self) -> Option<Instant> {
        match self.last.load(Ordering::Relaxed) {
            0 => None,
            micros => Some(self.begin + Duration::from_micros(micros)),
        }
    }
}

impl Drop for Pinger {
    fn drop(&mut self) {
        self.end.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
