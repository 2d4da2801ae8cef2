//! Whether the pages of a file can be collapsed, as far as can be seen before anything is done: `hpage_collapse_scan_file()`.

use sim_core::BoxFuture;
use sim_mmu::VirtAddr;

use super::collapse_file::collapse_file;
use super::control::{Collapse, Scan};
use crate::filemap::find_get_entry;
use crate::folio::{folio_mapcount, folio_nr_pages};
use crate::fs::Inode;
use crate::kernel::Cpu;
use crate::mm_types::{MmStruct, Page};
use crate::page::{page_count, put_page};
use crate::shmem_fs::Cached;
use crate::swap::folio_test_lru;

/// `hpage_collapse_scan_file()`, `khugepaged_scan_file()` before v6.1, since v4.8: collapses pages of a file from `start` on, if they look like
/// it. The caller holds a reference to the file, and no lock.
pub(super) fn hpage_collapse_scan_file<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    address: VirtAddr,
    (inode, start): (Inode, u64),
    by: Collapse,
) -> BoxFuture<'m, Result<(), Scan>> {
    Box::pin(async move {
        let _routine = cpu.enter("hpage_collapse_scan_file");
        let (mut present, mut swapped) = (0, 0);
        let end = start + cpu.pmd_nr();
        let mut next = start;
        while let Some((index, has)) = find_get_entry(cpu, inode, next, end).await {
            next = index + 1;
            let page = match has {
                Cached::Page(page) => page,
                Cached::Swapped(..) => {
                    swapped += 1;
                    if by.is_khugepaged() && swapped > cpu.pmd_nr() / 8 {
                        return Err(Scan::ExceedSwapPte);
                    }
                    continue;
                }
            };
            let head = cpu.kernel.folio_of(page);
            let looked = look_at(cpu, head).await;
            put_page(cpu, head).await;
            looked?;
            let nr = folio_nr_pages(cpu, head);
            next = index + nr - (page.0.0 - head.0.0);
            present += nr;
        }
        // khugepaged_max_ptes_none
        if by.is_khugepaged() && present == 0 {
            return Err(Scan::ExceedNonePte);
        }
        collapse_file(cpu, mm, address, (inode, start), by).await
    })
}

/// What a scan asks of a folio of the file, to which it has a reference.
async fn look_at(cpu: Cpu<'_>, head: Page) -> Result<(), Scan> {
    let nr = folio_nr_pages(cpu, head);
    if nr == cpu.pmd_nr() {
        return Err(Scan::PteMappedHugepage);
    }
    if !folio_test_lru(cpu, head).await {
        return Err(Scan::PageLru);
    }
    if page_count(cpu, head).await != nr + folio_mapcount(cpu, head).await + 1 {
        return Err(Scan::PageCount);
    }
    Ok(())
}
