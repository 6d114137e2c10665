//! `make demo`: the three-tier application, linted, predicted, enforced and measured.

use std::process::ExitCode;

fn main() -> ExitCode {
    netpol_tests::demo::main()
}
