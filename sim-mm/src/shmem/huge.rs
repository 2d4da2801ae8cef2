//! Huge pages of files in memory: where a file gets one.

use sim_mmu::Pfn;

use crate::filemap::add_to_page_cache;
use crate::fs::Inode;
use crate::gfp::Gfp;
use crate::highmem::clear_huge_page;
use crate::huge_mm::{Orders, is_file_aligned};
use crate::inode::i_size_read;
use crate::kernel::{Cpu, Kernel};
use crate::mm_types::{Page, Vma};
use crate::page::put_page;
use crate::page_alloc::alloc_pages;
use crate::settings::{ShmemOrders, ShmemOrdersWhere, ShmemThp};
use crate::shmem_fs::Pages;
use crate::vm_fault::Fault;
use crate::vm_flags::VmFlags;

/// `thp_vma_suitable_order()`: whether the huge page of the file around `index` would lie in the mapping as a whole, so that one entry can map it.
pub(crate) fn file_vma_suitable(cpu: Cpu<'_>, vma: Vma, index: u64) -> bool {
    is_suitable(cpu, vma, index, cpu.pmd_order())
}

/// The same for the folio of some order.
fn is_suitable(cpu: Cpu<'_>, vma: Vma, index: u64, order: u8) -> bool {
    let nr = 1 << order;
    let (start, end, pgoff) = (vma.start(cpu), vma.end(cpu), vma.pgoff(cpu));
    let first = index & !(nr - 1);
    let is_within = pgoff <= first && first + nr <= pgoff + (end.vpn().0 - start.vpn().0);
    is_within && is_file_aligned(order, start, pgoff)
}

/// [`Kernel::shmem_orders`] of a file, whose size is asked only if it matters.
pub(crate) async fn shmem_allowable_huge_orders(
    cpu: Cpu<'_>,
    inode: Inode,
    index: u64,
    mapped: Option<VmFlags>,
) -> Orders {
    let is_refused = mapped.is_some_and(|flags| flags.contains(VmFlags::NOHUGEPAGE));
    let by_size = cpu.setting::<ShmemOrders>() != ShmemOrders::None
        && cpu.setting::<ShmemOrdersWhere>() == ShmemOrdersWhere::WithinSize;
    let asks_size = !is_refused && (by_size || cpu.setting::<ShmemThp>() == ShmemThp::WithinSize);
    let size = if asks_size { i_size_read(cpu, inode).await } else { 0 };
    cpu.kernel.shmem_orders(index, size, mapped)
}

/// Whether a file in memory may have large folios at all, for some reason.
pub(super) fn may_have_large_folios(cpu: Cpu<'_>) -> bool {
    match cpu.setting::<ShmemThp>() {
        ShmemThp::Deny => false,
        ShmemThp::Never => cpu.setting::<ShmemOrders>() != ShmemOrders::None,
        _ => true,
    }
}

/// The first half of `shmem_alloc_and_add_folio()`: a large folio around `index`, full of zeroes, which the file has from now on. It is locked.
/// Answers its page for `index`; `None` if none is to be had, or the file has something there already.
pub(super) async fn shmem_alloc_huge(
    cpu: Cpu<'_>,
    inode: Inode,
    index: u64,
    vmf: Option<Fault<'_>>,
) -> Option<Page> {
    let flags = vmf.map(|vmf| vmf.vma.flags(cpu));
    let orders = shmem_allowable_huge_orders(cpu, inode, index, flags).await;
    let kernel: &Kernel = cpu.kernel;
    for order in orders.highest_first() {
        if vmf.is_some_and(|vmf| !is_suitable(cpu, vmf.vma, index, order)) {
            continue;
        }
        let (nr, first) = (1 << order, index & !((1 << order) - 1));
        // shmem_suitable_orders()
        let has = |pages: &Pages| pages.range(first..first + nr).next().is_some();
        if cpu.read(kernel.shmem.i_pages(inode), has).await {
            continue;
        }
        let Some(head) = alloc_pages(cpu, order, Gfp::COMP).await else { continue };
        clear_huge_page(cpu, head, nr).await;
        if !add_to_page_cache(cpu, inode, first, head, None).await {
            put_page(cpu, head).await;
            return None;
        }
        return Some(Page(Pfn(head.0.0 + (index - first))));
    }
    None
}
