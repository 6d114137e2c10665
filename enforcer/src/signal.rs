//! Signals that ask the agent to end.

use std::io;
use std::mem::MaybeUninit;

/// The signals that end the agent in good order, blocked for every thread that starts from here on.
#[derive(Clone, Copy)]
pub struct Blocked(libc::sigset_t);

/// Blocks SIGINT and SIGTERM in this thread and those that it will start.
///
/// # Errors
/// When the kernel refuses.
pub fn block() -> io::Result<Blocked> {
    let mut set = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: `sigemptyset` initialises the set before anything reads it; the numbers are valid signals.
    #[allow(unsafe_code)]
    let set = unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        libc::sigaddset(set.as_mut_ptr(), libc::SIGINT);
        libc::sigaddset(set.as_mut_ptr(), libc::SIGTERM);
        set.assume_init()
    };
    // SAFETY: the set is initialised; the former mask is not asked for.
    #[allow(unsafe_code)]
    let result = unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) };
    if result == 0 { Ok(Blocked(set)) } else { Err(io::Error::from_raw_os_error(result)) }
}

impl Blocked {
    /// Waits for one of the signals.
    pub fn wait(&self) {
        let mut signal = 0;
        // SAFETY: the set is initialised and `signal` is a valid place for the number.
        #[allow(unsafe_code)]
        unsafe {
            libc::sigwait(&raw const self.0, &raw mut signal);
        }
    }
}
