//! Maps whose keys and values have sizes that are only known when they are opened.

use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::path::Path;

use aya::maps::{MapData, MapInfo};

/// A pinned map, as bytes.
pub(super) struct RawMap {
    data: MapData,
    key_size: usize,
    value_size: usize,
}

impl RawMap {
    /// Opens it; refused if its sizes are not those expected.
    pub(super) fn open(path: &Path, key_size: usize, value_size: usize) -> io::Result<Self> {
        let info = MapInfo::from_pin(path).map_err(io::Error::other)?;
        let there = (info.key_size() as usize, info.value_size() as usize);
        if there != (key_size, value_size) {
            return Err(io::Error::other(format!(
                "{} has keys and values of {} and {} bytes, and is described with {key_size} and {value_size}",
                path.display(),
                there.0,
                there.1
            )));
        }
        Ok(Self { data: MapData::from_pin(path).map_err(io::Error::other)?, key_size, value_size })
    }

    /// Passes every entry to `take`. Entries that come or go meanwhile may be missed, or seen twice.
    pub(super) fn each(&self, mut take: impl FnMut(&[u8], &[u8])) -> io::Result<()> {
        let mut key: Option<Vec<u8>> = None;
        let mut value = vec![0; self.value_size];
        // The kernel starts again at the first key when the one given has gone. Nothing is endless that way: no more is
        // asked for than could ever be there.
        for _ in 0..MOST {
            let mut next = vec![0; self.key_size];
            let current = key.as_mut().map_or(0, |key| key.as_mut_ptr() as u64);
            match self.command(BPF_MAP_GET_NEXT_KEY, current, next.as_mut_ptr() as u64) {
                Err(error) if error.raw_os_error() == Some(libc::ENOENT) => return Ok(()),
                result => result?,
            }
            match self.command(BPF_MAP_LOOKUP_ELEM, next.as_mut_ptr() as u64, value.as_mut_ptr() as u64) {
                Ok(()) => take(&next, &value),
                Err(error) if error.raw_os_error() == Some(libc::ENOENT) => {}
                Err(error) => return Err(error),
            }
            key = Some(next);
        }
        Ok(())
    }

    fn command(&self, command: libc::c_long, key: u64, value: u64) -> io::Result<()> {
        #[repr(C)]
        struct Attributes {
            map: u32,
            reserved: u32,
            key: u64,
            value: u64,
            flags: u64,
        }
        let map = self.data.fd().as_fd().as_raw_fd().cast_unsigned();
        let attributes = Attributes { map, reserved: 0, key, value, flags: 0 };
        // SAFETY: the map is open; `key` and `value` are 0 or point to as many bytes as the kernel says that keys and values of this map
        // have, which `open` has checked. (A map per CPU would need more for a value; none is opened so.)
        #[allow(unsafe_code)]
        let result =
            unsafe { libc::syscall(libc::SYS_bpf, command, &raw const attributes, size_of::<Attributes>()) };
        if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }
}

const BPF_MAP_LOOKUP_ELEM: libc::c_long = 1;
const BPF_MAP_GET_NEXT_KEY: libc::c_long = 4;

/// More entries than any map of ours has, several times over.
const MOST: usize = 1 << 24;
