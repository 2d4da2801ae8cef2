//! `rmap_walk()`: from a page to the mappings that may map it.

use sim_core::{BoxFuture, Op, OpKind, ReadHeld, Routine};
use sim_mmu::Pfn;

use super::anon_vma::{mappings_of, put_pinned, root_of};
use super::large_mapcount::total_mapcount;
use super::types::AnonVma;
use crate::check;
use crate::folio::folio_nr_pages;
use crate::kernel::{Cpu, Kernel};
use crate::mm_types::{Page, Vma};
use crate::mmu_notifier::{mmu_notifier_invalidate_range_end, mmu_notifier_invalidate_range_start};
use crate::page_flags::{anon_vma_of_mapping, file_of_mapping, is_anon_mapping};
use crate::page_vma_mapped::Run;
use crate::safeguards::{ANON_VMA_MAPPED_RECHECK, ANON_VMA_MOVED_RECHECK};

/// `page_lock_anon_vma_read()`, since v6.0 `folio_lock_anon_vma_read()`: the tree that a page hangs on, locked. `None` if nobody
/// maps the page.
///
/// The page is not kept by anything but its mappings, and so neither is its `anon_vma`. Its slot may be free, or have another
/// life. So after the lock is there, the page is asked again whether it is mapped: then the `anon_vma` is its own still, and the lock
/// keeps it. Since v6.8 a page that is mapped may hang on another `anon_vma` by then, if it is not locked. Then the look begins anew.
pub(crate) async fn page_lock_anon_vma_read<'m>(cpu: Cpu<'m>, page: Page) -> Option<(AnonVma, ReadHeld<'m>)> {
    let _routine = cpu.enter("page_lock_anon_vma_read");
    loop {
        match try_lock_anon_vma(cpu, page).await {
            Looked::Locked(anon_vma, held) => return Some((anon_vma, held)),
            Looked::Unmapped => return None,
            Looked::Moved => {}
        }
    }
}

/// What came of looking for the tree of a page.
enum Looked<'m> {
    Locked(AnonVma, ReadHeld<'m>),
    Unmapped,
    /// The page hangs on another one by now.
    Moved,
}

async fn try_lock_anon_vma(cpu: Cpu<'_>, page: Page) -> Looked<'_> {
    let rcu = cpu.rcu_read_lock();
    let kernel = cpu.kernel;
    let mapping = cpu.load(kernel.page(page).mapping()).await;
    if !is_anon_mapping(mapping) || total_mapcount(cpu, page).await == 0 {
        return Looked::Unmapped;
    }
    // The page is mapped in this step, so this is the life that it means. It is over if the page hangs on what none of its mappings keeps.
    let found =
        anon_vma_of_mapping(mapping).and_then(|slot| Some((slot, kernel.anon_vmas.latest(cpu.core, slot)?)));
    let Some((slot, anon_vma)) = found else { return Looked::Unmapped };
    let words = kernel.anon_vmas.record(slot);
    // Whoever lets the page hang on another one holds the lock of this one. So the answer is the same as long as this lock is held.
    let is_moved =
        || check!(cpu, ANON_VMA_MOVED_RECHECK, cpu.this_cpu_read(kernel.page(page).mapping()) != mapping);
    let Some(root) = cpu.load(words.root()).await else { return Looked::Unmapped };
    let sem = kernel.anon_vmas.record(root.index()).rwsem();
    if let Some(held) = cpu.down_read_trylock(sem).await {
        if is_moved() {
            return Looked::Moved;
        }
        if is_unmapped_by_now(cpu, page).await {
            return Looked::Unmapped;
        }
        kernel.anon_vmas.deref(**cpu, anon_vma);
        return Looked::Locked(anon_vma, held);
    }
    // It has to be waited for, and nobody sleeps in a read-side section: so it is held by its count first.
    let old = cpu.rmw(words.refcount(), |count: u64| if count == 0 { 0 } else { count + 1 }).await;
    if old == 0 {
        return Looked::Unmapped;
    }
    if is_unmapped_by_now(cpu, page).await {
        if let Some(current) = kernel.anon_vmas.current(cpu.core, slot) {
            put_pinned(cpu, current).await;
        }
        return Looked::Unmapped;
    }
    kernel.anon_vmas.deref(**cpu, anon_vma);
    drop(rcu);
    let held = cpu.down_read(kernel.anon_vmas.record(root_of(cpu, anon_vma).index()).rwsem()).await;
    let is_moved = is_moved();
    if put_pinned(cpu, anon_vma).await {
        return Looked::Unmapped;
    }
    if is_moved { Looked::Moved } else { Looked::Locked(anon_vma, held) }
}

/// Whether the page has been unmapped since its `anon_vma` was looked for: then that may be free, or have another life.
async fn is_unmapped_by_now(cpu: Cpu<'_>, page: Page) -> bool {
    check!(cpu, ANON_VMA_MAPPED_RECHECK, total_mapcount(cpu, page).await == 0)
}

/// `page_get_anon_vma()`: the `anon_vma` of a page, held by its count. `None` if nobody maps the page.
pub(crate) async fn page_get_anon_vma(cpu: Cpu<'_>, page: Page) -> Option<AnonVma> {
    let _routine = cpu.enter(Routine::helper("page_get_anon_vma"));
    let _rcu = cpu.rcu_read_lock();
    let mapping = cpu.load(cpu.kernel.page(page).mapping()).await;
    if !is_anon_mapping(mapping) || total_mapcount(cpu, page).await == 0 {
        return None;
    }
    let slot = anon_vma_of_mapping(mapping)?;
    let refcount = cpu.kernel.anon_vmas.record(slot).refcount();
    if cpu.rmw(refcount, |count: u64| if count == 0 { 0 } else { count + 1 }).await == 0 {
        return None;
    }
    let anon_vma = cpu.kernel.anon_vmas.current(cpu.core, slot)?;
    // Its slot may have another life by now: then nobody maps the page.
    if is_unmapped_by_now(cpu, page).await {
        put_pinned(cpu, anon_vma).await;
        return None;
    }
    Some(anon_vma)
}

/// `page_anon_vma()`: the same one, held by nothing.
pub(crate) fn page_anon_vma(cpu: Cpu<'_>, page: Page) -> Option<AnonVma> {
    let slot = anon_vma_of_mapping(cpu.this_cpu_read(cpu.kernel.page(page).mapping()))?;
    cpu.kernel.anon_vmas.current(cpu.core, slot)
}

/// `put_anon_vma()` of what [`page_get_anon_vma`] has answered.
pub(crate) async fn put_anon_vma(cpu: Cpu<'_>, anon_vma: AnonVma) {
    put_pinned(cpu, anon_vma).await;
}

/// How the mappings of a page are locked: `anon_lock` of `struct rmap_walk_control`, and `rmap_walk_locked()`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RmapLock {
    /// By the walk: for a page of a file it takes `i_mmap_rwsem`, and for an anonymous one [`page_lock_anon_vma_read`], since the page's
    /// mappings keep the tree.
    OfMapped,
    /// `anon_vma_lock_read()`: nobody maps the page, and the caller keeps this `anon_vma`.
    Kept(AnonVma),
    /// `TTU_RMAP_LOCKED`: the caller has locked the tree for writing.
    Locked(AnonVma),
    /// `TTU_RMAP_LOCKED` of a page of a file: the caller holds `i_mmap_rwsem`.
    FileLocked,
}

/// `rmap_walk_anon_lock()`.
async fn rmap_walk_anon_lock<'m>(
    cpu: Cpu<'m>,
    page: Page,
    lock: RmapLock,
) -> Option<(AnonVma, Option<ReadHeld<'m>>)> {
    let anon_vma = match lock {
        RmapLock::OfMapped => {
            return page_lock_anon_vma_read(cpu, page).await.map(|(anon_vma, held)| (anon_vma, Some(held)));
        }
        RmapLock::Kept(anon_vma) => anon_vma,
        RmapLock::Locked(anon_vma) => return Some((anon_vma, None)),
        // Nobody asks that of an anonymous page.
        RmapLock::FileLocked => return None,
    };
    let kernel: &'m Kernel = cpu.kernel;
    let root = cpu.load(kernel.anon_vmas.deref(**cpu, anon_vma).root()).await?;
    let held = cpu.down_read(kernel.anon_vmas.deref(**cpu, root).rwsem()).await;
    Some((anon_vma, Some(held)))
}

/// A mapping that may map a folio, and which of its pages where.
#[derive(Clone, Copy)]
pub(crate) struct Place<'m> {
    pub(crate) vma: Vma,
    pub(crate) run: Run<'m>,
}

/// What a walk does at one place, between the start and the end of an invalidation. Answers whether the walk goes on.
pub(crate) async fn invalidating<'m>(
    cpu: Cpu<'m>,
    place: Place<'m>,
    rmap_one: impl Future<Output = bool>,
) -> bool {
    let Run { mm, address, pages, .. } = place.run;
    let range = mmu_notifier_invalidate_range_start(cpu, mm, (address, address.plus_pages(pages))).await;
    let goes_on = rmap_one.await;
    mmu_notifier_invalidate_range_end(cpu, mm, range).await;
    goes_on
}

/// `vma_address()`: where a mapping has the pages of a folio, whose first one is page `index` of its file or `anon_vma`.
fn vma_address<'m>(cpu: Cpu<'m>, vma: Vma, folio: Page, index: u64) -> Option<Place<'m>> {
    let start = vma.start(cpu);
    let pgoff = vma.pgoff(cpu);
    let first = index.max(pgoff);
    let end = (index + folio_nr_pages(cpu, folio)).min(pgoff + (vma.end(cpu).vpn().0 - start.vpn().0));
    let pages = end.checked_sub(first).filter(|pages| *pages > 0)?;
    let page = Page(Pfn(folio.0.0 + (first - index)));
    let run = Run { mm: cpu.kernel.mm(vma.mm(cpu)?), page, pages, address: start.plus_pages(first - pgoff) };
    Some(Place { vma, run })
}

/// `rmap_walk_anon()`: `rmap_one` for each mapping that may map an anonymous page, until it answers false. The page is locked by the
/// caller.
async fn rmap_walk_anon<'m>(
    cpu: Cpu<'m>,
    page: Page,
    lock: RmapLock,
    mut rmap_one: impl AsyncFnMut(Place<'m>) -> bool,
) {
    let _routine = cpu.enter("rmap_walk_anon");
    let Some((anon_vma, _held)) = rmap_walk_anon_lock(cpu, page, lock).await else { return };
    let index = cpu.this_cpu_read(cpu.kernel.page(page).index());
    // anon_vma_interval_tree_foreach(): the lock keeps the tree as it is.
    let op = Op::new(OpKind::Read, cpu.kernel.anon_vmas.record(anon_vma.index()).chained().loc());
    let mappings = cpu
        .step(op, move |hw| {
            hw.perform_load(&op);
            mappings_of(cpu, anon_vma)
        })
        .await;
    for vma in mappings {
        if let Some(place) = vma_address(cpu, vma, page, index)
            && !rmap_one(place).await
        {
            return;
        }
    }
}

/// `rmap_walk_file()`: the same for a page of a file.
async fn rmap_walk_file<'m>(
    cpu: Cpu<'m>,
    page: Page,
    lock: RmapLock,
    mut rmap_one: impl AsyncFnMut(Place<'m>) -> bool,
) {
    let _routine = cpu.enter("rmap_walk_file");
    let kernel: &'m Kernel = cpu.kernel;
    let mapping = cpu.this_cpu_read(kernel.page(page).mapping());
    let slot = file_of_mapping(mapping).map(|slot| slot as usize);
    let Some(file) = slot.and_then(|slot| kernel.shmem.inodes.current(cpu.core, slot)) else { return };
    let index = cpu.this_cpu_read(kernel.page(page).index());
    let locked = lock == RmapLock::FileLocked;
    let _i_mmap = if locked { None } else { Some(cpu.down_read(kernel.shmem.i_mmap_rwsem(file)).await) };
    let mappings = cpu.read(kernel.shmem.i_mmap(file), Clone::clone).await;
    for (_, vma) in mappings {
        if let Some(place) = vma_address(cpu, vma, page, index)
            && !rmap_one(place).await
        {
            return;
        }
    }
}

/// `rmap_walk()`.
pub(crate) fn rmap_walk<'m>(
    cpu: Cpu<'m>,
    page: Page,
    lock: RmapLock,
    rmap_one: impl AsyncFnMut(Place<'m>) -> bool + 'm,
) -> BoxFuture<'m, ()> {
    Box::pin(async move {
        if is_anon_mapping(cpu.this_cpu_read(cpu.kernel.page(page).mapping())) {
            rmap_walk_anon(cpu, page, lock, rmap_one).await;
        } else {
            rmap_walk_file(cpu, page, lock, rmap_one).await;
        }
    })
}
