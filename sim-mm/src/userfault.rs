//! A page fault that user code is to handle: `struct userfaultfd_wait_queue`.

use bitflags::bitflags;
use sim_core::TaskId;
use sim_mmu::VirtAddr;

use crate::vm_flags::VmFlags;

bitflags! {
    /// `UFFDIO_REGISTER_MODE_*`: which faults user code handles.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct UffdMode: u64 {
        /// `UFFDIO_REGISTER_MODE_MISSING`: of pages that are missing.
        const MISSING = 1 << 0;
        /// `UFFDIO_REGISTER_MODE_WP`: of writes to pages that it has protected.
        const WP = 1 << 1;
        /// `UFFDIO_REGISTER_MODE_MINOR`: of pages that their file has and that are not mapped. Since v5.14, of shared memory.
        const MINOR = 1 << 2;
        /// `UFFD_FEATURE_WP_UNPOPULATED`: the descriptor can write-protect pages of anonymous memory that are not there yet. Since v6.4.
        const WP_UNPOPULATED = 1 << 3;
    }
}

impl UffdMode {
    /// The flags of a mapping that is registered so.
    pub(crate) fn vm_flags(self) -> VmFlags {
        let mut flags = VmFlags::empty();
        flags.set(VmFlags::UFFD_MISSING, self.contains(UffdMode::MISSING));
        flags.set(VmFlags::UFFD_WP, self.contains(UffdMode::WP));
        flags.set(VmFlags::UFFD_MINOR, self.contains(UffdMode::MINOR));
        flags
    }
}

/// A task that waits until its fault is handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Userfault {
    /// Who waits.
    pub(crate) task: TaskId,
    /// The page.
    pub(crate) address: VirtAddr,
    /// Whether somebody has read it from the descriptor.
    pub(crate) read: bool,
}
