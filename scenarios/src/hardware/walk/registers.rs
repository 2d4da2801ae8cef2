//! The registers of a case, decoded.

use serde::Serialize;
use sim_mmu::{Cr0, Cr4, Efer, KeyRights};

use crate::hardware::translate::case::Case;

/// A register, and what it means for paging.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Register {
    /// Its name.
    pub name: &'static str,
    /// Its value.
    pub value: String,
    /// The bits that are set in it.
    pub set: Vec<String>,
    /// The bits that matter and are clear. For a register of key rights, the list is empty.
    pub clear: Vec<String>,
}

const CR0: [(&str, u64); 3] = [("PE", Cr0::PE), ("PG", Cr0::PG), ("WP", Cr0::WP)];
const CR4: [(&str, u64); 7] = [
    ("PAE", Cr4::PAE),
    ("PGE", Cr4::PGE),
    ("LA57", Cr4::LA57),
    ("SMEP", Cr4::SMEP),
    ("SMAP", Cr4::SMAP),
    ("PKE", Cr4::PKE),
    ("PKS", Cr4::PKS),
];
const EFER: [(&str, u64); 3] = [("LME", Efer::LME), ("LMA", Efer::LMA), ("NXE", Efer::NXE)];

/// The registers that matter for a case.
pub(super) fn of(case: &Case<'_>) -> Vec<Register> {
    let mut registers =
        vec![flags("CR0", case.cr0.0, &CR0), flags("CR4", case.cr4.0, &CR4), flags("EFER", case.efer.0, &EFER)];
    for (name, enable, value) in [("PKRU", Cr4::PKE, case.pkru), ("PKRS", Cr4::PKS, case.pkrs)] {
        if case.cr4.has(enable) {
            registers.push(keys(name, value));
        }
    }
    registers
}

fn flags(name: &'static str, value: u64, names: &[(&str, u64)]) -> Register {
    let which = |set: bool| {
        names.iter().filter(|(_, flag)| (value & flag != 0) == set).map(|(name, _)| (*name).to_owned()).collect()
    };
    Register { name, value: format!("{value:x}"), set: which(true), clear: which(false) }
}

fn keys(name: &'static str, value: KeyRights) -> Register {
    let which = |what: &str, disabled: &dyn Fn(u8) -> bool| -> Vec<String> {
        (0..16).filter(|key| disabled(*key)).map(|key| format!("{what}{key}")).collect()
    };
    let access = which("AD", &|key| value.access_disabled(key));
    let write = which("WD", &|key| value.write_disabled(key));
    Register { name, value: format!("{:x}", value.0), set: [access, write].concat(), clear: Vec::new() }
}
