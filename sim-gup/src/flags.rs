//! `FOLL_*`.

use bitflags::bitflags;

bitflags! {
    /// How a page is to be looked up.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct FollFlags: u32 {
        /// `FOLL_WRITE`: the entry must allow writing.
        const WRITE = 0x01;
        /// `FOLL_TOUCH`: mark the page accessed, and dirty for a write.
        const TOUCH = 0x02;
        /// `FOLL_GET`: take a reference.
        const GET = 0x04;
        /// `FOLL_DUMP`: for a core dump, which leaves out what would be full of zeroes.
        const DUMP = 0x08;
        /// `FOLL_FORCE`: access what the mapping forbids.
        const FORCE = 0x10;
        /// `FOLL_NOWAIT`: a fault that would have to wait ends instead, and `mmap_lock` stays held.
        const NOWAIT = 0x20;
        /// `FOLL_SPLIT`: a huge page is split before a page of it is handed out. Until v5.13.
        const SPLIT = 0x4_0000;
        /// `FOLL_HWPOISON`: who comes to memory that is broken is told so. Others get EFAULT.
        const HWPOISON = 0x40;
        /// `FOLL_REMOTE`: of an address space that need not be the caller's, so that the caller's protection keys say nothing.
        const REMOTE = 0x80;
        /// `FOLL_LONGTERM`: the page is kept for long.
        const LONGTERM = 0x100;
        /// `FOLL_PIN`: what is in the page is read or written, perhaps by a device. Counted apart from other references.
        const PIN = 0x200;
        /// `FOLL_MADV_POPULATE`: only the pages are wanted, and errors that tell why not.
        const MADV_POPULATE = 0x400;
        /// `FOLL_TRIED`: it is not the first attempt.
        const TRIED = 0x800;
        /// `FOLL_MLOCK`: the page stays in memory, if its mapping is locked. Until v5.18.
        const MLOCK = 0x1000;
        /// `FOLL_POPULATE`: pages that are not there are faulted in. With `MLOCK` alone they are left out. Until v5.18.
        const POPULATE = 0x2000;
        /// `FOLL_MIGRATION`: a page that is being moved is waited for, until v6.2. Others take it for not there.
        const MIGRATION = 0x8000;
        /// `FOLL_HONOR_NUMA_FAULT`: an entry for NUMA hinting counts as one that faults. Before v6.6 that was so for all but forced accesses.
        const HONOR_NUMA_FAULT = 0x20000;
        /// `FOLL_NUMA`: an entry for NUMA hinting faults first. `__get_user_pages()` sets it for whoever forces nothing, until v6.6.
        const NUMA = 0x10_0000;
        /// `FOLL_ANON`: memory without a file only.
        const ANON = 0x80000;
        /// `FOLL_UNLOCKABLE`: the caller can do without `mmap_lock` afterwards. Before v6.3 that is said by a pointer to a flag, `locked` or `nonblocking`.
        const UNLOCKABLE = 0x1_0000;
        /// `ctx->pgmap` is not `NULL`: the caller has a reference to the map of the device. Since v5.0.
        const PGMAP = 0x8000_0000;
        /// `FOLL_COW`: a forced write broke COW; the page is this address space's own.
        const COW = 0x4000;
    }
}
