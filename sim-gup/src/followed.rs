//! What a look-up with `mmap_lock` held comes to.

use sim_mm::{Page, Pgmap};

/// What a look-up found.
pub(crate) enum Followed {
    /// The page, with the reference that was asked for.
    Page(Page),
    /// A page of a device, with the reference that was asked for, and perhaps with one to the map of the device.
    DevicePage(Page, Option<Pgmap>),
    /// `-EEXIST`: something is mapped there, and no page is told to who wants no reference.
    NoStruct,
    /// `-EFAULT`: the page of a device that is going.
    Gone,
    /// The access has to be faulted in.
    NoPage,
    /// The page is being moved, and the caller waits for that (`FOLL_MIGRATION`).
    Moving,
    /// `-EMLINK`: the page may be shared by COW, and is wanted for longer than the look-up.
    MustUnshare,
    /// `-ENOMEM`: the page has far too many references already.
    Refused,
}
