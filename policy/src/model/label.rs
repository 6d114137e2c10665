//! Label keys and values, as `metav1` validates them.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::fmt;

use compact_str::CompactString;
use thiserror::Error;

/// The label that every namespace carries, whether or not its manifest shows it.
pub const METADATA_NAME: &str = "kubernetes.io/metadata.name";

/// Labels of an object.
pub type Labels = BTreeMap<LabelKey, LabelValue>;

/// A qualified name: an optional DNS prefix of at most 253 bytes and `/`, then at most 63 bytes of name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LabelKey(CompactString);

/// At most 63 bytes of `[A-Za-z0-9._-]`, beginning and ending with a letter or digit; may be empty.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct LabelValue(CompactString);

/// Why a text is no label key or value.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LabelError {
    /// The name part of a key is empty.
    #[error("a label key needs a name")]
    EmptyName,
    /// A part is longer than the API allows.
    #[error("`{part}` is {length} bytes long, at most {limit} are allowed")]
    TooLong {
        /// The part at fault.
        part: Box<str>,
        /// Its length in bytes.
        length: usize,
        /// The most that is allowed.
        limit: usize,
    },
    /// A character that may not stand where it does.
    #[error(
        "`{part}` must begin and end with a letter or digit and hold only letters, digits, `-`, `_` and `.`"
    )]
    Character {
        /// The part at fault.
        part: Box<str>,
    },
    /// The prefix of a key is no DNS subdomain.
    #[error("the prefix `{prefix}` must be a DNS subdomain: lower case letters, digits, `-` and `.`")]
    Prefix {
        /// The text before the slash.
        prefix: Box<str>,
    },
    /// More than one slash.
    #[error("`{key}` has more than one `/`")]
    Slashes {
        /// The whole key.
        key: Box<str>,
    },
}

impl LabelKey {
    /// The key [`METADATA_NAME`].
    pub fn metadata_name() -> Self {
        Self(METADATA_NAME.into())
    }

    /// Checks a key as `validation.IsQualifiedName` does.
    pub fn new(key: &str) -> Result<Self, LabelError> {
        let name = match key.split_once('/') {
            None => key,
            Some((_, name)) if name.contains('/') => return Err(LabelError::Slashes { key: key.into() }),
            Some((prefix, name)) => {
                if !is_dns_subdomain(prefix) {
                    return Err(LabelError::Prefix { prefix: prefix.into() });
                }
                name
            }
        };
        if name.is_empty() {
            return Err(LabelError::EmptyName);
        }
        check_name(name)?;
        Ok(Self(key.into()))
    }

    /// The key as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl LabelValue {
    /// Checks a value as `validation.IsValidLabelValue` does.
    pub fn new(value: &str) -> Result<Self, LabelError> {
        if !value.is_empty() {
            check_name(value)?;
        }
        Ok(Self(value.into()))
    }

    /// The value as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a name part and a value share.
fn check_name(part: &str) -> Result<(), LabelError> {
    if part.len() > 63 {
        return Err(LabelError::TooLong { part: part.into(), length: part.len(), limit: 63 });
    }
    let bytes = part.as_bytes();
    let inner = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    let ends = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
    if !bytes.iter().all(inner) || !ends(bytes.first()) || !ends(bytes.last()) {
        return Err(LabelError::Character { part: part.into() });
    }
    Ok(())
}

/// RFC 1123 subdomain, at most 253 bytes, as `validation.IsDNS1123Subdomain` has it.
pub(crate) fn is_dns_subdomain(text: &str) -> bool {
    let label = |bytes: &[u8]| {
        let ends = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        ends(bytes.first())
            && ends(bytes.last())
            && bytes.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-')
    };
    text.len() <= 253 && text.as_bytes().split(|b| *b == b'.').all(label)
}

macro_rules! text {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
        impl std::str::FromStr for $name {
            type Err = LabelError;
            fn from_str(text: &str) -> Result<Self, LabelError> {
                Self::new(text)
            }
        }
    };
}
text!(LabelKey);
text!(LabelValue);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys() {
        for good in ["app", "app.kubernetes.io/name", "kubernetes.io/metadata.name", "A_b-c.d", "0"] {
            assert!(LabelKey::new(good).is_ok(), "{good}");
        }
        for bad in ["", "/", "a/", "/a", "a/b/c", "-a", "a-", "a b", "A.b/c", "a..b/c", &"x".repeat(64)] {
            assert!(LabelKey::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn values() {
        for good in ["", "a", "3306", "v1.2_3-x", &"x".repeat(63)] {
            assert!(LabelValue::new(good).is_ok(), "{good}");
        }
        for bad in ["-", "a b", "a/b", "é", "a-", &"x".repeat(64)] {
            assert!(LabelValue::new(bad).is_err(), "{bad}");
        }
    }
}
