//! Traffic over TCP between the client and the server, and how much of it passes.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use netpol_tests::cluster::running::RunningCluster;
use netpol_tests::lab::address::Family;
use rustix::thread::{CpuSet, sched_setaffinity};
use socket2::{Domain, SockRef, Socket, Type};

/// Where the server listens.
pub(super) const PORT: u16 = 5201;

/// What is measured.
#[derive(Clone, Copy)]
pub(super) enum Figure {
    Throughput,
    RequestResponse,
    Connects,
}

#[derive(Clone, Copy)]
enum Side {
    Client,
    Server,
}

impl Figure {
    pub(super) const ALL: [Self; 3] = [Self::Throughput, Self::RequestResponse, Self::Connects];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Throughput => "one connection, as much as fits",
            Self::RequestResponse => "one connection, one byte to and fro",
            Self::Connects => "connections opened and closed",
        }
    }

    pub(super) fn show(self, rate: f64) -> String {
        match self {
            Self::Throughput => format!("{:.2} Gbit/s", rate * 8.0 / 1e9),
            Self::RequestResponse | Self::Connects => format!("{rate:.0} /s"),
        }
    }

    /// How many bytes, exchanges or connections a second.
    pub(super) fn measure(self, running: &RunningCluster, time: Duration) -> Result<f64> {
        let (client, server) = (&running.lab.pods["default/client"], &running.lab.pods["default/server"]);
        let address = SocketAddr::new(server.address.of(Family::V4), PORT);
        let listener = server.namespace.run(|| TcpListener::bind(address)).context("listening")?;
        let stop = Arc::new(AtomicBool::new(false));
        let serving = {
            let stop = Arc::clone(&stop);
            thread::spawn(move || {
                self.stay_on(Side::Server);
                self.serve(&listener, &stop)
            })
        };
        let asked = client.namespace.run(|| {
            self.stay_on(Side::Client);
            self.ask(address, time)
        });
        stop.store(true, Ordering::Relaxed);
        if matches!(self, Self::Connects) {
            drop(client.namespace.run(|| connect(address)));
        }
        let (asked, elapsed) = asked?;
        let received = serving.join().expect("the server's thread is well")?;
        let count = if matches!(self, Self::Throughput) { received } else { asked };
        Ok(count as f64 / elapsed.as_secs_f64())
    }

    /// Keeps the thread on a CPU: where the scheduler puts two that wait for each other matters more than anything that is measured here. What goes
    /// to and fro stays on one; for throughput either side has its own.
    fn stay_on(self, side: Side) {
        let mut cpus = CpuSet::new();
        let several = thread::available_parallelism().is_ok_and(|cpus| cpus.get() > 1);
        let own = several && matches!((self, side), (Self::Throughput, Side::Server));
        cpus.set(usize::from(own));
        // If the CPU is not this process's to use, it stays where it is.
        let _ = sched_setaffinity(None, &cpus);
    }

    /// The client's side; what comes back is how many exchanges or connections there were, in which time.
    fn ask(self, address: SocketAddr, time: Duration) -> Result<(u64, Duration)> {
        let started = Instant::now();
        let count = match self {
            Self::Throughput => {
                let mut stream = connect(address)?;
                let bytes = vec![b'.'; 128 << 10];
                while started.elapsed() < time {
                    stream.write_all(&bytes)?;
                }
                0
            }
            Self::RequestResponse => {
                let mut stream = connect(address)?;
                stream.set_nodelay(true)?;
                let (mut count, mut byte) = (0_u64, [0]);
                while started.elapsed() < time {
                    stream.write_all(b".")?;
                    stream.read_exact(&mut byte)?;
                    count += 1;
                }
                count
            }
            Self::Connects => {
                let mut count = 0;
                while started.elapsed() < time {
                    let mut stream = connect(address)?;
                    // The other side closes first, so that this side's ports are free at once.
                    let _ = stream.read(&mut [0])?;
                    count += 1;
                }
                count
            }
        };
        Ok((count, started.elapsed()))
    }

    /// The other side; what comes back is how many bytes arrived.
    fn serve(self, listener: &TcpListener, stop: &AtomicBool) -> Result<u64> {
        match self {
            Self::Throughput => {
                let (mut stream, _) = listener.accept()?;
                let mut buffer = vec![0; 256 << 10];
                let mut received = 0;
                loop {
                    match stream.read(&mut buffer)? {
                        0 => return Ok(received),
                        length => received += length as u64,
                    }
                }
            }
            Self::RequestResponse => {
                let (mut stream, _) = listener.accept()?;
                stream.set_nodelay(true)?;
                let mut byte = [0];
                loop {
                    match stream.read(&mut byte) {
                        Ok(0) => return Ok(0),
                        Ok(_) => stream.write_all(&byte)?,
                        Err(error) if error.kind() == ErrorKind::ConnectionReset => return Ok(0),
                        Err(error) => return Err(error.into()),
                    }
                }
            }
            Self::Connects => {
                while !stop.load(Ordering::Relaxed) {
                    let (stream, _) = listener.accept()?;
                    drop(stream);
                }
                Ok(0)
            }
        }
    }
}

/// Whether a pod gets through to the server's port: nobody listens there, but a refusal is an answer.
pub(super) fn opens(running: &RunningCluster, from: &str) -> bool {
    let address = SocketAddr::new(running.lab.pods["default/server"].address.of(Family::V4), PORT);
    let attempt = || {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.connect_timeout(&address.into(), Duration::from_millis(300))
    };
    match running.lab.pods[from].namespace.run(attempt) {
        Ok(()) => true,
        Err(error) => error.kind() == ErrorKind::ConnectionRefused,
    }
}

fn connect(address: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, Duration::from_secs(5)).context("connecting")?;
    SockRef::from(&stream).set_read_timeout(Some(Duration::from_secs(5)))?;
    Ok(stream)
}
