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
        /// `__GFP_THISNODE` of node 0.
        const NODE_0 = 1 << 3;
        /// `__GFP_THISNODE` of node 1.
        const NODE_1 = 1 << 4;
        /// `__GFP_MOVABLE`: the page can be moved, and so may be in the zone MOVABLE.
        const MOVABLE = 1 << 5;
    }
}

impl Gfp {
    /// `__GFP_THISNODE`: frames of that node alone.
    pub(crate) fn this_node(node: u64) -> Gfp {
        if node == 0 { Gfp::NODE_0 } else { Gfp::NODE_1 }
    }

    /// The node, if frames of one alone are asked for.
    pub(crate) fn node(self) -> Option<u64> {
        match (self.contains(Gfp::NODE_0), self.contains(Gfp::NODE_1)) {
            (true, _) => Some(0),
            (_, true) => Some(1),
            _ => None,
        }
    }

    /// Whether frames below 4 GiB may be taken, which are node 0 on a machine with two.
    pub(crate) fn allows_low(self) -> bool {
        !self.contains(Gfp::NODE_1)
    }

    /// Whether frames above 4 GiB may be taken.
    pub(crate) fn allows_high(self) -> bool {
        !self.intersects(Gfp::DMA32 | Gfp::NODE_0)
    }
}
