//! What the library has no call for, or only one that asks for more rights than the agent has.

use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::path::Path;

use aya::maps::{MapData, MapInfo};

use super::hook::{Direction, Hook};

/// The programs that TCX runs at a hook, by their numbers, in their order.
///
/// The library's own query opens every one of them, for which the kernel wants `CAP_SYS_ADMIN`.
pub(super) fn programs_at(hook: Hook) -> io::Result<Vec<u32>> {
    #[repr(C)]
    struct Attributes {
        link: u32,
        attach_type: u32,
        query_flags: u32,
        attach_flags: u32,
        programs: u64,
        count: u32,
        reserved: u32,
        program_flags: u64,
        links: u64,
        link_flags: u64,
        revision: u64,
    }
    let mut programs = vec![0u32; MOST_AT_A_HOOK];
    let mut attributes = Attributes {
        link: hook.link,
        attach_type: match hook.direction {
            Direction::Ingress => BPF_TCX_INGRESS,
            Direction::Egress => BPF_TCX_EGRESS,
        },
        query_flags: 0,
        attach_flags: 0,
        programs: programs.as_mut_ptr() as u64,
        count: MOST_AT_A_HOOK as u32,
        reserved: 0,
        program_flags: 0,
        links: 0,
        link_flags: 0,
        revision: 0,
    };
    // SAFETY: `programs` has room for as many numbers as `count` says; the other pointers are 0, which leaves them out.
    #[allow(unsafe_code)]
    let result =
        unsafe { libc::syscall(libc::SYS_bpf, BPF_PROG_QUERY, &raw mut attributes, size_of::<Attributes>()) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    programs.truncate(attributes.count as usize);
    Ok(programs)
}

const BPF_PROG_QUERY: libc::c_long = 16;
const BPF_TCX_INGRESS: u32 = 46;
const BPF_TCX_EGRESS: u32 = 47;
/// The kernel takes no more.
const MOST_AT_A_HOOK: usize = 64;

/// A pinned map, as bytes: keys and values have sizes that are only known when it is opened.
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
