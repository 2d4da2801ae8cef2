//! `mm/memfd.c`: files in memory that processes reach by a descriptor.

use sim_core::{BoxFuture, MemoryBuilder, Object, Routine};

use crate::errno::Errno;
use crate::fs::{FMode, File, Inode};
use crate::hugetlb::hugetlb_file_setup;
use crate::hugetlb_types::HugePageSize;
use crate::kernel::Cpu;
use crate::shmem::shmem_file_setup;

/// A descriptor that all processes have, as those do that were forked behind `memfd_create()`.
#[derive(Debug)]
pub struct Memfd {
    file: Object<Option<File>>,
    /// The file on the disk that the descriptor was made with, under its name. It is there whoever closes the descriptor.
    dentry: Object<Option<Inode>>,
}

impl Memfd {
    /// A descriptor that is not open.
    pub fn new(memory: &mut MemoryBuilder, name: &str) -> Memfd {
        let file = Object::new(memory, format!("memfd.{name}"), None);
        let dentry = Object::new(memory, format!("dentry.{name}"), None);
        Memfd { file, dentry }
    }

    /// Where the descriptor leads, for system calls.
    pub(crate) fn file_of(&self) -> &Object<Option<File>> {
        &self.file
    }

    /// Where the name leads.
    pub(crate) fn dentry(&self) -> &Object<Option<Inode>> {
        &self.dentry
    }

    /// The file, if it is open. Not an access: for those who look at the machine between two runs.
    pub fn file(&self) -> Option<Inode> {
        self.file.peek().map(|file| file.inode)
    }
}

/// `fget()`: the file of the descriptor, with a reference.
///
/// # Errors
/// `EBADF`, if it is not open.
pub(crate) async fn fget(cpu: Cpu<'_>, fd: &Memfd) -> Result<File, Errno> {
    // The reference is taken in the step of the look: who closes the descriptor excludes those who are between the two.
    let file = cpu.read(&fd.file, |file| *file).await.ok_or(Errno::Ebadf)?;
    file.get(cpu);
    Ok(file)
}

/// The same for somebody who wants to write.
///
/// # Errors
/// `EBADF`, if it is not open for writing.
pub(crate) async fn fget_write(cpu: Cpu<'_>, fd: &Memfd) -> Result<File, Errno> {
    let file = fget(cpu, fd).await?;
    if !file.writes() {
        file.put(cpu).await;
        return Err(Errno::Ebadf);
    }
    Ok(file)
}

/// `fd_install()` of a file that is made for it, in the same step.
///
/// # Errors
/// `EBUSY` if the descriptor is open already, and those of `make`.
pub(crate) async fn install_new(
    cpu: Cpu<'_>,
    fd: &Memfd,
    f_mode: FMode,
    make: impl Fn() -> Result<Inode, Errno> + Unpin,
) -> Result<(), Errno> {
    cpu.update(&fd.file, |file| {
        if file.is_some() {
            return Err(Errno::Ebusy);
        }
        *file = Some(File::of_new(cpu, make()?, f_mode));
        Ok(())
    })
    .await
}

/// `memfd_create()`, with `MFD_HUGETLB` if its pages are to be huge pages of a pool, and `ftruncate()` to `pages` pages.
///
/// # Errors
/// `ENOENT` for huge pages on a machine without them, `EINVAL` if the length is no number of them, `EBUSY` if the descriptor is open already, `ENOMEM` if the machine has no room for one more file.
pub fn sys_memfd_create<'m>(
    cpu: Cpu<'m>,
    fd: &'m Memfd,
    pages: u64,
    hugetlb: Option<HugePageSize>,
) -> BoxFuture<'m, Result<(), Errno>> {
    Box::pin(async move {
        let _kernel = cpu.enter_kernel();
        let _routine = cpu.enter(Routine::system_call("memfd_create"));
        let Some(size) = hugetlb else {
            return install_new(cpu, fd, FMode::ReadWrite, || shmem_file_setup(cpu, pages)).await;
        };
        if !cpu.kernel.has_hugetlb() {
            return Err(Errno::Enoent);
        }
        if !pages.is_multiple_of(size.pages(cpu.mmu.geometry)) {
            return Err(Errno::Einval);
        }
        install_new(cpu, fd, FMode::ReadWrite, || hugetlb_file_setup(cpu, pages, size)).await
    })
}

/// `close()`.
///
/// # Errors
/// `EBADF`, if the descriptor is not open.
pub fn sys_close<'m>(cpu: Cpu<'m>, fd: &'m Memfd) -> BoxFuture<'m, Result<(), Errno>> {
    Box::pin(async move {
        let _kernel = cpu.enter_kernel();
        let _routine = cpu.enter(Routine::system_call("close"));
        let file = cpu.update(&fd.file, Option::take).await.ok_or(Errno::Ebadf)?;
        file.put(cpu).await;
        Ok(())
    })
}
