//! Huge pages of files in memory: where a file gets one.

use std::ops::Range;

use sim_mmu::Pfn;

use crate::filemap::add_to_page_cache;
use crate::fs::Inode;
use crate::gfp::Gfp;
use crate::highmem::clear_huge_page;
use crate::inode::i_size_read;
use crate::kernel::{Cpu, Kernel};
use crate::mm_types::{Page, Vma};
use crate::page::put_page;
use crate::page_alloc::alloc_pages;
use crate::settings::{ShmemThp, ShmemWriteHuge};
use crate::shmem_fs::Pages;
use crate::vm_fault::Fault;
use crate::vm_flags::VmFlags;

/// `thp_vma_suitable_order()`: whether the huge page of the file around `index` would lie in the mapping as a whole, so that one entry can map it.
pub(crate) fn file_vma_suitable(cpu: Cpu<'_>, vma: Vma, index: u64) -> bool {
    let nr = cpu.pmd_nr();
    let (start, pgoff) = (vma.start(cpu).vpn().0, vma.pgoff(cpu));
    let first = index & !(nr - 1);
    let is_aligned = (start ^ pgoff) & (nr - 1) == 0;
    is_aligned && pgoff <= first && first + nr <= pgoff + (vma.end(cpu).vpn().0 - start)
}

/// `shmem_allowable_huge_orders()`, `shmem_is_huge()` before v6.10: the orders of folios that the file may get around `index`, in which a mapping
/// with these flags wants a page, if any does. Order 0 is not among them.
pub(crate) async fn shmem_allowable_huge_orders(
    cpu: Cpu<'_>,
    inode: Inode,
    index: u64,
    mapped: Option<VmFlags>,
) -> Range<u8> {
    let none = 1..1;
    let huge = cpu.pmd_order()..cpu.pmd_order() + 1;
    let asked = mapped.is_some_and(|flags| flags.contains(VmFlags::HUGEPAGE));
    if mapped.is_some_and(|flags| flags.contains(VmFlags::NOHUGEPAGE)) {
        return none;
    }
    let orders = match cpu.setting::<ShmemWriteHuge>() {
        _ if mapped.is_some() => huge.clone(),
        ShmemWriteHuge::Huge => huge.clone(),
        ShmemWriteHuge::Written => none.clone(),
        ShmemWriteHuge::Orders => 1..huge.end,
    };
    match cpu.setting::<ShmemThp>() {
        ShmemThp::Always => return orders,
        // shmem_get_orders_within_size()
        ShmemThp::WithinSize => {
            let end = i_size_read(cpu, inode).await;
            let fits = |order: &u8| (index + 1).next_multiple_of(1 << order) <= end;
            if let Some(highest) = orders.clone().rev().find(fits) {
                return orders.start..highest + 1;
            }
        }
        ShmemThp::Advise => {}
        ShmemThp::Never => return none,
    }
    if asked { huge } else { none }
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
    if vmf.is_some_and(|vmf| !file_vma_suitable(cpu, vmf.vma, index)) {
        return None;
    }
    let kernel: &Kernel = cpu.kernel;
    for order in orders.rev() {
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
