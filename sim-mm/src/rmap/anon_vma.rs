//! `struct anon_vma`: the object that connects the pages of private memory with the mappings that may map them.
//!
//! A mapping gets an `anon_vma` with its first page. The mapping of a child hangs on the `anon_vma`s of its
//! parent, because it maps the parent's pages. It also hangs on one of its own, for the pages that it copies.
//! Reclaim walks the trees from a page to the mappings that may map it. The links also decide which mappings merge, and what a
//! split or a move links. They change without a step of their own, under the locks that the callers hold.

use sim_core::{RwSem, Shared, WriteHeld};

use super::types::{AnonVma, AnonVmaWords, Avc};
use crate::errno::Errno;
use crate::fault_inject::should_fail;
use crate::kernel::Cpu;
use crate::mm_types::{MmStruct, Vma};
use crate::safeguards::ANON_VMA_REUSE_COUNTS;
use crate::settings::AnonVmaReuse;
use crate::vm_flags::VmFlags;

fn words(cpu: Cpu<'_>, anon_vma: AnonVma) -> AnonVmaWords {
    cpu.kernel.anon_vmas.deref(**cpu, anon_vma)
}

fn add(cpu: Cpu<'_>, word: Shared<u64>, more: i64) -> u64 {
    let count = cpu.this_cpu_read(word).wrapping_add_signed(more);
    cpu.this_cpu_write(word, count);
    count
}

/// What a mapping hangs on, the oldest first.
fn chain(cpu: Cpu<'_>, mm: &MmStruct, vma: Vma) -> Vec<AnonVma> {
    let chains = mm.anon_vma_chains.look(cpu.core);
    chains.iter().filter(|avc| avc.vma() == vma.0.index()).map(|avc| avc.anon_vma()).collect()
}

/// `list_is_singular(&vma->anon_vma_chain)`.
pub(crate) fn has_one_anon_vma(cpu: Cpu<'_>, mm: &MmStruct, vma: Vma) -> bool {
    chain(cpu, mm, vma).len() == 1
}

/// `anon_vma_chain_alloc()`: whether what links a mapping to an `anon_vma` can be had. Only a machine whose allocations fail
/// runs out of them.
fn avc_alloc(cpu: Cpu<'_>) -> Result<(), Errno> {
    if should_fail(cpu, "an anon_vma_chain") { Err(Errno::Enomem) } else { Ok(()) }
}

/// `anon_vma_chain_link()`.
fn link(cpu: Cpu<'_>, mm: &MmStruct, vma: Vma, anon_vma: AnonVma) {
    mm.anon_vma_chains.poke(cpu.core, |chains| chains.push(Avc::new(vma.0.index(), anon_vma)));
    add(cpu, words(cpu, anon_vma).chained(), 1);
}

/// `anon_vma_alloc()`: its own root, until the caller says otherwise.
fn alloc(cpu: Cpu<'_>) -> Result<AnonVma, Errno> {
    if should_fail(cpu, "an anon_vma") {
        return Err(Errno::Enomem);
    }
    let new = cpu.kernel.anon_vmas.alloc(cpu.core).ok_or(Errno::Enomem)?;
    let words = words(cpu, new);
    cpu.this_cpu_write(words.root(), Some(new));
    cpu.this_cpu_write(words.parent(), Some(new));
    cpu.this_cpu_write(words.refcount(), 1);
    Ok(new)
}

/// `put_anon_vma()`.
fn put(cpu: Cpu<'_>, anon_vma: AnonVma) {
    let words = words(cpu, anon_vma);
    if add(cpu, words.refcount(), -1) == 0 {
        release(cpu, anon_vma);
    }
}

/// `__put_anon_vma()`: nobody holds it any more.
fn release(cpu: Cpu<'_>, anon_vma: AnonVma) {
    let root = cpu.this_cpu_read(words(cpu, anon_vma).root());
    cpu.kernel.anon_vmas.free(cpu.core, anon_vma);
    if let Some(root) = root.filter(|root| *root != anon_vma) {
        put(cpu, root);
    }
}

/// The first of the tree, which has the lock of all.
pub(super) fn root_of(cpu: Cpu<'_>, anon_vma: AnonVma) -> AnonVma {
    cpu.this_cpu_read(words(cpu, anon_vma).root()).unwrap_or(anon_vma)
}

/// The mappings that hang on an `anon_vma`: its `rb_root`, for a caller that keeps the tree as it is.
pub(super) fn mappings_of(cpu: Cpu<'_>, anon_vma: AnonVma) -> Vec<Vma> {
    let slots = |mm: &MmStruct| {
        let chains = mm.anon_vma_chains.look(cpu.core);
        chains.iter().filter(|avc| avc.anon_vma() == anon_vma).map(|avc| avc.vma()).collect::<Vec<_>>()
    };
    let slots = cpu.kernel.mms().flat_map(slots);
    slots.filter_map(|slot| cpu.kernel.vmas.current(cpu.core, slot).map(Vma)).collect()
}

/// `put_anon_vma()` of one that was held by its count alone; answers whether that was the last one.
pub(super) async fn put_pinned(cpu: Cpu<'_>, anon_vma: AnonVma) -> bool {
    let words = cpu.kernel.anon_vmas.record(anon_vma.index());
    let was_last = cpu.rmw(words.refcount(), |count: u64| count - 1).await == 1;
    if was_last {
        release(cpu, anon_vma);
    }
    was_last
}

/// `anon_vma_lock_write()` of what a mapping hangs on, before it is unlinked. Only reclaim and migration walk the trees, so nobody has
/// to be waited for on a machine without either.
pub(crate) async fn anon_vma_lock_write<'m>(cpu: Cpu<'m>, vma: Vma) -> Option<WriteHeld<'m>> {
    let root = anon_vma_root(cpu, vma)?;
    Some(cpu.down_write(cpu.kernel.anon_vmas.record(root.index()).rwsem()).await)
}

/// The root of the tree that a mapping hangs on, if anybody ever walks it.
pub(crate) fn anon_vma_root(cpu: Cpu<'_>, vma: Vma) -> Option<AnonVma> {
    vma.anon_vma(cpu).filter(|_| cpu.walks_rmap()).map(|anon_vma| root_of(cpu, anon_vma))
}

/// `anon_vma_lock_write()` of an `anon_vma` that the caller keeps.
pub(crate) async fn anon_vma_lock_write_tree<'m>(cpu: Cpu<'m>, anon_vma: AnonVma) -> WriteHeld<'m> {
    let root = root_of(cpu, anon_vma);
    cpu.down_write(cpu.kernel.anon_vmas.record(root.index()).rwsem()).await
}

/// `anon_vma_trylock_write()` of an `anon_vma` that the caller keeps.
pub(crate) async fn anon_vma_trylock_write_tree<'m>(cpu: Cpu<'m>, anon_vma: AnonVma) -> Option<WriteHeld<'m>> {
    let root = root_of(cpu, anon_vma);
    cpu.down_write_trylock(cpu.kernel.anon_vmas.record(root.index()).rwsem()).await
}

/// The lock of the tree that a mapping hangs on, if somebody walks the tree now.
pub(crate) fn walked(cpu: Cpu<'_>, vma: Vma) -> Option<RwSem> {
    let sem = cpu.kernel.anon_vmas.record(anon_vma_root(cpu, vma)?.index()).rwsem();
    (cpu.core.memory.get(sem.loc()) != 0).then_some(sem)
}

/// `anon_vma_compatible()`: two mappings that lie side by side could be one, if their access flags were the same.
fn is_compatible(cpu: Cpu<'_>, one: Vma, next: Vma) -> bool {
    one.end(cpu) == next.start(cpu)
        && one.file(cpu) == next.file(cpu)
        && ((one.flags(cpu) ^ next.flags(cpu)) - VmFlags::ACCESS_FLAGS).is_empty()
        && one.index_of(cpu, next.start(cpu)) == next.pgoff(cpu)
}

/// `find_mergeable_anon_vma()`: that of a neighbour, so that the two can be merged some day.
fn find_mergeable(cpu: Cpu<'_>, mm: &MmStruct, vmas: &[Vma], vma: Vma) -> Option<AnonVma> {
    let place = vmas.iter().position(|other| *other == vma)?;
    let (before, behind) = (place.checked_sub(1).map(|before| vmas[before]), vmas.get(place + 1).copied());
    // reusable_anon_vma(): not one that a parent shares.
    let reusable = |vma: &Vma| has_one_anon_vma(cpu, mm, *vma);
    let behind = behind.filter(|behind| is_compatible(cpu, vma, *behind)).filter(reusable);
    let before = before.filter(|before| is_compatible(cpu, *before, vma)).filter(reusable);
    behind.and_then(|vma| vma.anon_vma(cpu)).or_else(|| before.and_then(|vma| vma.anon_vma(cpu)))
}

/// `anon_vma_prepare()`: sees to it that a mapping has an `anon_vma`, before a page of its own is mapped there.
///
/// # Errors
/// `ENOMEM`, if the machine has no room for one more.
pub(crate) async fn anon_vma_prepare(cpu: Cpu<'_>, mm: &MmStruct, vma: Vma) -> Result<(), Errno> {
    if vma.anon_vma(cpu).is_none() { __anon_vma_prepare(cpu, mm, vma).await } else { Ok(()) }
}

/// `__anon_vma_prepare()`. The mappings beside this one are looked at, so the caller holds `mmap_lock`: the lock of this
/// mapping alone does not keep them.
async fn __anon_vma_prepare(cpu: Cpu<'_>, mm: &MmStruct, vma: Vma) -> Result<(), Errno> {
    avc_alloc(cpu)?;
    let neighbours = find_mergeable(cpu, mm, &mm.vmas.look(cpu.core), vma);
    let anon_vma = match neighbours {
        Some(neighbours) => neighbours,
        None => {
            let new = alloc(cpu)?;
            // A root is a child of its own.
            add(cpu, words(cpu, new).num_children(), 1);
            new
        }
    };
    // anon_vma_lock_write(): a new one is nobody else's yet, so nobody sees its lock.
    let _anon_vma = match neighbours {
        Some(_) => {
            let root = cpu.this_cpu_read(words(cpu, anon_vma).root()).unwrap_or(anon_vma);
            Some(cpu.down_write(words(cpu, root).rwsem()).await)
        }
        None => None,
    };
    // Two faults of one mapping exclude each other by this, for each may have an anon_vma of its own by now.
    let _page_table_lock = cpu.lock(mm.page_table_lock()).await;
    if vma.anon_vma(cpu).is_none() {
        link(cpu, mm, vma, anon_vma);
        vma.set_anon_vma(cpu, Some(anon_vma));
        add(cpu, words(cpu, anon_vma).num_active_vmas(), 1);
    } else if neighbours.is_none() {
        put(cpu, anon_vma);
    }
    Ok(())
}

/// Whether the first mapping of a child may take this over instead of having one of its own made.
fn is_reusable(cpu: Cpu<'_>, anon_vma: AnonVma, parents: Option<AnonVma>) -> bool {
    let words = words(cpu, anon_vma);
    let (children, active) = (cpu.this_cpu_read(words.num_children()), cpu.this_cpu_read(words.num_active_vmas()));
    cpu.consulted(ANON_VMA_REUSE_COUNTS);
    match cpu.setting::<AnonVmaReuse>() {
        // One count for both: a mapping without a child looked like a child without a mapping.
        AnonVmaReuse::Degree => children + active < 2 && Some(anon_vma) != parents,
        AnonVmaReuse::Children => children < 2 && active == 0,
    }
}

/// `anon_vma_clone()`: `dst` hangs on all that `src` hangs on. If it has no `anon_vma` yet, because it is a child's, it
/// takes over one that no mapping uses any more.
///
/// # Errors
/// `ENOMEM`, if a link cannot be had. Then `dst` hangs on nothing, and has no `anon_vma`.
pub(crate) fn anon_vma_clone(
    cpu: Cpu<'_>,
    (dst_mm, dst): (&MmStruct, Vma),
    (src_mm, src): (&MmStruct, Vma),
) -> Result<(), Errno> {
    let parents = src.anon_vma(cpu);
    for anon_vma in chain(cpu, src_mm, src) {
        if let Err(errno) = avc_alloc(cpu) {
            // It was not counted among those that use its anon_vma yet, so it must not be taken off that count.
            dst.set_anon_vma(cpu, None);
            unlink_anon_vmas(cpu, dst_mm, dst);
            return Err(errno);
        }
        link(cpu, dst_mm, dst, anon_vma);
        if dst.anon_vma(cpu).is_none() && parents.is_some() && is_reusable(cpu, anon_vma, parents) {
            dst.set_anon_vma(cpu, Some(anon_vma));
        }
    }
    if let Some(anon_vma) = dst.anon_vma(cpu) {
        add(cpu, words(cpu, anon_vma).num_active_vmas(), 1);
    }
    Ok(())
}

/// `anon_vma_fork()`: a child's mapping hangs on all that its parent's hangs on, and on one of its own.
///
/// # Errors
/// `ENOMEM`, if the machine has no room for one more.
pub(crate) fn anon_vma_fork(
    cpu: Cpu<'_>,
    (mm, vma): (&MmStruct, Vma),
    (oldmm, parent): (&MmStruct, Vma),
) -> Result<(), Errno> {
    let Some(parents) = parent.anon_vma(cpu) else { return Ok(()) };
    vma.set_anon_vma(cpu, None);
    anon_vma_clone(cpu, (mm, vma), (oldmm, parent))?;
    if vma.anon_vma(cpu).is_some() {
        return Ok(());
    }
    let new = alloc(cpu).and_then(|new| match avc_alloc(cpu) {
        Ok(()) => Ok(new),
        Err(errno) => {
            put(cpu, new);
            Err(errno)
        }
    });
    let new = match new {
        Ok(new) => new,
        Err(errno) => {
            unlink_anon_vmas(cpu, mm, vma);
            return Err(errno);
        }
    };
    let root = cpu.this_cpu_read(words(cpu, parents).root());
    cpu.this_cpu_write(words(cpu, new).root(), root);
    cpu.this_cpu_write(words(cpu, new).parent(), Some(parents));
    if let Some(root) = root {
        add(cpu, words(cpu, root).refcount(), 1);
    }
    add(cpu, words(cpu, new).num_active_vmas(), 1);
    vma.set_anon_vma(cpu, Some(new));
    link(cpu, mm, vma, new);
    add(cpu, words(cpu, parents).num_children(), 1);
    Ok(())
}

/// `unlink_anon_vmas()`: a mapping hangs on nothing any more. What no mapping hangs on goes.
pub(crate) fn unlink_anon_vmas(cpu: Cpu<'_>, mm: &MmStruct, vma: Vma) {
    let chain = chain(cpu, mm, vma);
    if chain.is_empty() {
        return;
    }
    mm.anon_vma_chains.poke(cpu.core, |chains| chains.retain(|avc| avc.vma() != vma.0.index()));
    let empty: Vec<AnonVma> =
        chain.into_iter().filter(|anon_vma| add(cpu, words(cpu, *anon_vma).chained(), -1) == 0).collect();
    for anon_vma in &empty {
        if let Some(parent) = cpu.this_cpu_read(words(cpu, *anon_vma).parent()) {
            add(cpu, words(cpu, parent).num_children(), -1);
        }
    }
    if let Some(anon_vma) = vma.anon_vma(cpu) {
        add(cpu, words(cpu, anon_vma).num_active_vmas(), -1);
        vma.set_anon_vma(cpu, None);
    }
    for anon_vma in empty {
        put(cpu, anon_vma);
    }
}
