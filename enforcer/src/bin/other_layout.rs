//! `netpol-enforcer` with another layout of its maps. Tests upgrade to it and downgrade from it; nobody else needs it.

use std::process::ExitCode;

fn main() -> ExitCode {
    netpol_enforcer::commands::main()
}
