//! A request's body, up to what a review can honestly be.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use http_body_util::BodyExt;
use hyper::body::Body as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// Bytes of a body: etcd and the API server take objects of 3 MiB at most, and a review of an update holds two.
pub const LIMIT: usize = 7 * 1024 * 1024;

/// How much of a body that is too large is still taken off the wire, so that the sender gets to read the refusal
/// instead of a connection that breaks while it writes.
const TOLERATED: usize = 4 * LIMIT;

/// The beginning that is kept of a body that is too large: the uid stands there.
const BEGINNING: usize = 64 * 1024;

/// Up to here a body is small, as nearly all are, and is read at once. How many there are is bounded by the connections.
const SMALL: usize = 64 * 1024;

/// What larger bodies may hold together, in pieces of [`SMALL`]: four of the largest.
const PIECES: usize = 4 * LIMIT / SMALL;

/// Who has got memory for a large body must send it within this time: others wait for the memory.
const LARGE_IN: Duration = Duration::from_secs(5);

/// What was read.
pub(super) enum Read {
    /// All of it, and the memory it may hold.
    Whole(Vec<u8>, Option<OwnedSemaphorePermit>),
    /// More than [`LIMIT`]; its beginning.
    TooLarge(Vec<u8>),
    /// The sender went away.
    Broken(axum::Error),
    /// A large one that came too slowly.
    Slow,
}

/// Memory for large bodies.
#[derive(Debug)]
pub(super) struct Memory(Arc<Semaphore>);

impl Default for Memory {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(PIECES)))
    }
}

impl Memory {
    /// Reads a body; a large one waits for memory before that. However slowly it comes, a small one takes nothing from anybody
    /// but its connection.
    pub(super) async fn read(&self, body: Body) -> Read {
        let size = body.size_hint();
        // The API server always says how long it is. Who doesn't may send the most that is taken.
        let most = size.upper().map_or(LIMIT, |upper| usize::try_from(upper).unwrap_or(LIMIT).min(LIMIT));
        if most <= SMALL {
            return read(body, Vec::new(), None).await;
        }
        let pieces = u32::try_from(most.div_ceil(SMALL)).unwrap_or(u32::MAX);
        let held = Arc::clone(&self.0).acquire_many_owned(pieces).await.ok();
        let room = Vec::with_capacity(if size.upper().is_some() { most } else { 0 });
        timeout(LARGE_IN, read(body, room, held)).await.unwrap_or(Read::Slow)
    }
}

async fn read(mut body: Body, mut read: Vec<u8>, held: Option<OwnedSemaphorePermit>) -> Read {
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        let data = match frame.map(hyper::body::Frame::into_data) {
            Ok(Ok(data)) => data,
            Ok(Err(_trailers)) => continue,
            Err(error) => return Read::Broken(error),
        };
        length += data.len();
        if length <= LIMIT {
            read.extend_from_slice(&data);
        } else if length > TOLERATED {
            break;
        } else if read.len() > BEGINNING {
            read.truncate(BEGINNING);
            read.shrink_to_fit();
        }
    }
    if length <= LIMIT { Read::Whole(read, held) } else { Read::TooLarge(read) }
}
