//! `arch/x86/mm/init.c` and `arch/x86/kernel/cpu/common.c`: the values that the kernel gives the registers when it boots.

use sim_mmu::{Controls, Cr4, KeyRights};

use crate::registry::safeguard::{Safeguard, SafeguardSet};
use crate::safeguard_use::SafeguardUse;
use crate::safeguards::PCID_OFF_BY_ERRATUM;
use crate::settings::{InvlpgGlobal, Pcid, Pkeys};

/// `init_pkru`: with which a task begins. No data may be accessed but under key 0.
pub(crate) const INIT_PKRU: KeyRights = KeyRights(0x5555_5554);

/// `setup_pcid()`: whether this kernel turns PCIDs on. The machine boots once; each of its runs notes by what that was
/// decided.
pub(crate) fn setup_pcid(cpu: BootCpu<'_>, pcid: Pcid, invlpg: InvlpgGlobal) -> bool {
    let stays_off = |cpu: BootCpu<'_>| {
        cpu.has(PCID_OFF_BY_ERRATUM) && invlpg == InvlpgGlobal::Kept && cpu.decided(PCID_OFF_BY_ERRATUM)
    };
    pcid == Pcid::On && !stays_off(cpu)
}

/// The CPU that boots a kernel, which has safeguards before it has any more.
#[derive(Clone, Copy)]
pub(crate) struct BootCpu<'a> {
    pub(crate) safeguards: &'a SafeguardSet,
    pub(crate) noted: &'a SafeguardUse,
}

impl BootCpu<'_> {
    fn has(self, safeguard: Safeguard) -> bool {
        self.noted.note_consulted(safeguard);
        self.safeguards.has(safeguard)
    }

    fn decided(self, safeguard: Safeguard) -> bool {
        self.noted.note_decided(safeguard);
        true
    }
}

/// The registers: `cr4_init()`. Global pages are on, as where the tables of kernel and user code are not separate ones, and
/// protection keys if the processor has them.
pub(crate) fn boot_controls(controls: Controls, uses_pcids: bool, pkeys: Pkeys) -> Controls {
    let pcide = if uses_pcids { Cr4::PCIDE } else { 0 };
    let pke = if pkeys == Pkeys::On { Cr4::PKE } else { 0 };
    let cr4 = Cr4(controls.cr4.0 | Cr4::PGE | pke | pcide);
    Controls { cr4, pkru: INIT_PKRU, ..controls }
}
