//! Hosts outside the cluster: this program again, run where the caller says.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;
use netpol_tests::lab::address::{self, Family};
use netpol_tests::lab::netns::NetNs;
use netpol_tests::lab::{OUTSIDE_ADDRESSES, OUTSIDE_PORT};
use netpol_tests::probe::{self, Outcome, Probe, Target};
use socket2::{Domain, Socket, Type};

/// A host outside, with a server that runs there.
#[derive(Debug)]
pub(crate) struct Outside {
    words: Vec<String>,
    server: Child,
}

impl Outside {
    /// By a command that runs another command there.
    pub(crate) fn new(command: &str) -> Result<Self> {
        let mut words = command.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let program = std::env::current_exe()?;
        words.push(program.to_str().context("this program's path is no text")?.to_owned());
        let mut server = start(&words, &["serve"])?;
        let mut ready = [0; 6];
        let out = server.stdout.as_mut().expect("it was asked for");
        out.read_exact(&mut ready).context("the server outside does not start: see above")?;
        Ok(Self { words, server })
    }

    /// Tries to reach something; whether there was an answer.
    pub(crate) fn reaches(&self, from: IpAddr, to: Target, patience: Duration) -> Result<bool> {
        let patience = patience.as_millis().to_string();
        let (what, to) = match to {
            Target::Port(to, port) => ("connect", SocketAddr::new(to, port.number).to_string()),
            Target::Echo(to) => ("ping", to.to_string()),
        };
        let said = start(&self.words, &[what, &from.to_string(), &to, &patience])?.wait_with_output()?;
        ensure!(said.status.success(), "the host outside can't {what}: see above");
        Ok(said.stdout == ANSWERED)
    }
}

/// What a helper writes when there was an answer.
const ANSWERED: &[u8] = b"answered\n";

impl Drop for Outside {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

fn start(words: &[String], arguments: &[&str]) -> Result<Child> {
    let (program, rest) = words.split_first().context("no command")?;
    let mut command = Command::new(program);
    let command = command.args(rest).args(arguments).stdin(Stdio::null()).stdout(Stdio::piped());
    command.spawn().with_context(|| format!("starting {program}"))
}

/// The address of a host outside, counted from 1.
pub(crate) fn address(number: u8) -> IpAddr {
    address::outside(9 + number).of(Family::V4)
}

/// `serve`: greets whoever connects to one of the addresses.
pub(crate) fn serve() -> Result<()> {
    let servers = (1..=OUTSIDE_ADDRESSES).map(|number| {
        let at = SocketAddr::new(address(number), OUTSIDE_PORT);
        TcpListener::bind(at).with_context(|| format!("listening at {at}: does the host have that address?"))
    });
    let servers = servers.collect::<Result<Vec<_>>>()?;
    println!("ready");
    let threads = servers.into_iter().map(|server| {
        thread::spawn(move || {
            for mut client in server.incoming().flatten() {
                let _ = client.write_all(b"outside\n");
            }
        })
    });
    for thread in threads.collect::<Vec<_>>() {
        let _ = thread.join();
    }
    Ok(())
}

/// `connect`.
#[derive(Debug, Args)]
pub(crate) struct Connect {
    from: IpAddr,
    to: SocketAddr,
    milliseconds: u64,
}

/// `ping`.
#[derive(Debug, Args)]
pub(crate) struct Ping {
    from: IpAddr,
    to: IpAddr,
    milliseconds: u64,
}

/// Connects from one of this host's addresses.
pub(crate) fn connect(connect: &Connect) -> Result<()> {
    let socket = Socket::new(Domain::for_address(connect.to), Type::STREAM, None)?;
    socket.bind(&SocketAddr::new(connect.from, 0).into())?;
    let patience = Duration::from_millis(connect.milliseconds);
    say(socket.connect_timeout(&connect.to.into(), patience).is_ok())
}

/// Pings from one of this host's addresses.
pub(crate) fn ping(ping: &Ping) -> Result<()> {
    let here = NetNs::open("outside", "/proc/self/ns/net")?;
    let patience = Duration::from_millis(ping.milliseconds);
    let probe = Probe { source: Some(ping.from), ..Probe::new(&here, Target::Echo(ping.to), patience) };
    match &probe::run(&[probe])[0] {
        // A host on which nobody may open ping sockets: see net.ipv4.ping_group_range.
        Outcome::NotSent(why) => bail!("a ping could not be sent: {why}"),
        outcome => say(outcome.arrived()),
    }
}

fn say(answered: bool) -> Result<()> {
    if answered {
        std::io::stdout().write_all(ANSWERED)?;
    }
    Ok(())
}
