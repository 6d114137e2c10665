//! The conversation with the agent.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use crate::error::Error;
use crate::protocol::{Answer, Call, LONGEST, Request, VERSION, code};

/// What came of asking.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The agent did it.
    Done,
    /// The agent answered, but did not do it.
    Refused(Error),
    /// The agent did not answer.
    Away(Error),
}

/// Asks the agent. An agent that is away may come back within the patience: it is being restarted.
pub(crate) fn ask(socket: &Path, call: &Call, patience: Duration) -> Outcome {
    let deadline = Instant::now() + patience;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match ask_once(socket, call, left) {
            Ok(Answer { error: None, .. }) => return Outcome::Done,
            Ok(Answer { error: Some(refusal), .. }) => return Outcome::Refused(Error(refusal)),
            Err(error) if deadline.saturating_duration_since(Instant::now()) < AGAIN => {
                return Outcome::Away(Error::new(
                    code::TRY_AGAIN,
                    format!(
                        "the netpol-enforcer of this node does not answer at {}: {error}",
                        socket.display()
                    ),
                    "is its pod running on this node? If it was uninstalled without `netpol-enforcer cleanup`, remove netpol-cni \
                     from the plugins in /etc/cni/net.d",
                ));
            }
            Err(_) => thread::sleep(AGAIN),
        }
    }
}

/// How soon an agent that was away is tried again.
const AGAIN: Duration = Duration::from_millis(20);

fn ask_once(socket: &Path, call: &Call, patience: Duration) -> io::Result<Answer> {
    let mut stream = UnixStream::connect(socket)?;
    // The agent keeps to the patience itself and says what it was waiting for.
    let grace = Some(patience + Duration::from_secs(1));
    stream.set_read_timeout(grace)?;
    stream.set_write_timeout(grace)?;
    let patience = u64::try_from(patience.as_millis()).unwrap_or(u64::MAX);
    let mut line = serde_json::to_vec(&Request { version: VERSION, patience, call: call.clone() })?;
    line.push(b'\n');
    stream.write_all(&line)?;
    let mut answer = String::new();
    BufReader::new(stream).take(LONGEST).read_line(&mut answer)?;
    if answer.is_empty() {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it ended before it answered"));
    }
    Ok(serde_json::from_str(&answer)?)
}
