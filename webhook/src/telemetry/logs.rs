//! Logs: one JSON object a line, on standard error.

use tracing::Level;

/// From here on, events of `level` and worse are written.
pub(crate) fn install(level: Level) {
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_target(false)
        .with_max_level(level)
        .with_writer(std::io::stderr)
        .init();
}
