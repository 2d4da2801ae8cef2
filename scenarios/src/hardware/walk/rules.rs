//! The rules on access rights (SDM 4.6). Each says whether it allows an access, and why.

use serde::Serialize;
use sim_mmu::{Access, AccessKind, Controls, Cr0, Cr4, Denial, Entry, Privilege, Rights};

use super::record::Seen;

/// One rule, and what it says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Rule {
    /// What the rule judges by: `mode`, `use` or `key`.
    pub by: &'static str,
    /// Whether it allows the access.
    pub allowed: bool,
    /// Why.
    pub because: String,
    /// The section in which it stands.
    pub section: &'static str,
}

/// What the rules say about an access to a page with `rights`. The entries `seen` map the page.
pub(super) fn of(controls: &Controls, access: Access, rights: Rights, seen: &[Seen]) -> Vec<Rule> {
    let mode = rights.denied_by_mode(controls, access);
    let by_use = rights.denied_by_use(controls, access);
    let key = rights.denied_by_key(controls, access);
    let rule =
        |by, denial: Option<Denial>, because, section| Rule { by, allowed: denial.is_none(), because, section };
    vec![
        rule("mode", mode, by_mode(controls, access, rights, mode, seen), "4.6.1"),
        rule("use", by_use, because_of_use(access, rights, by_use, seen), "4.6.1"),
        rule("key", key, because_of_key(controls, access, rights, key), "4.6.2"),
    ]
}

fn by_mode(controls: &Controls, access: Access, rights: Rights, denial: Option<Denial>, seen: &[Seen]) -> String {
    let clear = || in_which(seen, |entry| !entry.has(Entry::USER));
    match (denial, access.privilege) {
        (Some(Denial::UserSupervisor), _) => {
            format!("U/S is clear in {}: a supervisor-mode address", clear())
        }
        (Some(Denial::Smep), _) => "a user-mode address, and CR4.SMEP is set".to_owned(),
        (Some(_), Privilege::Implicit) => {
            "a user-mode address under CR4.SMAP; EFLAGS.AC does not help an implicit access".to_owned()
        }
        (Some(_), _) => "a user-mode address, CR4.SMAP is set, and EFLAGS.AC is clear".to_owned(),
        (None, Privilege::User) => "U/S is set in every entry: a user-mode address".to_owned(),
        (None, _) if !rights.user => format!("U/S is clear in {}: a supervisor-mode address", clear()),
        (None, _) if access.fetches() => "a user-mode address, but CR4.SMEP is clear".to_owned(),
        (None, _) if controls.cr4.has(Cr4::SMAP) => {
            "a user-mode address, and CR4.SMAP is set, but so is EFLAGS.AC".to_owned()
        }
        (None, _) => "a user-mode address, but CR4.SMAP is clear".to_owned(),
    }
}

fn because_of_use(access: Access, rights: Rights, denial: Option<Denial>, seen: &[Seen]) -> String {
    let read_only = || in_which(seen, |entry| !entry.has(Entry::RW));
    match access.kind {
        AccessKind::Read => "a read, for which R/W and XD do not matter".to_owned(),
        AccessKind::Fetch if denial.is_some() => {
            format!("XD is set in {}", in_which(seen, |entry| entry.has(Entry::NX)))
        }
        AccessKind::Fetch => "XD is clear in every entry".to_owned(),
        AccessKind::Write if rights.write => "R/W is set in every entry".to_owned(),
        AccessKind::Write if denial.is_none() => {
            format!("R/W is clear in {}, but so is CR0.WP", read_only())
        }
        AccessKind::Write if access.is_user() => {
            format!("R/W is clear in {}, and the write is user-mode", read_only())
        }
        AccessKind::Write => format!("R/W is clear in {}, and CR0.WP is set", read_only()),
    }
}

fn because_of_key(controls: &Controls, access: Access, rights: Rights, denial: Option<Denial>) -> String {
    let (register, enable, on, keys) = if rights.user {
        ("PKRU", "PKE", Cr4::PKE, controls.pkru)
    } else {
        ("IA32_PKRS", "PKS", Cr4::PKS, controls.pkrs)
    };
    let key = rights.key;
    if access.fetches() {
        return "a fetch, which keys do not govern".to_owned();
    }
    if !controls.cr4.has(on) {
        return format!("CR4.{enable} is clear");
    }
    if access.is_user() && !rights.user {
        return format!("{register} does not govern user-mode accesses");
    }
    match denial {
        Some(Denial::KeyAccess) => format!("{register}.AD{key} is set"),
        Some(_) if access.is_user() => format!("{register}.WD{key} is set, and the write is user-mode"),
        Some(_) => format!("{register}.WD{key} is set, and so is CR0.WP"),
        None if !keys.write_disabled(key) => format!("{register}.AD{key} and WD{key} are clear"),
        None if access.writes() && !controls.cr0.has(Cr0::WP) => {
            format!("{register}.WD{key} is set, but CR0.WP is clear")
        }
        None => format!("{register}.AD{key} is clear, and WD{key} is about writes"),
    }
}

/// The entries for which something holds: `PDE`, `PML4E and PTE`, `PML4E, PDE and PTE`.
fn in_which(seen: &[Seen], holds: impl Fn(Entry) -> bool) -> String {
    let names: Vec<&str> =
        seen.iter().filter(|seen| holds(seen.entry)).map(|seen| seen.level.sdm_name()).collect();
    match &names[..] {
        [before @ .., last] if !before.is_empty() => format!("{} and {last}", before.join(", ")),
        names => names.concat(),
    }
}
