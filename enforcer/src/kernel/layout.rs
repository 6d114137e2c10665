//! What the maps of a layout look like, written down beside them in words that other versions understand.
//!
//! An agent of another version can't know this version's structures, whether it is newer or older. So each agent describes its own: where in
//! keys and values the few fields lie that a successor needs. A field's name stands for its meaning: what means something else gets another name.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::mem::offset_of;
use std::path::{Path, PathBuf};

use netpol_enforcer_common::conntrack::{Flow, FlowKey, Link, LinkKey};
use netpol_enforcer_common::endpoint::{Endpoint, MAX_V4, MAX_V6};
use netpol_enforcer_common::maps;
use serde::{Deserialize, Serialize};

use super::pins::LAYOUT;

/// The layout of all maps that matter to a successor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Layout {
    maps: BTreeMap<String, MapLayout>,
}

/// The layout of one map.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct MapLayout {
    pub(super) key_size: usize,
    pub(super) value_size: usize,
    key: BTreeMap<String, Place>,
    value: BTreeMap<String, Place>,
}

/// A field, or several of a kind one after another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Place {
    offset: usize,
    size: usize,
    count: usize,
}

/// Bytes with the places of the fields in them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record<'b> {
    places: &'b BTreeMap<String, Place>,
    bytes: &'b [u8],
}

impl Layout {
    /// This version's.
    pub(super) fn own() -> Self {
        let place = |offset, size, count| Place { offset, size, count };
        let fields =
            |list: &[(&str, Place)]| list.iter().map(|(name, place)| ((*name).to_owned(), *place)).collect();
        let flows = MapLayout {
            key_size: size_of::<FlowKey>(),
            value_size: size_of::<Flow>(),
            key: fields(&[
                ("generation", place(offset_of!(FlowKey, generation), 4, 1)),
                ("local", place(offset_of!(FlowKey, local), 16, 1)),
                ("remote", place(offset_of!(FlowKey, remote), 16, 1)),
                ("local_port", place(offset_of!(FlowKey, local_port), 2, 1)),
                ("remote_port", place(offset_of!(FlowKey, remote_port), 2, 1)),
                ("protocol", place(offset_of!(FlowKey, protocol), 1, 1)),
            ]),
            value: fields(&[
                ("approved", place(offset_of!(Flow, approved), 4, 2)),
                ("last_seen", place(offset_of!(Flow, last_seen), 4, 1)),
                ("hash", place(offset_of!(Flow, hash), 4, 1)),
                ("flags", place(offset_of!(Flow, flags), 4, 1)),
            ]),
        };
        let endpoints = MapLayout {
            key_size: 4,
            value_size: size_of::<Endpoint>(),
            key: fields(&[("link", place(0, 4, 1))]),
            value: fields(&[
                ("generation", place(offset_of!(Endpoint, generation), 4, 1)),
                ("slot", place(offset_of!(Endpoint, slot), 2, 1)),
                ("mac", place(offset_of!(Endpoint, mac), 6, 1)),
                ("v4", place(offset_of!(Endpoint, v4), 4, MAX_V4)),
                ("v6", place(offset_of!(Endpoint, v6), 16, MAX_V6)),
            ]),
        };
        let links = MapLayout {
            key_size: size_of::<LinkKey>(),
            value_size: size_of::<Link>(),
            key: fields(&[
                ("generation", place(offset_of!(LinkKey, generation), 4, 1)),
                ("hash", place(offset_of!(LinkKey, hash), 4, 1)),
            ]),
            value: fields(&[
                ("address", place(offset_of!(Link, address), 16, 1)),
                ("port", place(offset_of!(Link, port), 2, 1)),
                ("protocol", place(offset_of!(Link, protocol), 1, 1)),
            ]),
        };
        let number = |name: &str| MapLayout {
            key_size: 4,
            value_size: 4,
            key: fields(&[("index", place(0, 4, 1))]),
            value: fields(&[(name, place(0, 4, 1))]),
        };
        let maps = [
            (maps::CONNTRACK, flows),
            (maps::LINKS, links),
            (maps::ENDPOINTS, endpoints),
            (maps::SLOTS, number("link")),
            (maps::EPOCH, number("epoch")),
        ];
        Self { maps: maps.into_iter().map(|(name, layout)| (name.to_owned(), layout)).collect() }
    }

    /// The layout of a map.
    pub(super) fn map(&self, name: &str) -> Option<&MapLayout> {
        self.maps.get(name)
    }

    /// Reads what an agent wrote about a layout.
    pub(super) fn read(state_dir: &Path, version: u32) -> io::Result<Self> {
        Ok(serde_json::from_slice(&fs::read(file(state_dir, version))?)?)
    }
}

/// Writes this version's layout down.
///
/// # Errors
/// When the directory can't be written.
pub fn describe_layout(state_dir: &Path) -> io::Result<()> {
    let path = file(state_dir, LAYOUT);
    let fresh = path.with_extension("json.new");
    fs::write(&fresh, serde_json::to_vec_pretty(&Layout::own())?)?;
    fs::rename(fresh, path)
}

/// Removes what was written about a layout; without a version, about all of them.
///
/// # Errors
/// When a file can't be removed.
pub fn forget_layouts(state_dir: &Path, keep: Option<u32>) -> io::Result<()> {
    let kept = keep.map(|version| file(state_dir, version));
    for entry in fs::read_dir(state_dir)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.starts_with("layout-v") && name.ends_with(".json") && Some(&path) != kept.as_ref() {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

fn file(state_dir: &Path, version: u32) -> PathBuf {
    state_dir.join(format!("layout-v{version}.json"))
}

impl MapLayout {
    /// The fields of a key.
    pub(super) fn key<'b>(&'b self, bytes: &'b [u8]) -> Record<'b> {
        Record { places: &self.key, bytes }
    }

    /// The fields of a value.
    pub(super) fn value<'b>(&'b self, bytes: &'b [u8]) -> Record<'b> {
        Record { places: &self.value, bytes }
    }
}

impl Record<'_> {
    /// The bytes of the fields with a name.
    pub(super) fn all(&self, name: &str) -> Option<Vec<&[u8]>> {
        let place = self.places.get(name)?;
        (0..place.count)
            .map(|index| {
                let start = place.offset.checked_add(place.size.checked_mul(index)?)?;
                self.bytes.get(start..start.checked_add(place.size)?)
            })
            .collect()
    }

    /// A field of this many bytes.
    pub(super) fn bytes<const N: usize>(&self, name: &str) -> Option<[u8; N]> {
        self.all(name)?.first().and_then(|bytes| (*bytes).try_into().ok())
    }

    /// A number of whatever width, if it fits.
    pub(super) fn number<T: TryFrom<u64>>(&self, name: &str) -> Option<T> {
        number(self.all(name)?.first()?)
    }

    /// As many numbers as wanted; 0 where there are fewer.
    pub(super) fn numbers<const N: usize>(&self, name: &str) -> Option<[u32; N]> {
        let mut numbers = [0; N];
        for (place, bytes) in numbers.iter_mut().zip(self.all(name)?) {
            *place = number(bytes)?;
        }
        Some(numbers)
    }
}

fn number<T: TryFrom<u64>>(bytes: &[u8]) -> Option<T> {
    let wide = match bytes.len() {
        1 => u64::from(bytes[0]),
        2 => u64::from(u16::from_ne_bytes(bytes.try_into().ok()?)),
        4 => u64::from(u32::from_ne_bytes(bytes.try_into().ok()?)),
        8 => u64::from_ne_bytes(bytes.try_into().ok()?),
        _ => return None,
    };
    T::try_from(wide).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_by_name_whatever_their_width() {
        let text = r#"{"maps":{"M":{"key_size":6,"value_size":8,"key":{"a":{"offset":2,"size":4,"count":1}},
            "value":{"n":{"offset":0,"size":8,"count":1},"many":{"offset":0,"size":2,"count":4},"out":{"offset":6,"size":4,"count":1}}}}}"#;
        let layout: Layout = serde_json::from_str(text).expect("it is fine");
        let map = layout.map("M").expect("it is there");
        let mut key = [0_u8; 6];
        key[2..].copy_from_slice(&7_u32.to_ne_bytes());
        assert_eq!(map.key(&key).number("a"), Some(7_u32));
        let value = 300_u64.to_ne_bytes();
        assert_eq!(map.value(&value).number("n"), Some(300_u32));
        assert_eq!(map.value(&value).number::<u8>("n"), None, "it does not fit");
        assert_eq!(map.value(&value).numbers::<2>("many"), Some([300, 0]));
        assert_eq!(map.value(&value).number::<u32>("out"), None, "it is not all there");
        assert_eq!(map.value(&value).number::<u32>("other"), None);
    }

    #[test]
    fn the_own_description_fits_the_own_structures() {
        let layout = Layout::own();
        let text = serde_json::to_string(&layout).expect("it is plain data");
        assert_eq!(serde_json::from_str::<Layout>(&text).expect("it is read back"), layout);
        for map in layout.maps.values() {
            for (size, places) in [(map.key_size, &map.key), (map.value_size, &map.value)] {
                assert!(places.values().all(|place| place.offset + place.size * place.count <= size));
            }
        }
    }
}
