//! Access rights (SDM 4.6) and the error code (SDM 4.7).

use crate::addr::VirtAddr;
use crate::control::{Controls, Cr0, Cr4, Efer};
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

/// On whose behalf an access is made (SDM 4.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Privilege {
    /// A user-mode access: CPL is 3.
    User,
    /// An explicit supervisor-mode access: CPL is below 3.
    Supervisor {
        /// EFLAGS.AC, which lifts SMAP.
        ac: bool,
    },
    /// An implicit supervisor-mode access, by the processor to a system structure, at any CPL.
    Implicit,
}

/// An access as the rules of rights see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// What the access does.
    pub kind: AccessKind,
    /// On whose behalf it is made.
    pub privilege: Privilege,
}

impl Access {
    /// A user-mode read.
    pub const USER_READ: Access = Access { kind: AccessKind::Read, privilege: Privilege::User };
    /// A user-mode write.
    pub const USER_WRITE: Access = Access { kind: AccessKind::Write, privilege: Privilege::User };

    /// Whether it writes.
    #[inline]
    pub fn writes(self) -> bool {
        self.kind == AccessKind::Write
    }

    /// Whether it is a user-mode access.
    #[inline]
    pub fn is_user(self) -> bool {
        self.privilege == Privilege::User
    }

    /// Whether it is an instruction fetch.
    #[inline]
    pub fn fetches(self) -> bool {
        self.kind == AccessKind::Fetch
    }
}

/// The rights of a translation: the AND of R/W and of U/S over all levels, the OR of XD (SDM 4.6.1), and
/// the key of the entry that maps the page. A TLB keeps the rights and no verdict, because the verdict depends
/// on the registers at each access (SDM 4.10.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rights {
    /// Every entry has R/W.
    pub write: bool,
    /// Every entry has U/S.
    pub user: bool,
    /// No entry has XD.
    pub fetch: bool,
    /// The protection key of the page, 0 to 15.
    pub key: u8,
}

impl Rights {
    /// The rights before the first entry is read: everything is allowed.
    pub const ALL: Rights = Rights { write: true, user: true, fetch: true, key: 0 };

    /// These rights, narrowed by one more entry that points at a table.
    #[inline]
    #[must_use]
    pub fn through(self, entry: Entry) -> Rights {
        Rights {
            write: self.write && entry.has(Entry::RW),
            user: self.user && entry.has(Entry::USER),
            fetch: self.fetch && !entry.has(Entry::NX),
            key: 0,
        }
    }

    /// These rights, narrowed by the entry that maps the page.
    #[inline]
    #[must_use]
    pub fn at_leaf(self, entry: Entry) -> Rights {
        Rights { key: entry.key(), ..self.through(entry) }
    }

    /// Whether an access is allowed under the registers of this moment.
    #[inline]
    pub fn permit(self, controls: &Controls, access: Access) -> bool {
        self.denied_by_mode(controls, access).is_none()
            && self.denied_by_use(controls, access).is_none()
            && self.denied_by_key(controls, access).is_none()
    }

    /// SDM 4.6.1: whether the mode denies the access. The mode of the address is U/S over all levels.
    #[inline]
    pub fn denied_by_mode(self, controls: &Controls, access: Access) -> Option<Denial> {
        let denied = |by: Denial, denied: bool| denied.then_some(by);
        match access.privilege {
            Privilege::User => denied(Denial::UserSupervisor, !self.user),
            // A supervisor-mode address: SMEP and SMAP are about user-mode addresses.
            _ if !self.user => None,
            _ if access.fetches() => denied(Denial::Smep, controls.cr4.has(Cr4::SMEP)),
            Privilege::Supervisor { ac } => denied(Denial::Smap, !ac && controls.cr4.has(Cr4::SMAP)),
            // EFLAGS.AC does not help an implicit access.
            Privilege::Implicit => denied(Denial::Smap, controls.cr4.has(Cr4::SMAP)),
        }
    }

    /// SDM 4.6.1: whether R/W or XD over all levels denies what the access does.
    #[inline]
    pub fn denied_by_use(self, controls: &Controls, access: Access) -> Option<Denial> {
        let (by, allowed) = match access.kind {
            AccessKind::Read => return None,
            AccessKind::Write => {
                (Denial::ReadWrite, self.write || !(access.is_user() || controls.cr0.has(Cr0::WP)))
            }
            AccessKind::Fetch => (Denial::ExecuteDisable, self.fetch || !controls.efer.has(Efer::NXE)),
        };
        (!allowed).then_some(by)
    }

    /// SDM 4.6.2: whether the protection key denies the access. PKRU governs data accesses to user-mode addresses, and
    /// IA32_PKRS governs those to supervisor-mode addresses.
    #[inline]
    pub fn denied_by_key(self, controls: &Controls, access: Access) -> Option<Denial> {
        let (on, keys) = if self.user { (Cr4::PKE, controls.pkru) } else { (Cr4::PKS, controls.pkrs) };
        // U/S denies a supervisor-mode address to a user-mode access anyway, so IA32_PKRS does not judge it.
        // Engines that have the register do not report PK for such an access.
        let out_of_reach = access.is_user() && !self.user;
        if access.fetches() || out_of_reach || !controls.cr4.has(on) {
            return None;
        }
        let write_counts = access.is_user() || controls.cr0.has(Cr0::WP);
        if keys.access_disabled(self.key) {
            Some(Denial::KeyAccess)
        } else if access.writes() && write_counts && keys.write_disabled(self.key) {
            Some(Denial::KeyWrite)
        } else {
            None
        }
    }
}

/// The rule of SDM 4.6 that denies an access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denial {
    /// A user-mode access to a supervisor-mode address.
    UserSupervisor,
    /// A supervisor-mode fetch from a user-mode address, under CR4.SMEP.
    Smep,
    /// A supervisor-mode data access to a user-mode address, under CR4.SMAP.
    Smap,
    /// A write where an entry has R/W clear.
    ReadWrite,
    /// A fetch where an entry has XD set.
    ExecuteDisable,
    /// ADi of the page's protection key.
    KeyAccess,
    /// WDi of the page's protection key.
    KeyWrite,
}

/// Why a walk or a cached translation does not let an access through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Obstacle {
    /// An entry with P clear.
    NotPresent,
    /// An entry with a reserved bit set.
    Reserved,
    /// The rights of the whole translation.
    Rights(Rights),
}

impl PageFault {
    /// The fault of an access if software sets A and D. An entry without A counts as not present, and an entry without D
    /// counts as read-only.
    pub(crate) fn unmarked(controls: &Controls, va: VirtAddr, access: Access, entry: Entry) -> PageFault {
        let read_only = Rights { write: false, ..Rights::ALL };
        let obstacle = if entry.has(Entry::ACCESSED) { Obstacle::Rights(read_only) } else { Obstacle::NotPresent };
        PageFault::new(controls, va, access, obstacle)
    }

    /// The fault of an access: the error code as in SDM 4.7, figure 4-12.
    pub(crate) fn new(controls: &Controls, va: VirtAddr, access: Access, obstacle: Obstacle) -> PageFault {
        // I/D is set only if the processor can forbid fetches: by SMEP, or by XD (SDM 4.7).
        let tells_fetches =
            controls.cr4.has(Cr4::SMEP) || controls.cr4.has(Cr4::PAE) && controls.efer.has(Efer::NXE);
        // PK is set whenever the key denies the access, even if another rule denies it too.
        let by_key =
            matches!(obstacle, Obstacle::Rights(rights) if rights.denied_by_key(controls, access).is_some());
        let flags = [
            (PageFault::P, obstacle != Obstacle::NotPresent),
            (PageFault::W, access.writes()),
            (PageFault::U, access.is_user()),
            (PageFault::RSVD, obstacle == Obstacle::Reserved),
            (PageFault::I, access.fetches() && tells_fetches),
            (PageFault::PK, by_key),
        ];
        let code = flags.iter().filter(|(_, set)| *set).fold(0, |code, (bit, _)| code | bit);
        PageFault { va, code }
    }
}
