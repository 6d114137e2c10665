//! What the programs write into `skb->mark`.
//!
//! Every packet that comes from a pod's veth carries a mark until it leaves the node or enters another network namespace
//! (the kernel clears the mark there, so that a pod can't forge one):
//!
//! ```text
//! field = (skb->mark & config.mark_mask) >> config.mark_shift
//!   bit 0      FORWARDED: from a pod's veth
//!   bit 1      DEFER: the egress verdict is still to be given, after translation of the destination
//!   bits 2..   the endpoint's slot; 0: an unknown endpoint
//! ```
//!
//! Bits outside the mask are never changed.

/// The default [`crate::config::Config::mark_mask`]: the twelve highest bits, 1023 slots. kube-proxy uses `0x4000` and `0x8000`.
pub const DEFAULT_MASK: u32 = 0xfff0_0000;

/// From a pod's veth.
pub const FORWARDED: u32 = 1;
/// The egress verdict is still to be given.
pub const DEFER: u32 = 2;
/// Where the slot begins within the field.
pub const SLOT_SHIFT: u32 = 2;
/// The narrowest mask that is of use: the two flags and 127 slots.
pub const MIN_WIDTH: u32 = 9;
/// The widest mask: slots are 14 bits.
pub const MAX_WIDTH: u32 = 16;

/// A mask that can hold the field: contiguous, between [`MIN_WIDTH`] and [`MAX_WIDTH`] bits wide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MarkMask(u32);

impl MarkMask {
    /// The default mask.
    pub const DEFAULT: Self = Self(DEFAULT_MASK);

    /// Checks a mask; `None` if it is not contiguous, too narrow or too wide.
    #[must_use]
    pub const fn new(mask: u32) -> Option<Self> {
        let width = mask.count_ones();
        let contiguous = mask.leading_zeros() + mask.trailing_zeros() + width == 32;
        if contiguous && width >= MIN_WIDTH && width <= MAX_WIDTH { Some(Self(mask)) } else { None }
    }

    /// The mask itself.
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// How far the field is shifted.
    #[must_use]
    pub const fn shift(self) -> u32 {
        self.0.trailing_zeros()
    }

    /// The highest slot the field can hold. Slots are numbered from 1.
    #[must_use]
    pub const fn max_slot(self) -> u16 {
        ((1u32 << (self.0.count_ones() - SLOT_SHIFT)) - 1) as u16
    }
}

impl Default for MarkMask {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// The field within a mark.
#[must_use]
#[inline(always)]
pub const fn field(mark: u32, mask: u32, shift: u32) -> u32 {
    (mark & mask) >> (shift & 31)
}

/// A mark with another field; other bits stay.
#[must_use]
#[inline(always)]
pub const fn with_field(mark: u32, mask: u32, shift: u32, field: u32) -> u32 {
    (mark & !mask) | ((field << (shift & 31)) & mask)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks() {
        for (mask, max_slot) in [
            (DEFAULT_MASK, Some(1023)),
            (0xffff_0000, Some(16383)),
            (0x0000_01ff, Some(127)),
            (0xff00_0000, None),
            (0xffff_8000, None),
            (0xf0f0_f0f0, None),
            (0, None),
        ] {
            assert_eq!(MarkMask::new(mask).map(MarkMask::max_slot), max_slot, "{mask:#x}");
        }
    }

    #[test]
    fn foreign_bits_stay() {
        let mask = MarkMask::DEFAULT;
        let wanted = FORWARDED | DEFER | (1023 << SLOT_SHIFT);
        let mark = with_field(0x0000_c001, mask.bits(), mask.shift(), wanted);
        assert_eq!(mark & !mask.bits(), 0xc001);
        assert_eq!(field(mark, mask.bits(), mask.shift()), wanted);
        assert_eq!(with_field(mark, mask.bits(), mask.shift(), 0), 0xc001);
    }
}
