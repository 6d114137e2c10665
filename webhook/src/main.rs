//! `netpol-webhook`: see the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    netpol_webhook::cli::main()
}
