//! `vm_flags`: what a mapping is and allows.

use sim_core::Word;

/// `vm_flags`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VmFlags(pub u32);

impl VmFlags {
    /// `VM_READ`.
    pub const READ: VmFlags = VmFlags(0x01);
    /// `VM_WRITE`.
    pub const WRITE: VmFlags = VmFlags(0x02);
    /// `VM_SHARED`.
    pub const SHARED: VmFlags = VmFlags(0x08);
    /// `VM_MAYREAD`.
    pub const MAYREAD: VmFlags = VmFlags(0x10);
    /// `VM_MAYWRITE`.
    pub const MAYWRITE: VmFlags = VmFlags(0x20);
    /// `VM_MAYEXEC`.
    pub const MAYEXEC: VmFlags = VmFlags(0x40);
    /// `VM_ACCOUNT`: the mapping counts as memory that is committed.
    pub const ACCOUNT: VmFlags = VmFlags(0x10_0000);
    /// `VM_IO | VM_PFNMAP`.
    pub const IO_OR_PFNMAP: VmFlags = VmFlags(0x4400);

    /// Both sets.
    #[must_use]
    pub const fn and(self, other: VmFlags) -> VmFlags {
        VmFlags(self.0 | other.0)
    }

    /// Whether any flag of `flags` is set.
    pub const fn any(self, flags: VmFlags) -> bool {
        self.0 & flags.0 != 0
    }

    /// `is_cow_mapping()`: private, and may become writable.
    pub const fn is_cow_mapping(self) -> bool {
        self.0 & (Self::SHARED.0 | Self::MAYWRITE.0) == Self::MAYWRITE.0
    }
}

impl Word for VmFlags {
    fn into_word(self) -> u64 {
        u64::from(self.0)
    }
    fn from_word(word: u64) -> Self {
        VmFlags(word as u32)
    }
}
