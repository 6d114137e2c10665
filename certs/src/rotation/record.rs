//! A rotation as it is kept: the entries of a Secret.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::Rotation;
use crate::authority::Authority;
use crate::bundle::Bundle;
use crate::error::{Error, Part};

const CURRENT: Entry = Entry { certificate: "ca.crt", key: "ca.key" };
const NEXT: Entry = Entry { certificate: "next.crt", key: "next.key" };
const OLD: &str = "old.crt";
const OLD_UNTIL: &str = "old-until";
const PUBLISHED: &str = "published";
const LEAF_SECONDS: &str = "leaf-seconds";

struct Entry {
    certificate: &'static str,
    key: &'static str,
}

impl Rotation {
    /// Reads the entries of [`Self::entries`].
    ///
    /// What can be missed is: a damaged next authority is made anew when its time comes, damaged times are counted anew, and
    /// after the end of the current authority the next one takes its place.
    ///
    /// # Errors
    /// When there is no authority that can sign: entries are missing or can't be read, don't belong together, or are out of
    /// their time.
    pub fn read(entries: &BTreeMap<String, Vec<u8>>, now: SystemTime) -> Result<Self, Error> {
        let next = authority(entries, &NEXT, now);
        let (current, next) = match (authority(entries, &CURRENT, now), next) {
            (Ok(current), next) => (current, next.ok()),
            (Err(Error::Expired { .. }), Ok(next)) => (next, None),
            (Err(error), _) => return Err(error),
        };
        let old = text(entries, OLD).and_then(Bundle::from_pem).unwrap_or_default();
        let life = current.validity().not_after().duration_since(current.validity().not_before());
        Ok(Self {
            old_until: moment(entries, OLD_UNTIL),
            published: moment(entries, PUBLISHED),
            // Not known: then it may have been as long as the authority lives.
            leaf_life: seconds(entries, LEAF_SECONDS).unwrap_or(life.unwrap_or_default()),
            current: Arc::new(current),
            next: next.map(Arc::new),
            old,
        })
    }

    /// As it is kept. Times are in seconds since 1970, durations in seconds. It holds private keys.
    pub fn entries(&self) -> BTreeMap<String, Vec<u8>> {
        let mut entries = BTreeMap::new();
        let mut put = |name: &str, text: String| entries.insert(name.to_owned(), text.into_bytes());
        for (entry, authority) in [(CURRENT, Some(&self.current)), (NEXT, self.next.as_ref())] {
            if let Some(authority) = authority {
                put(entry.certificate, authority.certificate_pem());
                put(entry.key, authority.key_pem());
            }
        }
        if !self.old.is_empty() {
            put(OLD, self.old.to_pem());
        }
        for (name, moment) in [(OLD_UNTIL, self.old_until), (PUBLISHED, self.published)] {
            if let Some(moment) = moment {
                put(name, written(moment.duration_since(UNIX_EPOCH).unwrap_or_default()));
            }
        }
        put(LEAF_SECONDS, written(self.leaf_life));
        entries
    }
}

fn authority(
    entries: &BTreeMap<String, Vec<u8>>,
    entry: &Entry,
    now: SystemTime,
) -> Result<Authority, Error> {
    Authority::from_pem(text(entries, entry.certificate)?, text(entries, entry.key)?, now)
}

fn text<'e>(entries: &'e BTreeMap<String, Vec<u8>>, name: &'static str) -> Result<&'e str, Error> {
    let bytes = entries.get(name).ok_or(Error::Missing { name })?;
    std::str::from_utf8(bytes)
        .map_err(|_| Error::Pem { part: Part::Authority, detail: format!("{name} is not text") })
}

fn moment(entries: &BTreeMap<String, Vec<u8>>, name: &'static str) -> Option<SystemTime> {
    UNIX_EPOCH.checked_add(seconds(entries, name)?)
}

fn seconds(entries: &BTreeMap<String, Vec<u8>>, name: &'static str) -> Option<Duration> {
    let seconds: f64 = text(entries, name).ok()?.trim().parse().ok()?;
    // More than anything this program has written would overflow where times are added.
    Duration::try_from_secs_f64(seconds).ok().filter(|duration| duration.as_secs() < 1 << 40)
}

/// To the millisecond, never less than it is.
fn written(duration: Duration) -> String {
    let milliseconds = duration.as_nanos().div_ceil(1_000_000);
    format!("{}.{:03}", milliseconds / 1000, milliseconds % 1000)
}
