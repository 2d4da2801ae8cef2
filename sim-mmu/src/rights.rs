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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::addr::{Pfn, VirtAddr};

    const W: u8 = 1;
    const U: u8 = 2;
    const X: u8 = 4;

    /// Which rights over all levels an access needs (CR0.WP = 1, EFER.NXE = 1, SMEP and SMAP off), and
    /// what it puts into the error code.
    const ACCESSES: [(AccessKind, bool, u8, u32); 6] = [
        (AccessKind::Read, true, U, 0b0_0100),
        (AccessKind::Write, true, U | W, 0b0_0110),
        (AccessKind::Fetch, true, U | X, 0b1_0100),
        (AccessKind::Read, false, 0, 0b0_0000),
        (AccessKind::Write, false, W, 0b0_0010),
        (AccessKind::Fetch, false, X, 0b1_0000),
    ];

    /// Every right that all entries give; an entry gives what `gives` names.
    fn entry(gives: u8) -> Entry {
        let flag = |right, flag| if gives & right != 0 { flag } else { 0 };
        let nx = if gives & X != 0 { 0 } else { Entry::NX };
        Entry::new(Pfn(1), Entry::PRESENT | flag(W, Entry::RW) | flag(U, Entry::USER) | nx)
    }

    #[test]
    fn an_access_needs_its_rights_at_every_level() {
        for levels in 0..8_u16.pow(4) {
            let gives = [0, 3, 6, 9].map(|shift| (levels >> shift & 7) as u8);
            let given = gives[0] & gives[1] & gives[2] & gives[3];
            let rights = gives.into_iter().fold(Rights::ALL, |rights, gives| rights.through(entry(gives)));
            for (kind, user, needs, _) in ACCESSES {
                let permitted = rights.permit(Access { kind, user });
                assert_eq!(permitted, needs & !given == 0, "{kind:?}, user {user}, levels give {gives:?}");
            }
        }
    }

    #[test]
    fn the_error_code_tells_the_access_and_why_it_failed() {
        for (kind, user, _, says) in ACCESSES {
            for (present, reserved, why) in [(false, false, 0), (true, false, 0b0001), (true, true, 0b1001)] {
                let fault = PageFault::new(VirtAddr(0x5008), Access { kind, user }, present, reserved);
                assert_eq!(fault, PageFault { va: VirtAddr(0x5008), code: says | why });
                assert_eq!(fault.is_write(), kind == AccessKind::Write);
            }
        }
    }
}
