//! A certificate that a server shows, with its key.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

use crate::bundle::pem;
use crate::error::{Error, Part};
use crate::validity::Validity;

/// A certificate chain with its private key, known to belong together and to be in its time when it was read.
#[derive(Clone)]
pub struct Leaf {
    certified: Arc<CertifiedKey>,
    key_pem: Arc<str>,
    validity: Validity,
    names: Vec<Box<str>>,
}

impl Leaf {
    /// Reads a chain (the leaf first) and its key.
    ///
    /// # Errors
    /// When either can't be read, they don't belong together, the leaf names no server, or `now` is outside its life.
    pub fn from_pem(chain: &str, key: &str, now: SystemTime) -> Result<Self, Error> {
        let part = Part::Leaf;
        let unreadable =
            |error: rustls::pki_types::pem::Error| Error::Pem { part, detail: error.to_string() };
        let chain: Vec<_> =
            CertificateDer::pem_slice_iter(chain.as_bytes()).collect::<Result<_, _>>().map_err(unreadable)?;
        let private = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(unreadable)?;
        let Some(first) = chain.first() else {
            return Err(Error::Pem { part, detail: "no CERTIFICATE section".to_owned() });
        };
        let (validity, names) = {
            let parsed = parse(part, first)?;
            (Validity::of(&parsed), subject_names(&parsed))
        };
        validity.check(part, now)?;
        if names.is_empty() {
            return Err(Error::NoNames { part });
        }
        let certified = Arc::new(certified_key(part, chain, private)?);
        Ok(Self { certified, key_pem: key.into(), validity, names })
    }

    /// What rustls serves.
    pub fn certified_key(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.certified)
    }

    /// The chain as PEM, the leaf first.
    pub fn chain_pem(&self) -> String {
        self.certified.cert.iter().map(|certificate| pem("CERTIFICATE", certificate)).collect()
    }

    /// The private key as it was read, in PEM. A secret, see [`Authority::key_pem`](crate::Authority::key_pem).
    pub fn key_pem(&self) -> &str {
        &self.key_pem
    }

    /// When it counts.
    pub fn validity(&self) -> Validity {
        self.validity
    }

    /// DNS names and addresses of its subjectAltName, in the order they are written.
    pub fn names(&self) -> &[Box<str>] {
        &self.names
    }
}

impl fmt::Debug for Leaf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leaf")
            .field("names", &self.names)
            .field("validity", &self.validity)
            .finish_non_exhaustive()
    }
}

pub(crate) fn parse(part: Part, certificate: &[u8]) -> Result<X509Certificate<'_>, Error> {
    match X509Certificate::from_der(certificate) {
        Ok((_, parsed)) => Ok(parsed),
        Err(error) => Err(Error::Certificate { part, detail: error.to_string() }),
    }
}

/// Pairs a chain with its key, checked by the library that will sign with it.
pub(crate) fn certified_key(
    part: Part,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<CertifiedKey, Error> {
    let provider = rustls::crypto::ring::default_provider();
    CertifiedKey::from_der(chain, key, &provider).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => Error::KeyMismatch { part },
        rustls::Error::InvalidCertificate(_) => Error::Certificate { part, detail: error.to_string() },
        error => Error::Key { part, detail: error.to_string() },
    })
}

fn subject_names(certificate: &X509Certificate<'_>) -> Vec<Box<str>> {
    let Ok(Some(extension)) = certificate.subject_alternative_name() else { return Vec::new() };
    let written = extension.value.general_names.iter().filter_map(|name| match name {
        GeneralName::DNSName(name) => Some((*name).into()),
        GeneralName::IPAddress(bytes) => address(bytes).map(|address| address.to_string().into()),
        _ => None,
    });
    written.collect()
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
        16 => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
        _ => None,
    }
}
