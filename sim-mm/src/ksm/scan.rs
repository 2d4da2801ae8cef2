//! ksmd comes to pages: `ksm_do_scan()`.

use sim_core::{BoxFuture, Routine};
use sim_mmu::VirtAddr;

use super::find::get_mergeable_page;
use super::merge::cmp_and_merge_page;
use crate::errno::Errno;
use crate::kernel::Cpu;
use crate::ksm_types::RmapItem;
use crate::mm_types::{MmId, MmStruct};
use crate::mmdrop::{mmdrop, mmgrab};
use crate::page::put_page;
use crate::swap::lru_add_drain_all;
use crate::vma::mmap_write_lock;

/// `ksm_do_scan()` of some pages of one process. Answers how many were merged. ksmd comes to a page
/// twice before it merges it, unless a merged page that holds the same is there already: what changed in between is left alone.
///
/// # Errors
/// `ENOSYS` on a machine without ksmd, `ESRCH` if the process has ended.
pub fn ksm_do_scan<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    start: VirtAddr,
    pages: u64,
) -> BoxFuture<'m, Result<u64, Errno>> {
    Box::pin(async move {
        let _kernel = cpu.enter_kernel();
        let _routine = cpu.enter(Routine::system_call("ksm_do_scan"));
        if !cpu.kernel.has_ksm() {
            return Err(Errno::Enosys);
        }
        // The list of address spaces has those that have users, and keeps them: ksm_scan.mm_slot.
        let users = mm.mm_users().loc();
        cpu.core.touch(users, false);
        if cpu.core.memory.get(users) == 0 {
            return Err(Errno::Esrch);
        }
        cpu.this_cpu_write(mm.mm_count(), cpu.this_cpu_read(mm.mm_count()) + 1);
        let merged = scan(cpu, mm, start, pages).await;
        mmdrop(cpu, mm).await;
        Ok(merged)
    })
}

async fn scan(cpu: Cpu<'_>, mm: &MmStruct, start: VirtAddr, pages: u64) -> u64 {
    let _mutex = cpu.down_write(cpu.kernel.ksm.mutex).await;
    free_exited(cpu).await;
    // scan_get_next_rmap_item(): a batch has references to pages.
    lru_add_drain_all(cpu).await;
    let mut merged = 0;
    for nth in 0..pages {
        let address = start.plus_pages(nth);
        let Some(page) = get_mergeable_page(cpu, mm.id, address).await else {
            forget(cpu, mm.id, move |item| item.address == address).await;
            continue;
        };
        // A reference to a part of a huge page is one to its first page, and stays that if the page is split.
        let folio = cpu.kernel.folio_of(page);
        let item = get_next_rmap_item(cpu, mm, address).await;
        merged += u64::from(cmp_and_merge_page(cpu, item, page).await);
        put_page(cpu, folio).await;
    }
    merged
}

/// Whether ksmd knows pages of an address space, which it then has grabbed.
fn knows(items: &[RmapItem], mm: MmId) -> bool {
    items.iter().any(|item| item.mm == mm)
}

/// `get_next_rmap_item()`: what ksmd knows of the page, or a new item. With the first one of an address space, `__ksm_enter()`: ksmd keeps it, though
/// it may be empty one day.
async fn get_next_rmap_item(cpu: Cpu<'_>, mm: &MmStruct, address: VirtAddr) -> RmapItem {
    let (item, is_first) = cpu
        .update(&cpu.kernel.ksm.items, |items| {
            if let Some(item) = items.iter().find(|item| (item.mm, item.address) == (mm.id, address)) {
                return (*item, false);
            }
            let is_first = !knows(items, mm.id);
            let item = RmapItem { mm: mm.id, address, oldchecksum: 0, is_unstable: false };
            items.push(item);
            (item, is_first)
        })
        .await;
    if is_first {
        mmgrab(cpu, mm).await;
    }
    item
}

/// ksmd does not know such pages of an address space any more, and with the last of them lets go of it.
async fn forget(cpu: Cpu<'_>, mm: MmId, which: impl Fn(&RmapItem) -> bool + Unpin) {
    let was_last = cpu
        .update(&cpu.kernel.ksm.items, |items: &mut Vec<RmapItem>| {
            let knew = knows(items, mm);
            items.retain(|item| item.mm != mm || !which(item));
            knew && !knows(items, mm)
        })
        .await;
    if was_last {
        mmdrop(cpu, cpu.kernel.mm(mm)).await;
    }
}

/// The part of `scan_get_next_rmap_item()` for address spaces that have no user any more.
async fn free_exited(cpu: Cpu<'_>) {
    let mut known: Vec<MmId> =
        cpu.read(&cpu.kernel.ksm.items, |items| items.iter().map(|item| item.mm).collect()).await;
    // Each once: with the last item of an address space that may be gone.
    known.sort_unstable();
    known.dedup();
    for mm in known {
        if cpu.load(cpu.kernel.mm(mm).mm_users()).await == 0 {
            forget(cpu, mm, |_| true).await;
        }
    }
}

/// `ksm_exit()`: the address space has no user any more, and its tables go next. ksmd may still be at a page of it, with `mmap_lock`. It notices
/// afterwards that there is no user, and lets go of the address space when it comes by next.
pub(crate) async fn ksm_exit(cpu: Cpu<'_>, mm: &MmStruct) {
    drop(mmap_write_lock(cpu, mm).await);
}
