//! `netpol-cni`: see the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    netpol_cni::run()
}
