//! Many entries of a map by one system call.

use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::path::Path;

use aya::maps::MapData;
use netpol_enforcer_common::identity::IdentityKey;

/// The map of whole addresses' numbers, which a peer that matches every pod changes by the ten thousand.
pub(super) struct Batches {
    map: MapData,
    refused: bool,
}

/// How many entries were written, and what kept the next one from it.
pub(super) type Written = (usize, io::Result<()>);

impl Batches {
    pub(super) fn open(identities: &Path) -> Result<Self, aya::maps::MapError> {
        Ok(Self { map: MapData::from_pin(identities)?, refused: false })
    }

    /// Writes entries, in this order. Nothing where this kernel has no such call.
    pub(super) fn update(&mut self, keys: &[IdentityKey], values: &[u32]) -> Option<Written> {
        assert_eq!(keys.len(), values.len(), "a value for each key");
        self.command(BPF_MAP_UPDATE_BATCH, keys, values.as_ptr() as u64)
    }

    /// Removes entries, in this order.
    pub(super) fn delete(&mut self, keys: &[IdentityKey]) -> Option<Written> {
        self.command(BPF_MAP_DELETE_BATCH, keys, 0)
    }

    fn command(&mut self, command: libc::c_long, keys: &[IdentityKey], values: u64) -> Option<Written> {
        #[repr(C)]
        struct Attributes {
            in_batch: u64,
            out_batch: u64,
            keys: u64,
            values: u64,
            count: u32,
            map: u32,
            entry_flags: u64,
            flags: u64,
        }
        if self.refused {
            return None;
        }
        let mut attributes = Attributes {
            in_batch: 0,
            out_batch: 0,
            keys: keys.as_ptr() as u64,
            values,
            count: u32::try_from(keys.len()).ok()?,
            map: self.map.fd().as_fd().as_raw_fd().cast_unsigned(),
            entry_flags: 0,
            flags: 0,
        };
        // SAFETY: the map is open and has keys of this type and values of 4 bytes; `keys` has `count` of them, and so has what
        // `values` points to, which is 0 where the kernel reads none. The kernel writes nothing but `count`.
        #[allow(unsafe_code)]
        let result =
            unsafe { libc::syscall(libc::SYS_bpf, command, &raw mut attributes, size_of::<Attributes>()) };
        if result >= 0 {
            return Some((keys.len(), Ok(())));
        }
        let error = io::Error::last_os_error();
        if matches!(error.raw_os_error(), Some(libc::EINVAL | ENOTSUPP)) {
            // Nothing was written: the kernel knows the call, or not, before it looks at the first entry.
            self.refused = true;
            return None;
        }
        // The count is as it was when the kernel did not come to the first entry.
        let count = attributes.count as usize;
        Some((if count < keys.len() { count } else { 0 }, Err(error)))
    }
}

const BPF_MAP_UPDATE_BATCH: libc::c_long = 26;
const BPF_MAP_DELETE_BATCH: libc::c_long = 27;
/// What the kernel says of an operation that a kind of map lacks; no name of the C library's.
const ENOTSUPP: i32 = 524;
