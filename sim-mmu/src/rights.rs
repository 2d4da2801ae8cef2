//! Access rights (SDM 4.6) and the error code (SDM 4.7).

use crate::entry::Entry;
use crate::fault::PageFault;

/// What an access does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessKind {
    /// A data read.
    Read,
    /// A data write.
    Write,
    /// An instruction fetch.
    Fetch,
}

/// An access as the rights rules see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// What it does.
    pub kind: AccessKind,
    /// Whether it is a user-mode access (CPL 3).
    pub user: bool,
}

impl Access {
    /// A user-mode read.
    pub const USER_READ: Access = Access { kind: AccessKind::Read, user: true };
    /// A user-mode write.
    pub const USER_WRITE: Access = Access { kind: AccessKind::Write, user: true };

    /// Whether it writes.
    pub fn writes(self) -> bool {
        self.kind == AccessKind::Write
    }
}

/// The rights of a translation: R/W and U/S are the AND over all levels, XD the OR (SDM 4.6.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rights {
    /// Every entry has R/W.
    pub write: bool,
    /// Every entry has U/S.
    pub user: bool,
    /// No entry has XD.
    pub fetch: bool,
}

impl Rights {
    /// Before the first entry.
    pub const ALL: Rights = Rights { write: true, user: true, fetch: true };

    /// Narrowed by one more entry.
    #[inline]
    #[must_use]
    pub fn through(self, entry: Entry) -> Rights {
        Rights {
            write: self.write && entry.has(Entry::RW),
            user: self.user && entry.has(Entry::USER),
            fetch: self.fetch && !entry.has(Entry::NX),
        }
    }

    /// Judges an access with CR0.WP = 1, EFER.NXE = 1, SMEP and SMAP off (SDM 4.6.1).
    pub fn permit(self, access: Access) -> bool {
        (self.user || !access.user)
            && match access.kind {
                AccessKind::Read => true,
                AccessKind::Write => self.write,
                AccessKind::Fetch => self.fetch,
            }
    }
}

impl PageFault {
    /// The fault of an access: error code bits as in SDM 4.7, figure 4-12.
    pub(crate) fn new(va: crate::addr::VirtAddr, access: Access, present: bool, reserved: bool) -> PageFault {
        let mut code = 0;
        for (bit, set) in [
            (PageFault::P, present || reserved),
            (PageFault::W, access.writes()),
            (PageFault::U, access.user),
            (PageFault::RSVD, reserved),
            (PageFault::I, access.kind == AccessKind::Fetch),
        ] {
            code |= if set { bit } else { 0 };
        }
        PageFault { va, code }
    }
}
