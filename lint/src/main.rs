//! The command `netpol-lint`.

/// Two threads that read thousands of small files allocate a lot; the system's allocator costs more than the reading.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    netpol_lint::cli::main()
}
