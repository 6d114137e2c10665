//! Texts in JSON. Answers and log lines are mostly that, and mostly without anything to escape.

use std::fmt::{Result, Write};

/// Writes a text with its quotes.
pub(crate) fn write_text(out: &mut impl Write, text: &str) -> Result {
    out.write_char('"')?;
    let mut rest = text;
    while let Some(at) = special(rest.as_bytes()) {
        out.write_str(&rest[..at])?;
        match rest.as_bytes()[at] {
            b'"' => out.write_str("\\\"")?,
            b'\\' => out.write_str("\\\\")?,
            b'\n' => out.write_str("\\n")?,
            b'\r' => out.write_str("\\r")?,
            b'\t' => out.write_str("\\t")?,
            control => write!(out, "\\u{control:04x}")?,
        }
        rest = &rest[at + 1..];
    }
    out.write_str(rest)?;
    out.write_char('"')
}

/// The place of the first byte that can't stand as it is.
fn special(bytes: &[u8]) -> Option<usize> {
    let is_special = |byte: &u8| (*byte < b' ') | (*byte == b'"') | (*byte == b'\\');
    // Without a way out in between, many bytes are looked at together.
    let (chunks, last) = bytes.as_chunks::<32>();
    let some = |chunk: &[u8; 32]| chunk.iter().fold(false, |some, byte| some | is_special(byte));
    let clean = chunks.iter().position(some).unwrap_or(chunks.len()) * 32;
    let found = bytes[clean..].iter().position(is_special);
    debug_assert!(found.is_some() || clean + last.len() == bytes.len());
    found.map(|at| clean + at)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn is_what_serde_reads(text in "[ -~\u{0}-\u{20}\"\\\\é€😀]{0,100}") {
            let mut written = String::new();
            write_text(&mut written, &text).unwrap();
            prop_assert_eq!(serde_json::from_str::<String>(&written).unwrap(), text);
        }
    }
}
