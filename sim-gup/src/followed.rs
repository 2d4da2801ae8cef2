//! What a look-up with `mmap_lock` held comes to.

use sim_mm::{Errno, MmapLock, Page, Pgmap};

/// What a look-up found.
pub(crate) enum Followed {
    /// The page, with the reference that was asked for.
    Page(Page),
    /// The same, of a huge page that one entry maps. So the pages around it are there as well.
    HugePage(Page),
    /// A page of a device, with the reference that was asked for, and perhaps with one to the map of the device.
    DevicePage(Page, Option<Pgmap>),
    /// `-EEXIST`: something is mapped there, and no page is told to who wants no reference.
    NoStruct,
    /// `-EFAULT`: nothing that could be handed out, and no fault would help. It is the page of a device that is going, a frame without a reference count, or a hole that a core dump
    /// leaves out.
    Gone,
    /// The access has to be faulted in.
    NoPage,
    /// The page is being moved, and the caller waits for that (`FOLL_MIGRATION`).
    Moving,
    /// The page was a part of a huge page that has been split, and is looked up again.
    WasSplit,
    /// The huge page could not be split, for that reason.
    NotSplit(Errno),
    /// `-EMLINK`: the page may be shared by COW, and is wanted for longer than the look-up.
    MustUnshare,
    /// `-ENOMEM`: the page has far too many references already.
    Refused,
}

/// What `__get_user_pages()` answers: how many pages it got, or the first error, if not a single one could be got; and `mmap_lock`, unless it was let go of. That happens only with
/// `FOLL_UNLOCKABLE`.
pub(crate) type Got<'m> = (Result<u64, Errno>, Option<MmapLock<'m>>);
