//! An event as a line of JSON.

use std::fmt::{self, Debug, Write as _};

use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};

use crate::json::write_text;

/// Time, level and fields side by side, as `tracing_subscriber`'s JSON has them when it is flattened; every review has such a
/// line, and that one takes some times as long. There are no spans.
pub(super) struct Line;

impl<S: Subscriber, N: for<'w> FormatFields<'w> + 'static> FormatEvent<S, N> for Line
where
    S: for<'l> tracing_subscriber::registry::LookupSpan<'l>,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut out: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut line = String::with_capacity(512);
        line.push_str(r#"{"timestamp":""#);
        SystemTime.format_time(&mut Writer::new(&mut line))?;
        line.push_str(r#"","level":""#);
        line.push_str(event.metadata().level().as_str());
        line.push('"');
        let mut fields = Fields { line, done: Ok(()) };
        event.record(&mut fields);
        fields.done?;
        fields.line.push_str("}\n");
        out.write_str(&fields.line)
    }
}

struct Fields {
    line: String,
    done: fmt::Result,
}

impl Fields {
    fn field(&mut self, field: &Field, write: impl FnOnce(&mut String) -> fmt::Result) {
        self.line.push_str(",\"");
        self.line.push_str(field.name());
        self.line.push_str("\":");
        self.done = self.done.and_then(|()| write(&mut self.line));
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.field(field, |line| write_text(line, value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.field(field, |line| line.write_str(if value { "true" } else { "false" }));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.field(field, |line| write!(line, "{value}"));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.field(field, |line| write!(line, "{value}"));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.field(field, |line| match value.is_finite() {
            true => write!(line, "{value:?}"),
            false => line.write_str("null"),
        });
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.field(field, |line| write_text(line, &format!("{value:?}")));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn lines(log: impl FnOnce(), own: bool) -> Vec<serde_json::Map<String, serde_json::Value>> {
        let kept = Kept::default();
        let (writer, builder) = (kept.clone(), tracing_subscriber::fmt());
        let builder = builder.with_writer(move || writer.clone());
        if own {
            tracing::subscriber::with_default(builder.event_format(Line).finish(), log);
        } else {
            let json = builder.json().flatten_event(true).with_target(false).finish();
            tracing::subscriber::with_default(json, log);
        }
        let text = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn says_what_the_usual_format_says() {
        let log = || {
            let none: Option<&str> = None;
            let error = std::io::Error::other("a \"fault\"\n");
            tracing::info!(uid = "é\\", kind = ?Some(1), none, n = 7, less = -1_i64, half = 0.5, whole = 2.0, yes = true, "decided");
            tracing::warn!(error = %error, "not {}", "so");
            tracing::error!(nan = f64::NAN);
        };
        let (mut own, mut usual) = (lines(log, true), lines(log, false));
        for line in own.iter_mut().chain(&mut usual) {
            let time = line.remove("timestamp").unwrap();
            assert!(time.as_str().unwrap().ends_with('Z'), "{time}");
        }
        assert_eq!(own.len(), 3);
        assert_eq!(own, usual);
    }
}
