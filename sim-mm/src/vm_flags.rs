//! `vm_flags`: what a mapping is and allows.

use bitflags::bitflags;
use sim_core::Word;

bitflags! {
    /// `vm_flags`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct VmFlags: u64 {
        /// `VM_READ`.
        const READ = 0x01;
        /// `VM_WRITE`.
        const WRITE = 0x02;
        /// `VM_EXEC`.
        const EXEC = 0x04;
        /// `VM_SHARED`.
        const SHARED = 0x08;
        /// `VM_MAYREAD`.
        const MAYREAD = 0x10;
        /// `VM_MAYWRITE`.
        const MAYWRITE = 0x20;
        /// `VM_MAYEXEC`.
        const MAYEXEC = 0x40;
        /// `VM_MAYSHARE`.
        const MAYSHARE = 0x80;
        /// `VM_GROWSDOWN`: a stack, which a fault right below it makes longer.
        const GROWSDOWN = 0x100;
        /// `VM_UFFD_MISSING`: user code fills the pages that are missing.
        const UFFD_MISSING = 0x200;
        /// `VM_UFFD_WP`: user code wants to know of writes.
        const UFFD_WP = 0x1000;
        /// `VM_MAYBE_GUARD`: a guard was installed somewhere in it.
        const MAYBE_GUARD = 0x800;
        /// `VM_PFNMAP`: pages without descriptors.
        const PFNMAP = 0x400;
        /// `VM_LOCKED`: its pages stay in memory.
        const LOCKED = 0x2000;
        /// `VM_IO`: the registers of a device.
        const IO = 0x4000;
        /// `VM_SEQ_READ`: it will be read in order.
        const SEQ_READ = 0x8000;
        /// `VM_RAND_READ`: it will be read in no order.
        const RAND_READ = 0x1_0000;
        /// `VM_DONTCOPY`: a child does not get it.
        const DONTCOPY = 0x2_0000;
        /// `VM_DONTEXPAND`: `mremap()` cannot make it longer.
        const DONTEXPAND = 0x4_0000;
        /// `VM_LOCKONFAULT`: pages are locked when they are first touched, and not all at once.
        const LOCKONFAULT = 0x8_0000;
        /// `VM_ACCOUNT`: the mapping counts as memory that is committed.
        const ACCOUNT = 0x10_0000;
        /// `VM_NORESERVE`: it does not count.
        const NORESERVE = 0x20_0000;
        /// `VM_WIPEONFORK`: a child finds it empty.
        const WIPEONFORK = 0x200_0000;
        /// `VM_DONTDUMP`: core dumps leave it out.
        const DONTDUMP = 0x400_0000;
        /// `VM_HUGETLB`: its pages are huge pages of the pool.
        const HUGETLB = 0x40_0000;
        /// `VM_SOFTDIRTY`: it came after somebody began to watch what is written, so all of its pages count as written.
        const SOFTDIRTY = 0x800_0000;
        /// `VM_MIXEDMAP`: some pages have descriptors, some have not.
        const MIXEDMAP = 0x1000_0000;
        /// `VM_HUGEPAGE`: `MADV_HUGEPAGE`.
        const HUGEPAGE = 0x2000_0000;
        /// `VM_NOHUGEPAGE`: `MADV_NOHUGEPAGE`.
        const NOHUGEPAGE = 0x4000_0000;
        /// `VM_MERGEABLE`: equal pages of it may be merged.
        const MERGEABLE = 0x8000_0000;
        /// What Linux finds out by asking `vm_file` (`vma_needs_dirty_tracking()`): the pages belong to a file on a disk, and are
        /// shared, so the kernel has to notice each page that is written.
        const DIRTY_TRACKING = 1 << 40;
        /// What Linux finds out by asking `vm_file->f_mode`: the mapping was made by a descriptor that is open for writing.
        const FMODE_WRITE = 1 << 41;
        /// `VM_PKEY_BIT0` to `VM_PKEY_BIT3`: the protection key of its pages, a number.
        const PKEY = 0xf_0000_0000;
        /// `VM_UFFD_MINOR`: user code wants to know when a page that the file has is not mapped.
        const UFFD_MINOR = 0x20_0000_0000;

        /// `__VM_UFFD_FLAGS`.
        const UFFD = Self::UFFD_MISSING.bits() | Self::UFFD_WP.bits() | Self::UFFD_MINOR.bits();
        /// `VM_ACCESS_FLAGS`.
        const ACCESS_FLAGS = Self::READ.bits() | Self::WRITE.bits() | Self::EXEC.bits();
        /// `VM_LOCKED_MASK`.
        const LOCKED_MASK = Self::LOCKED.bits() | Self::LOCKONFAULT.bits();
        /// `VM_STICKY`: mappings are merged that differ in these; the merged one has what one of them had.
        const STICKY = Self::MAYBE_GUARD.bits();
        /// `VM_IGNORE_MERGE`: mappings are merged that differ in these.
        const IGNORE_MERGE = Self::STICKY.bits() | Self::SOFTDIRTY.bits();
        /// `VM_SPECIAL`: mappings that are not merged with others.
        const SPECIAL =
            Self::IO.bits() | Self::DONTEXPAND.bits() | Self::PFNMAP.bits() | Self::MIXEDMAP.bits();
    }
}

/// `smaps_vma_flags`: the two letters of each flag in `/proc/PID/smaps`, in the order of the bits. A flag that a release
/// has no letters for is shown as `??`.
pub const SMAPS_CODES: &[(VmFlags, &str)] = &[
    (VmFlags::READ, "rd"),
    (VmFlags::WRITE, "wr"),
    (VmFlags::EXEC, "ex"),
    (VmFlags::SHARED, "sh"),
    (VmFlags::MAYREAD, "mr"),
    (VmFlags::MAYWRITE, "mw"),
    (VmFlags::MAYEXEC, "me"),
    (VmFlags::MAYSHARE, "ms"),
    (VmFlags::GROWSDOWN, "gd"),
    (VmFlags::MAYBE_GUARD, "gu"),
    (VmFlags::UFFD_MISSING, "um"),
    (VmFlags::PFNMAP, "pf"),
    (VmFlags::UFFD_WP, "uw"),
    (VmFlags::LOCKED, "lo"),
    (VmFlags::IO, "io"),
    (VmFlags::SEQ_READ, "sr"),
    (VmFlags::RAND_READ, "rr"),
    (VmFlags::DONTCOPY, "dc"),
    (VmFlags::DONTEXPAND, "de"),
    (VmFlags::LOCKONFAULT, "lf"),
    (VmFlags::ACCOUNT, "ac"),
    (VmFlags::NORESERVE, "nr"),
    (VmFlags::HUGETLB, "ht"),
    (VmFlags::WIPEONFORK, "wf"),
    (VmFlags::DONTDUMP, "dd"),
    (VmFlags::SOFTDIRTY, "sd"),
    (VmFlags::MIXEDMAP, "mm"),
    (VmFlags::HUGEPAGE, "hg"),
    (VmFlags::NOHUGEPAGE, "nh"),
    (VmFlags::MERGEABLE, "mg"),
    (VmFlags::UFFD_MINOR, "ui"),
];

/// `VM_PKEY_SHIFT`.
const PKEY_SHIFT: u32 = 32;

impl VmFlags {
    /// `is_cow_mapping()`: private, and may become writable.
    pub const fn is_cow_mapping(self) -> bool {
        self.contains(VmFlags::MAYWRITE) && !self.contains(VmFlags::SHARED)
    }

    /// `vma_pkey()`: the protection key of the mapping's pages.
    pub const fn pkey(self) -> u8 {
        ((self.bits() & VmFlags::PKEY.bits()) >> PKEY_SHIFT) as u8
    }

    /// The same flags with another key.
    #[must_use]
    pub(crate) const fn with_pkey(self, key: u8) -> VmFlags {
        let others = self.bits() & !VmFlags::PKEY.bits();
        VmFlags::from_bits_retain(others | (key as u64) << PKEY_SHIFT & VmFlags::PKEY.bits())
    }

    /// `vma_is_accessible()`.
    pub const fn is_accessible(self) -> bool {
        self.intersects(VmFlags::ACCESS_FLAGS)
    }
}

impl Word for VmFlags {
    fn into_word(self) -> u64 {
        self.bits()
    }
    fn from_word(word: u64) -> Self {
        VmFlags::from_bits_retain(word)
    }
}
