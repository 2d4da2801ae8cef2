//! Mappings: `struct vm_area_struct`, and what `mm/vma.c` does with them.
//!
//! A mapping is a record with a lifetime. Its fields change only while `mmap_lock` is held for writing. So code
//! that holds the lock reads them without a step of its own. Code that let go of the lock, or never held it, may
//! use a mapping that has been freed. Such a use is reported (`object-use-after-free`).

mod lock;
mod merge;
mod modify;
mod split;

pub(crate) use lock::{
    Stopped, VmaTree, change_vmas, lock_vma_under_rcu, mmap_write_lock, vma_mark_attached, vma_mark_detached,
    vma_start_write,
};
pub(crate) use merge::{NewRange, Source, copy_of, vma_expand, vma_expand_down, vma_link, vma_merge_new_range};
pub(crate) use modify::{split_at, vma_modify_flags};
pub(crate) use split::{may_split, prepare_split};

use sim_core::{BoxFuture, Shared, Word, WriteHeld};
use sim_mmu::VirtAddr;

use crate::errno::Errno;
use crate::event::Event;
use crate::fault_inject::should_fail;
use crate::fs::{FMode, File, Inode};
use crate::hugetlb::hugetlb_vm_op_close;
use crate::inode::{is_dax, is_hugetlbfs, on_disk};
use crate::kernel::{Cpu, Kernel};
use crate::mm_types::{MmId, MmStruct, VmArea, Vma, VmaSnapshot};
use crate::rcu::{Callback, call_rcu};
use crate::rmap::types::AnonVma;
use crate::rmap::{anon_vma_lock_write, unlink_anon_vmas};
use crate::settings::{SoftDirty, SoftDirtyMerge, VmaLock};
use crate::vm_flags::VmFlags;

impl Vma {
    #[inline]
    fn words(self, cpu: Cpu<'_>) -> VmArea {
        cpu.kernel.vmas.deref(**cpu, self.0)
    }

    /// A field, without a step: for a caller that excludes changes. The reference is checked, not each word.
    fn get<T: Word>(self, cpu: Cpu<'_>, field: impl Fn(VmArea) -> Shared<T>) -> T {
        T::from_word(cpu.core.memory.get(field(self.words(cpu)).loc()))
    }

    /// `vm_start`, for a caller that excludes changes.
    pub fn start(self, cpu: Cpu<'_>) -> VirtAddr {
        self.get(cpu, VmArea::vm_start)
    }

    /// `vm_end`, for a caller that excludes changes.
    pub fn end(self, cpu: Cpu<'_>) -> VirtAddr {
        self.get(cpu, VmArea::vm_end)
    }

    /// `vm_flags`, for a caller that excludes changes.
    pub fn flags(self, cpu: Cpu<'_>) -> VmFlags {
        self.get(cpu, VmArea::vm_flags)
    }

    /// `vm_pgoff`, for a caller that excludes changes.
    pub fn pgoff(self, cpu: Cpu<'_>) -> u64 {
        self.get(cpu, VmArea::vm_pgoff)
    }

    /// `anon_vma`, for a caller that excludes changes.
    pub fn anon_vma(self, cpu: Cpu<'_>) -> Option<AnonVma> {
        self.get(cpu, VmArea::anon_vma)
    }

    /// `vm_file`, for a caller that excludes changes.
    pub fn file(self, cpu: Cpu<'_>) -> Option<Inode> {
        self.get(cpu, VmArea::vm_file)
    }

    /// The same, with what it was opened for.
    pub(crate) fn vm_file(self, cpu: Cpu<'_>) -> Option<File> {
        let writes = self.flags(cpu).contains(VmFlags::FMODE_WRITE);
        let f_mode = if writes { FMode::ReadWrite } else { FMode::Read };
        self.file(cpu).map(|inode| File { inode, f_mode })
    }

    /// `vm_mm`, for a caller that excludes that the mapping is freed.
    pub(crate) fn mm(self, cpu: Cpu<'_>) -> Option<MmId> {
        MmId::from_word(self.get(cpu, VmArea::vm_mm))
    }

    /// `vma_is_anonymous()`.
    pub fn is_anonymous(self, cpu: Cpu<'_>) -> bool {
        self.file(cpu).is_none()
    }

    /// `linear_page_index()`.
    pub(crate) fn index_of(self, cpu: Cpu<'_>, addr: VirtAddr) -> u64 {
        self.pgoff(cpu) + (addr.vpn().0 - self.start(cpu).vpn().0)
    }

    /// Whether the address is in it.
    pub fn contains(self, cpu: Cpu<'_>, addr: VirtAddr) -> bool {
        self.start(cpu) <= addr && addr < self.end(cpu)
    }

    /// Moves its beginning, and what it begins with.
    fn set_start(self, cpu: Cpu<'_>, start: VirtAddr) {
        let moved = start.vpn().0.wrapping_sub(self.start(cpu).vpn().0);
        let pgoff = self.pgoff(cpu).wrapping_add(moved);
        cpu.this_cpu_write(self.words(cpu).vm_pgoff(), pgoff);
        cpu.this_cpu_write(self.words(cpu).vm_start(), start);
    }

    fn set_end(self, cpu: Cpu<'_>, end: VirtAddr) {
        cpu.this_cpu_write(self.words(cpu).vm_end(), end);
    }

    /// `vma_set_range()`.
    fn place(self, cpu: Cpu<'_>, start: VirtAddr, end: VirtAddr, pgoff: u64) {
        let words = self.words(cpu);
        cpu.this_cpu_write(words.vm_start(), start);
        cpu.this_cpu_write(words.vm_end(), end);
        cpu.this_cpu_write(words.vm_pgoff(), pgoff);
    }

    /// `vm_flags_reset()`. The caller holds `mmap_lock` for writing.
    pub(crate) fn set_flags(self, cpu: Cpu<'_>, flags: VmFlags) {
        cpu.this_cpu_write(self.words(cpu).vm_flags(), flags);
    }

    /// What is sticky of the flags of a mapping that it takes in.
    fn add_sticky(self, cpu: Cpu<'_>, flags: VmFlags) {
        let sticky = match cpu.setting::<SoftDirtyMerge>() {
            SoftDirtyMerge::Grown => VmFlags::STICKY,
            SoftDirtyMerge::Either => VmFlags::STICKY | VmFlags::SOFTDIRTY,
        };
        self.set_flags(cpu, self.flags(cpu) | flags & sticky);
    }

    /// The mapping, or a part of it, is new: whoever watches what is written must look at all of it.
    pub(crate) fn set_soft_dirty(self, cpu: Cpu<'_>) {
        if cpu.setting::<SoftDirty>() == SoftDirty::On {
            self.set_flags(cpu, self.flags(cpu) | VmFlags::SOFTDIRTY);
        }
    }

    /// `vm_flags_clear(vma, VM_SOFTDIRTY)`.
    pub(crate) fn clear_soft_dirty(self, cpu: Cpu<'_>) {
        self.set_flags(cpu, self.flags(cpu) - VmFlags::SOFTDIRTY);
    }

    pub(crate) fn set_anon_vma(self, cpu: Cpu<'_>, anon_vma: Option<AnonVma>) {
        cpu.this_cpu_write(self.words(cpu).anon_vma(), anon_vma);
    }
}

/// `vm_area_alloc()`.
///
/// # Errors
/// `ENOMEM`, if the machine has no room for one more.
pub(crate) fn vm_area_alloc(cpu: Cpu<'_>, mm: &MmStruct, vma: VmaSnapshot) -> Result<Vma, Errno> {
    if should_fail(cpu, "a mapping") {
        return Err(Errno::Enomem);
    }
    let new = Vma(cpu.kernel.vmas.alloc(cpu.core).ok_or(Errno::Enomem)?);
    let words = new.words(cpu);
    cpu.this_cpu_write(words.vm_mm(), MmId::into_word(Some(mm.id)));
    cpu.this_cpu_write(words.vm_start(), vma.start);
    cpu.this_cpu_write(words.vm_end(), vma.end);
    cpu.this_cpu_write(words.vm_flags(), vma.flags);
    cpu.this_cpu_write(words.vm_pgoff(), vma.pgoff);
    cpu.this_cpu_write(words.anon_vma(), vma.anon_vma);
    cpu.this_cpu_write(words.vm_file(), vma.file);
    Ok(new)
}

/// `vm_area_dup()`: a copy with a reference of its own to the file. Its `anon_vma` is the original's in name only: the
/// caller links it, or clears it.
///
/// # Errors
/// `ENOMEM`, if the machine has no room for one more.
pub(crate) fn vm_area_dup(cpu: Cpu<'_>, mm: &MmStruct, orig: Vma) -> Result<Vma, Errno> {
    let new = vm_area_alloc(
        cpu,
        mm,
        VmaSnapshot {
            start: orig.start(cpu),
            end: orig.end(cpu),
            flags: orig.flags(cpu),
            pgoff: orig.pgoff(cpu),
            anon_vma: orig.anon_vma(cpu),
            file: orig.file(cpu),
        },
    )?;
    if let Some(file) = orig.vm_file(cpu) {
        file.get(cpu);
    }
    Ok(new)
}

/// `i_mmap_lock_write()`: nobody goes through the mappings of the file while this is held. Nothing is locked if there is no
/// file.
///
/// Each change of where the mappings of a file are is made under this lock. `unmap_mapping_range()` holds it for reading, and
/// goes through the mappings one by one. If a mapping were added, moved or merged meanwhile, its page could go from a mapping that is
/// yet to come to one that is already done, and stay mapped after it has left the file.
pub(crate) async fn i_mmap_lock_write(cpu: Cpu<'_>, file: Option<Inode>) -> Option<WriteHeld<'_>> {
    match file {
        Some(file) => Some(cpu.down_write(cpu.kernel.shmem.i_mmap_rwsem(file)).await),
        None => None,
    }
}

/// A fault that holds a mapping alone may wait for `i_mmap_rwsem` (huge pages of the pool), or for somebody who waits for it: the `invalidate_lock` of files on a disk or a device, and the lock of a page that `memory_failure()` takes out of
/// all its mappings. So such a mapping is locked first, as Linux does with every mapping.
pub(crate) async fn lock_before_i_mmap(cpu: Cpu<'_>, mm: &MmStruct, vma: Vma) {
    let waits = |file| on_disk(cpu, file) || is_dax(cpu, file) || is_hugetlbfs(cpu, file);
    if vma.file(cpu).is_some_and(|file| cpu.kernel.has_memory_failure() || waits(file)) {
        Box::pin(vma_start_write(cpu, mm, vma)).await;
    }
}

/// The same for the files of all mappings that are `affected`, in the order of the files.
pub(crate) async fn i_mmap_lock_write_all<'m>(
    cpu: Cpu<'m>,
    mm: &MmStruct,
    affected: impl Fn(Vma) -> bool,
) -> Vec<WriteHeld<'m>> {
    let vmas: Vec<Vma> = mm.vmas.look(cpu.core).iter().copied().filter(|vma| affected(*vma)).collect();
    for vma in &vmas {
        lock_before_i_mmap(cpu, mm, *vma).await;
    }
    let mut files: Vec<Inode> = vmas.into_iter().filter_map(|vma| vma.file(cpu)).collect();
    files.sort_unstable_by_key(|file| file.index());
    files.dedup();
    let mut held = Vec::new();
    for file in files {
        held.push(cpu.down_write(cpu.kernel.shmem.i_mmap_rwsem(file)).await);
    }
    held
}

/// `need_rmap_locks` of `copy_vma()`: the file whose mappings must be locked while entries go from `old` to `new`, if there
/// is one. `unmap_mapping_range()` sees an entry at the old place or at the new one if it comes to the old place first.
/// That is so if `new` is a later mapping of the file. It is not so if an earlier one took the range in.
pub(crate) fn file_to_lock(cpu: Cpu<'_>, old: Vma, new: Vma) -> Option<Inode> {
    let file = old.file(cpu)?;
    let mappings = cpu.kernel.shmem.i_mmap(file).look(cpu.core);
    let place = |vma: Vma| mappings.iter().position(|(_, other)| *other == vma);
    (place(new) <= place(old)).then_some(file)
}

/// `vma_link_file()`: whoever unmaps the file finds the mapping from now on. The caller holds [`i_mmap_lock_write`], if
/// the file has other mappings.
pub(crate) fn vma_link_file(cpu: Cpu<'_>, mm: &MmStruct, vma: Vma) {
    if let Some(file) = vma.file(cpu) {
        cpu.kernel.shmem.i_mmap(file).poke(cpu.core, |mappings| mappings.push((mm.id, vma)));
    }
}

/// The same for a file that has other mappings. In a box of its own, since few mappings have a file.
pub(crate) fn vma_link_file_of_many<'m>(cpu: Cpu<'m>, mm: &'m MmStruct, vma: Vma) -> BoxFuture<'m, ()> {
    Box::pin(async move {
        let _i_mmap = i_mmap_lock_write(cpu, vma.file(cpu)).await;
        vma_link_file(cpu, mm, vma);
    })
}

/// `unlink_file_vma()`: nobody who unmaps the file finds the mapping any more. Whoever is at it is waited for.
pub(crate) async fn unlink_file_vma(cpu: Cpu<'_>, vma: Vma) {
    if let Some(file) = vma.file(cpu) {
        let _i_mmap = cpu.down_write(cpu.kernel.shmem.i_mmap_rwsem(file)).await;
        unlink_file_vma_locked(cpu, vma);
    }
}

/// The same where nobody can be going through the mappings of the file.
pub(crate) fn unlink_file_vma_locked(cpu: Cpu<'_>, vma: Vma) {
    if let Some(file) = vma.file(cpu) {
        cpu.kernel.shmem.i_mmap(file).poke(cpu.core, |mappings| mappings.retain(|(_, other)| *other != vma));
    }
}

/// `remove_vma()`: the mapping lets go of its `anon_vma`s and of its file, and is freed.
pub(crate) async fn remove_vma(cpu: Cpu<'_>, mm: &MmStruct, vma: Vma) {
    unlink_locked(cpu, mm, vma).await;
    if vma.flags(cpu).contains(VmFlags::HUGETLB) {
        Box::pin(hugetlb_vm_op_close(cpu, mm, vma)).await;
    }
    let file = vma.vm_file(cpu);
    vm_area_free(cpu, vma);
    if let Some(file) = file {
        file.put(cpu).await;
    }
}

/// `unlink_anon_vmas()`. Whoever walks the trees is waited for.
pub(crate) async fn unlink_locked(cpu: Cpu<'_>, mm: &MmStruct, vma: Vma) {
    let _anon_vma = if cpu.walks_rmap() { Box::pin(anon_vma_lock_write(cpu, vma)).await } else { None };
    unlink_anon_vmas(cpu, mm, vma);
}

/// `vm_area_free()`. Who looks mappings up without `mmap_lock` may have found it: since v6.4 it is freed after a grace period,
/// since v6.15 such a look-up notices that it is another's.
pub(crate) fn vm_area_free(cpu: Cpu<'_>, vma: Vma) {
    match cpu.setting::<VmaLock>() {
        VmaLock::None | VmaLock::Refcount => __vm_area_free(cpu, vma),
        VmaLock::Anonymous | VmaLock::Files | VmaLock::All => call_rcu(cpu, Callback::Vma(vma)),
    }
}

/// `__vm_area_free()`.
pub(crate) fn __vm_area_free(cpu: Cpu<'_>, vma: Vma) {
    let first = cpu.kernel.vmas.record(vma.0.index()).vm_start().loc();
    if cpu.kernel.vmas.free(cpu.core, vma.0) {
        cpu.note(Event::ObjectFreed { first });
    }
}

impl Kernel {
    /// The mappings of an address space as they are now, in order: for those who only look.
    pub fn vma_list(&self, mm: &MmStruct) -> Vec<VmaSnapshot> {
        let mut list = Vec::new();
        self.vma_list_into(mm, &mut list);
        list
    }

    /// The same in place of what `list` holds.
    pub(crate) fn vma_list_into(&self, mm: &MmStruct, list: &mut Vec<VmaSnapshot>) {
        let memory = &self.core().memory;
        let word = |loc| memory.get(loc);
        let snapshot = |vma: &Vma| {
            let words = self.vmas.record(vma.0.index());
            VmaSnapshot {
                start: VirtAddr(word(words.vm_start().loc())),
                end: VirtAddr(word(words.vm_end().loc())),
                flags: VmFlags::from_word(word(words.vm_flags().loc())),
                pgoff: word(words.vm_pgoff().loc()),
                anon_vma: Word::from_word(word(words.anon_vma().loc())),
                file: Word::from_word(word(words.vm_file().loc())),
            }
        };
        list.clear();
        list.extend(mm.vmas.peek().iter().map(snapshot));
    }
}
