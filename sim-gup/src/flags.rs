//! `FOLL_*`.

/// How a page is to be looked up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FollFlags(u32);

impl FollFlags {
    /// None.
    pub const NONE: FollFlags = FollFlags(0);
    /// `FOLL_WRITE`: the entry must allow writing.
    pub const WRITE: FollFlags = FollFlags(0x01);
    /// `FOLL_TOUCH`: mark the page accessed, and dirty for a write.
    pub const TOUCH: FollFlags = FollFlags(0x02);
    /// `FOLL_GET`: take a reference.
    pub const GET: FollFlags = FollFlags(0x04);
    /// `FOLL_FORCE`: access what the mapping forbids.
    pub const FORCE: FollFlags = FollFlags(0x10);
    /// `FOLL_COW`: a forced write broke COW; the page is this address space's own.
    pub const COW: FollFlags = FollFlags(0x4000);

    /// With more flags.
    #[must_use]
    pub const fn with(self, flags: FollFlags) -> FollFlags {
        FollFlags(self.0 | flags.0)
    }

    /// Whether a flag is set.
    pub const fn has(self, flag: FollFlags) -> bool {
        self.0 & flag.0 != 0
    }
}
