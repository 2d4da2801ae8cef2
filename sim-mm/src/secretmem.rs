//! `mm/secretmem.c`: memory that the kernel itself cannot read. Its pages are taken out of the kernel's direct map, so nobody but the processes that map the
//! file may have a reference to them: who used one would end in a fault of the kernel.

use sim_core::{BoxFuture, Routine};

use crate::errno::Errno;
use crate::filemap::{add_to_page_cache, filemap_get_entry, lock_if_of_file};
use crate::folio::is_large;
use crate::fs::{FMode, Inode};
use crate::gfp::Gfp;
use crate::inode::{i_size_read, is_secret};
use crate::kernel::{Cpu, Kernel};
use crate::memfd::{Memfd, install_new};
use crate::mm_types::{Page, Vma};
use crate::page::put_page;
use crate::page_alloc::alloc_zeroed_page;
use crate::page_flags::file_of_mapping;
use crate::settings::SecretmemCheck;
use crate::shmem::shmem_file_setup;
use crate::shmem_fs::Cached;
use crate::swap::{folio_add_lru, folio_test_lru};
use crate::vm_fault::VmFaultError;

/// `memfd_secret()`, and `ftruncate()` to `pages` pages, which is possible once.
///
/// # Errors
/// `ENOSYS` on a machine without secret memory, `EBUSY` if the descriptor is open already, `ENOMEM` if the machine has no room for one more file.
pub fn sys_memfd_secret<'m>(cpu: Cpu<'m>, fd: &'m Memfd, pages: u64) -> BoxFuture<'m, Result<(), Errno>> {
    Box::pin(async move {
        let _kernel = cpu.enter_kernel();
        let _routine = cpu.enter(Routine::system_call("memfd_secret"));
        if !cpu.kernel.has_secretmem() {
            return Err(Errno::Enosys);
        }
        install_new(cpu, fd, FMode::ReadWrite, || {
            let inode = shmem_file_setup(cpu, pages)?;
            cpu.this_cpu_write(cpu.kernel.shmem.inodes.deref(**cpu, inode).secret(), true);
            Ok(inode)
        })
        .await
    })
}

/// `secretmem_fault()`: the page of the file, locked and with a reference. From the step in which it is the file's, the
/// kernel cannot read it.
pub(crate) async fn secretmem_fault(cpu: Cpu<'_>, inode: Inode, index: u64) -> Result<Page, VmFaultError> {
    let _routine = cpu.enter("secretmem_fault");
    if index >= i_size_read(cpu, inode).await {
        return Err(VmFaultError::Sigbus);
    }
    loop {
        if let Some(page) = filemap_get_entry(cpu, inode, index).await.and_then(Cached::page) {
            if lock_if_of_file(cpu, inode, page).await {
                return Ok(page);
            }
            continue;
        }
        let page = alloc_zeroed_page(cpu, Gfp::empty()).await.ok_or(VmFaultError::Oom)?;
        if add_to_page_cache(cpu, inode, index, page, None).await {
            folio_add_lru(cpu, page).await;
            return Ok(page);
        }
        put_page(cpu, page).await;
    }
}

/// `vma_is_secretmem()`, for a caller that excludes changes of the mapping.
pub fn vma_is_secretmem(cpu: Cpu<'_>, vma: Vma) -> bool {
    vma.file(cpu).is_some_and(|file| is_secret(cpu, file))
}

/// `page_is_secretmem()`, `folio_is_secretmem()` since v6.6, `gup_fast_folio_allowed()` since v6.10: whether a page, to which the caller has a reference, is
/// secret memory.
pub async fn page_is_secretmem(cpu: Cpu<'_>, page: Page) -> bool {
    if !cpu.kernel.has_secretmem() || is_large(cpu, page) {
        return false;
    }
    // Such a page is on a list of reclaim. But it is not as long as it is in a batch.
    if cpu.setting::<SecretmemCheck>() == SecretmemCheck::Lru && !folio_test_lru(cpu, page).await {
        return false;
    }
    let mapping = cpu.load(cpu.kernel.page(page).mapping()).await;
    cpu.kernel.is_secret_mapping(mapping)
}

impl Kernel {
    /// Whether `page->mapping` leads to a file that is secret memory.
    fn is_secret_mapping(&self, mapping: u64) -> bool {
        let slot = file_of_mapping(mapping);
        let secret = |slot: u32| self.shmem.inodes.record(slot as usize).secret().loc();
        slot.is_some_and(|slot| self.core().memory.get(secret(slot)) != 0)
    }

    /// Whether the kernel cannot read a page, because it is secret memory: for those who look between two steps.
    pub fn is_secret(&self, page: Page) -> bool {
        self.has_secretmem() && self.is_secret_mapping(self.mapping_of(page).0)
    }
}
