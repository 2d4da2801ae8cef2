//! Pages that the kernel moves by itself, to make room for large blocks: `mm/compaction.c`.
//!
//! Compaction goes through frames and moves what it finds. Here somebody says which frame it comes to: that behind an address.

use sim_core::{BoxFuture, Routine};
use sim_mmu::{Entry, Level, Pfn, VirtAddr};

use super::{MAX_PASSES, MigrateMode, MigrateReason, migrate_pages};
use crate::errno::Errno;
use crate::folio::is_large;
use crate::gfp::Gfp;
use crate::kernel::Cpu;
use crate::mm_types::{MmStruct, Page};
use crate::page::{get_page_unless_zero, put_page};
use crate::page_flags::PageFlags;
use crate::pgtable::is_pte_present;
use crate::settings::Migration;
use crate::swap::lru_add_drain;

/// `compact_zone()`, of one page: that which the address space has at the address when compaction comes to it. It is tried so often
/// if somebody holds it; as often as Linux does if not given. The page tables are not accessed: compaction knows frames, and no addresses.
///
/// # Errors
/// `ENOENT` if no page is there, `EBUSY` if it is on no list, `EAGAIN` if it could not be moved, `ENOSYS` in a kernel without migration.
pub fn compact_page<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    address: VirtAddr,
    mode: MigrateMode,
    passes: Option<u64>,
) -> BoxFuture<'m, Result<(), Errno>> {
    Box::pin(async move {
        let _kernel = cpu.enter_kernel();
        let _routine = cpu.enter(Routine::system_call("compact_zone"));
        if cpu.setting::<Migration>() == Migration::Off {
            return Err(Errno::Enosys);
        }
        let page = isolate_migratepages(cpu, mm, address).await?;
        let mode = (mode, MigrateReason::Asked);
        match migrate_pages(cpu, vec![page], Gfp::empty(), mode, passes.unwrap_or(MAX_PASSES)).await {
            0 => Ok(()),
            _ => Err(Errno::Eagain),
        }
    })
}

/// `isolate_migratepages_block()`: takes the page off its list, with a reference. The reference comes first, because the frame may be free.
async fn isolate_migratepages(cpu: Cpu<'_>, mm: &MmStruct, address: VirtAddr) -> Result<Page, Errno> {
    let _routine = cpu.enter("isolate_migratepages_block");
    lru_add_drain(cpu).await;
    if cpu.core.memory.get(mm.mm_users().loc()) == 0 {
        return Err(Errno::Enoent);
    }
    let (_, level, entry) = cpu.mmu.lowest_under(Pfn(cpu.core.memory.get(mm.pgd().loc())), address);
    if level == Level::Pmd && entry.has(Entry::PAGE_SIZE) {
        return Err(Errno::Ebusy);
    }
    if level != Level::Pte || !is_pte_present(entry) || entry.has(Entry::SPECIAL) {
        return Err(Errno::Enoent);
    }
    let page = Page(entry.pfn());
    // Room for large blocks is not made by moving them: compaction passes over them before it takes a reference.
    if is_large(cpu, page) {
        return Err(Errno::Ebusy);
    }
    if !get_page_unless_zero(cpu, page).await {
        return Err(Errno::Enoent);
    }
    let old = cpu.rmw(cpu.kernel.page_flags(page), |flags| flags - PageFlags::LRU).await;
    if old.contains(PageFlags::LRU) {
        return Ok(page);
    }
    put_page(cpu, page).await;
    Err(Errno::Ebusy)
}
