//! Locks of mappings: `vma_start_read()`, `vma_start_write()` and `lock_vma_under_rcu()`, of `mm/mmap_lock.c` since v6.16.
//!
//! A fault of user code looks its mapping up without `mmap_lock`, and locks the mapping alone. Code that changes a mapping
//! holds `mmap_lock` for writing. It waits until no fault holds the mapping. Then it notes the count `mm_lock_seq` of the
//! address space in the mapping. As long as the two are equal, no fault gets the lock. `mmap_write_unlock()` raises the count,
//! and so unlocks all mappings at once.

use sim_core::{Gate, Op, OpKind, RwSem};
use sim_mmu::VirtAddr;

use crate::errno::Errno;
use crate::kernel::Cpu;
use crate::mm_types::{MmId, MmStruct, VmArea, Vma};
use crate::mmap_lock::{MmapWriteHeld, VmaReadHeld};
use crate::mmdrop::{mmdrop, mmgrab};
use crate::rmap::walked;
use crate::safeguards::{VMA_LOCK_ANON_VMA, VMA_PUT_GRABS_MM};
use crate::settings::VmaLock;
use crate::vm_flags::VmFlags;
use crate::vma::vm_area_free;

/// `mmap_write_lock()`.
#[track_caller]
pub(crate) fn mmap_write_lock<'m>(
    cpu: Cpu<'m>,
    mm: &MmStruct,
) -> impl Future<Output = MmapWriteHeld<'m>> + use<'m> {
    let down = cpu.down_write(mm.mmap_lock);
    let mm_lock_seq = mm.mm_lock_seq();
    async move { MmapWriteHeld::new(**cpu, down.await, mm_lock_seq) }
}

/// The mappings of an address space, for a caller that changes some: `mm->mm_mt`.
pub(crate) struct VmaTree<'v> {
    pub(super) vmas: &'v mut Vec<Vma>,
    /// Mappings that are out of the tree and are freed behind the step.
    pub(super) removed: &'v mut Vec<Vma>,
    mm_lock_seq: u64,
}

impl std::ops::Deref for VmaTree<'_> {
    type Target = Vec<Vma>;
    fn deref(&self) -> &Vec<Vma> {
        self.vmas
    }
}

impl std::ops::DerefMut for VmaTree<'_> {
    fn deref_mut(&mut self) -> &mut Vec<Vma> {
        self.vmas
    }
}

/// Why mappings are not changed.
pub(crate) enum Stopped {
    /// They cannot be.
    Failed(Errno),
    /// A fault holds this mapping.
    Held(Vma),
    /// Reclaim walks the tree of `anon_vma`s that a mapping hangs on: it holds this lock.
    Walked(RwSem),
}

impl From<Errno> for Stopped {
    fn from(errno: Errno) -> Stopped {
        Stopped::Failed(errno)
    }
}

impl VmaTree<'_> {
    /// `vma_start_write()`, before anything is changed: a mapping that no fault holds is locked in the present step. For
    /// another one the caller stops, and [`change_vmas`] begins anew when the faults have let go.
    ///
    /// Whoever walks the tree of `anon_vma`s of the mapping is waited for in the same way: Linux takes `anon_vma_lock_write()` for such a
    /// change.
    pub(crate) fn start_write(&self, cpu: Cpu<'_>, vma: Vma) -> Result<(), Stopped> {
        if let Some(sem) = walked(cpu, vma) {
            return Err(Stopped::Walked(sem));
        }
        if self.mm_lock_seq == 0 || try_start_write(cpu, vma, self.mm_lock_seq) {
            Ok(())
        } else {
            Err(Stopped::Held(vma))
        }
    }
}

/// Changes the mappings of an address space in one step. The caller holds `mmap_lock` for writing.
///
/// `change` calls [`VmaTree::start_write`] for each mapping that it is going to change, before it changes one. If a fault
/// holds one of them, all of `change` is done again behind that fault.
pub(crate) async fn change_vmas<R>(
    cpu: Cpu<'_>,
    mm: &MmStruct,
    change: impl Fn(&mut VmaTree<'_>) -> Result<R, Stopped> + Unpin,
) -> Result<R, Errno> {
    loop {
        let mut removed = Vec::new();
        let mm_lock_seq = cpu.this_cpu_read(mm.mm_lock_seq());
        let changed =
            cpu.update(&mm.vmas, |vmas| change(&mut VmaTree { vmas, removed: &mut removed, mm_lock_seq })).await;
        for vma in removed {
            vma_mark_detached(cpu, vma).await;
            vm_area_free(cpu, vma);
        }
        match changed {
            Ok(done) => return Ok(done),
            Err(Stopped::Failed(errno)) => return Err(errno),
            Err(Stopped::Held(vma)) => wait_for_readers(cpu, vma).await,
            Err(Stopped::Walked(sem)) => drop(Box::pin(cpu.down_write(sem)).await),
        }
    }
}

/// Locks a mapping for writing if no fault holds it. Else no further fault gets it.
fn try_start_write(cpu: Cpu<'_>, vma: Vma, mm_lock_seq: u64) -> bool {
    let words = vma.words(cpu);
    if cpu.this_cpu_read(words.vm_lock_seq()) == mm_lock_seq {
        return true;
    }
    let free = cpu.this_cpu_read(words.vm_readers()) == 0;
    cpu.this_cpu_write(words.vm_writer(), !free);
    if free {
        cpu.this_cpu_write(words.vm_lock_seq(), mm_lock_seq);
    }
    free
}

/// Waits until no fault holds a mapping of which [`try_start_write`] has said that one does.
async fn wait_for_readers(cpu: Cpu<'_>, vma: Vma) {
    let readers = vma.words(cpu).vm_readers().loc();
    let wait = Op::new(OpKind::Wait, readers).behind(Gate::Zero(readers)).sleeping();
    cpu.step(wait, |cpu| cpu.perform_rmw(&wait, 0, 0)).await;
}

/// `vma_start_write()`: no fault holds the mapping when this returns, and none gets it before `mmap_lock` is let go of.
pub(crate) async fn vma_start_write(cpu: Cpu<'_>, mm: &MmStruct, vma: Vma) {
    let seq = cpu.this_cpu_read(mm.mm_lock_seq());
    if seq == 0 || cpu.this_cpu_read(vma.words(cpu).vm_lock_seq()) == seq {
        return;
    }
    let readers = vma.words(cpu).vm_readers().loc();
    let lock = Op::new(OpKind::Rmw, readers);
    while !cpu
        .step(lock, |hw| {
            hw.perform_rmw(&lock, hw.core.memory.get(readers), hw.core.memory.get(readers));
            try_start_write(cpu, vma, seq)
        })
        .await
    {
        wait_for_readers(cpu, vma).await;
    }
}

/// `vma_mark_attached()`: the mapping is in the tree, and locked for writing until `mmap_lock` is let go of.
pub(crate) fn vma_mark_attached(cpu: Cpu<'_>, mm: &MmStruct, vma: Vma) {
    let seq = cpu.this_cpu_read(mm.mm_lock_seq());
    if seq != 0 {
        let words = vma.words(cpu);
        cpu.this_cpu_write(words.attached(), true);
        cpu.this_cpu_write(words.vm_lock_seq(), seq);
    }
}

/// `vma_mark_detached()`: the mapping is out of the tree; whoever finds it there no more, but has found it before, learns it
/// by this. Since v6.15 whoever is trying to lock it is waited for, for it is freed without a grace period.
pub(crate) async fn vma_mark_detached(cpu: Cpu<'_>, vma: Vma) {
    let design = cpu.setting::<VmaLock>();
    if design == VmaLock::None {
        return;
    }
    let words = vma.words(cpu);
    cpu.this_cpu_write(words.attached(), false);
    if design == VmaLock::Refcount && cpu.this_cpu_read(words.vm_readers()) != 0 {
        cpu.this_cpu_write(words.vm_writer(), true);
        wait_for_readers(cpu, vma).await;
    }
}

/// What came of trying to lock a mapping for a fault.
enum StartRead<'m> {
    Locked(Vma, VmaReadHeld<'m>),
    /// Somebody changes it; the fault takes `mmap_lock`.
    Busy,
    /// It is out of the tree. `-EAGAIN`: another may be in its place.
    Detached,
}

/// `vma_start_read()`. The caller is in an RCU read-side section, so that what was found cannot be freed before v6.15; since
/// then it can be freed and be another mapping, even of another process.
async fn vma_start_read<'m>(cpu: Cpu<'m>, mm: &MmStruct, found: Vma) -> StartRead<'m> {
    let counted = cpu.setting::<VmaLock>() == VmaLock::Refcount;
    let words = if counted { cpu.kernel.vmas.record(found.0.index()) } else { found.words(cpu) };
    let (memory, readers) = (&cpu.core.memory, words.vm_readers().loc());
    let try_lock = Op::new(OpKind::Acquire, readers);
    let taken = cpu
        .step(try_lock, |hw| {
            let count = memory.get(readers);
            let detached = counted && memory.get(words.attached().loc()) == 0;
            let free = memory.get(words.vm_writer().loc()) == 0 && !detached;
            hw.perform_rmw(&try_lock, count, count + u64::from(free));
            if detached { Err(StartRead::Detached) } else { Ok(free) }
        })
        .await;
    match taken {
        Err(detached) => return detached,
        Ok(false) => return StartRead::Busy,
        Ok(true) => {}
    }
    // From here on the slot is not freed. It may hold another mapping than the one that was found.
    if counted && cpu.this_cpu_read(words.vm_mm()) != MmId::into_word(Some(mm.id)) {
        put_stranger(cpu, words).await;
        return StartRead::Busy;
    }
    let held = VmaReadHeld::new(**cpu, words.vm_readers());
    // Read behind the lock: whoever has changed the mapping has raised the count before it could be locked. Linux looks once
    // before as well, which saves a locked operation and decides nothing.
    let seq = cpu.load(mm.mm_lock_seq()).await;
    if seq == cpu.this_cpu_read(words.vm_lock_seq()) {
        return StartRead::Busy;
    }
    match cpu.kernel.vmas.current(cpu.core, found.0.index()) {
        Some(life) => StartRead::Locked(Vma(life), held),
        None => StartRead::Detached,
    }
}

/// `vma_refcount_put()` of a mapping that is another process's. That one may have been waiting for this put alone to free
/// the mapping and then, if it was the last user, its address space: in which whom to wake up is noted.
async fn put_stranger(cpu: Cpu<'_>, words: VmArea) {
    let Some(other) = MmId::from_word(cpu.this_cpu_read(words.vm_mm())) else { return };
    let other = cpu.kernel.mm(other);
    let grabbed = cpu.has(VMA_PUT_GRABS_MM);
    if grabbed {
        mmgrab(cpu, other).await;
    }
    cpu.rmw(words.vm_readers(), |readers: u64| readers - 1).await;
    if cpu.this_cpu_read(words.vm_writer()) {
        // rcuwait_wake_up()
        cpu.load(other.vma_writer_wait()).await;
    }
    if grabbed {
        mmdrop(cpu, other).await;
    }
}

/// `lock_vma_under_rcu()`: the mapping that the address is in, locked for reading, for a fault or for an advice. `None` if that needs
/// `mmap_lock`.
pub(crate) async fn lock_vma_under_rcu<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    addr: VirtAddr,
) -> Option<(Vma, VmaReadHeld<'m>)> {
    let design = cpu.setting::<VmaLock>();
    if design == VmaLock::None {
        return None;
    }
    let _routine = cpu.enter("lock_vma_under_rcu");
    let _rcu = cpu.rcu_read_lock();
    loop {
        let found = cpu.read(&mm.vmas, |vmas| vmas.iter().find(|vma| vma.contains(cpu, addr)).copied()).await?;
        let anonymous_only = design == VmaLock::Anonymous;
        if anonymous_only && !found.is_anonymous(cpu) {
            return None;
        }
        let needs_anon_vma = anonymous_only || (design == VmaLock::Files && found.is_anonymous(cpu));
        let look_behind = cpu.has(VMA_LOCK_ANON_VMA);
        if needs_anon_vma && !look_behind && cpu.load(found.words(cpu).anon_vma()).await.is_none() {
            return None;
        }
        let (vma, held) = match vma_start_read(cpu, mm, found).await {
            StartRead::Locked(vma, held) => (vma, held),
            StartRead::Busy => return None,
            StartRead::Detached => continue,
        };
        // find_mergeable_anon_vma() uses mappings beside this one, which are not locked: so there must be an anon_vma
        // already, and only the lock says that it stays.
        if needs_anon_vma && look_behind && vma.anon_vma(cpu).is_none() {
            return None;
        }
        if !cpu.this_cpu_read(vma.words(cpu).attached()) {
            continue;
        }
        // Before v6.6 a fault that waits for user code could not let go of such a lock (`29a22b9e08d7`).
        if anonymous_only && vma.flags(cpu).intersects(VmFlags::UFFD) {
            return None;
        }
        // It may have been cut, or be another by now.
        return vma.contains(cpu, addr).then_some((vma, held));
    }
}
