//! A request's body, up to what a review can honestly be.

use axum::body::Body;
use http_body_util::BodyExt;

/// Bytes of a body: etcd and the API server take objects of 3 MiB at most, and a review of an update holds two.
pub const LIMIT: usize = 7 * 1024 * 1024;

/// How much of a body that is too large is still taken off the wire, so that the sender gets to read the refusal
/// instead of a connection that breaks while it writes.
const TOLERATED: usize = 4 * LIMIT;

/// The beginning that is kept of a body that is too large: the uid stands there.
const BEGINNING: usize = 64 * 1024;

/// What was read.
pub(super) enum Read {
    /// All of it.
    Whole(Vec<u8>),
    /// More than [`LIMIT`]; its beginning.
    TooLarge(Vec<u8>),
    /// The sender went away.
    Broken(axum::Error),
}

pub(super) async fn read(mut body: Body) -> Read {
    let mut read = Vec::new();
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
    if length <= LIMIT { Read::Whole(read) } else { Read::TooLarge(read) }
}
