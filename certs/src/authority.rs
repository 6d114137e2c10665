//! A certificate authority of our own.

use std::fmt;
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, SanType,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};

use crate::bundle::pem;
use crate::error::{Error, Part};
use crate::leaf::Leaf;
use crate::validity::Validity;

/// A certificate authority: its certificate and the key that signs leaves.
pub struct Authority {
    certificate: CertificateDer<'static>,
    validity: Validity,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// A new authority with a fresh ECDSA P-256 key. It may sign leaves, but no further authority.
    ///
    /// # Errors
    /// [`Error::Sign`] when there is no randomness to make a key of.
    pub fn create(common_name: &str, validity: Validity) -> Result<Self, Error> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(sign)?;
        let mut params = params(common_name, validity);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key).map_err(sign)?.der().clone();
        let validity = authority_validity(&certificate)?;
        Ok(Self { certificate, validity, issuer: Issuer::new(params, key) })
    }

    /// An authority made earlier, from the PEM of its certificate and its PKCS#8 key.
    ///
    /// # Errors
    /// When either can't be read, they don't belong together, the certificate may not sign, or `now` is outside its life.
    pub fn from_pem(certificate: &str, key: &str, now: SystemTime) -> Result<Self, Error> {
        let part = Part::Authority;
        let certificate = CertificateDer::from_pem_slice(certificate.as_bytes())
            .map_err(|error| Error::Pem { part, detail: error.to_string() })?;
        let validity = authority_validity(&certificate)?;
        validity.check(part, now)?;
        let private = PrivateKeyDer::from_pem_slice(key.as_bytes())
            .map_err(|error| Error::Pem { part, detail: error.to_string() })?;
        crate::leaf::certified_key(part, vec![certificate.clone()], private)?;
        let key = KeyPair::from_pem(key).map_err(|error| Error::Key { part, detail: error.to_string() })?;
        let issuer = Issuer::from_ca_cert_der(&certificate, key)
            .map_err(|error| Error::Certificate { part, detail: error.to_string() })?;
        Ok(Self { certificate, validity, issuer })
    }

    /// Signs a certificate for a server with these names, with a fresh ECDSA P-256 key.
    ///
    /// It never outlives the authority: its end is cut to the authority's.
    ///
    /// # Errors
    /// [`Error::NoNames`] without a name; [`Error::Sign`] when there is no randomness.
    pub fn sign(&self, names: &[ServerName<'_>], now: SystemTime, life: Duration) -> Result<Leaf, Error> {
        let Some(first) = names.first() else { return Err(Error::NoNames { part: Part::Leaf }) };
        let end = (now + life).min(self.validity.not_after());
        let life = end.duration_since(now).unwrap_or_default();
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(sign)?;
        // A common name holds 64 characters at most (RFC 5280); clients look at subjectAltName alone.
        let common_name: String = first.to_str().chars().take(64).collect();
        let mut params = params(&common_name, Validity::starting(now, life));
        params.subject_alt_names = names.iter().map(subject_alt_name).collect::<Result<_, _>>()?;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(&key, &self.issuer).map_err(sign)?;
        Leaf::from_pem(&certificate.pem(), &key.serialize_pem(), now)
    }

    /// The certificate as DER.
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// The certificate as PEM: what clients are given to trust.
    pub fn certificate_pem(&self) -> String {
        pem("CERTIFICATE", &self.certificate)
    }

    /// The private key as PEM (PKCS#8). A secret: for a Secret or a file that nobody else reads, never for a log.
    pub fn key_pem(&self) -> String {
        self.issuer.key().serialize_pem()
    }

    /// When it counts.
    pub fn validity(&self) -> Validity {
        self.validity
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority").field("validity", &self.validity).finish_non_exhaustive()
    }
}

fn params(common_name: &str, validity: Validity) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.not_before = validity.not_before().into();
    params.not_after = validity.not_after().into();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params
}

fn subject_alt_name(name: &ServerName<'_>) -> Result<SanType, Error> {
    match name {
        ServerName::IpAddress(address) => Ok(SanType::IpAddress(std::net::IpAddr::from(*address))),
        name => Ok(SanType::DnsName(name.to_str().as_ref().try_into().map_err(sign)?)),
    }
}

fn authority_validity(certificate: &CertificateDer<'_>) -> Result<Validity, Error> {
    let parsed = crate::leaf::parse(Part::Authority, certificate)?;
    if !parsed.is_ca() {
        return Err(Error::NotAnAuthority);
    }
    Ok(Validity::of(&parsed))
}

#[allow(clippy::needless_pass_by_value, reason = "the shape map_err wants")]
fn sign(error: rcgen::Error) -> Error {
    Error::Sign(error.to_string())
}
