//! `fs/file_table.c`: files as they were opened. A descriptor holds one, and so does each mapping that was made by it.

use crate::fs::{FMode, File, Inode};
use crate::inode::{fput, get_file};
use crate::kernel::Cpu;
use crate::shmem::shmem_put;

impl File {
    /// The open of a file that was just made, and that nobody else knows. The caller's reference is the open's.
    pub(crate) fn of_new(cpu: Cpu<'_>, inode: Inode, f_mode: FMode) -> File {
        let file = File { inode, f_mode };
        cpu.this_cpu_write(cpu.kernel.shmem.inodes.deref(**cpu, inode).i_writecount(), u64::from(file.writes()));
        file
    }

    /// Whether it was opened for writing.
    pub(crate) fn writes(self) -> bool {
        self.f_mode == FMode::ReadWrite
    }

    /// `get_file()`: one more reference. The caller knows of another.
    pub(crate) fn get(self, cpu: Cpu<'_>) {
        get_file(cpu, self.inode);
        if self.writes() {
            let writers = cpu.kernel.shmem.inodes.deref(**cpu, self.inode).i_writecount();
            cpu.this_cpu_write(writers, cpu.this_cpu_read(writers) + 1);
        }
    }

    /// `put_write_access()`, if it was opened for writing.
    fn put_write_access(self, cpu: Cpu<'_>) {
        if self.writes() {
            let writers = cpu.kernel.shmem.inodes.deref(**cpu, self.inode).i_writecount();
            cpu.this_cpu_write(writers, cpu.this_cpu_read(writers).wrapping_sub(1));
        }
    }

    /// `fput()`.
    pub(crate) async fn put(self, cpu: Cpu<'_>) {
        self.put_write_access(cpu);
        shmem_put(cpu, self.inode).await;
    }

    /// `fput()` by a holder who knows of another reference.
    pub(crate) fn put_one_of_many(self, cpu: Cpu<'_>) {
        self.put_write_access(cpu);
        fput(cpu, self.inode);
    }
}
