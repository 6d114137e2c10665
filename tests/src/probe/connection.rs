//! A TCP connection that stays open, to see whether what was allowed once is still delivered.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use socket2::{Domain, Protocol, Socket, Type};

use crate::lab::netns::NetNs;

/// An open TCP connection to a [`Server`](super::server::Server), which echoes what it gets.
#[derive(Debug)]
pub struct Connection {
    socket: Socket,
    /// The name of the pod that answered.
    pub server: String,
    sent: u64,
    /// What was sent and not yet echoed.
    awaited: Vec<u8>,
}

impl Connection {
    /// Connects, and reads the server's greeting.
    ///
    /// # Errors
    /// When it can't be connected within the time.
    pub fn open(from: &NetNs, to: SocketAddr, patience: Duration) -> Result<Self> {
        let domain = if to.is_ipv4() { Domain::IPV4 } else { Domain::IPV6 };
        let socket = from.run(|| Socket::new(domain, Type::STREAM, Some(Protocol::TCP)))?;
        socket.connect_timeout(&to.into(), patience).with_context(|| format!("connecting to {to}"))?;
        let mut connection = Self { socket, server: String::new(), sent: 0, awaited: Vec::new() };
        let mut greeting = Vec::new();
        let deadline = Instant::now() + patience;
        while !greeting.ends_with(b"\n") {
            ensure!(connection.read_into(&mut greeting, deadline)?, "no greeting from {to}");
        }
        connection.server = String::from_utf8_lossy(&greeting).trim().to_owned();
        Ok(connection)
    }

    /// Sends a line and waits for its echo; false when it doesn't come in time. What was not delivered stays queued in
    /// the kernel, which goes on retransmitting it: a later exchange sees it delivered once the way is open again.
    ///
    /// # Errors
    /// When the connection was reset or closed.
    pub fn exchange(&mut self, patience: Duration) -> Result<bool> {
        self.sent += 1;
        let line = format!("{}\n", self.sent).into_bytes();
        self.socket.set_write_timeout(Some(patience))?;
        { &self.socket }.write_all(&line).context("the connection broke while sending")?;
        self.awaited.extend(line);
        self.drain(patience)
    }

    /// Sends this many bytes and reads their echo at the same time; false when it doesn't come in time.
    ///
    /// # Errors
    /// As [`Connection::exchange`], and when the echo differs from what was sent.
    pub fn echo(&mut self, length: usize, patience: Duration) -> Result<bool> {
        let bytes: Vec<u8> = (0..length).map(|at| (at ^ at >> 8 ^ at >> 16) as u8).collect();
        self.socket.set_write_timeout(Some(patience))?;
        let deadline = Instant::now() + patience;
        std::thread::scope(|scope| {
            let sending = scope.spawn(|| { &self.socket }.write_all(&bytes));
            let mut echoed = Vec::with_capacity(length);
            while echoed.len() < length {
                if !self.read_into(&mut echoed, deadline)? {
                    return Ok(false);
                }
            }
            sending.join().expect("sending does not panic").context("the connection broke while sending")?;
            ensure!(echoed == bytes, "the echo differs from what was sent");
            Ok(true)
        })
    }

    /// Waits for the echo of everything sent so far.
    ///
    /// # Errors
    /// As [`Connection::exchange`].
    pub fn drain(&mut self, patience: Duration) -> Result<bool> {
        let deadline = Instant::now() + patience;
        while !self.awaited.is_empty() {
            let mut echo = Vec::new();
            if !self.read_into(&mut echo, deadline)? {
                return Ok(false);
            }
            ensure!(self.awaited.starts_with(&echo), "the echo differs from what was sent");
            self.awaited.drain(..echo.len());
        }
        Ok(true)
    }

    fn read_into(&self, bytes: &mut Vec<u8>, deadline: Instant) -> Result<bool> {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(false);
        }
        self.socket.set_read_timeout(Some(left))?;
        let mut buffer = [0; 4096];
        match { &self.socket }.read(&mut buffer) {
            Ok(0) => anyhow::bail!("the other side closed the connection"),
            Ok(length) => {
                bytes.extend(&buffer[..length]);
                Ok(true)
            }
            // The kernel ends a read with a time limit when the process is stopped and goes on.
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(true),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => Ok(false),
            Err(error) => Err(error).context("the connection broke while waiting"),
        }
    }
}
