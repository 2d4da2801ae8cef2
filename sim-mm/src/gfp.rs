//! `include/linux/gfp_types.h`: what is asked of an allocation.

bitflags::bitflags! {
    /// `gfp_t`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Gfp: u8 {
        /// `__GFP_DMA32`: frames below 4 GiB alone.
        const DMA32 = 1;
        /// `__GFP_COMP`: the pages of the block are one compound page.
        const COMP = 1 << 1;
        /// `GFP_NOWAIT`: if no list has such a block, there is none.
        const NOWAIT = 1 << 2;
    }
}
