//! Colours, on terminals only, and progress lines.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

pub(super) fn title(text: &str) -> String {
    paint(text, "1")
}

pub(super) fn good(text: &str) -> String {
    paint(text, "32")
}

pub(super) fn bad(text: &str) -> String {
    paint(text, "31;1")
}

pub(super) fn dim(text: &str) -> String {
    paint(text, "2")
}

/// Says what is being done; [`done`] or [`failed`] ends the line.
pub(super) fn progress(text: &str) {
    print!("  {text} … ");
    // A closed standard output is found out by the next line that is printed.
    let _ = io::stdout().flush();
}

pub(super) fn done(time: Duration) {
    println!("{}", dim(&format!("{:.1} s", time.as_secs_f32())));
}

pub(super) fn failed(text: &str) {
    println!("{}", bad(text));
}

fn paint(text: &str, code: &str) -> String {
    let plain =
        !io::stdout().is_terminal() || std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    if plain { text.to_owned() } else { format!("\u{1b}[{code}m{text}\u{1b}[0m") }
}
