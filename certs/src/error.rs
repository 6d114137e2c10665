//! Why a certificate, a key or a directory of both is refused.

use std::fmt;
use std::path::PathBuf;

use crate::validity::Validity;

/// What is wrong. No variant carries key material.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file can't be read.
    #[error("cannot read {path}: {source}; is the Secret mounted, with tls.crt and tls.key in it?", path = .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file of authorities of clients can't be read.
    #[error("cannot read {path}: {source}; it should hold the certificates of the authorities in PEM", path = .path.display())]
    ReadAuthorities {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Something that should be kept isn't there.
    #[error("there is no {name}")]
    Missing {
        /// The entry.
        name: &'static str,
    },
    /// The text holds no such PEM block, or a broken one.
    #[error("{part}: no usable PEM block: {detail}")]
    Pem {
        /// What was looked for.
        part: Part,
        /// What the reader says.
        detail: String,
    },
    /// The DER in the PEM block is no X.509 certificate.
    #[error("{part}: not an X.509 certificate: {detail}")]
    Certificate {
        /// Which one.
        part: Part,
        /// What the reader says.
        detail: String,
    },
    /// The key has an algorithm or an encoding that can't be used.
    #[error(
        "{part}: the private key cannot be used: {detail}; give it as PKCS#8, ECDSA P-256, Ed25519 or RSA"
    )]
    Key {
        /// Whose.
        part: Part,
        /// What the library says.
        detail: String,
    },
    /// Certificate and key don't belong together; also seen while a pair is being replaced file by file.
    #[error("{part}: the private key does not belong to the certificate; replace both together")]
    KeyMismatch {
        /// Which certificate.
        part: Part,
    },
    /// The end of the certificate's life is past.
    #[error("{part}: expired; it was valid {validity}; renew it")]
    Expired {
        /// Which certificate.
        part: Part,
        /// Its span.
        validity: Validity,
    },
    /// The start of the certificate's life is still to come.
    #[error("{part}: not valid yet; it is valid {validity}; check the clocks")]
    NotYetValid {
        /// Which certificate.
        part: Part,
        /// Its span.
        validity: Validity,
    },
    /// A certificate that may not sign others was given as an authority.
    #[error("the authority's certificate may not sign others (basicConstraints without CA)")]
    NotAnAuthority,
    /// A leaf without DNS name or address: no client accepts it (RFC 9525: the common name doesn't count).
    #[error("{part}: no DNS name and no IP address in subjectAltName")]
    NoNames {
        /// Which certificate.
        part: Part,
    },
    /// A client that trusts the bundle would refuse the leaf.
    #[error("the serving certificate is not trusted: {detail}")]
    Untrusted {
        /// The client's reason.
        detail: String,
    },
    /// Signing failed.
    #[error("cannot make the certificate: {0}")]
    Sign(String),
}

/// Which of the things involved an [`Error`] is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The authority's certificate or key.
    Authority,
    /// The served certificate or its key.
    Leaf,
    /// A certificate of a bundle.
    Bundle,
    /// A certificate that a client shows.
    Client,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Authority => "authority",
            Self::Leaf => "serving certificate",
            Self::Bundle => "bundle",
            Self::Client => "client certificate",
        })
    }
}
