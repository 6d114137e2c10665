//! Waiting for the packets that are being decided.

use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

/// Waits, aside from everything else, until every program has ended that ran when it was told to.
#[derive(Default)]
pub(super) struct Grace {
    waiter: Option<Sender<()>>,
    waits: Arc<Waits>,
}

#[derive(Default)]
struct Waits {
    pending: Mutex<usize>,
    over: Condvar,
}

impl Grace {
    /// Waits on a thread of its own, which tells when a wait is over.
    pub(super) fn aside(told: impl Fn() + Send + 'static) -> io::Result<Self> {
        let (waiter, asked): (_, Receiver<()>) = channel();
        let waits = Arc::<Waits>::default();
        let of_thread = Arc::clone(&waits);
        thread::Builder::new().name("grace".into()).spawn(move || {
            while asked.recv().is_ok() {
                wait_for_programs();
                *of_thread.pending() -= 1;
                of_thread.over.notify_all();
                told();
            }
        })?;
        Ok(Self { waiter: Some(waiter), waits })
    }

    /// Begins to wait.
    pub(super) fn begin(&self) {
        *self.waits.pending() += 1;
        if self.waiter.as_ref().is_none_or(|waiter| waiter.send(()).is_err()) {
            wait_for_programs();
            *self.waits.pending() -= 1;
        }
    }

    /// Returns when all waits are over that were begun.
    pub(super) fn wait(&self) {
        let pending = self.waits.pending();
        let over = self.waits.over.wait_while(pending, |pending| *pending > 0);
        drop(over.unwrap_or_else(PoisonError::into_inner));
    }
}

impl Waits {
    fn pending(&self) -> MutexGuard<'_, usize> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns once every program that was running has ended: they run as RCU readers, and this waits for those.
fn wait_for_programs() {
    const MEMBARRIER_CMD_GLOBAL: libc::c_int = 1;
    // SAFETY: membarrier takes no pointers. A kernel without it returns an error, which leaves a window of one
    // packet's processing time in which it may be decided by neither state; nothing can be done about that.
    #[allow(unsafe_code)]
    unsafe {
        libc::syscall(libc::SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_over_before_it_is_told() {
        let (tell, told) = channel();
        let grace = Grace::aside(move || tell.send(()).expect("somebody listens")).expect("a thread");
        for _ in 0..3 {
            grace.begin();
            grace.wait();
            assert_eq!(*grace.waits.pending(), 0);
            told.recv().expect("told");
        }
        let alone = Grace::default();
        alone.begin();
        alone.wait();
    }
}
