//! `incoherent`: two CPUs of one address space see different pages at one address, and one of them sees an old
//! value.
//!
//! COW replaces a page by a copy of it. Until somebody writes to the copy, nobody can tell the two apart. After
//! the first write, a read through a translation of the old page answers what the address no longer holds. So a
//! kernel flushes the old translation *before* it sets the new entry.
//!
//! `MADV_DONTNEED` is different, because it gives up the contents of a page. The page that comes next is no copy
//! of the old one, and a read before the flush may answer either.

use sim_core::Bytes;
use sim_mm::MmId;
use sim_mmu::{Cpu, Translation, VirtAddr};

use super::ghost::Seen;
use super::{Finding, Site, Violation};

/// A read of some bytes of a word retired through a translation, with this value.
pub(super) fn read(
    ghost: Seen<'_>,
    cpu: Cpu<'_>,
    mm: MmId,
    va: VirtAddr,
    through: &Translation,
    (word, bytes, value): (u32, Bytes, u64),
    site: &Site,
) -> Option<Finding> {
    let now = ghost.mapped_now(mm, va.vpn()).filter(|now| *now != through.pfn)?;
    if ghost.copied_from(now) != Some(through.pfn) {
        return None;
    }
    // While the new entry is in a store buffer, all other CPUs still have the old page.
    if cpu.mmu.frame_under(through.root, va) != Some(now) {
        return None;
    }
    let held = bytes.take(cpu.core.memory.get(cpu.mmu.phys.word(now, word)));
    (held != value).then(|| Finding {
        violation: Violation::OldValueRead { mm, va, pfn: through.pfn, value, now, held },
        site: ghost.changed(mm, va.vpn()).unwrap_or(site).clone(),
        other: None,
    })
}
