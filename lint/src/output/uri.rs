//! File names as URIs.

use std::path::{Component, Path};

/// A file's name as a URI, relative to the current folder where the file is below it.
pub(crate) fn uri(name: &str) -> String {
    let path = Path::new(name);
    if !path.is_absolute() {
        return encoded(name);
    }
    let folder = std::env::current_dir().unwrap_or_default();
    match path.strip_prefix(&folder) {
        Ok(below) => encoded(&below.to_string_lossy()),
        Err(_) => format!("file://{}", encoded(name)),
    }
}

/// Whether a URI is relative to the current folder and below it.
pub(crate) fn is_below(uri: &str) -> bool {
    !uri.starts_with("file:") && Path::new(uri).components().next() != Some(Component::ParentDir)
}

/// Percent-encoded, but for what paths may hold as it is. A colon would make the part before it a scheme.
fn encoded(path: &str) -> String {
    let mut uri = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/@+=,".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            uri.push_str(&format!("%{byte:02X}"));
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uris() {
        assert_eq!(uri("a/b.yaml"), "a/b.yaml");
        assert_eq!(uri("a b/c:d%ä.yaml"), "a%20b/c%3Ad%25%C3%A4.yaml");
        assert_eq!(uri("<stdin>"), "%3Cstdin%3E");
        assert_eq!(uri("/no such folder/a.yaml"), "file:///no%20such%20folder/a.yaml");
        let here = std::env::current_dir().unwrap().join("x/y.yaml");
        assert_eq!(uri(here.to_str().unwrap()), "x/y.yaml");
        assert!(is_below("a.yaml") && !is_below("../a.yaml") && !is_below("file:///a.yaml"));
    }
}
