//! The socket at which the plugin asks.

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use netpol_cni::protocol::{Answer, Call, LONGEST, Refusal, Request, SOCKET, VERSION, code};

/// A question to the agent.
#[derive(Debug)]
pub struct Asked {
    /// What the plugin wants.
    pub call: Call,
    /// When it was asked.
    pub since: Instant,
    /// Where the answer goes.
    pub reply: Sender<Reply>,
}

/// An answer, or why there is none yet.
#[derive(Debug)]
pub enum Reply {
    /// It is done.
    Done,
    /// It is not done, and will not be.
    Refused(Refusal),
    /// It is not done yet. Told if the plugin's patience ends.
    Waiting(String),
}

/// Starts to listen. Each question is passed to `tell`, which returns false when nobody listens any more.
///
/// # Errors
/// When the socket can't be made.
pub fn serve(state_dir: &Path, tell: impl Fn(Asked) -> bool + Clone + Send + 'static) -> io::Result<()> {
    let path = state_dir.join(SOCKET);
    // One that an earlier run left; a running agent's can't be here, it holds the lock on the directory.
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&path)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
    thread::Builder::new().name("cni".into()).spawn(move || accept(&listener, &tell))?;
    Ok(())
}

/// More pods than this don't start at once on a node; what asks beyond it is told to come back.
const MOST: usize = 256;

fn accept(listener: &UnixListener, tell: &(impl Fn(Asked) -> bool + Clone + Send + 'static)) {
    let busy = Arc::new(AtomicUsize::new(0));
    for stream in listener.incoming().filter_map(Result::ok) {
        if busy.load(Ordering::Relaxed) >= MOST {
            continue;
        }
        busy.fetch_add(1, Ordering::Relaxed);
        let (tell, done) = (tell.clone(), Arc::clone(&busy));
        let started = thread::Builder::new().name("cni-call".into()).spawn(move || {
            // A plugin that has gone meanwhile does not want to know.
            let _ = converse(&stream, &tell);
            done.fetch_sub(1, Ordering::Relaxed);
        });
        if started.is_err() {
            busy.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

fn converse(stream: &UnixStream, tell: &impl Fn(Asked) -> bool) -> io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.set_write_timeout(Some(Duration::from_secs(5)))?;
    let mut line = String::new();
    BufReader::new(stream.take(LONGEST)).read_line(&mut line)?;
    let result = match serde_json::from_str::<Request>(&line) {
        Ok(request) if request.version == VERSION => ask(request, tell),
        Ok(request) => Err(refusal(
            code::INCOMPATIBLE,
            format!(
                "netpol-cni speaks version {} of its protocol, the agent version {VERSION}",
                request.version
            ),
        )),
        Err(error) => {
            Err(refusal(code::INCOMPATIBLE, format!("the agent does not understand netpol-cni: {error}")))
        }
    };
    let mut answer = serde_json::to_vec(&Answer::new(result))?;
    answer.push(b'\n');
    let mut stream = stream;
    stream.write_all(&answer)
}

fn ask(request: Request, tell: &impl Fn(Asked) -> bool) -> Result<(), Refusal> {
    let since = Instant::now();
    let deadline = since + Duration::from_millis(request.patience.min(LONGEST_PATIENCE));
    let (reply, replies) = mpsc::channel();
    if !tell(Asked { call: request.call, since, reply }) {
        return Err(refusal(code::TRY_AGAIN, "the agent is ending".into()));
    }
    let mut waiting = "the agent is busy".to_owned();
    loop {
        match replies.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(Reply::Done) => return Ok(()),
            Ok(Reply::Refused(refusal)) => return Err(refusal),
            Ok(Reply::Waiting(why)) => waiting = why,
            Err(RecvTimeoutError::Timeout) => {
                let seconds = since.elapsed().as_secs_f32();
                let message =
                    format!("the pod's policies are not in the kernel after {seconds:.1} s: {waiting}");
                return Err(refusal(code::TRY_AGAIN, message));
            }
            Err(RecvTimeoutError::Disconnected) => {
                return Err(refusal(code::TRY_AGAIN, "the agent is ending".into()));
            }
        }
    }
}

/// In milliseconds.
const LONGEST_PATIENCE: u64 = 600_000;

fn refusal(code: u32, message: String) -> Refusal {
    Refusal { code, message, details: String::new() }
}
