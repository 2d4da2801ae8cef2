//! When two ranges become one mapping: the first half of `mm/vma.c`.
//!
//! A range merges with the mapping before it, with the one behind it, or with both. Both must have the same flags
//! and lie in the same file. They must follow each other in the file as they do in the address space. And their
//! `anon_vma`s must be compatible. The file place of anonymous memory is its address at the time of its first
//! page fault. So anonymous memory that has moved since does not merge.

use sim_mmu::VirtAddr;

use super::lock::vma_mark_attached;
use super::{Stopped, VmaTree, unlink_file_vma_locked, vm_area_dup, vm_area_free, vma_link_file};
use crate::errno::Errno;
use crate::fs::Inode;
use crate::kernel::Cpu;
use crate::mm_types::{MmStruct, Vma};
use crate::rmap::types::AnonVma;
use crate::rmap::{anon_vma_clone, has_one_anon_vma, unlink_anon_vmas};
use crate::settings::VmaMerge;
use crate::vm_flags::VmFlags;

/// A range that is to be a mapping, or a part of one: `struct vma_merge_struct`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NewRange {
    pub(crate) start: VirtAddr,
    pub(crate) end: VirtAddr,
    pub(crate) flags: VmFlags,
    pub(crate) pgoff: u64,
    pub(crate) file: Option<Inode>,
    pub(crate) source: Source,
}

/// Where the pages of a range come from.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Source {
    /// There are none yet.
    Nothing,
    /// The range is a part of this mapping, whose flags change.
    Changed(Vma),
    /// They are moved out of this mapping.
    Copied(Vma),
}

impl Source {
    fn vma(self) -> Option<Vma> {
        match self {
            Source::Nothing => None,
            Source::Changed(vma) | Source::Copied(vma) => Some(vma),
        }
    }
}

/// `is_mergeable_anon_vma()`: whether the pages of `target` and those of the range may hang on one `anon_vma`.
fn is_mergeable_anon_vma(cpu: Cpu<'_>, mm: &MmStruct, target: Vma, source: Source) -> bool {
    let theirs = target.anon_vma(cpu);
    let ours = source.vma().and_then(|vma| vma.anon_vma(cpu));
    if theirs == ours {
        return true;
    }
    if theirs.is_some() && ours.is_some() {
        return false;
    }
    // A mapping that hangs on several got them from a parent: with a merge still more pages would share the parent's.
    match (cpu.setting::<VmaMerge>(), source) {
        (VmaMerge::BothWays, Source::Changed(vma)) if theirs.is_none() => has_one_anon_vma(cpu, mm, vma),
        (VmaMerge::BothWays, Source::Copied(_)) if theirs.is_none() => true,
        // Before v6.16 a target without any was asked as well, and had not one.
        _ => has_one_anon_vma(cpu, mm, target),
    }
}

/// Whether both can be the ends of one mapping: the same or not both there.
fn are_anon_vmas_compatible(one: Option<AnonVma>, other: Option<AnonVma>) -> bool {
    one.is_none() || other.is_none() || one == other
}

/// What lies beside a range, and may be one mapping with it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Neighbours {
    pub(super) before: Option<Vma>,
    pub(super) behind: Option<Vma>,
}

/// Which of the mappings right before and right behind a range it can be merged with.
pub(super) fn mergeable(
    cpu: Cpu<'_>,
    mm: &MmStruct,
    range: &NewRange,
    before: Option<Vma>,
    behind: Option<Vma>,
) -> Neighbours {
    if range.flags.intersects(VmFlags::SPECIAL) {
        return Neighbours { before: None, behind: None };
    }
    let pages = range.end.vpn().0 - range.start.vpn().0;
    let alike = |vma: &Vma| {
        (vma.flags(cpu) ^ range.flags) - VmFlags::IGNORE_MERGE == VmFlags::empty()
            && vma.file(cpu) == range.file
            && is_mergeable_anon_vma(cpu, mm, *vma, range.source)
    };
    // can_vma_merge_after()
    let before = before.filter(|vma| vma.end(cpu) == range.start);
    let before = before.filter(|vma| alike(vma) && vma.index_of(cpu, range.start) == range.pgoff);
    // can_vma_merge_before()
    let behind = behind.filter(|vma| vma.start(cpu) == range.end);
    let behind = behind.filter(|vma| alike(vma) && vma.pgoff(cpu) == range.pgoff + pages);
    // That each goes with the range does not mean that they go with each other.
    let behind = behind.filter(|behind| {
        before.is_none_or(|before| are_anon_vmas_compatible(before.anon_vma(cpu), behind.anon_vma(cpu)))
    });
    Neighbours { before, behind }
}

/// `dup_anon_vma()`: a mapping that grows over pages of another hangs on the same `anon_vma`s from now on. Nothing of the merge
/// has happened yet, so if this fails nothing has.
pub(super) fn dup_anon_vma(cpu: Cpu<'_>, mm: &MmStruct, target: Vma, source: Vma) -> Result<(), Errno> {
    let theirs = source.anon_vma(cpu);
    if target.anon_vma(cpu).is_none() && theirs.is_some() {
        target.set_anon_vma(cpu, theirs);
        anon_vma_clone(cpu, (mm, target), (mm, source))?;
    }
    Ok(())
}

/// Takes a mapping out of the list whose pages are another's from now on.
pub(super) fn swallow(cpu: Cpu<'_>, mm: &MmStruct, vmas: &mut VmaTree<'_>, index: usize) {
    let vma = vmas.remove(index);
    unlink_anon_vmas(cpu, mm, vma);
    unlink_file_vma_locked(cpu, vma);
    if let Some(file) = vma.vm_file(cpu) {
        // The mapping that takes it in holds the file as well, so this is never the last reference.
        file.put_one_of_many(cpu);
    }
    vmas.removed.push(vma);
}

/// `vma_merge_new_range()`: makes a mapping beside a range that is free take it in. `None` if none can, or if what links the
/// mapping to `anon_vma`s cannot be had: then the range can still be a mapping of its own.
pub(crate) fn vma_merge_new_range(
    cpu: Cpu<'_>,
    mm: &MmStruct,
    vmas: &mut VmaTree<'_>,
    range: &NewRange,
) -> Result<Option<Vma>, Stopped> {
    let place = vmas.partition_point(|vma| vma.start(cpu) < range.start);
    let before = place.checked_sub(1).map(|before| vmas[before]);
    // A mapping that moves a little can be its own neighbour, and be taken in as well.
    let source = range.source.vma();
    let neighbours = mergeable(cpu, mm, range, before, vmas.get(place).copied());
    for vma in neighbours.before.into_iter().chain(neighbours.behind) {
        vmas.start_write(cpu, vma)?;
    }
    let Some(merged) = neighbours.before.or(neighbours.behind) else { return Ok(None) };
    // If both are there, the one before takes in the one behind. Only one of these has an anon_vma that it lacks.
    let taken_in = neighbours.before.and(neighbours.behind);
    for pages_of in taken_in.into_iter().chain(source) {
        if dup_anon_vma(cpu, mm, merged, pages_of).is_err() {
            return Ok(None);
        }
    }
    merged.add_sticky(cpu, range.flags);
    match taken_in {
        Some(behind) => {
            merged.add_sticky(cpu, behind.flags(cpu));
            merged.set_end(cpu, behind.end(cpu));
            swallow(cpu, mm, vmas, place);
        }
        None if neighbours.before.is_some() => merged.set_end(cpu, range.end),
        None => merged.set_start(cpu, range.start),
    }
    Ok(Some(merged))
}

/// `vma_link()`: a mapping is found from now on.
pub(crate) fn vma_link(cpu: Cpu<'_>, mm: &MmStruct, vmas: &mut VmaTree<'_>, vma: Vma) {
    vma_mark_attached(cpu, mm, vma);
    vma_link_file(cpu, mm, vma);
    let place = vmas.partition_point(|other| other.start(cpu) < vma.start(cpu));
    vmas.insert(place, vma);
}

/// `vma_expand()`, into room that is free.
pub(crate) fn vma_expand(cpu: Cpu<'_>, vmas: &VmaTree<'_>, vma: Vma, end: VirtAddr) -> Result<(), Stopped> {
    vmas.start_write(cpu, vma)?;
    vma.set_end(cpu, end);
    Ok(())
}

/// `expand_downwards()`, second half: a stack begins at `start` from now on.
pub(crate) fn vma_expand_down(cpu: Cpu<'_>, vma: Vma, start: VirtAddr) {
    vma.set_start(cpu, start);
}

/// A copy of a mapping hangs on what that one hangs on. If it cannot, the copy is undone.
pub(super) fn link_copy(cpu: Cpu<'_>, mm: &MmStruct, copy: Vma, orig: Vma) -> Result<(), Errno> {
    let linked = anon_vma_clone(cpu, (mm, copy), (mm, orig));
    if linked.is_err() {
        // The original holds the file as well, so this is never the last reference.
        if let Some(file) = copy.vm_file(cpu) {
            file.put_one_of_many(cpu);
        }
        vm_area_free(cpu, copy);
    }
    linked
}

/// `copy_vma()`, where no mapping takes the range in: a mapping of its own, for pages of `vma`.
///
/// # Errors
/// `ENOMEM`, if the machine has no room for one more.
pub(crate) fn copy_of(
    cpu: Cpu<'_>,
    mm: &MmStruct,
    vmas: &mut VmaTree<'_>,
    vma: Vma,
    range: &NewRange,
) -> Result<Vma, Errno> {
    let new = vm_area_dup(cpu, mm, vma)?;
    new.place(cpu, range.start, range.end, range.pgoff);
    link_copy(cpu, mm, new, vma)?;
    vma_link(cpu, mm, vmas, new);
    Ok(new)
}
