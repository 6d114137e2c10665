//! What a scalar means to Kubernetes.
//!
//! `kubectl` and the API server read YAML with `sigs.k8s.io/yaml`, whose resolver is that of go-yaml 2: YAML 1.1 in
//! most, base 60 left out. Its JSON is what the API sees, so a number without fraction is an integer however it was
//! written, and a timestamp is a text.

use std::borrow::Cow;

use super::node::ScalarStyle;

/// A scalar's value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value<'a> {
    /// `null`, `~` or nothing.
    Null,
    /// `true`, `yes`, `on`, `y` and their opposites, in three ways of writing each.
    Bool(bool),
    /// A number without fraction, also written as `0x1f`, `010`, `1e3` or `80.0`.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// Text.
    Str(&'a str),
}

/// The tags that change what a scalar is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Tag {
    #[default]
    None,
    /// None of these, and the characters can't mean anything but text, which is so for most scalars and asked often.
    Text,
    /// `!!str`, `!`, and tags that say nothing to JSON.
    Str,
    /// `!!int`, `!!float`, `!!bool` or `!!null`: read as if unquoted.
    Plain,
}

impl Tag {
    /// The tag of a scalar without any.
    pub(super) fn of_untagged(text: &str, style: ScalarStyle) -> Self {
        let is_text = style != ScalarStyle::Plain || matches!(plain(text), Value::Str(_));
        if is_text { Self::Text } else { Self::None }
    }
}

#[inline]
pub(super) fn resolve(text: &str, style: ScalarStyle, tag: Tag) -> Value<'_> {
    match tag {
        Tag::Text | Tag::Str => Value::Str(text),
        Tag::None if style != ScalarStyle::Plain => Value::Str(text),
        Tag::None | Tag::Plain => plain(text),
    }
}

/// Whether a scalar is null: `null`, `~` or nothing.
#[inline]
pub(super) fn is_null(text: &str, style: ScalarStyle, tag: Tag) -> bool {
    tag != Tag::Text && text.len() <= "null".len() && resolve(text, style, tag) == Value::Null
}

/// The name that a key has in JSON.
#[inline]
pub(super) fn key_text(value: Value<'_>) -> Cow<'_, str> {
    match value {
        Value::Str(text) => Cow::Borrowed(text),
        Value::Bool(value) => Cow::Borrowed(if value { "true" } else { "false" }),
        Value::Int(number) => Cow::Owned(number.to_string()),
        Value::Float(number) => Cow::Owned(number.to_string()),
        Value::Null => Cow::Borrowed("null"),
    }
}

fn plain(text: &str) -> Value<'_> {
    let Some(first) = text.bytes().next() else { return Value::Null };
    match first {
        b'0'..=b'9' | b'+' | b'-' | b'.' => number(text).unwrap_or(Value::Str(text)),
        b'y' | b'Y' | b'n' | b'N' | b't' | b'T' | b'f' | b'F' | b'o' | b'O' | b'~' => word(text),
        _ => Value::Str(text),
    }
}

fn word(text: &str) -> Value<'_> {
    // Most words are longer than the longest of these.
    if text.len() > "false".len() {
        return Value::Str(text);
    }
    match text {
        "~" | "null" | "Null" | "NULL" => Value::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            Value::Bool(true)
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            Value::Bool(false)
        }
        _ => Value::Str(text),
    }
}

fn number(text: &str) -> Option<Value<'_>> {
    // Most texts that begin with a digit are addresses, versions and dates.
    let decimal = text == "0" || (!text.starts_with('0') && text.bytes().all(|b| b.is_ascii_digit()));
    if decimal && let Ok(number) = text.parse() {
        return Some(Value::Int(number));
    }
    // What holds anything else is a text, as most of the others are.
    let of_numbers =
        |b: u8| b.is_ascii_hexdigit() || matches!(b, b'.' | b'_' | b'+' | b'-' | b'x' | b'X' | b'o' | b'O');
    if !text.starts_with(['.', '+', '-']) && !text.bytes().all(of_numbers) {
        return None;
    }
    match text {
        ".nan" | ".NaN" | ".NAN" => return Some(Value::Float(f64::NAN)),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => return Some(Value::Float(f64::INFINITY)),
        "-.inf" | "-.Inf" | "-.INF" => return Some(Value::Float(f64::NEG_INFINITY)),
        _ => {}
    }
    let digits: String = text.chars().filter(|c| *c != '_').collect();
    integer(&digits).map(Value::Int).or_else(|| float(&digits))
}

/// An integer with Go's prefixes: `0x`, `0b`, `0o`, and `0` alone for octal.
fn integer(text: &str) -> Option<i64> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let prefix = |lower: &str, upper: &str| digits.strip_prefix(lower).or_else(|| digits.strip_prefix(upper));
    let (radix, digits) = if let Some(rest) = prefix("0x", "0X") {
        (16, rest)
    } else if let Some(rest) = prefix("0b", "0B") {
        (2, rest)
    } else if let Some(rest) = prefix("0o", "0O") {
        (8, rest)
    } else if digits.len() > 1 && digits.starts_with('0') {
        (8, &digits[1..])
    } else {
        (10, digits)
    };
    // A second sign is none of the digits.
    if !digits.bytes().next()?.is_ascii_alphanumeric() {
        return None;
    }
    let magnitude = i128::from_str_radix(digits, radix).ok()?;
    i64::try_from(if negative { -magnitude } else { magnitude }).ok()
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`
fn float(text: &str) -> Option<Value<'static>> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) =
        unsigned.split_once(['e', 'E']).map_or((unsigned, None), |(m, e)| (m, Some(e)));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    let exponent_is_good = exponent
        .map(|exponent| exponent.strip_prefix(['-', '+']).unwrap_or(exponent))
        .is_none_or(|exponent| !exponent.is_empty() && digits(exponent));
    if !digits(whole) || !digits(fraction) || (whole.is_empty() && fraction.is_empty()) || !exponent_is_good {
        return None;
    }
    let number: f64 = text.parse().ok()?;
    // Go gives up on what overflows; and beyond 2^53 an f64 no longer knows the integers.
    if !number.is_finite() {
        return None;
    }
    if number.fract() == 0.0 && number.abs() < 9_007_199_254_740_992.0 {
        #[allow(clippy::cast_possible_truncation, reason = "an integer of less than 53 bits")]
        return Some(Value::Int(number as i64));
    }
    Some(Value::Float(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_scalars() {
        use Value::{Bool, Float, Int, Null, Str};
        let cases = [
            ("", Null),
            ("~", Null),
            ("null", Null),
            ("NULL", Null),
            ("nULL", Str("nULL")),
            ("true", Bool(true)),
            ("yes", Bool(true)),
            ("On", Bool(true)),
            ("y", Bool(true)),
            ("N", Bool(false)),
            ("OFF", Bool(false)),
            ("yEs", Str("yEs")),
            ("0", Int(0)),
            ("80", Int(80)),
            ("-1", Int(-1)),
            ("+12", Int(12)),
            ("010", Int(8)),
            ("0o10", Int(8)),
            ("0x50", Int(80)),
            ("0b101", Int(5)),
            ("1_000", Int(1000)),
            ("08", Int(8)),
            ("80.0", Int(80)),
            ("8e1", Int(80)),
            ("1.5", Float(1.5)),
            (".5", Float(0.5)),
            ("5.", Int(5)),
            ("-.inf", Float(f64::NEG_INFINITY)),
            ("9223372036854775807", Int(i64::MAX)),
            ("9223372036854775808", Float(9_223_372_036_854_775_808.0)),
            ("--1", Str("--1")),
            ("0x-1", Str("0x-1")),
            ("-", Str("-")),
            (".", Str(".")),
            ("1e", Str("1e")),
            ("1.2.3", Str("1.2.3")),
            ("10.0.0.0/8", Str("10.0.0.0/8")),
            ("2001-01-01", Str("2001-01-01")),
            ("12:30", Str("12:30")),
            ("8000-8100", Str("8000-8100")),
            ("http", Str("http")),
            ("TCP", Str("TCP")),
        ];
        for (text, expected) in cases {
            assert_eq!(resolve(text, ScalarStyle::Plain, Tag::None), expected, "{text:?}");
            assert_eq!(resolve(text, ScalarStyle::DoubleQuoted, Tag::None), Str(text));
            assert_eq!(resolve(text, ScalarStyle::Plain, Tag::Str), Str(text));
            assert_eq!(resolve(text, ScalarStyle::SingleQuoted, Tag::Plain), expected);
        }
    }
}
