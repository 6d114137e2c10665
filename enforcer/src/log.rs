//! What the agent says while it runs: one line an event, on standard error.

use std::fmt::Display;
use std::io::{IsTerminal, Write};
use std::sync::OnceLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value};

/// How lines are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people: time, level, message, `key=value`.
    #[default]
    Text,
    /// For machines: one JSON object a line.
    Json,
}

/// How much a line matters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Level {
    /// Something that keeps policy from being applied as written.
    Error,
    /// Something a person should look at.
    Warn,
    /// The normal course of things.
    #[default]
    Info,
    /// What only matters when looking for a fault.
    Debug,
}

static FORMAT: OnceLock<Format> = OnceLock::new();
static LEVEL: OnceLock<Level> = OnceLock::new();

/// Chooses the least important level that is written, once, at start.
pub fn set_level(level: Level) {
    let _ = LEVEL.set(level);
}

/// Chooses the format, once, at start.
pub fn set_format(format: Format) {
    // A second choice in one process is a programming error without consequence: the first one stays.
    let _ = FORMAT.set(format);
}

/// Writes an error line.
pub fn error(message: impl Display, fields: &[(&str, &dyn Display)]) {
    write(Level::Error, &message, fields);
}

/// Writes a warning line.
pub fn warn(message: impl Display, fields: &[(&str, &dyn Display)]) {
    write(Level::Warn, &message, fields);
}

/// Writes an information line.
pub fn info(message: impl Display, fields: &[(&str, &dyn Display)]) {
    write(Level::Info, &message, fields);
}

/// Writes a line for those who look for a fault.
pub fn debug(message: impl Display, fields: &[(&str, &dyn Display)]) {
    write(Level::Debug, &message, fields);
}

fn write(level: Level, message: &dyn Display, fields: &[(&str, &dyn Display)]) {
    if level > LEVEL.get().copied().unwrap_or_default() {
        return;
    }
    let time = timestamp(SystemTime::now());
    let line = match FORMAT.get().copied().unwrap_or_default() {
        Format::Text => text(&time, level, message, fields, std::io::stderr().is_terminal()),
        Format::Json => json(&time, level, message, fields),
    };
    // Nowhere to complain to if standard error is closed.
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

fn text(
    time: &str,
    level: Level,
    message: &dyn Display,
    fields: &[(&str, &dyn Display)],
    colour: bool,
) -> String {
    let (word, code) = match level {
        Level::Error => ("ERROR", "31"),
        Level::Warn => ("WARN ", "33"),
        Level::Info => ("INFO ", "32"),
        Level::Debug => ("DEBUG", "34"),
    };
    let mut line = if colour {
        format!("{time} \x1b[{code}m{word}\x1b[0m {message}")
    } else {
        format!("{time} {word} {message}")
    };
    for (key, value) in fields {
        let value = value.to_string();
        if value.is_empty() || value.contains(|c: char| c.is_whitespace() || c == '"') {
            line.push_str(&format!(" {key}={value:?}"));
        } else {
            line.push_str(&format!(" {key}={value}"));
        }
    }
    line
}

fn json(time: &str, level: Level, message: &dyn Display, fields: &[(&str, &dyn Display)]) -> String {
    let level = match level {
        Level::Error => "error",
        Level::Warn => "warn",
        Level::Info => "info",
        Level::Debug => "debug",
    };
    let mut object = Map::new();
    object.insert("time".into(), time.into());
    object.insert("level".into(), level.into());
    object.insert("message".into(), message.to_string().into());
    for (key, value) in fields {
        object.insert((*key).into(), value.to_string().into());
    }
    Value::Object(object).to_string()
}

/// A point in time as RFC 3339 in UTC, to the millisecond.
pub(crate) fn timestamp(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (days, seconds) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    // Days to a civil date, counting years from March so that the leap day comes last.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", since.subsec_millis())
}

/// What [`timestamp`] wrote.
pub(crate) fn parse_timestamp(text: &str) -> Option<SystemTime> {
    let number = |range: std::ops::Range<usize>| text.get(range)?.parse::<u64>().ok();
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
    let milliseconds = number(20..23)?;
    // The same years from March as above.
    let year = year - u64::from(month <= 2);
    let (era, year_of_era) = (year / 400, year % 400);
    let march_month = (month + 9) % 12;
    let day_of_year = (153 * march_month + 2) / 5 + day.checked_sub(1)?;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    let days = (era * 146_097 + day_of_era).checked_sub(719_468)?;
    let seconds = days * 86_400 + hour * 3_600 + minute * 60 + second;
    Some(UNIX_EPOCH + Duration::from_millis(seconds * 1_000 + milliseconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rfc_3339() {
        let cases = [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400, "2000-02-29T00:00:00.000Z"),
            (4_107_542_399, "2100-02-28T23:59:59.000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000Z"),
        ];
        for (seconds, expected) in cases {
            let time = UNIX_EPOCH + Duration::from_secs(seconds);
            assert_eq!(timestamp(time), expected);
            assert_eq!(parse_timestamp(expected), Some(time));
        }
    }

    #[test]
    fn fields_follow_the_message() {
        let line =
            text("T", Level::Info, &"pod bound", &[("pod", &"shop/db"), ("why", &"it is \"there\"")], false);
        assert_eq!(line, r#"T INFO  pod bound pod=shop/db why="it is \"there\"""#);
        let line = json("T", Level::Error, &"no", &[("pod", &"shop/db")]);
        assert_eq!(line, r#"{"level":"error","message":"no","pod":"shop/db","time":"T"}"#);
    }
}
