//! Files as URIs.

use std::path::{Path, PathBuf};

use lsp_types::Uri;

/// The file that a URI names; `None` for what is no file, such as a buffer that was never saved.
pub(super) fn path(uri: &Uri) -> Option<PathBuf> {
    let rest = uri.as_str().strip_prefix("file://")?;
    let path = &rest[rest.find('/')?..];
    let decoded = decode(path)?;
    // `/C:/folder` is `C:/folder`.
    let drive = decoded.as_bytes().get(2) == Some(&b':') && cfg!(windows);
    Some(PathBuf::from(if drive { &decoded[1..] } else { &decoded }))
}

/// The URI of a file.
pub(super) fn of(path: &Path) -> Option<Uri> {
    let mut uri = "file://".to_owned();
    let text = path.to_str()?.replace(std::path::MAIN_SEPARATOR, "/");
    if !text.starts_with('/') {
        uri.push('/');
    }
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            uri.push_str(&format!("%{byte:02X}"));
        }
    }
    uri.parse().ok()
}

fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let code = match (byte, after) {
            (b'%', [high, low, ..]) => {
                let digit = |byte: u8| char::from(byte).to_digit(16);
                Some(u8::try_from(digit(*high)? * 16 + digit(*low)?).ok()?)
            }
            _ => None,
        };
        bytes.push(code.unwrap_or(byte));
        rest = if code.is_some() { &after[2..] } else { after };
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        for text in ["/a/b.yaml", "/a b/ü%#?.yaml", "/c:d"] {
            let uri = of(Path::new(text)).unwrap();
            assert_eq!(path(&uri).as_deref(), Some(Path::new(text)), "{}", uri.as_str());
        }
        let path = |uri: &str| path(&uri.parse().unwrap());
        assert_eq!(path("file:///a%20b/%c3%bc"), Some("/a b/ü".into()));
        assert_eq!(path("file://localhost/a"), Some("/a".into()));
        assert_eq!(path("untitled:Untitled-1"), None);
    }
}
