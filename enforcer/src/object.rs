//! The kernel programs, built by `build.rs`.

/// The ELF object: load it with [`aya::EbpfLoader::load`]. The names of its programs and maps are in
/// [`netpol_enforcer_common`].
pub static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/netpol-ebpf.o"));
