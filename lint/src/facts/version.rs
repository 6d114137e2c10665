//! Versions, as far as image tags tell them.

use std::fmt;

/// The first two numbers of a version: `1.15` of `v1.15.3-eks`; of a tag that is a date, the date: `20240813.0`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// The first number.
    pub major: u32,
    /// The second number; 0 when there is none.
    pub minor: u32,
}

impl Version {
    /// A version.
    pub const fn new(major: u32, minor: u32) -> Self {
        Self { major, minor }
    }

    /// Of an image's tag; `None` for `latest`, a digest and the like.
    pub fn parse(tag: &str) -> Option<Self> {
        let tag = tag.strip_prefix('v').unwrap_or(tag);
        let number = |text: &str| {
            let digits = text.bytes().take_while(u8::is_ascii_digit).count();
            text[..digits].parse().ok()
        };
        let mut parts = tag.split('.');
        let major = number(parts.next()?)?;
        Some(Self { major, minor: parts.next().and_then(number).unwrap_or(0) })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_tags() {
        for (tag, version) in [
            ("v1.15.3", Some((1, 15))),
            ("3.29", Some((3, 29))),
            ("v1.2.1-eksbuild.1", Some((1, 2))),
            ("v20240813-c6f155d6", Some((20_240_813, 0))),
            ("v2-lite", Some((2, 0))),
            ("latest", None),
            ("", None),
        ] {
            assert_eq!(Version::parse(tag).map(|v| (v.major, v.minor)), version, "{tag}");
        }
    }
}
