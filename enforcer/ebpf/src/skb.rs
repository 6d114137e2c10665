//! The packet as the kernel hands it to a program. All access to it is here.

use core::mem::MaybeUninit;

use aya_ebpf::{
    bindings::__sk_buff,
    helpers::{bpf_get_hash_recalc, bpf_skb_load_bytes},
};

/// A packet in the kernel, valid for the run of the program.
#[derive(Clone, Copy)]
pub struct Skb(*mut __sk_buff);

/// Up to where the verifier is sure to follow an offset that is not constant.
const FIRST_BYTES: u32 = 1024;

// In all of these: SAFETY: the pointer is the program's context, and the verifier admits no other access to it than that of
// whole fields at their place.
impl Skb {
    /// The packet of a program's run.
    #[inline(always)]
    pub fn new(context: &aya_ebpf::programs::TcContext) -> Self {
        Self(context.skb.skb)
    }

    /// `skb->mark`.
    #[inline(always)]
    pub fn mark(self) -> u32 {
        unsafe { (*self.0).mark }
    }

    /// Sets `skb->mark`.
    #[inline(always)]
    pub fn set_mark(self, mark: u32) {
        unsafe { (*self.0).mark = mark };
    }

    /// Leaves words for whoever runs the program as a question.
    #[inline(always)]
    pub fn answer(self, words: [u32; 5]) {
        unsafe {
            (*self.0).cb[0] = words[0];
            (*self.0).cb[1] = words[1];
            (*self.0).cb[2] = words[2];
            (*self.0).cb[3] = words[3];
            (*self.0).cb[4] = words[4];
        }
    }

    /// The link of the hook.
    #[inline(always)]
    pub fn ifindex(self) -> u32 {
        unsafe { (*self.0).ifindex }
    }

    /// The link on which the packet entered the host; 0: the host sent it.
    #[inline(always)]
    pub fn ingress_ifindex(self) -> u32 {
        unsafe { (*self.0).ingress_ifindex }
    }

    /// The `EtherType` in host byte order. On ingress the kernel takes it from the frame; a VLAN tag is taken off first.
    #[inline(always)]
    pub fn ether_type(self) -> u16 {
        u16::from_be(unsafe { (*self.0).protocol } as u16)
    }

    /// Whether the frame had a VLAN tag.
    #[inline(always)]
    pub fn tagged(self) -> bool {
        unsafe { (*self.0).vlan_present != 0 }
    }

    /// The length in bytes, link-layer header included.
    #[inline(always)]
    pub fn length(self) -> u32 {
        unsafe { (*self.0).len }
    }

    /// The flow's hash, which the packet keeps when it is translated.
    #[inline(always)]
    pub fn hash(self) -> u32 {
        unsafe { bpf_get_hash_recalc(self.0) }
    }

    /// What lies at an offset of the packet, if that is in its linear part; on a link with an Ethernet header, two bytes after a multiple of
    /// four are aligned for words.
    #[inline(always)]
    pub fn linear<T>(self, offset: u32) -> Option<&'static T> {
        let (start, end) = unsafe { ((*self.0).data as usize, (*self.0).data_end as usize) };
        let at = start + offset as usize;
        if at + size_of::<T>() > end {
            return None;
        }
        Some(unsafe { &*(at as *const T) })
    }

    /// Copies `N` words.
    #[inline(always)]
    pub fn load<const N: usize>(self, offset: u32) -> Option<[u32; N]> {
        if offset <= FIRST_BYTES
            && let Some(words) = self.linear::<[u32; N]>(offset)
        {
            return Some(*words);
        }
        let mut words = MaybeUninit::<[u32; N]>::uninit();
        let size = (N * 4) as u32;
        let result = unsafe { bpf_skb_load_bytes(self.0.cast(), offset, words.as_mut_ptr().cast(), size) };
        // The helper has filled them.
        (result == 0).then(|| unsafe { words.assume_init() })
    }

    /// Copies `N` half-words.
    #[inline(always)]
    pub fn load_halves<const N: usize>(self, offset: u32) -> Option<[u16; N]> {
        if offset <= FIRST_BYTES
            && let Some(halves) = self.linear::<[u16; N]>(offset)
        {
            return Some(*halves);
        }
        let mut halves = MaybeUninit::<[u16; N]>::uninit();
        let size = (N * 2) as u32;
        let result = unsafe { bpf_skb_load_bytes(self.0.cast(), offset, halves.as_mut_ptr().cast(), size) };
        // The helper has filled them.
        (result == 0).then(|| unsafe { halves.assume_init() })
    }
}
