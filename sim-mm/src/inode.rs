//! `fs/file_table.c` and `fs/inode.c`: who holds a file, and how long it is.

use crate::event::Event;
use crate::fs::Inode;
use crate::kernel::Cpu;

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
