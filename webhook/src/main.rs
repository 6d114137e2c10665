//! `netpol-webhook`: see the library.

use std::process::ExitCode;

/// A review makes some hundred small things and drops them all: the system's allocator took a fifth of its time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    netpol_webhook::cli::main()
}
