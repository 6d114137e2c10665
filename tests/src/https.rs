//! HTTP/1.1 over TLS by hand, so that a test decides whom to trust, what to show, from where, and when which byte is sent.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use netpol_certs::{Bundle, Leaf};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned};

/// No answer of a test takes longer.
const PATIENCE: Duration = Duration::from_secs(30);

/// How a client connects.
#[derive(Debug, Clone)]
pub struct Client {
    tls: Arc<ClientConfig>,
    from: Ipv4Addr,
}

/// A connection that is kept.
#[derive(Debug)]
pub struct Connection {
    stream: BufReader<StreamOwned<ClientConnection, TcpStream>>,
}

/// A response.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub code: u16,
    /// The body.
    pub text: String,
}

impl Client {
    /// Trusts whoever answers, as the kubelet's probes do.
    ///
    /// # Errors
    /// None in practice.
    pub fn careless() -> Result<Self> {
        let provider = Arc::new(ring::default_provider());
        let verifier = Arc::new(Careless(provider.clone()));
        let tls = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        Ok(Self::of(tls.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth()))
    }

    /// Trusts these authorities, and shows a certificate if there is one to show.
    ///
    /// # Errors
    /// When the authorities or the certificate can't be used.
    pub fn trusting(bundle: &Bundle, shown: Option<&Leaf>) -> Result<Self> {
        let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(bundle.roots()?);
        let Some(leaf) = shown else { return Ok(Self::of(tls.with_no_client_auth())) };
        let chain = leaf.certified_key().cert.clone();
        let key = PrivateKeyDer::from_pem_slice(leaf.key_pem().as_bytes())?;
        Ok(Self::of(tls.with_client_auth_cert(chain, key)?))
    }

    fn of(tls: ClientConfig) -> Self {
        Self { tls: Arc::new(tls), from: Ipv4Addr::LOCALHOST }
    }

    /// Connects from another address of loopback.
    #[must_use]
    pub fn from(self, from: Ipv4Addr) -> Self {
        Self { from, ..self }
    }

    /// Connects to a port of 127.0.0.1 and finishes the handshake.
    ///
    /// # Errors
    /// When that fails.
    pub fn connect(&self, port: u16) -> io::Result<Connection> {
        let mut stream = self.tcp(port)?;
        let name = ServerName::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST).into());
        let mut connection = ClientConnection::new(self.tls.clone(), name).map_err(io::Error::other)?;
        while connection.is_handshaking() {
            connection.complete_io(&mut stream)?;
        }
        Ok(Connection { stream: BufReader::new(StreamOwned::new(connection, stream)) })
    }

    /// Connects without a handshake.
    ///
    /// # Errors
    /// When that fails.
    pub fn tcp(&self, port: u16) -> io::Result<TcpStream> {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
        socket.bind(&SocketAddr::from((self.from, 0)).into())?;
        socket.connect_timeout(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into(), PATIENCE)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.set_write_timeout(Some(PATIENCE))?;
        Ok(socket.into())
    }

    /// One GET on a connection of its own.
    ///
    /// # Errors
    /// When there is no answer.
    pub fn get(&self, port: u16, path: &str) -> io::Result<Answer> {
        self.connect(port)?.get(path)
    }
}

impl Connection {
    /// A GET.
    ///
    /// # Errors
    /// When there is no answer.
    pub fn get(&mut self, path: &str) -> io::Result<Answer> {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes())?;
        self.answer()
    }

    /// A POST.
    ///
    /// # Errors
    /// When there is no answer.
    pub fn post(&mut self, path: &str, body: &[u8]) -> io::Result<Answer> {
        self.begin(path, body.len())?;
        self.send(body)?;
        self.answer()
    }

    /// The headers of a POST alone.
    ///
    /// # Errors
    /// When they can't be sent.
    pub fn begin(&mut self, path: &str, length: usize) -> io::Result<()> {
        let headers = format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
        );
        self.send(headers.as_bytes())
    }

    /// Some bytes.
    ///
    /// # Errors
    /// When they can't be sent.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let stream = self.stream.get_mut();
        stream.write_all(bytes)?;
        stream.flush()
    }

    /// The answer to what was sent.
    ///
    /// # Errors
    /// When there is none, or none that is HTTP.
    pub fn answer(&mut self) -> io::Result<Answer> {
        let wrong = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
        let (mut code, mut length) = (None, 0);
        loop {
            let mut line = String::new();
            if self.stream.read_line(&mut line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let line = line.trim_end().to_ascii_lowercase();
            if code.is_none() {
                let number = line.split(' ').nth(1).and_then(|code| code.parse().ok());
                code = Some(number.ok_or_else(|| wrong("no status line"))?);
            } else if let Some(number) = line.strip_prefix("content-length: ") {
                length = number.parse().map_err(|_| wrong("no length"))?;
            } else if line.is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        let text = String::from_utf8(body).map_err(|_| wrong("not text"))?;
        Ok(Answer { code: code.unwrap_or_default(), text })
    }

    /// The certificate that the server showed.
    ///
    /// # Errors
    /// When it showed none.
    pub fn shown(&self) -> Result<CertificateDer<'static>> {
        let chain = self.stream.get_ref().conn.peer_certificates().context("a certificate")?;
        Ok(chain.first().context("a certificate")?.clone().into_owned())
    }
}

#[derive(Debug)]
struct Careless(Arc<CryptoProvider>);

impl ServerCertVerifier for Careless {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
