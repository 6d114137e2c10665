//! What clients are told to trust.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::prelude::{BASE64_STANDARD, Engine};
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};

use crate::error::{Error, Part};
use crate::leaf::{Leaf, parse};
use crate::validity::Validity;

/// The authorities in a webhook configuration's `caBundle`, newest first.
///
/// While an authority is being replaced it holds the old and the new one: replicas with leaves of either are trusted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Bundle {
    certificates: Vec<CertificateDer<'static>>,
}

impl Bundle {
    /// A bundle of one authority.
    pub fn new(authority: &crate::Authority) -> Self {
        Self { certificates: vec![authority.certificate().clone()] }
    }

    /// Reads a bundle; a certificate that is there twice is kept once.
    ///
    /// # Errors
    /// When there is no certificate, or one of them can't be read.
    pub fn from_pem(text: &str) -> Result<Self, Error> {
        let part = Part::Bundle;
        let mut bundle = Self::default();
        for certificate in CertificateDer::pem_slice_iter(text.as_bytes()) {
            let certificate = certificate.map_err(|error| Error::Pem { part, detail: error.to_string() })?;
            parse(part, &certificate)?;
            if !bundle.certificates.contains(&certificate) {
                bundle.certificates.push(certificate);
            }
        }
        if bundle.certificates.is_empty() {
            return Err(Error::Pem { part, detail: "no CERTIFICATE section".to_owned() });
        }
        Ok(bundle)
    }

    /// Puts an authority first, keeps those that are still in their time at `now`, drops the rest.
    #[must_use]
    pub fn renewed(&self, authority: &crate::Authority, now: SystemTime) -> Self {
        let mut renewed = Self::new(authority);
        for certificate in &self.certificates {
            let ended = parse(Part::Bundle, certificate)
                .map_or(true, |certificate| Validity::of(&certificate).not_after() < now);
            if !ended && !renewed.certificates.contains(certificate) {
                renewed.certificates.push(certificate.clone());
            }
        }
        renewed
    }

    /// Those of its authorities that are in their time.
    #[must_use]
    pub fn in_time(&self, now: SystemTime) -> Self {
        let in_time = |certificate: &&CertificateDer<'_>| {
            parse(Part::Bundle, certificate).is_ok_and(|parsed| Validity::of(&parsed).contains(now))
        };
        self.certificates.iter().filter(in_time).cloned().collect()
    }

    /// Whether nothing is trusted at all.
    pub fn is_empty(&self) -> bool {
        self.certificates.is_empty()
    }

    /// Its text, as `caBundle` holds it once base64 is taken off.
    pub fn to_pem(&self) -> String {
        self.certificates.iter().map(|certificate| pem("CERTIFICATE", certificate)).collect()
    }

    /// The certificates.
    pub fn certificates(&self) -> &[CertificateDer<'static>] {
        &self.certificates
    }

    /// When each of its authorities counts, in the order of the bundle.
    pub fn validities(&self) -> impl Iterator<Item = Validity> + '_ {
        let parsed = self.certificates.iter().filter_map(|certificate| parse(Part::Bundle, certificate).ok());
        parsed.map(|certificate| Validity::of(&certificate))
    }

    /// Checks that a client that trusts this bundle accepts a leaf by the first of its names.
    ///
    /// # Errors
    /// [`Error::Untrusted`] with the client's reason.
    pub fn verify(&self, leaf: &Leaf, now: SystemTime) -> Result<(), Error> {
        let untrusted = |detail: &dyn std::fmt::Display| Error::Untrusted { detail: detail.to_string() };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(self.roots()?), provider);
        let verifier = verifier.build().map_err(|error| untrusted(&error))?;
        let certified = leaf.certified_key();
        let (first, others) = certified.cert.split_first().ok_or_else(|| untrusted(&"the chain is empty"))?;
        let name = leaf.names().first().ok_or(Error::NoNames { part: Part::Leaf })?;
        let name = ServerName::try_from(name.as_ref()).map_err(|error| untrusted(&error))?;
        let now = UnixTime::since_unix_epoch(now.duration_since(UNIX_EPOCH).unwrap_or_default());
        verifier.verify_server_cert(first, others, &name, &[], now).map_err(|error| untrusted(&error))?;
        Ok(())
    }

    /// As a client of rustls trusts it.
    ///
    /// # Errors
    /// [`Error::Certificate`] for a certificate that can't be a trust anchor.
    pub fn roots(&self) -> Result<RootCertStore, Error> {
        let mut roots = RootCertStore::empty();
        for certificate in &self.certificates {
            roots
                .add(certificate.clone())
                .map_err(|error| Error::Certificate { part: Part::Bundle, detail: error.to_string() })?;
        }
        Ok(roots)
    }
}

impl FromIterator<CertificateDer<'static>> for Bundle {
    /// A certificate that is there twice is kept once.
    fn from_iter<I: IntoIterator<Item = CertificateDer<'static>>>(certificates: I) -> Self {
        let mut bundle = Self::default();
        for certificate in certificates {
            if !bundle.certificates.contains(&certificate) {
                bundle.certificates.push(certificate);
            }
        }
        bundle
    }
}

/// PEM as RFC 7468 writes it: 64 characters a line.
pub(crate) fn pem(label: &str, der: &[u8]) -> String {
    let mut text = format!("-----BEGIN {label}-----\n");
    for line in BASE64_STANDARD.encode(der).as_bytes().chunks(64) {
        text.extend(line.iter().map(|byte| char::from(*byte)));
        text.push('\n');
    }
    text.push_str(&format!("-----END {label}-----\n"));
    text
}
