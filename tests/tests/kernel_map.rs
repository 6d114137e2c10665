//! Breaking a node's maps behind its agent's back.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};

use netpol_tests::lab::netns::NetNs;

/// Removes all entries of a pinned map whose keys are this long.
pub(crate) fn clear(node: &NetNs, map: &str, key_length: usize) {
    let removed = node.run(|| {
        let map = open(map).expect("the map is pinned");
        let mut removed = 0;
        let mut key = vec![0_u8; key_length];
        while call(MAP_GET_NEXT_KEY, &mut MapElement::new(&map, std::ptr::null(), key.as_mut_ptr())).is_ok() {
            call(MAP_DELETE_ELEM, &mut MapElement::new(&map, key.as_ptr(), std::ptr::null_mut()))
                .expect("removed");
            removed += 1;
        }
        removed
    });
    assert!(removed > 0, "the map was empty");
}

/// Writes a value of a pinned map whose keys are numbers; it has to be as long as the map's values.
pub(crate) fn overwrite(node: &NetNs, map: &str, key: u32, value: &[u8]) {
    node.run(|| {
        let map = open(map).expect("the map is pinned");
        let key = key.to_ne_bytes();
        // The kernel only reads the value.
        let mut element = MapElement::new(&map, key.as_ptr(), value.as_ptr().cast_mut());
        call(MAP_UPDATE_ELEM, &mut element).expect("written");
    });
}

/// Commands of the system call `bpf`.
const MAP_UPDATE_ELEM: libc::c_int = 2;
const MAP_DELETE_ELEM: libc::c_int = 3;
const MAP_GET_NEXT_KEY: libc::c_int = 4;
const OBJ_GET: libc::c_int = 7;

/// What the kernel takes for commands on an element, with `next_key` or the value in the same place.
#[repr(C)]
struct MapElement {
    map: u32,
    padding: u32,
    key: u64,
    next_key_or_value: u64,
    flags: u64,
}

#[repr(C)]
struct Object {
    path: u64,
    fd: u32,
    flags: u32,
}

impl MapElement {
    fn new(map: &OwnedFd, key: *const u8, next_key_or_value: *mut u8) -> Self {
        let map = map.as_raw_fd().cast_unsigned();
        Self { map, padding: 0, key: key as u64, next_key_or_value: next_key_or_value as u64, flags: 0 }
    }
}

#[allow(unsafe_code)]
fn open(map: &str) -> io::Result<OwnedFd> {
    let pins = std::fs::read_dir("/sys/fs/bpf/netpol")?.flatten().next().expect("a layout version");
    let path = pins.path().join("maps").join(map);
    let path = CString::new(path.to_str().expect("ASCII")).expect("no NUL");
    let fd = call(OBJ_GET, &mut Object { path: path.as_ptr() as u64, fd: 0, flags: 0 })?;
    // SAFETY: the kernel has just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

#[allow(unsafe_code)]
fn call<A>(command: libc::c_int, argument: &mut A) -> io::Result<libc::c_int> {
    let size = libc::c_ulong::try_from(size_of::<A>()).expect("small");
    // SAFETY: the argument is of the shape and size that the command asks for; pointers in it are valid for the call.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_mut(argument), size) };
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(libc::c_int::try_from(result).expect("a descriptor"))
    }
}
