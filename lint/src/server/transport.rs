//! Messages of JSON-RPC over a pipe, as the language server protocol frames them.

use std::io::{self, BufRead, Read, Write};

use serde_json::{Value, json};

/// More than any editor sends at once.
const MAX_LENGTH: usize = 256 << 20;
/// Headers are short.
const MAX_HEADER: u64 = 4096;

/// What one frame holds.
#[derive(Debug, PartialEq)]
pub(super) enum Frame {
    /// A message.
    Message(Value),
    /// No JSON; why. The next frame may be fine.
    Malformed(String),
}

/// Reads a frame; `None` at the end. An error means that nobody can tell where the next frame begins.
pub(super) fn read(input: &mut impl BufRead) -> io::Result<Option<Frame>> {
    let Some(length) = headers(input)? else { return Ok(None) };
    let mut body = vec![0; length];
    input.read_exact(&mut body)?;
    Ok(Some(match serde_json::from_slice(&body) {
        Ok(message) => Frame::Message(message),
        Err(error) => Frame::Malformed(error.to_string()),
    }))
}

/// The length of the body.
fn headers(input: &mut impl BufRead) -> io::Result<Option<usize>> {
    let wrong = |what: String| Err(io::Error::new(io::ErrorKind::InvalidData, what));
    let mut length = None;
    let mut line = Vec::new();
    for number in 0.. {
        line.clear();
        input.by_ref().take(MAX_HEADER).read_until(b'\n', &mut line)?;
        if line.is_empty() && number == 0 {
            return Ok(None);
        }
        if line.last() != Some(&b'\n') {
            return wrong("a header without an end".to_owned());
        }
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_end_matches(['\r', '\n']);
        if text.is_empty() {
            break;
        }
        match text.split_once(':') {
            Some((name, value)) if name.trim().eq_ignore_ascii_case("content-length") => {
                match value.trim().parse() {
                    Ok(bytes) if bytes <= MAX_LENGTH => length = Some(bytes),
                    _ => return wrong(format!("a message of `{}` bytes", value.trim())),
                }
            }
            Some(_) => {}
            None => return wrong(format!("`{text}` is no header of the language server protocol")),
        }
    }
    match length {
        Some(length) => Ok(Some(length)),
        None => wrong("a message without Content-Length".to_owned()),
    }
}

/// Writes a message.
pub(super) fn write(output: &mut dyn Write, mut message: Value) -> io::Result<()> {
    message["jsonrpc"] = json!("2.0");
    let body = message.to_string();
    write!(output, "Content-Length: {}\r\n\r\n{body}", body.len())?;
    output.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(text: &str) -> Vec<String> {
        let mut input = text.as_bytes();
        let mut frames = Vec::new();
        loop {
            match read(&mut input) {
                Ok(None) => return frames,
                Ok(Some(Frame::Message(message))) => frames.push(message.to_string()),
                Ok(Some(Frame::Malformed(_))) => frames.push("malformed".to_owned()),
                Err(error) => {
                    frames.push(error.to_string());
                    return frames;
                }
            }
        }
    }

    #[test]
    fn framing() {
        let mut written = Vec::new();
        write(&mut written, json!({"id": 1})).unwrap();
        let written = String::from_utf8(written).unwrap();
        assert_eq!(frames(&written), [r#"{"id":1,"jsonrpc":"2.0"}"#]);
        assert_eq!(frames(&written.repeat(2)).len(), 2);
        assert_eq!(frames(""), [""; 0]);
        assert_eq!(
            frames("content-length: 2\r\nContent-Type: x\r\n\r\n[}Content-Length: 2\n\n{}"),
            ["malformed", "{}"]
        );
        assert_eq!(frames("hello\r\n"), ["`hello` is no header of the language server protocol"]);
        assert_eq!(frames("A: b\r\n\r\n"), ["a message without Content-Length"]);
        assert_eq!(frames("Content-Length: -1\r\n\r\n"), ["a message of `-1` bytes"]);
        assert_eq!(frames("Content-Length: 5\r\n\r\n{}"), ["failed to fill whole buffer"]);
        assert_eq!(frames(&"x".repeat(9999)), ["a header without an end"]);
    }
}
