//! `fs/inode.c`: who holds a file, how long it is, and whether somebody may write to it.

use crate::event::Event;
use crate::fs::Inode;
use crate::kernel::Cpu;
use crate::mm_types::Vma;

/// `get_file()`.
pub(crate) fn get_file(cpu: Cpu<'_>, inode: Inode) {
    let count = cpu.kernel.shmem.inodes.deref(**cpu, inode).f_count();
    cpu.this_cpu_write(count, cpu.this_cpu_read(count) + 1);
}

/// `fput()` by a holder who knows of another reference; answers whether there is none after all.
pub(crate) fn fput(cpu: Cpu<'_>, inode: Inode) -> bool {
    let count = cpu.kernel.shmem.inodes.deref(**cpu, inode).f_count();
    let left = cpu.this_cpu_read(count).wrapping_sub(1);
    cpu.this_cpu_write(count, left);
    left == 0
}

/// Whether a file is on the disk, and not in memory alone. That never changes.
pub(crate) fn on_disk(cpu: Cpu<'_>, inode: Inode) -> bool {
    cpu.this_cpu_read(cpu.kernel.shmem.inodes.deref(**cpu, inode).on_disk())
}

/// `get_write_access()`, of somebody who opens the file. It is a locked operation, and so a full barrier: what the opener reads behind it is
/// not older.
pub(crate) async fn get_write_access(cpu: Cpu<'_>, inode: Inode) {
    cpu.rmw(cpu.kernel.shmem.inodes.deref(**cpu, inode).i_writecount(), |writers| writers + 1).await;
}

/// `inode_is_open_for_write()`.
pub(crate) async fn inode_is_open_for_write(cpu: Cpu<'_>, inode: Inode) -> bool {
    cpu.load(cpu.kernel.shmem.inodes.deref(**cpu, inode).i_writecount()).await > 0
}

/// `filemap_nr_thps()`: how many huge pages a file on the disk has.
#[track_caller]
pub(crate) fn filemap_nr_thps<'m>(cpu: Cpu<'m>, inode: Inode) -> impl Future<Output = u64> + use<'m> {
    cpu.load(cpu.kernel.shmem.inodes.deref(**cpu, inode).nr_thps())
}

/// `filemap_nr_thps_inc()`, a full barrier.
pub(crate) async fn filemap_nr_thps_inc(cpu: Cpu<'_>, inode: Inode) {
    cpu.rmw(cpu.kernel.shmem.inodes.deref(**cpu, inode).nr_thps(), |thps| thps + 1).await;
}

/// `filemap_nr_thps_dec()`.
pub(crate) async fn filemap_nr_thps_dec(cpu: Cpu<'_>, inode: Inode) {
    cpu.rmw(cpu.kernel.shmem.inodes.deref(**cpu, inode).nr_thps(), |thps| thps.wrapping_sub(1)).await;
}

/// `mapping->a_ops == &secretmem_aops`: whether a file is secret memory. That never changes.
pub(crate) fn is_secret(cpu: Cpu<'_>, inode: Inode) -> bool {
    cpu.kernel.has_secretmem() && cpu.this_cpu_read(cpu.kernel.shmem.inodes.deref(**cpu, inode).secret())
}

/// `is_file_hugepages()`: whether the pages of a file are huge pages of the pool. That never changes.
pub(crate) fn is_hugetlbfs(cpu: Cpu<'_>, inode: Inode) -> bool {
    cpu.kernel.has_hugetlb() && cpu.this_cpu_read(cpu.kernel.shmem.inodes.deref(**cpu, inode).hstate()) != 0
}

/// `IS_DAX()`: whether a file is on a device. That never changes.
pub(crate) fn is_dax(cpu: Cpu<'_>, inode: Inode) -> bool {
    cpu.kernel.has_device() && cpu.this_cpu_read(cpu.kernel.shmem.inodes.deref(**cpu, inode).dax())
}

/// Whether a file is a device itself: `/dev/dax0.0`, and no file on it. That never changes.
pub(crate) fn is_dev_dax(cpu: Cpu<'_>, inode: Inode) -> bool {
    cpu.kernel.has_device() && cpu.this_cpu_read(cpu.kernel.shmem.inodes.deref(**cpu, inode).dev_dax())
}

/// `vma_is_dax()`, for a caller that excludes changes of the mapping.
pub(crate) fn vma_is_dax(cpu: Cpu<'_>, vma: Vma) -> bool {
    cpu.kernel.has_device() && vma.file(cpu).is_some_and(|file| is_dax(cpu, file))
}

/// `vma_is_fsdax()`, for the same. A device itself takes nothing away from those who use its pages.
pub fn vma_is_fsdax(cpu: Cpu<'_>, vma: Vma) -> bool {
    vma_is_dax(cpu, vma) && dev_dax_of(cpu, vma).is_none()
}

/// The device that is mapped, if a mapping is of a device itself. For the same.
pub(crate) fn dev_dax_of(cpu: Cpu<'_>, vma: Vma) -> Option<Inode> {
    if !cpu.kernel.has_device() {
        return None;
    }
    vma.file(cpu).filter(|file| is_dev_dax(cpu, *file))
}

/// `i_size_read()`, in pages.
#[track_caller]
pub(crate) fn i_size_read<'m>(cpu: Cpu<'m>, inode: Inode) -> impl Future<Output = u64> + use<'m> {
    cpu.load(cpu.kernel.shmem.inodes.deref(**cpu, inode).i_size())
}

/// `i_size_write()`, in pages. The caller holds `i_rwsem`.
pub(crate) async fn i_size_write(cpu: Cpu<'_>, inode: Inode, pages: u64) {
    cpu.store(cpu.kernel.shmem.inodes.deref(**cpu, inode).i_size(), pages).await;
    cpu.note(Event::FileResized { file: inode.index() as u32, pages });
}
