//! Memory of a driver that user code maps: `remap_pfn_range()` of `mm/memory.c`, and what a driver does around it.
//!
//! The frames have no reference count, because the driver alone decides when they are freed. Their entries are special, and
//! the mapping says so too (`VM_PFNMAP`), or that it may be so (`VM_MIXEDMAP`). Nobody may take a reference to such a page.

use sim_core::{BoxFuture, MemoryBuilder, Object, Routine};
use sim_mmu::{Entry, VirtAddr};

use crate::errno::Errno;
use crate::fs::Inode;
use crate::inode::get_file;
use crate::kernel::Cpu;
use crate::memory::{Zap, p4d_offset, pmd_alloc, pte_alloc, pud_alloc, unmap_mapping_range};
use crate::mm_types::{MmStruct, Page, Vma, VmaSnapshot};
use crate::mmap::get_unmapped_area;
use crate::page_alloc::{alloc_driver_page, free_unref_page};
use crate::pgtable::{Pte, vma_page_prot};
use crate::shmem::{shmem_file_setup, shmem_put};
use crate::vm_flags::VmFlags;
use crate::vma::{change_vmas, i_mmap_lock_write, mmap_write_lock, vm_area_alloc, vma_link};

/// A driver with frames that can be mapped once.
#[derive(Debug)]
pub struct Driver {
    state: Object<Option<(Inode, Vec<Page>)>>,
}

impl Driver {
    /// A driver that has no frames yet.
    pub fn new(memory: &mut MemoryBuilder, name: &str) -> Driver {
        Driver { state: Object::new(memory, format!("driver.{name}"), None) }
    }

    /// Whether the frame is the driver's. Not an access: for those who look at the machine between two runs.
    pub fn owns(&self, page: Page) -> bool {
        self.state.peek().iter().any(|(_, pages)| pages.contains(&page))
    }
}

/// `mmap()` of the driver's file: it takes frames for itself and maps them, shared and writable. Answers where. With `mixed`, the mapping could have pages with a reference count
/// as well (`VM_MIXEDMAP`), so that nothing but the entries says that these have none.
///
/// # Errors
/// `EBUSY` if its frames are mapped already, `ENOMEM` if there is no room or no frame.
pub fn driver_mmap<'m>(
    cpu: Cpu<'m>,
    driver: &'m Driver,
    pages: u64,
    mixed: bool,
) -> BoxFuture<'m, Result<VirtAddr, Errno>> {
    Box::pin(async move {
        let _kernel = cpu.enter_kernel();
        let _routine = cpu.enter(Routine::system_call("driver_mmap"));
        let mm = cpu.current_mm().ok_or(Errno::Einval)?;
        if cpu.read(&driver.state, Option::is_some).await {
            return Err(Errno::Ebusy);
        }
        let mut frames = Vec::new();
        for _ in 0..pages {
            let Some(page) = alloc_driver_page(cpu).await else {
                free_frames(cpu, frames).await;
                return Err(Errno::Enomem);
            };
            frames.push(page);
        }
        let file = match shmem_file_setup(cpu, 0) {
            Ok(file) => file,
            Err(errno) => {
                free_frames(cpu, frames).await;
                return Err(errno);
            }
        };
        cpu.update(&driver.state, |state| *state = Some((file, frames.clone()))).await;
        let _mmap_lock = mmap_write_lock(cpu, mm).await;
        let vma = insert_vma(cpu, mm, file, pages, mixed).await?;
        remap_pfn_range(cpu, mm, vma, &frames).await?;
        Ok(vma.start(cpu))
    })
}

async fn free_frames(cpu: Cpu<'_>, frames: Vec<Page>) {
    for frame in frames {
        free_unref_page(cpu, frame).await;
    }
}

/// The mapping, with a reference of its own to the driver's file. The caller holds `mmap_lock` for writing.
async fn insert_vma<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    file: Inode,
    pages: u64,
    mixed: bool,
) -> Result<Vma, Errno> {
    let start = get_unmapped_area(cpu, mm, pages * VirtAddr::PAGE_SIZE).await?;
    let end = start.plus_pages(pages);
    let flags = VmFlags::READ | VmFlags::WRITE | VmFlags::SHARED | VmFlags::MAYSHARE | VmFlags::MAYREAD;
    let raw = if mixed { VmFlags::MIXEDMAP } else { VmFlags::IO | VmFlags::PFNMAP };
    let flags = flags | VmFlags::MAYWRITE | raw;
    let flags = flags | VmFlags::DONTEXPAND | VmFlags::DONTDUMP;
    let vma = VmaSnapshot { start, end, flags, pgoff: 0, anon_vma: None, file: Some(file) };
    let _i_mmap = i_mmap_lock_write(cpu, Some(file)).await;
    change_vmas(cpu, mm, |vmas| {
        let new = vm_area_alloc(cpu, mm, vma)?;
        get_file(cpu, file);
        vma_link(cpu, mm, vmas, new);
        Ok(new)
    })
    .await
}

/// `remap_pfn_range()`: maps frames one after the other from the beginning of the mapping on.
async fn remap_pfn_range<'m>(cpu: Cpu<'m>, mm: &'m MmStruct, vma: Vma, frames: &[Page]) -> Result<(), Errno> {
    let _routine = cpu.enter("remap_pfn_range");
    let prot = vma_page_prot(cpu, vma.flags(cpu));
    for (page, frame) in (0..).zip(frames) {
        let addr = vma.start(cpu).plus_pages(page);
        let pudp = pud_alloc(cpu, mm, p4d_offset(cpu, mm, addr), addr).await?;
        let pmdp = pmd_alloc(cpu, mm, pudp, addr).await?;
        let ptep = pte_alloc(cpu, mm, pmdp).await?.pte_offset(cpu.mmu.geometry, addr);
        let _ptl = cpu.lock(cpu.kernel.ptl(ptep.table())).await;
        // pte_mkspecial(): nobody looks for a reference count behind the entry.
        let entry = Pte::make(frame.0, prot).with(Entry::SPECIAL);
        cpu.set_pte_at(mm, addr, ptep, entry).await;
    }
    Ok(())
}

/// The driver takes its frames back: it unmaps them wherever they are mapped, and then frees them.
///
/// # Errors
/// `EINVAL` if it has none.
pub fn driver_release<'m>(cpu: Cpu<'m>, driver: &'m Driver) -> BoxFuture<'m, Result<(), Errno>> {
    Box::pin(async move {
        let _kernel = cpu.enter_kernel();
        let _routine = cpu.enter(Routine::system_call("driver_release"));
        let (file, frames) = cpu.update(&driver.state, Option::take).await.ok_or(Errno::Einval)?;
        unmap_mapping_range(cpu, file, 0, u64::MAX, Zap::Pages).await;
        free_frames(cpu, frames).await;
        shmem_put(cpu, file).await;
        Ok(())
    })
}
