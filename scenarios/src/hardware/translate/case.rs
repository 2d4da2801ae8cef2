//! A case of one access: the registers, the address, the paging structures on its way.
//!
//! A case is a JSON object on a line. Members that say nothing about the access are ignored, for example what an engine
//! did with it, or a remark.

use std::borrow::Cow;

use sim_mmu::{
    Access, AccessKind, Controls, Cr0, Cr3, Cr4, Efer, KeyRights, Level, Pfn, PhysAddr, Privilege, TableMemory,
    Vendor, VirtAddr, translate,
};

use super::answer::{Answer, Outcome};
use super::lines::LONGEST;
use super::tables::{Entries, Tables};

/// One access to one address, and everything that decides how it ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case<'l> {
    /// Its name.
    pub id: Cow<'l, str>,
    /// CR0.
    pub cr0: Cr0,
    /// CR4.
    pub cr4: Cr4,
    /// IA32_EFER.
    pub efer: Efer,
    /// PKRU; no rights are taken away unless the case says so.
    pub pkru: KeyRights,
    /// IA32_PKRS; no rights are taken away unless the case says so.
    pub pkrs: KeyRights,
    /// MAXPHYADDR.
    pub maxphyaddr: u8,
    /// EFLAGS.AC.
    pub ac: bool,
    /// Whether CPL is 3. Otherwise it is 0.
    pub user: bool,
    /// Whether the processor itself makes the access, to a system structure.
    pub implicit: bool,
    /// What the access does.
    pub act: Act,
    /// The linear address.
    pub va: VirtAddr,
    /// The entries before the access.
    pub entries: Entries,
}

/// What the access of a case does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// A data read, a data write or an instruction fetch.
    Once(AccessKind),
    /// A read and, if it completes, a write to the same place.
    ReadThenWrite,
}

impl Act {
    /// The accesses that it makes, one after the other.
    #[inline]
    pub fn accesses(self) -> &'static [AccessKind] {
        match self {
            Act::Once(AccessKind::Read) => &[AccessKind::Read],
            Act::Once(AccessKind::Write) => &[AccessKind::Write],
            Act::Once(AccessKind::Fetch) => &[AccessKind::Fetch],
            Act::ReadThenWrite => &[AccessKind::Read, AccessKind::Write],
        }
    }
}

/// Why a line is not a case.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct CaseError {
    /// The byte of the line at which that is clear, from 1.
    pub column: usize,
    /// What is wrong. If a member is wrong, the text begins with its name.
    pub message: String,
}

impl CaseError {
    pub(super) fn from_json(error: &serde_json::Error) -> CaseError {
        let message = error.to_string();
        let place = format!(" at line {} column {}", error.line(), error.column());
        let message = message.strip_suffix(&place).unwrap_or(&message).to_owned();
        CaseError { column: error.column().max(1), message }
    }
}

impl<'l> Case<'l> {
    /// Reads a case from a line.
    ///
    /// # Errors
    /// What is wrong with the line.
    #[inline]
    pub fn parse(line: &'l [u8]) -> Result<Case<'l>, CaseError> {
        if line.len() > LONGEST {
            let message = format!("a line of more than {LONGEST} bytes");
            return Err(CaseError { column: LONGEST + 1, message });
        }
        let text = std::str::from_utf8(line)
            .map_err(|error| CaseError { column: error.valid_up_to() + 1, message: "not UTF-8".to_owned() })?;
        serde_json::from_str(text).map_err(|error| CaseError::from_json(&error))
    }

    /// The registers, on a processor of `vendor`.
    #[inline]
    pub fn controls(&self, vendor: Vendor) -> Controls {
        Controls {
            cr0: self.cr0,
            cr4: self.cr4,
            efer: self.efer,
            pkru: self.pkru,
            pkrs: self.pkrs,
            vendor,
            maxphyaddr: self.maxphyaddr,
        }
    }

    /// On whose behalf the access is made.
    #[inline]
    pub fn privilege(&self) -> Privilege {
        match (self.implicit, self.user) {
            (true, _) => Privilege::Implicit,
            (false, true) => Privilege::User,
            (false, false) => Privilege::Supervisor { ac: self.ac },
        }
    }

    /// The level of the first entry.
    #[inline]
    pub fn root_level(&self) -> Level {
        if self.cr4.has(Cr4::LA57) { Level::Pgd } else { Level::P4d }
    }

    /// The levels of the entries, and of those below that the case does not list.
    pub fn levels(&self) -> &'static [Level] {
        if self.cr4.has(Cr4::LA57) { &Level::WALK_LA57 } else { &Level::WALK }
    }

    /// The paging structures before the access.
    #[inline]
    pub fn tables(&self) -> Tables {
        Tables::new(&self.entries, self.root_level(), self.va)
    }

    /// Makes the access, with empty translation caches.
    #[inline]
    pub fn run(&self, vendor: Vendor) -> Answer {
        let controls = self.controls(vendor);
        let mut tables = self.tables();
        let mut outcome = Outcome::Completed(PhysAddr(0));
        for &kind in self.act.accesses() {
            outcome = self.access(&controls, kind, &mut tables);
            if !matches!(outcome, Outcome::Completed(_)) {
                break;
            }
        }
        Answer { outcome, entries: tables.entries() }
    }

    /// Makes one access of the case.
    #[inline]
    pub(crate) fn access(&self, controls: &Controls, kind: AccessKind, memory: &mut impl TableMemory) -> Outcome {
        let access = Access { kind, privilege: self.privilege() };
        // The memory of a case knows the root by its level, so the root needs no frame.
        translate(controls, Cr3::of(Pfn(0)), self.va, access, memory).into()
    }

    /// Checks what members may not be together.
    #[inline]
    pub(super) fn check(&self) -> Result<(), String> {
        for (set, what) in [
            (self.cr0.has(Cr0::PE | Cr0::PG), "cr0: PE and PG must be set: without paging there is no walk"),
            (self.cr4.has(Cr4::PAE), "cr4: PAE must be set: only 4-level and 5-level paging are modelled"),
            (self.efer.has(Efer::LME | Efer::LMA), "efer: LME and LMA must be set, as in long mode"),
        ] {
            if !set {
                return Err(what.to_owned());
            }
        }
        if self.implicit && self.act == Act::Once(AccessKind::Fetch) {
            return Err("acc: `x` with imp 1: no instruction fetch is implicit".to_owned());
        }
        if !self.implicit && self.act == Act::ReadThenWrite {
            return Err("acc: `rmw` with imp 0: an instruction's own read-modify-write is a write".to_owned());
        }
        let levels = self.levels().len();
        if self.entries.is_empty() || self.entries.len() > levels {
            let found = self.entries.len();
            return Err(format!("ents: {found} entries, and CR4.LA57 says from 1 to {levels}"));
        }
        Ok(())
    }
}
