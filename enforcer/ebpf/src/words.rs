//! Clearing and copying word by word.
//!
//! What the compiler makes of a plain assignment of more than a few words is a call of `memset` or `memcpy`, which go byte by byte
//! here and take longer than looking up a flow.

/// A type that consists of words, or of as many smaller integers, and for which zeros are a value.
///
/// # Safety
///
/// Its size and alignment are multiples of four, and all bits may be 0.
pub unsafe trait Words {}

/// Sets everything to 0.
#[inline(always)]
pub fn clear<T: Words>(value: &mut T) {
    let to = core::ptr::from_mut(value).cast::<u32>();
    let mut index = 0;
    while index < size_of::<T>() / 4 {
        // SAFETY: within the value; zeros are allowed by the trait. Volatile, so that it does not become `memset`.
        unsafe { to.add(index).write_volatile(0) };
        index += 1;
    }
}

/// Copies everything.
#[inline(always)]
pub fn copy<T: Words>(to: &mut T, from: &T) {
    let (to, from) = (core::ptr::from_mut(to).cast::<u32>(), core::ptr::from_ref(from).cast::<u32>());
    let mut index = 0;
    while index < size_of::<T>() / 4 {
        // SAFETY: within both values. Volatile, so that it does not become `memcpy`.
        unsafe { to.add(index).write_volatile(from.add(index).read()) };
        index += 1;
    }
}
