//! `vm_flags`: what a mapping is and allows.

use bitflags::bitflags;
use sim_core::Word;

bitflags! {
    /// `vm_flags`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct VmFlags: u32 {
        /// `VM_READ`.
        const READ = 0x01;
        /// `VM_WRITE`.
        const WRITE = 0x02;
        /// `VM_SHARED`.
        const SHARED = 0x08;
        /// `VM_MAYREAD`.
        const MAYREAD = 0x10;
        /// `VM_MAYWRITE`.
        const MAYWRITE = 0x20;
        /// `VM_MAYEXEC`.
        const MAYEXEC = 0x40;
        /// `VM_PFNMAP`: pages without descriptors.
        const PFNMAP = 0x400;
        /// `VM_IO`: the registers of a device.
        const IO = 0x4000;
        /// `VM_ACCOUNT`: the mapping counts as memory that is committed.
        const ACCOUNT = 0x10_0000;
    }
}

impl VmFlags {
    /// `is_cow_mapping()`: private, and may become writable.
    pub const fn is_cow_mapping(self) -> bool {
        self.contains(VmFlags::MAYWRITE) && !self.contains(VmFlags::SHARED)
    }
}

impl Word for VmFlags {
    fn into_word(self) -> u64 {
        u64::from(self.bits())
    }
    fn from_word(word: u64) -> Self {
        VmFlags::from_bits_retain(word as u32)
    }
}
