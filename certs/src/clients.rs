//! Whom a server answers.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error as TlsError, SignatureScheme,
};

use crate::bundle::Bundle;
use crate::error::{Error, Part};
use crate::leaf::parse;

/// Checks the certificates that clients show, by a file of authorities that is read again whenever it is asked.
///
/// A client that shows none gets through the handshake: whether it gets an answer is for the server to say
/// (`peer_certificates()` of the connection), since probes and scrapers have none. A client that shows one that isn't signed by
/// the authorities, is out of its time, isn't for clients or has another name is refused in the handshake.
pub struct Clients {
    file: PathBuf,
    names: Vec<String>,
    provider: Arc<CryptoProvider>,
    state: RwLock<State>,
}

struct State {
    text: String,
    verifier: Arc<dyn ClientCertVerifier>,
}

impl Clients {
    /// Reads the authorities. `names` are common names of which a client's certificate must have one; without any, every
    /// client of the authorities is accepted.
    ///
    /// # Errors
    /// When the file can't be read, or holds something else than certificates in PEM.
    pub fn open(file: impl Into<PathBuf>, names: Vec<String>) -> Result<Self, Error> {
        let (file, provider) = (file.into(), Arc::new(rustls::crypto::ring::default_provider()));
        let text = read(&file)?;
        let state = RwLock::new(State { verifier: verifier(&text, &provider)?, text });
        Ok(Self { file, names, provider, state })
    }

    /// Reads the authorities again; says whether others are trusted now.
    ///
    /// # Errors
    /// As [`Self::open`]; the authorities of before stay.
    pub fn refresh(&self) -> Result<bool, Error> {
        let text = read(&self.file)?;
        if self.state.read().unwrap_or_else(PoisonError::into_inner).text == text {
            return Ok(false);
        }
        let verifier = verifier(&text, &self.provider)?;
        *self.state.write().unwrap_or_else(PoisonError::into_inner) = State { text, verifier };
        Ok(true)
    }

    fn verifier(&self) -> Arc<dyn ClientCertVerifier> {
        Arc::clone(&self.state.read().unwrap_or_else(PoisonError::into_inner).verifier)
    }

    fn is_named(&self, certificate: &CertificateDer<'_>) -> bool {
        let Ok(parsed) = parse(Part::Client, certificate) else { return false };
        let mut given = parsed.subject().iter_common_name().filter_map(|name| name.as_str().ok());
        self.names.is_empty() || given.any(|given| self.names.iter().any(|name| name == given))
    }
}

fn read(file: &Path) -> Result<String, Error> {
    std::fs::read_to_string(file).map_err(|source| Error::ReadAuthorities { path: file.to_owned(), source })
}

fn verifier(text: &str, provider: &Arc<CryptoProvider>) -> Result<Arc<dyn ClientCertVerifier>, Error> {
    let roots = Arc::new(Bundle::from_pem(text)?.roots()?);
    let verifier = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(provider));
    verifier
        .allow_unauthenticated()
        .build()
        .map_err(|error| Error::Certificate { part: Part::Bundle, detail: error.to_string() })
}

impl fmt::Debug for Clients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clients")
            .field("file", &self.file)
            .field("names", &self.names)
            .finish_non_exhaustive()
    }
}

impl ClientCertVerifier for Clients {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    /// None: clients show what they have. The authorities may change while a client reads this.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        client: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, TlsError> {
        let verified = self.verifier().verify_client_cert(client, others, now)?;
        if !self.is_named(client) {
            return Err(TlsError::InvalidCertificate(CertificateError::ApplicationVerificationFailure));
        }
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        self.verifier().verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        self.verifier().verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier().supported_verify_schemes()
    }
}
