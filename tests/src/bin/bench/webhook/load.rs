//! Requests over TLS, one after the other on some connections.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

/// Who is asked.
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    pub(crate) path: &'static str,
}

/// What was measured.
pub(crate) struct Measured {
    /// The median and the 99th percentile with one connection.
    pub(crate) alone: (Duration, Duration),
    /// The 99th percentile with all connections.
    pub(crate) loaded: Duration,
    /// Requests in a second of the server's processor time, under load.
    pub(crate) per_core: f64,
}

type Stream = BufReader<StreamOwned<ClientConnection, TcpStream>>;

/// Asks as often as possible for some time: first on one connection, then on some. Each connection sends the bodies in
/// turn, from another one on.
pub(crate) fn measure(
    target: &Target,
    ca: &str,
    bodies: &[String],
    connections: usize,
    time: Duration,
    server: u32,
) -> Result<Measured> {
    // The first requests find nothing warm.
    ask_for(target, ca, bodies, 0, time / 4)?;
    let alone = ask_for(target, ca, bodies, 0, time)?;
    let before = processor_time(server)?;
    let times = std::thread::scope(|scope| {
        let first = |connection| bodies.len() * connection / connections;
        let workers: Vec<_> = (0..connections)
            .map(|connection| scope.spawn(move || ask_for(target, ca, bodies, first(connection), time)))
            .collect();
        let times = workers.into_iter().map(|worker| worker.join().expect("it doesn't panic"));
        times.collect::<Result<Vec<_>>>()
    })?;
    let used = processor_time(server)? - before;
    let mut times = times.concat();
    times.sort();
    ensure!(used > 0.0, "the server did nothing");
    Ok(Measured {
        alone: (at(&alone, 50), at(&alone, 99)),
        loaded: at(&times, 99),
        per_core: times.len() as f64 / used,
    })
}

/// The answers to some bodies.
pub(crate) fn answers(target: &Target, ca: &str, bodies: &[String]) -> Result<Vec<String>> {
    let mut stream = connect(target, ca)?;
    bodies.iter().map(|body| ask(&mut stream, "POST", target.path, body)).collect()
}

/// A page.
pub(crate) fn get(target: &Target, ca: &str) -> Result<String> {
    ask(&mut connect(target, ca)?, "GET", target.path, "")
}

fn at(sorted: &[Duration], part: usize) -> Duration {
    sorted[(sorted.len() * part / 100).min(sorted.len() - 1)]
}

/// The times of requests on one connection, sorted.
fn ask_for(
    target: &Target,
    ca: &str,
    bodies: &[String],
    first: usize,
    time: Duration,
) -> Result<Vec<Duration>> {
    let mut stream = connect(target, ca)?;
    let (start, mut times) = (Instant::now(), Vec::new());
    for body in bodies.iter().cycle().skip(first) {
        if start.elapsed() >= time {
            break;
        }
        let before = Instant::now();
        ask(&mut stream, "POST", target.path, body)?;
        times.push(before.elapsed());
    }
    times.sort();
    Ok(times)
}

fn connect(target: &Target, ca: &str) -> Result<Stream> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(ca.as_bytes()) {
        roots.add(certificate?)?;
    }
    let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let connection = ClientConnection::new(Arc::new(config), ServerName::try_from("localhost")?)?;
    let stream = TcpStream::connect(target.address)?;
    stream.set_nodelay(true)?;
    Ok(BufReader::new(StreamOwned::new(connection, stream)))
}

fn ask(stream: &mut Stream, method: &str, path: &str, body: &str) -> Result<String> {
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let out = stream.get_mut();
    out.write_all(&[head.as_bytes(), body.as_bytes()].concat())?;
    out.flush()?;
    let (mut line, mut length) = (String::new(), None);
    stream.read_line(&mut line)?;
    ensure!(line.starts_with("HTTP/1.1 200"), "{line}");
    loop {
        line.clear();
        stream.read_line(&mut line)?;
        if line.trim().is_empty() {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = Some(value.trim().parse()?);
        }
    }
    let mut answer = vec![0; length.context("an answer has a length")?];
    stream.read_exact(&mut answer)?;
    Ok(String::from_utf8(answer)?)
}

/// Seconds that a process has used, in user and kernel mode.
fn processor_time(pid: u32) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let fields: Vec<_> = stat.rsplit(')').next().context("fields")?.split_whitespace().collect();
    let ticks: f64 = fields[11].parse::<f64>()? + fields[12].parse::<f64>()?;
    // The kernel counts in hundredths wherever it is asked this way.
    Ok(ticks / 100.0)
}
