//! `include/uapi/linux/mman.h`: the arguments of system calls on mappings.

use bitflags::bitflags;

use crate::vm_flags::VmFlags;

bitflags! {
    /// `PROT_*`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Prot: u32 {
        /// `PROT_READ`.
        const READ = 0x1;
        /// `PROT_WRITE`.
        const WRITE = 0x2;
        /// `PROT_EXEC`.
        const EXEC = 0x4;
    }
}

impl Prot {
    /// `PROT_READ | PROT_WRITE`.
    pub const READ_WRITE: Prot = Prot::READ.union(Prot::WRITE);

    /// `calc_vm_prot_bits()`: the same bits.
    pub(crate) const fn vm_flags(self) -> VmFlags {
        VmFlags::from_bits_retain(self.bits() as u64)
    }
}

bitflags! {
    /// `MAP_*`. Without `SHARED` a mapping is private.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct MapFlags: u32 {
        /// `MAP_SHARED`.
        const SHARED = 0x01;
        /// `MAP_FIXED`: at this very address, in place of what is there.
        const FIXED = 0x10;
        /// `MAP_GROWSDOWN`: a stack.
        const GROWSDOWN = 0x0100;
        /// `MAP_LOCKED`.
        const LOCKED = 0x2000;
        /// `MAP_NORESERVE`.
        const NORESERVE = 0x4000;
        /// `MAP_POPULATE`: the pages are faulted in at once.
        const POPULATE = 0x8000;
        /// `MAP_HUGETLB`: its pages are huge pages of the pool.
        const HUGETLB = 0x4_0000;
        /// `MAP_HUGE_1GB`: with `MAP_HUGETLB`, pages that a PUD entry maps.
        const HUGE_1GB = 30 << 26;
        /// `MAP_FIXED_NOREPLACE`: at this very address, if nothing is there.
        const FIXED_NOREPLACE = 0x10_0000;
    }
}

bitflags! {
    /// `MREMAP_*`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct MremapFlags: u32 {
        /// `MREMAP_MAYMOVE`.
        const MAYMOVE = 1;
        /// `MREMAP_FIXED`: to this very address, in place of what is there.
        const FIXED = 2;
        /// `MREMAP_DONTUNMAP`: the old mapping stays, without its pages.
        const DONTUNMAP = 4;
    }
}

bitflags! {
    /// `MS_*`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct MsFlags: u32 {
        /// `MS_ASYNC`.
        const ASYNC = 1;
        /// `MS_INVALIDATE`.
        const INVALIDATE = 2;
        /// `MS_SYNC`.
        const SYNC = 4;
    }
}
