//! Splitting mappings and changing parts of them: the second half of `mm/vma.c`.

use sim_mmu::VirtAddr;

use super::lock::vma_mark_attached;
use super::merge::{Neighbours, NewRange, Source, dup_anon_vma, link_copy, mergeable, swallow};
use super::{Stopped, VmaTree, vm_area_dup, vma_link_file};
use crate::dev_dax::dev_dax_may_split;
use crate::errno::Errno;
use crate::hugetlb::hstate_vma;
use crate::kernel::Cpu;
use crate::mm_types::{MmStruct, Vma};
use crate::settings::MergeFailure;
use crate::vm_flags::VmFlags;

/// Where a mapping is split, and which part is the new mapping: `new_below` of `__split_vma()`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NewPart {
    Below,
    Above,
}

/// `__split_vma()`: mapping `index` of the list becomes two, of which `part` is new.
fn split_vma(
    cpu: Cpu<'_>,
    mm: &MmStruct,
    vmas: &mut VmaTree<'_>,
    index: usize,
    addr: VirtAddr,
    part: NewPart,
) -> Result<(), Errno> {
    let vma = vmas[index];
    // hugetlb_vm_op_split()
    if vma.flags(cpu).contains(VmFlags::HUGETLB) && hstate_vma(cpu, vma).base(cpu.mmu.geometry, addr) != addr {
        return Err(Errno::Einval);
    }
    dev_dax_may_split(cpu, vma, addr)?;
    let new = vm_area_dup(cpu, mm, vma)?;
    link_copy(cpu, mm, new, vma)?;
    vma_mark_attached(cpu, mm, new);
    vma_link_file(cpu, mm, new);
    match part {
        NewPart::Below => {
            new.set_end(cpu, addr);
            vma.set_start(cpu, addr);
            vmas.insert(index, new);
        }
        NewPart::Above => {
            new.set_start(cpu, addr);
            vma.set_end(cpu, addr);
            vmas.insert(index + 1, new);
        }
    }
    Ok(())
}

/// Splits the mappings that `start` and `end` lie in the middle of, so that the range begins and ends where
/// mappings do.
///
/// # Errors
/// `ENOMEM`, if the machine has no room for one more.
pub(crate) fn split_at(
    cpu: Cpu<'_>,
    mm: &MmStruct,
    vmas: &mut VmaTree<'_>,
    start: VirtAddr,
    end: VirtAddr,
) -> Result<(), Stopped> {
    let across = |vmas: &[Vma], addr| vmas.iter().position(|vma| vma.start(cpu) < addr && addr < vma.end(cpu));
    for cut in [start, end] {
        if let Some(index) = across(vmas, cut) {
            vmas.start_write(cpu, vmas[index])?;
        }
    }
    if let Some(first) = across(vmas, start) {
        split_vma(cpu, mm, vmas, first, start, NewPart::Above)?;
    }
    if let Some(last) = across(vmas, end) {
        split_vma(cpu, mm, vmas, last, end, NewPart::Below)?;
    }
    Ok(())
}

impl Neighbours {
    /// The same, where the one that stays hangs on what the others hang on. Nobody, if it cannot: then the range is split off.
    /// Since v6.14 nothing is changed then.
    fn linked(self, cpu: Cpu<'_>, mm: &MmStruct, vma: Vma) -> Result<Neighbours, Errno> {
        let Some(stays) = self.before.or(self.behind) else { return Ok(self) };
        let taken_in = self.before.and(self.behind);
        // Only one of them has an anon_vma that the one which stays lacks.
        let linked =
            [Some(vma), taken_in].into_iter().flatten().try_for_each(|of| dup_anon_vma(cpu, mm, stays, of));
        match (linked, cpu.setting::<MergeFailure>()) {
            (Ok(()), _) => Ok(self),
            (Err(_), MergeFailure::Split) => Ok(Neighbours { before: None, behind: None }),
            (Err(errno), MergeFailure::Abort) => Err(errno),
        }
    }
}

/// `vma_modify_flags()`: gives `start` to `end`, a part of mapping `index`, other flags. It is merged with its
/// neighbours where that is possible, else split off. Answers the mapping that holds the range now.
///
/// # Errors
/// `ENOMEM`, if the machine has no room for one more.
pub(crate) fn vma_modify_flags(
    cpu: Cpu<'_>,
    mm: &MmStruct,
    vmas: &mut VmaTree<'_>,
    index: usize,
    (start, end): (VirtAddr, VirtAddr),
    flags: VmFlags,
) -> Result<Vma, Stopped> {
    let vma = vmas[index];
    let (vma_start, vma_end) = (vma.start(cpu), vma.end(cpu));
    let range = NewRange {
        start,
        end,
        flags,
        pgoff: vma.index_of(cpu, start),
        file: vma.file(cpu),
        source: Source::Changed(vma),
    };
    let before = index.checked_sub(1).filter(|_| start == vma_start).map(|before| vmas[before]);
    let behind = vmas.get(index + 1).copied().filter(|_| end == vma_end);
    let neighbours = mergeable(cpu, mm, &range, before, behind);
    for vma in [Some(vma), neighbours.before, neighbours.behind].into_iter().flatten() {
        vmas.start_write(cpu, vma)?;
    }
    match neighbours.linked(cpu, mm, vma)? {
        Neighbours { before: Some(before), behind: Some(behind) } => {
            before.add_sticky(cpu, flags | behind.flags(cpu));
            before.set_end(cpu, behind.end(cpu));
            swallow(cpu, mm, vmas, index + 1);
            swallow(cpu, mm, vmas, index);
            Ok(before)
        }
        Neighbours { before: Some(before), behind: None } => {
            before.add_sticky(cpu, flags);
            before.set_end(cpu, end);
            if end == vma_end {
                swallow(cpu, mm, vmas, index);
            } else {
                vma.set_start(cpu, end);
            }
            Ok(before)
        }
        Neighbours { before: None, behind: Some(behind) } => {
            behind.add_sticky(cpu, flags);
            behind.set_start(cpu, start);
            if start == vma_start {
                swallow(cpu, mm, vmas, index);
            } else {
                vma.set_end(cpu, start);
            }
            Ok(behind)
        }
        Neighbours { before: None, behind: None } => {
            split_at(cpu, mm, vmas, start, end)?;
            let vma = vmas.iter().copied().find(|vma| vma.start(cpu) == start).unwrap_or(vma);
            vma.set_flags(cpu, flags);
            Ok(vma)
        }
    }
}
