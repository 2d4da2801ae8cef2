//! Moving what a range maps: `move_page_tables()`.

use sim_core::Held;
use sim_mmu::{Entry, Level, Pfn, VirtAddr};

use crate::arch::tlb::flush_tlb_mm_range;
use crate::check;
use crate::entries::entries;
use crate::errno::Errno;
use crate::fs::Inode;
use crate::huge_memory::{move_huge_pmd, split_huge_pmd};
use crate::inode::dev_dax_of;
use crate::kernel::Cpu;
use crate::memory::{find_pmd, find_pud, p4d_offset, pmd_alloc, pte_alloc, pud_alloc};
use crate::mm_types::{MmStruct, Vma};
use crate::mmu_notifier::{mmu_notifier_invalidate_range_end, mmu_notifier_invalidate_range_start};
use crate::pgtable::{PAGE_TABLE, Pmd, Pmdp, Pudp, soft_dirty};
use crate::pgtable_generic::is_unlinked;
use crate::pgtable_huge::pmdp_huge_get_and_clear;
use crate::pgtable_set::ptep_get_and_clear;
use crate::rmap::flush_tlb_batched_pending;
use crate::safeguards::{MREMAP_FLUSH_LOCKED, MREMAP_PMD_DEVMAP, MREMAP_PMD_RECHECK, MREMAP_TABLE_RMAP_LOCK};
use crate::settings::MremapTables;
use crate::swapops::{MigrationEntry, SwpEntry, pte_swp_mksoft_dirty};
use crate::vma::i_mmap_lock_write;

/// Which way entries go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    /// To the new place, where tables may have to be made.
    There,
    /// Back again: where there is no table, nothing was moved away.
    Back,
}

/// How entries go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Way {
    pub(super) direction: Direction,
    /// The mapping that the entries belonged to.
    pub(super) vma: Vma,
    /// The file whose mappings are locked while entries of a page table go one by one, if that is needed.
    pub(super) rmap_locks: Option<Inode>,
}

impl Way {
    /// The file whose mappings are locked while a whole table goes. Whoever unmaps the file may have found the table by its old place
    /// and wait for its lock. He would then clear an entry that maps the new place, and flush the old one.
    fn rmap_locks_of_table(self, cpu: Cpu<'_>) -> Option<Inode> {
        self.vma.file(cpu).filter(|_| cpu.has(MREMAP_TABLE_RMAP_LOCK)).or(self.rmap_locks)
    }
}

/// `move_page_tables()`: the entries of `len` bytes from `old` on map the same pages from `new` on when this returns, and
/// no translation of the old place is left. Answers how many bytes were gone through before there was no frame for a
/// table; on the way back, all.
pub(super) async fn move_page_tables<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    old: VirtAddr,
    new: VirtAddr,
    len: u64,
    way: Way,
) -> u64 {
    let _routine = cpu.enter("move_page_tables");
    let range = mmu_notifier_invalidate_range_start(cpu, mm, (old, VirtAddr(old.0 + len))).await;
    let by_pud = cpu.setting::<MremapTables>() == MremapTables::Pud;
    let mut done = 0;
    while done < len {
        let (from, to) = (VirtAddr(old.0 + done), VirtAddr(new.0 + done));
        // get_extent(): up to the end of the table on either side.
        let get_extent = |level: Level| {
            let span = cpu.mmu.geometry.span(level);
            let left = |addr: VirtAddr| span - (addr.0 & (span - 1));
            left(from).min(left(to)).min(len - done)
        };
        let pud_size = cpu.mmu.geometry.span(Level::Pud);
        if by_pud && get_extent(Level::Pud) == pud_size {
            match Box::pin(move_pud_extent(cpu, mm, from, to, way)).await {
                Ok(true) => {
                    done += pud_size;
                    continue;
                }
                Err(_) if way.direction == Direction::There => break,
                Ok(false) | Err(_) => {}
            }
        }
        let extent = get_extent(Level::Pmd);
        if move_extent(cpu, mm, from, to, extent, way).await.is_err() && way.direction == Direction::There {
            break;
        }
        done += extent;
    }
    mmu_notifier_invalidate_range_end(cpu, mm, range).await;
    done
}

/// One round of `move_page_tables()`: what one PUD entry maps on either side. Whether it is done.
async fn move_pud_extent<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    from: VirtAddr,
    to: VirtAddr,
    way: Way,
) -> Result<bool, Errno> {
    // Nothing is there to be moved.
    let Some(old_pudp) = find_pud(cpu, mm, from).await else { return Ok(true) };
    let new_pudp = pud_alloc(cpu, mm, p4d_offset(cpu, mm, to), to).await?;
    // take_rmap_locks()
    let _i_mmap = i_mmap_lock_write(cpu, way.rmap_locks_of_table(cpu)).await;
    if !cpu.read_once(new_pudp).await.none() {
        return Ok(false);
    }
    move_normal_pud(cpu, mm, (old_pudp, from), (new_pudp, to)).await;
    Ok(true)
}

/// `move_normal_pud()`: a table of page tables at once. `pud_lock()` is one lock for all entries of that level. Translations of the
/// old place are gone before it is let go of.
async fn move_normal_pud<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    (old, from): (Pudp, VirtAddr),
    (new, to): (Pudp, VirtAddr),
) {
    let _routine = cpu.enter("move_normal_pud");
    let ptl = cpu.lock(mm.page_table_lock()).await;
    let table = cpu.read_once(old).await.entry;
    cpu.set_table(old, Entry::NONE).await;
    note_tables(cpu, mm, table.pfn(), from, |entry| (entry, Entry::NONE));
    cpu.set_table(new, table).await;
    note_tables(cpu, mm, table.pfn(), to, |entry| (Entry::NONE, entry));
    let end = VirtAddr(from.0 + cpu.mmu.geometry.span(Level::Pud));
    flush_tlb_mm_range(cpu, mm, from, end, false).await;
    drop(ptl);
}

/// One round of `move_page_tables()`: what lies in one table on either side.
async fn move_extent<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    from: VirtAddr,
    to: VirtAddr,
    extent: u64,
    way: Way,
) -> Result<(), Errno> {
    // get_old_pmd()
    if dev_dax_of(cpu, way.vma).is_some() && Box::pin(find_pud(cpu, mm, from)).await.is_none() {
        return Ok(());
    }
    let Some(old_pmdp) = find_pmd(cpu, mm, from).await else { return Ok(()) };
    let pudp = pud_alloc(cpu, mm, p4d_offset(cpu, mm, to), to).await?;
    let new_pmdp = pmd_alloc(cpu, mm, pudp, to).await?;
    // take_rmap_locks()
    let is_whole = extent == cpu.mmu.geometry.span(Level::Pmd);
    let rmap_locks = if is_whole { way.rmap_locks_of_table(cpu) } else { way.rmap_locks };
    let _i_mmap = i_mmap_lock_write(cpu, rmap_locks).await;
    let was_huge = is_leaf(cpu, cpu.read_once(old_pmdp).await);
    if was_huge {
        let (old, new) = ((old_pmdp, from), (new_pmdp, to));
        if is_whole && Box::pin(move_huge_pmd(cpu, mm, old, new)).await {
            return Ok(());
        }
        split_huge_pmd(cpu, way.vma, mm, old_pmdp, from).await;
    }
    let has_no_table = cpu.read_once(new_pmdp).await.none();
    if is_whole && has_no_table && !was_huge {
        move_normal_pmd(cpu, mm, (old_pmdp, from), (new_pmdp, to)).await;
        Ok(())
    } else if has_no_table && way.direction == Direction::Back {
        Ok(())
    } else {
        move_ptes(cpu, mm, (old_pmdp, from), (new_pmdp, to), extent).await
    }
}

/// Whether one entry stands for a huge page or for blocks of a device, so that it leads to no table.
fn is_leaf(cpu: Cpu<'_>, pmd: Pmd) -> bool {
    pmd.trans_huge() || pmd.migration().is_some() || check!(cpu, MREMAP_PMD_DEVMAP, pmd.devmap())
}

/// Two locks of page tables, the second unless it is the first.
async fn lock_both<'m>(cpu: Cpu<'m>, old: sim_mmu::Pfn, new: sim_mmu::Pfn) -> (Held<'m>, Option<Held<'m>>) {
    let first = cpu.lock(cpu.kernel.ptl(old)).await;
    let second = if new == old { None } else { Some(cpu.lock(cpu.kernel.ptl(new)).await) };
    (first, second)
}

/// `move_normal_pmd()`: a whole page table at once. Translations of the old place must be gone before anybody can unmap
/// at the new one: he would not know of them.
async fn move_normal_pmd<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    (old, from): (Pmdp, VirtAddr),
    (new, to): (Pmdp, VirtAddr),
) {
    let _routine = cpu.enter("move_normal_pmd");
    let locks = lock_both(cpu, old.table(), new.table()).await;
    let pmd = cpu.read_once(old).await;
    // khugepaged may have taken the table of a file away before these locks were held.
    if check!(cpu, MREMAP_PMD_RECHECK, !pmd.present() || is_leaf(cpu, pmd)) {
        return;
    }
    if pmd.devmap() {
        // Until v5.13 the entry was stored as it was, so that blocks of a device that were taken for a table went with it.
        return Box::pin(move_blocks(cpu, mm, (old, from), (new, to))).await;
    }
    // pmd_pgtable()
    let table = pmd.entry.pfn();
    cpu.set_table(old, Entry::NONE).await;
    cpu.note_entries(mm, table, from, |entry| (entry, Entry::NONE));
    // pmd_populate()
    cpu.set_table(new, Entry::new(table, PAGE_TABLE)).await;
    cpu.note_entries(mm, table, to, |entry| (Entry::NONE, entry));
    let end = VirtAddr(from.0 + cpu.mmu.geometry.span(Level::Pmd));
    flush_tlb_mm_range(cpu, mm, from, end, false).await;
    drop(locks);
}

/// The same, of an entry that maps blocks of a device and was taken for one that leads to a table. The caller holds both locks.
async fn move_blocks<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    (old, from): (Pmdp, VirtAddr),
    (new, to): (Pmdp, VirtAddr),
) {
    let pmd = pmdp_huge_get_and_clear(cpu, mm, from, old).await;
    cpu.set_pmd_at(mm, to, new, pmd.entry).await;
    let end = VirtAddr(from.0 + cpu.mmu.geometry.span(Level::Pmd));
    flush_tlb_mm_range(cpu, mm, from, end, false).await;
}

/// Tells of the entries of all page tables below a table that begins to map, or maps no longer, the addresses from `start` on.
fn note_tables<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    table: Pfn,
    start: VirtAddr,
    change: impl Fn(Entry) -> (Entry, Entry),
) {
    let geometry = cpu.mmu.geometry;
    for index in 0..geometry.entries(Level::Pmd) {
        let entry = cpu.mmu.entry_now(table, index);
        if !entry.is_none() {
            let va = VirtAddr(start.0 + u64::from(index) * geometry.span(Level::Pmd));
            cpu.note_entries(mm, entry.pfn(), va, &change);
        }
    }
}

/// `move_ptes()`: the entries of one table, under both tables' locks.
async fn move_ptes<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    (old_pmdp, from): (Pmdp, VirtAddr),
    (new_pmdp, to): (Pmdp, VirtAddr),
    extent: u64,
) -> Result<(), Errno> {
    let _routine = cpu.enter("move_ptes");
    let geometry = cpu.mmu.geometry;
    let new = pte_alloc(cpu, mm, new_pmdp).await?.pte_offset(geometry, to);
    let old = cpu.read_once(old_pmdp).await;
    // khugepaged may have taken the table of a file away. Then nothing is left to be moved.
    if !old.present() || is_leaf(cpu, old) {
        return Ok(());
    }
    let old = old.pte_offset(geometry, from);
    let locks = lock_both(cpu, old.table(), new.table()).await;
    if is_unlinked(cpu, old_pmdp, old) {
        return Ok(());
    }
    flush_tlb_batched_pending(cpu, mm).await;
    let end = VirtAddr(from.0 + extent);
    let new_end = VirtAddr(to.0 + extent);
    let mut force_flush = false;
    for ((old, from, _), (new, to, _)) in
        entries(geometry, old, from, end).zip(entries(geometry, new, to, new_end))
    {
        let pte = cpu.read_once(old).await;
        if pte.none() {
            continue;
        }
        let pte = ptep_get_and_clear(cpu, mm, from, old, pte).await;
        force_flush |= pte.present();
        // move_soft_dirty_pte(): whoever watches must learn that the page at this address is another.
        let moved = match MigrationEntry::of_pte(pte.entry) {
            Some(entry) => MigrationEntry { soft_dirty: soft_dirty(cpu) != 0, ..entry }.to_pte(),
            None if pte.present() => pte.entry.with(soft_dirty(cpu)),
            None if soft_dirty(cpu) != 0 && SwpEntry::of_pte(pte.entry).is_some() => {
                pte_swp_mksoft_dirty(pte.entry)
            }
            None => pte.entry,
        };
        cpu.set_pte_at(mm, to, new, moved).await;
    }
    // Before the locks are let go of: whoever unmaps at the new place flushes only there, and frees a page that the
    // old translation still reaches.
    if force_flush && cpu.has(MREMAP_FLUSH_LOCKED) {
        flush_tlb_mm_range(cpu, mm, from, end, false).await;
        force_flush = false;
    }
    drop(locks);
    if force_flush {
        flush_tlb_mm_range(cpu, mm, from, end, false).await;
    }
    Ok(())
}
