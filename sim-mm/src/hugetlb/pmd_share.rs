//! Tables that address spaces share: `huge_pmd_share()` and `huge_pmd_unshare()`.
//!
//! Two shared mappings of one file that both cover all that a table of PMD entries translates can use the same table. The entries of it change for all at
//! once. An address space gives the table up by clearing its own entry that leads there. Then it counts itself out, and the last one that is left has the
//! table for itself: it may map there what it likes.

use std::panic::Location;

use sim_core::OpKind;
use sim_mmu::{Entry, Level, Pfn, VirtAddr};

use super::{hstate_vma, huge_pte_offset};
use crate::errno::Errno;
use crate::event::Event;
use crate::fs::Inode;
use crate::huge_pte::HugePtep;
use crate::hugetlb_types::{HugePageSize, Place};
use crate::kernel::Cpu;
use crate::memory::{p4d_offset, pmd_alloc, pud_alloc};
use crate::mm_types::{MmId, MmStruct, Page, Vma};
use crate::mmu_gather::tlb_remove_table_sync_one;
use crate::pgtable::{EntryPtr, PAGE_TABLE, Pmdp, Pudp, offset_now};
use crate::safeguards::HUGE_PMD_UNSHARE_SYNC;
use crate::settings::{HugetlbLock, HugetlbUnshareFlush};
use crate::vm_flags::VmFlags;

/// `address & PUD_MASK`, and the end of what the table of PMD entries there translates.
pub(super) fn pud_range(cpu: Cpu<'_>, addr: VirtAddr) -> (VirtAddr, VirtAddr) {
    let span = cpu.mmu.geometry.span(Level::Pud);
    let start = addr.0 & !(span - 1);
    (VirtAddr(start), VirtAddr(start + span))
}

/// `want_pmd_share()`, `vma_shareable()` before v5.12: whether the mapping is shared, and covers all that the table translates.
fn want_pmd_share(cpu: Cpu<'_>, vma: Vma, addr: VirtAddr) -> bool {
    let (start, end) = pud_range(cpu, addr);
    vma.flags(cpu).contains(VmFlags::MAYSHARE) && vma.start(cpu) <= start && end <= vma.end(cpu)
}

/// `adjust_range_if_pmd_sharing_possible()`, `tlb_unshare_pmd_ptdesc()` since v6.19: what has to be flushed when the change of a range makes the address space
/// give up the table at `addr`. Before v6.19 that takes for granted that only a mapping that may share the table has it.
pub(super) fn unshared_range(
    cpu: Cpu<'_>,
    vma: Vma,
    (start, end): (VirtAddr, VirtAddr),
    addr: VirtAddr,
) -> (VirtAddr, VirtAddr) {
    let (first, last) = pud_range(cpu, addr);
    let flushes_table = cpu.setting::<HugetlbUnshareFlush>() == HugetlbUnshareFlush::Table;
    if flushes_table || want_pmd_share(cpu, vma, addr) { (first.min(start), last.max(end)) } else { (start, end) }
}

/// `page_table_shareable()`: where another mapping has page `index` of the file, if it can share the table there.
fn page_table_shareable(cpu: Cpu<'_>, other: Vma, vma: Vma, addr: VirtAddr, index: u64) -> Option<VirtAddr> {
    let nth = index.checked_sub(other.pgoff(cpu))?;
    let there = other.start(cpu).plus_pages(nth);
    let entry = |addr: VirtAddr| cpu.mmu.geometry.index(addr, Level::Pmd);
    let same_flags = other.flags(cpu) - VmFlags::LOCKED_MASK == vma.flags(cpu) - VmFlags::LOCKED_MASK;
    (entry(there) == entry(addr) && same_flags && want_pmd_share(cpu, other, there)).then_some(there)
}

/// `huge_pte_alloc()`: the entry of a huge page, in a table that is shared, or made if there is none. Tables of PUD entries are never shared.
///
/// # Errors
/// `ENOMEM`, if no frame is free for a table.
pub(super) async fn huge_pte_alloc<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    vma: Vma,
    addr: VirtAddr,
) -> Result<HugePtep, Errno> {
    let pudp = pud_alloc(cpu, mm, p4d_offset(cpu, mm, addr), addr).await?;
    if hstate_vma(cpu, vma) == HugePageSize::Gigantic {
        return Ok(pudp.into());
    }
    let pmdp = match vma.file(cpu) {
        Some(file) if want_pmd_share(cpu, vma, addr) && cpu.read_once(pudp).await.none() => {
            huge_pmd_share(cpu, mm, (vma, file), addr, pudp).await
        }
        _ => pmd_alloc(cpu, mm, pudp, addr).await,
    };
    pmdp.map(HugePtep::from)
}

/// `huge_pmd_share()`: the entry leads to the table of another mapping of the file, if there is one to share. The lock keeps that mapping where it is, and
/// who unshares holds it for writing.
async fn huge_pmd_share<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    (vma, file): (Vma, Inode),
    addr: VirtAddr,
    pudp: Pudp,
) -> Result<Pmdp, Errno> {
    let _routine = cpu.enter("huge_pmd_share");
    let i_mmap = cpu.kernel.shmem.i_mmap_rwsem(file);
    // From v5.7 to v6.0 the caller holds it. Before, it was held for writing.
    let (_writing, _reading) = match cpu.setting::<HugetlbLock>() {
        HugetlbLock::None => (Some(cpu.down_write(i_mmap).await), None),
        HugetlbLock::Mapping => (None, None),
        HugetlbLock::Vma => (None, Some(cpu.down_read(i_mmap).await)),
    };
    if let Some((of, there, table)) = find_table(cpu, (vma, file), addr).await {
        // get_page() of the table, ptdesc_pmd_pts_inc() since v6.13.
        let count = cpu.kernel.page(Page(table)).pt_share_count();
        cpu.rmw(count, |count| count + 1).await;
        let ptl = cpu.lock(cpu.kernel.ptl(table)).await;
        if cpu.read_once(pudp).await.none() {
            pud_populate_shared(cpu, mm, (pudp, addr), (of, there), table).await;
        } else {
            drop(ptl);
            cpu.rmw(count, |count| count - 1).await;
        }
    }
    pmd_alloc(cpu, mm, pudp, addr).await
}

/// The first table that can be shared, and one of those who have it: the address space, and where.
async fn find_table(cpu: Cpu<'_>, (vma, file): (Vma, Inode), addr: VirtAddr) -> Option<(MmId, VirtAddr, Pfn)> {
    let index = vma.index_of(cpu, addr);
    let mappings = cpu.read(cpu.kernel.shmem.i_mmap(file), Clone::clone).await;
    for (mm, other) in mappings.into_iter().filter(|(_, other)| *other != vma) {
        if let Some(there) = page_table_shareable(cpu, other, vma, addr, index)
            && let Some(ptep) = huge_pte_offset(cpu, cpu.kernel.mm(mm), there, HugePageSize::Huge).await
        {
            return Some((mm, there, ptep.slot().table()));
        }
    }
    None
}

/// Tells of the entries of a table that an address space begins to use, or gives up, in the step in which it does.
fn note_huge_entries(
    cpu: Cpu<'_>,
    mm: &MmStruct,
    table: Pfn,
    start: VirtAddr,
    change: fn(Entry) -> (Entry, Entry),
) {
    let geometry = cpu.mmu.geometry;
    for index in 0..geometry.entries(Level::Pmd) {
        let entry = cpu.mmu.entry_now(table, index);
        if !entry.is_none() {
            let (old, new) = change(entry);
            cpu.note_huge_of(
                mm,
                VirtAddr(start.0 + (u64::from(index) << geometry.shift(Level::Pmd))),
                Level::Pmd,
                old,
                new,
            );
        }
    }
}

/// `pud_populate()` of a table that another address space has as well: `of`, where it has it.
#[track_caller]
fn pud_populate_shared<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    (pudp, addr): (Pudp, VirtAddr),
    (of, there): (MmId, VirtAddr),
    table: Pfn,
) -> impl Future<Output = ()> + use<'m> {
    let op = cpu.entry_op(pudp, OpKind::Write, Location::caller());
    let (start, first) = (pud_range(cpu, addr).0, pud_range(cpu, there).0);
    cpu.step(op, move |hw| {
        cpu.before_change();
        hw.perform_store(&op, Entry::new(table, PAGE_TABLE).0);
        cpu.table_access(pudp);
        cpu.kernel.hugetlb.shared_tables.poke(cpu.core, |shared| {
            let place = |mm, start| Place { mm, start, given_up: false };
            let places = shared.entry(table).or_insert_with(|| vec![place(of, first)]);
            places.retain(|place| place.mm != mm.id || place.start != start);
            places.push(place(mm.id, start));
        });
        let root = |mm: &MmStruct| cpu.this_cpu_read(mm.pgd());
        cpu.note(Event::TableShared { table, with: root(cpu.kernel.mm(of)), root: root(mm) });
        note_huge_entries(cpu, mm, table, start, |entry| (Entry::NONE, entry));
    })
}

/// `huge_pmd_unshare()`: if others have the table as well then this address space gives it up, and nothing is mapped there any more. Translations have yet
/// to be flushed. The caller holds the lock of the table, and `i_mmap_rwsem` for writing until the flush is done: the others cannot use the table for
/// something else before. Answers whether the table was shared.
pub(super) async fn huge_pmd_unshare<'m>(cpu: Cpu<'m>, mm: &'m MmStruct, addr: VirtAddr, ptep: HugePtep) -> bool {
    if ptep.level() != Level::Pmd {
        return false;
    }
    let table = ptep.slot().table();
    let count = cpu.kernel.page(Page(table)).pt_share_count();
    if cpu.load(count).await == 0 {
        return false;
    }
    let _routine = cpu.enter("huge_pmd_unshare");
    let Some(pudp) = offset_now::<Pudp>(cpu, mm, addr) else { return false };
    pud_clear_shared(cpu, mm, (pudp, addr), table).await;
    // A lockless walker that has read the entry is in the table still. He is waited for before the table may become another's.
    if cpu.has(HUGE_PMD_UNSHARE_SYNC) {
        tlb_remove_table_sync_one(cpu).await;
    }
    let root = cpu.this_cpu_read(mm.pgd());
    cpu.rmw(count, move |count| {
        cpu.note(Event::TableGivenUp { table, root });
        count - 1
    })
    .await;
    true
}

/// `pud_clear()` of an entry that leads to a shared table.
#[track_caller]
fn pud_clear_shared<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    (pudp, addr): (Pudp, VirtAddr),
    table: Pfn,
) -> impl Future<Output = ()> + use<'m> {
    let op = cpu.entry_op(pudp, OpKind::Write, Location::caller());
    let start = pud_range(cpu, addr).0;
    cpu.step(op, move |hw| {
        cpu.before_change();
        hw.perform_store(&op, Entry::NONE.0);
        cpu.table_access(pudp);
        cpu.kernel.hugetlb.shared_tables.poke(cpu.core, |shared| {
            let places = shared.get_mut(&table).into_iter().flatten();
            for place in places.filter(|place| place.mm == mm.id && place.start == start) {
                place.given_up = true;
            }
        });
        note_huge_entries(cpu, mm, table, start, |entry| (entry, Entry::NONE));
    })
}

/// `huge_pmd_unshare_flush()`, since v6.19; before, what follows the flush of a caller of [`huge_pmd_unshare`]: no processor walks through tables that this address space has given up.
pub(super) fn unshare_flushed(cpu: Cpu<'_>, mm: &MmStruct) {
    cpu.kernel.hugetlb.shared_tables.poke(cpu.core, |shared| {
        for places in shared.values_mut() {
            places.retain(|place| place.mm != mm.id || !place.given_up);
        }
        shared.retain(|_, places| places.len() > 1);
    });
}

impl Cpu<'_> {
    /// Where else a change of an entry of a table is seen: the addresses in other places that share it.
    pub(crate) fn note_shared_pmd(self, mm: &MmStruct, va: VirtAddr, table: Pfn, old: Entry, new: Entry) {
        let shared = self.kernel.hugetlb.shared_tables.look(self.core);
        let Some(places) = shared.get(&table) else { return };
        let (start, _) = pud_range(self, va);
        for place in places.iter().filter(|place| place.mm != mm.id || place.start != start) {
            let va = VirtAddr(place.start.0 + (va.0 - start.0));
            let other = self.kernel.mm(place.mm);
            if place.given_up {
                // It is there for the hardware, until the flush, and is not promised to anybody.
                self.note_huge_of(other, va, Level::Pmd, Entry::NONE, new);
                self.note_huge_of(other, va, Level::Pmd, new, Entry::NONE);
            } else {
                self.note_huge_of(other, va, Level::Pmd, old, new);
            }
        }
    }
}
