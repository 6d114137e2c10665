//! What a run checked, for the line that `make test` ends with.

use std::fs::File;
use std::io::Write as _;
use std::{env, io};

/// Counts something that was checked: printed, and added to the file that `NETPOL_SUMMARY` names.
///
/// # Panics
/// When that file can't be written.
pub fn count(number: usize, what: &str) {
    // Not by a macro: the test harness would swallow it.
    let _ = writeln!(io::stderr(), "checked: {number} {what}");
    if let Some(path) = env::var_os("NETPOL_SUMMARY") {
        let mut file =
            File::options().create(true).append(true).open(path).expect("NETPOL_SUMMARY can be written");
        writeln!(file, "{number} {what}").expect("NETPOL_SUMMARY can be written");
    }
}
