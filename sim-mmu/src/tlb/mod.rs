//! The translation caches of a CPU: the TLB and the paging-structure caches (SDM 4.10).
//!
//! The architecture lets a processor keep many translations. Four policies say which of them it keeps, and which
//! of those it uses.

mod caches;
mod fill;
mod look_up;
mod partial;
mod speculate;
mod translation;

pub(crate) use caches::Caches;
pub(crate) use look_up::{Lookup, Seek};
pub use partial::Partial;
pub(crate) use translation::Through;
pub use translation::Translation;

/// What a processor keeps in its translation caches, and what an access uses of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// It keeps nothing. Every access walks, and uses what the structures say when it touches memory.
    Coherent,
    /// It has finite caches with a geometry and a replacement policy; see `timing`.
    Profile,
    /// It keeps all that it may keep, and makes no speculative walks. An access uses the oldest entry that serves it.
    Laziest,
    /// All that it may keep is *possibly* there. A choice decides which entry an access uses, or that no entry is
    /// there any more. (An entry may vanish at any time, SDM 4.10.4.1.)
    Adversarial {
        /// Whether two translations of one page, size and tag may be cached side by side, as in a
        /// first and a second level, or in TLBs for loads and for stores. The SDM does not say.
        duplicates: bool,
    },
}

impl Policy {
    /// The adversarial policy: software may rely on no more than this.
    pub const ADVERSARIAL: Policy = Policy::Adversarial { duplicates: true };
}
