//! HTTP/1.1 over TLS by hand, so that a test decides when which byte is sent.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use netpol_certs::Bundle;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use serde_json::Value;

/// A connection that is kept.
pub(crate) struct Client {
    stream: BufReader<StreamOwned<ClientConnection, TcpStream>>,
}

/// A response.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) code: u16,
    /// In lower case, a line each.
    pub(crate) headers: Vec<String>,
    pub(crate) text: String,
}

impl Client {
    /// Connects and finishes the handshake.
    pub(crate) fn connect(address: SocketAddr, trust: &Bundle) -> std::io::Result<Self> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(trust.roots().unwrap())
            .with_no_client_auth();
        let name = "localhost".try_into().unwrap();
        let mut connection = ClientConnection::new(Arc::new(config), name).unwrap();
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        while connection.is_handshaking() {
            connection.complete_io(&mut stream)?;
        }
        Ok(Self { stream: BufReader::new(StreamOwned::new(connection, stream)) })
    }

    pub(crate) fn get(&mut self, path: &str) -> Answer {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes());
        self.answer()
    }

    pub(crate) fn post(&mut self, path: &str, body: &[u8]) -> Answer {
        self.begin(path, body.len());
        self.send(body);
        self.answer()
    }

    /// Sends the headers of a POST alone.
    pub(crate) fn begin(&mut self, path: &str, length: usize) {
        let headers = format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
        );
        self.send(headers.as_bytes());
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.stream.get_mut().write_all(bytes).unwrap();
        self.stream.get_mut().flush().unwrap();
    }

    /// Reads a response.
    pub(crate) fn answer(&mut self) -> Answer {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            self.stream.read_line(&mut line).unwrap();
            match line.trim_end() {
                "" => break,
                line => lines.push(line.to_owned()),
            }
        }
        let code = lines.remove(0).split(' ').nth(1).unwrap().parse().unwrap();
        let headers: Vec<_> = lines.iter().map(|line| line.to_lowercase()).collect();
        let length = headers.iter().find_map(|line| line.strip_prefix("content-length: "));
        let mut body = vec![0; length.expect("a content-length").parse().unwrap()];
        self.stream.read_exact(&mut body).unwrap();
        Answer { code, headers, text: String::from_utf8(body).unwrap() }
    }

    /// Sees the end that the server made of the connection.
    pub(crate) fn closed(&mut self) -> bool {
        matches!(self.stream.read(&mut [0]), Ok(0))
    }
}

impl Answer {
    /// The `response` of the AdmissionReview that it holds, once its frame is checked.
    pub(crate) fn response(&self) -> Value {
        assert_eq!(self.code, 200, "{self:?}");
        assert!(self.headers.contains(&"content-type: application/json".to_owned()), "{self:?}");
        let mut review: Value = serde_json::from_str(&self.text).unwrap();
        assert_eq!(review["apiVersion"], "admission.k8s.io/v1");
        assert_eq!(review["kind"], "AdmissionReview");
        review["response"].take()
    }
}
