//! `mm/mprotect.c`.

use sim_core::{BoxFuture, Routine};
use sim_mmu::{Entry, Level, VirtAddr};

use crate::arch::pkeys::{execute_only_pkey, mm_pkey_is_allocated, vma_is_pkey_exec_only};
use crate::arch::tlb::flush_tlb_mm_range;
use crate::check;
use crate::entries::entries;
use crate::errno::Errno;
use crate::folio::{page_is_anon, page_mapcount};
use crate::huge_memory::{HugeChange, change_huge_pmd, change_huge_pud, split_huge_pmd, split_huge_pud};
use crate::huge_pte::{HugePte, HugePtep};
use crate::hugetlb::hugetlb_change_protection;
use crate::kernel::Cpu;
use crate::memory::{can_change_pmd_writable, can_change_pte_writable, p4d_offset, saves_write};
use crate::migrate::migration_entry_to_page;
use crate::mm_types::{MmStruct, Page, Vma};
use crate::mman::Prot;
use crate::mmap::vma_lookup;
use crate::mmap_lock::{MmapLock, MmapWriteHeld};
use crate::mmu_notifier::{
    MmuNotifierRange, mmu_notifier_invalidate_range_end, mmu_notifier_invalidate_range_start,
};
use crate::pgtable::{EntryPtr, Pmd, Pmdp, Pte, Ptep, vm_get_page_prot, vma_page_prot};
use crate::pgtable_generic::{is_unlinked, pmd_clear_bad};
use crate::pgtable_set::ptep_get_and_clear;
use crate::rmap::flush_tlb_batched_pending;
use crate::safeguards::{CHANGE_PMD_ONCE, CHANGE_PUD_LEAF, MPROTECT_FLUSH, MPROTECT_MIGRATION_READ};
use crate::settings::{CowReuse, MprotectUncount, MprotectUpgrade};
use crate::swapops::{
    MigrationEntry, MigrationKind, SwpEntry, UFFD_WP_MARKER, is_uffd_wp_marker, pte_swp_set_uffd_wp,
};
use crate::vm_flags::VmFlags;
use crate::vma::{
    Stopped, VmaTree, change_vmas, i_mmap_lock_write_all, may_split, mmap_write_lock, prepare_split,
    vma_modify_flags,
};

/// `mprotect()`: what may be done with pages `start` up to `end` from now on.
///
/// # Errors
/// `EINVAL` for an unaligned start, `ENOMEM` where nothing is mapped, `EACCES` if a mapping may never allow it. What
/// comes before the failing mapping is changed.
pub fn sys_mprotect(cpu: Cpu<'_>, start: VirtAddr, end: VirtAddr, prot: Prot) -> BoxFuture<'_, Result<(), Errno>> {
    Box::pin(do_mprotect_pkey(cpu, (start, end), prot, None))
}

/// `pkey_mprotect()`: the same, and the pages get a protection key.
///
/// # Errors
/// As [`sys_mprotect`]; `EINVAL` for a key that was not allocated.
pub fn sys_pkey_mprotect(
    cpu: Cpu<'_>,
    start: VirtAddr,
    end: VirtAddr,
    prot: Prot,
    key: u64,
) -> BoxFuture<'_, Result<(), Errno>> {
    Box::pin(do_mprotect_pkey(cpu, (start, end), prot, Some(key)))
}

/// What pages are to be given.
#[derive(Clone, Copy)]
struct Wanted {
    prot: Prot,
    key: Option<u8>,
}

/// A part of a mapping that is to be changed.
struct Part {
    vma: Vma,
    end: VirtAddr,
    old: VmFlags,
    new: VmFlags,
}

async fn do_mprotect_pkey(
    cpu: Cpu<'_>,
    (start, end): (VirtAddr, VirtAddr),
    prot: Prot,
    key: Option<u64>,
) -> Result<(), Errno> {
    let _kernel = cpu.enter_kernel();
    let _routine = cpu.enter(Routine::system_call("do_mprotect_pkey"));
    let mm = cpu.current_mm().ok_or(Errno::Einval)?;
    let end = end.page_align();
    if start.offset() != 0 {
        return Err(Errno::Einval);
    }
    if end == start {
        return Ok(());
    }
    if end < start {
        return Err(Errno::Enomem);
    }
    let mut mmap_lock = mmap_write_lock(cpu, mm).await;
    if key.is_some_and(|key| !mm_pkey_is_allocated(cpu, mm, key)) {
        return Err(Errno::Einval);
    }
    // __arch_override_mprotect_pkey(), as far as it does not depend on the mapping.
    let execute_only = match key {
        None if prot == Prot::EXEC && vma_lookup(cpu, mm, start).await.is_some() => {
            Box::pin(execute_only_pkey(cpu, mm)).await
        }
        _ => None,
    };
    let wanted = Wanted { prot, key: key.map(|key| key as u8).or(execute_only) };
    let mut at = start;
    while at < end {
        let cuts = cuts(cpu, mm, (at, end), wanted);
        if let Some(cuts) = cuts {
            may_split(cpu, mm, cuts).await;
        }
        let i_mmap = i_mmap_lock_write_all(cpu, mm, |vma| vma.contains(cpu, at)).await;
        // Before the mapping has its new flags: the pages outside of the range keep the protection that they had.
        if let Some(cuts) = cuts {
            prepare_split(cpu, mm, cuts).await;
        }
        let part = change_vmas(cpu, mm, |vmas| mprotect_fixup(cpu, mm, vmas, at, end, wanted)).await?;
        drop(i_mmap);
        if part.new != part.old {
            let upgrade = part.new.contains(VmFlags::WRITE) && !part.new.contains(VmFlags::SHARED);
            let upgrade = upgrade && cpu.setting::<MprotectUpgrade>() == MprotectUpgrade::Exclusive;
            let to = Change::Protect { flags: part.new, upgrade };
            change_protection_range(cpu, mm, part.vma, (at, part.end), to).await;
            // Private locked memory that became writable is copied now, and not when it is written.
            let locked = VmFlags::LOCKED | VmFlags::WRITE;
            if part.new.contains(locked)
                && !part.old.intersects(VmFlags::WRITE)
                && !part.new.contains(VmFlags::SHARED)
            {
                mmap_lock = populate(cpu, mm, mmap_lock, part.vma, at, part.end).await;
            }
        }
        at = part.end;
    }
    drop(mmap_lock);
    Ok(())
}

/// `populate_vma_page_range()`, for a caller that holds `mmap_lock` for writing.
async fn populate<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    mmap_lock: MmapWriteHeld<'m>,
    vma: Vma,
    start: VirtAddr,
    end: VirtAddr,
) -> MmapWriteHeld<'m> {
    let held = MmapLock::Write(mmap_lock);
    match (cpu.kernel.gup.populate_vma_page_range)(cpu, mm, held, vma, start, end).await {
        (_, Some(MmapLock::Write(held))) => held,
        _ => unreachable!("a fault under the lock for writing does not let go of it"),
    }
}

/// Where the mapping at `at` is split, unless it begins or ends there already. `None` if its flags stay as they are.
fn cuts(cpu: Cpu<'_>, mm: &MmStruct, (at, end): (VirtAddr, VirtAddr), wanted: Wanted) -> Option<[VirtAddr; 2]> {
    let vma = mm.vmas.look(cpu.core).iter().copied().find(|vma| vma.contains(cpu, at))?;
    let changes = new_flags(cpu, mm, vma, wanted).is_ok_and(|new| new != vma.flags(cpu));
    changes.then(|| [at, end.min(vma.end(cpu))])
}

/// The flags that a mapping gets.
fn new_flags(cpu: Cpu<'_>, mm: &MmStruct, vma: Vma, wanted: Wanted) -> Result<VmFlags, Errno> {
    let old = vma.flags(cpu);
    // Without a key the mapping keeps the one that it has, unless that says that it may only be executed.
    let inherited = if wanted.prot != Prot::EXEC && vma_is_pkey_exec_only(cpu, mm, old) { 0 } else { old.pkey() };
    let new = ((old - VmFlags::ACCESS_FLAGS) | wanted.prot.vm_flags()).with_pkey(wanted.key.unwrap_or(inherited));
    // newflags >> 4 shifts VM_MAY* in place of VM_*.
    let may = VmFlags::from_bits_truncate(new.bits() >> 4) & VmFlags::ACCESS_FLAGS;
    if may.contains(new & VmFlags::ACCESS_FLAGS) { Ok(new) } else { Err(Errno::Eacces) }
}

/// `mprotect_fixup()`, first half: the mapping at `at` gets its new flags up to `end`, or up to its own end.
fn mprotect_fixup(
    cpu: Cpu<'_>,
    mm: &MmStruct,
    vmas: &mut VmaTree<'_>,
    at: VirtAddr,
    end: VirtAddr,
    wanted: Wanted,
) -> Result<Part, Stopped> {
    let index = vmas.iter().position(|vma| vma.contains(cpu, at)).ok_or(Errno::Enomem)?;
    let vma = vmas[index];
    let end = end.min(vma.end(cpu));
    let old = vma.flags(cpu);
    let mut new = new_flags(cpu, mm, vma, wanted)?;
    if new == old {
        return Ok(Part { vma, end, old, new });
    }
    let uncounted = VmFlags::ACCOUNT | VmFlags::WRITE | VmFlags::SHARED | VmFlags::NORESERVE;
    if new.contains(VmFlags::WRITE) {
        new.set(VmFlags::ACCOUNT, old.contains(VmFlags::ACCOUNT) || !old.intersects(uncounted));
    } else if cpu.setting::<MprotectUncount>() == MprotectUncount::Untouched
        && vma.is_anonymous(cpu)
        && vma.anon_vma(cpu).is_none()
    {
        new -= VmFlags::ACCOUNT;
    }
    let vma = vma_modify_flags(cpu, mm, vmas, index, (at, end), new)?;
    Ok(Part { vma, end, old, new })
}

/// What becomes of entries: the last arguments of `change_protection()`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// They get the protection of a mapping with these flags. With `upgrade` they get write permission as well where nobody
    /// else can see the page.
    Protect { flags: VmFlags, upgrade: bool },
    /// `MM_CP_PROT_NUMA`: they allow no access, so that the next one is noticed. In a mapping whose pages are copied at a
    /// write, only pages that are mapped once are marked.
    Numa { is_cow: bool },
    /// `MM_CP_UFFD_WP`: writes are to wait for user code. With `markers` entries of pages that are not mapped say so too.
    UffdWp { markers: bool },
    /// `MM_CP_UFFD_WP_RESOLVE`: writes pass again. `flags` are those of the mapping, and `upgrade` is as above.
    UffdWpResolve { flags: VmFlags, upgrade: bool },
}

/// `change_protection_range()`.
pub(crate) async fn change_protection_range<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    vma: Vma,
    (start, end): (VirtAddr, VirtAddr),
    change: Change,
) {
    let _routine = cpu.enter("change_protection_range");
    if vma.flags(cpu).contains(VmFlags::HUGETLB) {
        return Box::pin(change_hugetlb(cpu, mm, vma, (start, end), change)).await;
    }
    let geometry = cpu.mmu.geometry;
    let mut pages = 0;
    cpu.rmw(mm.tlb_flush_pending(), |pending| pending + 1).await;
    for (p4dp, addr, next) in entries(geometry, p4d_offset(cpu, mm, start), start, end) {
        let p4d = cpu.read_once(p4dp).await;
        if p4d.none() {
            continue;
        }
        for (pudp, addr, next) in entries(geometry, p4d.pud_offset(geometry, addr), addr, next) {
            let pud = cpu.read_once(pudp).await;
            if HugePte::from(pud).leaf() {
                pages += Box::pin(change_pud(cpu, (mm, vma), pudp.into(), (addr, next), change)).await;
                continue;
            }
            if pud.none() {
                continue;
            }
            // One invalidation for each table of PMD entries. Since v6.12 Linux has one for each table of PUD entries.
            let mut range = MmuNotifierRange::NONE;
            let last = next;
            for (pmdp, addr, next) in entries(geometry, pud.pmd_offset(geometry, addr), addr, next) {
                let mut pmd = cpu.read_once(pmdp).await;
                // The start comes with the first PMD entry that is not empty.
                if range.is_none() && !pmd.none() {
                    range = mmu_notifier_invalidate_range_start(cpu, mm, (addr, last)).await;
                }
                if pmd.is_huge() {
                    match Box::pin(change_huge(cpu, mm, vma, pmdp, (addr, next), change)).await {
                        HugeChange::NotHuge => pmd = cpu.read_once(pmdp).await,
                        HugeChange::Untouched => continue,
                        HugeChange::Changed => {
                            pages += cpu.pmd_nr();
                            continue;
                        }
                    }
                }
                // Where no huge page can be, the second read would find the same.
                if !cpu.has(CHANGE_PMD_ONCE) && cpu.kernel.asks_for_huge_pages(vma.flags(cpu)) {
                    pmd = cpu.read_once(pmdp).await;
                    if pmd.trans_huge() {
                        pmd_clear_bad(cpu, mm, addr, pmdp).await;
                    }
                }
                if pmd.leads_to_table() {
                    pages += change_pte_range(cpu, mm, (pmdp, pmd), addr, next, change).await;
                }
            }
            mmu_notifier_invalidate_range_end(cpu, mm, range).await;
        }
    }
    // Only entries that changed can have left translations behind.
    if pages > 0 && cpu.has(MPROTECT_FLUSH) {
        flush_tlb_mm_range(cpu, mm, start, end, false).await;
    }
    cpu.rmw(mm.tlb_flush_pending(), |pending| pending - 1).await;
}

/// The part of `change_pud_range()` for an entry that maps memory; answers how many pages changed. NUMA hinting passes over devices.
async fn change_pud<'m>(
    cpu: Cpu<'m>,
    (mm, vma): (&'m MmStruct, Vma),
    pudp: HugePtep,
    (addr, next): (VirtAddr, VirtAddr),
    change: Change,
) -> u64 {
    if !check!(cpu, CHANGE_PUD_LEAF, true) {
        pmd_clear_bad(cpu, mm, addr, pudp).await;
        return 0;
    }
    let range = mmu_notifier_invalidate_range_start(cpu, mm, (addr, next)).await;
    let changed = match change {
        Change::Protect { flags, .. } if (addr, next) == pudp.range(cpu, addr) => {
            change_huge_pud(cpu, mm, pudp, addr, flags).await
        }
        Change::Numa { .. } => false,
        _ => {
            split_huge_pud(cpu, (mm, vma), pudp, addr).await;
            false
        }
    };
    mmu_notifier_invalidate_range_end(cpu, mm, range).await;
    if changed { (next.0 - addr.0) / VirtAddr::PAGE_SIZE } else { 0 }
}

/// `change_protection()` of huge pages of the pool. They have no part in NUMA hinting, and no descriptor of `userfaultfd`.
async fn change_hugetlb<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    vma: Vma,
    range: (VirtAddr, VirtAddr),
    change: Change,
) {
    if let Change::Protect { flags, .. } = change {
        let change_moved = async |entry| change_migration_entry(cpu, entry, change).await;
        hugetlb_change_protection(cpu, (mm, vma), range, flags, change_moved).await;
    }
}

/// The part of `change_pmd_range()` for a huge page. If only some of its pages are to be changed, they get entries of their own first.
async fn change_huge<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    vma: Vma,
    pmdp: Pmdp,
    (addr, next): (VirtAddr, VirtAddr),
    change: Change,
) -> HugeChange {
    // Writes that user code is to learn of are noticed page by page.
    let by_page = matches!(change, Change::UffdWp { .. } | Change::UffdWpResolve { .. });
    if by_page || next.0 - addr.0 != cpu.mmu.geometry.span(Level::Pmd) {
        split_huge_pmd(cpu, vma, mm, pmdp, addr).await;
        return HugeChange::NotHuge;
    }
    let is_numa = matches!(change, Change::Numa { .. });
    let change_mapped = async |old: Pmd| match change {
        Change::Protect { flags, upgrade } => {
            let new = pmdp.value(Pmd::modify(old.entry, vma_page_prot(cpu, flags)));
            let writable = upgrade && can_change_pmd_writable(cpu, flags, new).await;
            if writable { new.entry.with(Entry::RW) } else { new.entry }
        }
        _ => {
            let new = Pmd::modify(old.entry, vm_get_page_prot(VmFlags::empty()));
            if saves_write(cpu) && old.write() { new.with(Entry::RW) } else { new }
        }
    };
    let change_moved = async |entry| change_migration_entry(cpu, entry, change).await;
    change_huge_pmd(cpu, mm, pmdp, addr, is_numa, change_mapped, change_moved).await
}

/// `change_pte_range()`: the entries of one table, under its lock; answers how many changed.
async fn change_pte_range<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    (pmdp, pmd): (Pmdp, Pmd),
    start: VirtAddr,
    end: VirtAddr,
    change: Change,
) -> u64 {
    let _routine = cpu.enter("change_pte_range");
    let geometry = cpu.mmu.geometry;
    let ptep = pmd.pte_offset(geometry, start);
    let _ptl = cpu.lock(cpu.kernel.ptl(ptep.table())).await;
    if is_unlinked(cpu, pmdp, ptep) {
        // Whoever took it away had unmapped all that it led to.
        return 0;
    }
    flush_tlb_batched_pending(cpu, mm).await;
    let mut pages = 0;
    for (ptep, addr, _) in entries(geometry, ptep, start, end) {
        let pte = cpu.read_once(ptep).await;
        if pte.present() && may_change(cpu, pte, change).await {
            change_one(cpu, mm, (ptep, pte), addr, change).await;
            pages += 1;
        } else if let Some(entry) = MigrationEntry::of_pte(pte.entry) {
            let new = Box::pin(change_migration_entry(cpu, entry, change)).await.to_pte();
            if new != pte.entry {
                cpu.set_pte_at(mm, addr, ptep, new).await;
                pages += 1;
            }
        } else if let Some(new) = changed_absent(pte.entry, change) {
            cpu.set_pte_at(mm, addr, ptep, new).await;
            pages += 1;
        }
    }
    pages
}

/// What `change_pte_range()` makes of an entry where nothing is mapped, or whose page is in swap. `None` if it stays as it is.
fn changed_absent(entry: Entry, change: Change) -> Option<Entry> {
    let new = match change {
        Change::UffdWp { markers: true } if entry.is_none() => Some(UFFD_WP_MARKER),
        Change::UffdWpResolve { .. } if is_uffd_wp_marker(entry) => Some(Entry::NONE),
        Change::UffdWp { .. } => SwpEntry::of_pte(entry).map(|_| pte_swp_set_uffd_wp(entry, true)),
        Change::UffdWpResolve { .. } => SwpEntry::of_pte(entry).map(|_| pte_swp_set_uffd_wp(entry, false)),
        _ => None,
    };
    new.filter(|new| *new != entry)
}

/// What `change_pte_range()` makes of an entry whose page is being moved: it must not come back writable. Entries of pages that are there
/// become writable again by the next fault.
async fn change_migration_entry(cpu: Cpu<'_>, mut entry: MigrationEntry, change: Change) -> MigrationEntry {
    let page = migration_entry_to_page(cpu, entry).await;
    if entry.kind == MigrationKind::Writable && cpu.has(MPROTECT_MIGRATION_READ) {
        let exclusive = page_is_anon(cpu, page) && cpu.setting::<CowReuse>() == CowReuse::Exclusive;
        entry.kind = if exclusive { MigrationKind::ReadableExclusive } else { MigrationKind::Readable };
    }
    match change {
        Change::UffdWp { .. } => entry.uffd_wp = true,
        Change::UffdWpResolve { .. } => entry.uffd_wp = false,
        Change::Protect { .. } | Change::Numa { .. } => {}
    }
    entry
}

/// Whether an entry is one that is changed so.
async fn may_change(cpu: Cpu<'_>, pte: Pte, change: Change) -> bool {
    match change {
        Change::Protect { .. } | Change::UffdWp { .. } => true,
        Change::UffdWpResolve { .. } => pte.uffd_wp(),
        Change::Numa { .. } if pte.protnone() || pte.special() => false,
        Change::Numa { is_cow } => !is_cow || page_mapcount(cpu, Page(pte.pfn())).await == 1,
    }
}

/// `ptep_modify_prot_start()` to `ptep_modify_prot_commit()`: the entry is empty in between, so that the hardware
/// cannot set A or D in what will be overwritten.
async fn change_one<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    (ptep, seen): (Ptep, Pte),
    addr: VirtAddr,
    change: Change,
) {
    let old = ptep_get_and_clear(cpu, mm, addr, ptep, seen).await;
    let (new, writable) = match change {
        Change::Protect { flags, upgrade } => {
            let new = Pte::modify(old.entry, vma_page_prot(cpu, flags));
            (new, upgrade && can_change_pte_writable(cpu, flags, old).await)
        }
        // pte_mk_savedwrite(): before v6.2 the entry remembers that it was writable.
        Change::Numa { .. } => {
            let new = Pte::modify(old.entry, vm_get_page_prot(VmFlags::empty()));
            (new, saves_write(cpu) && old.write())
        }
        Change::UffdWp { .. } => (old.entry.without(Entry::RW).with(Entry::UFFD_WP), false),
        Change::UffdWpResolve { flags, upgrade } => {
            let cleared = ptep.value(old.entry.without(Entry::UFFD_WP));
            (cleared.entry, upgrade && can_change_pte_writable(cpu, flags, cleared).await)
        }
    };
    let new = if writable { new.with(Entry::RW) } else { new };
    cpu.set_pte_at(mm, addr, ptep, new).await;
}
