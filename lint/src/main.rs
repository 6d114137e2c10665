//! The command `netpol-lint`.

use libmimalloc_sys::{mi_option_set, mi_option_t};

/// Two threads that read thousands of small files allocate a lot; the system's allocator costs more than the reading.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// `mi_option_purge_delay`, for which the bindings have no name.
const PURGE_DELAY: mi_option_t = 15;

fn main() -> std::process::ExitCode {
    // Whenever a thread ends, what it freed would go back to the system, only to be asked for again at once: a tenth of
    // all time. What is given back at the end is soon enough.
    #[allow(unsafe_code, reason = "the allocator is written in C")]
    // SAFETY: the number is that of an option, and no other thread runs yet.
    unsafe {
        mi_option_set(PURGE_DELAY, -1);
    }
    netpol_lint::cli::main()
}
