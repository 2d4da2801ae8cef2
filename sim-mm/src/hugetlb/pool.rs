//! The sizes of the pools: `/proc/sys/vm/nr_hugepages`.

use sim_core::{BoxFuture, Routine};

use super::gigantic::alloc_gigantic_folio;
use crate::errno::Errno;
use crate::gfp::Gfp;
use crate::hugetlb_pool::{dequeue_hugetlb_folio_node, remove_hugetlb_folio};
use crate::hugetlb_types::{Hstate, HugePageSize};
use crate::kernel::Cpu;
use crate::mm_types::Page;
use crate::page::put_page;
use crate::page_alloc::alloc_pages;
use crate::page_flags::PageFlags;
use crate::settings::Nodes;

/// Writes a number to `/proc/sys/vm/nr_hugepages`, or to its like for another size: `set_max_huge_pages()`. The pool gets pages until it has so many or memory has none, or gives up free
/// ones that are not set aside. Answers how many it has.
///
/// # Errors
/// `EOPNOTSUPP` on a machine without hugetlb.
pub fn sys_nr_hugepages(cpu: Cpu<'_>, size: HugePageSize, pages: u64) -> BoxFuture<'_, Result<u64, Errno>> {
    Box::pin(async move {
        let _kernel = cpu.enter_kernel();
        let _routine = cpu.enter(Routine::system_call("set_max_huge_pages"));
        if !cpu.kernel.has_hugetlb() {
            return Err(Errno::Eopnotsupp);
        }
        let hstate = cpu.kernel.hugetlb.hstate(size);
        let mut now = cpu.load(hstate.nr_huge_pages).await;
        while now < pages && alloc_pool_huge_folio(cpu, hstate, size, now).await {
            now += 1;
        }
        while now > pages && remove_pool_huge_folio(cpu, hstate).await {
            now -= 1;
        }
        Ok(now)
    })
}

/// `alloc_pool_huge_folio()`: one page more, from the allocator. False if there is none. The nodes take turns.
async fn alloc_pool_huge_folio(cpu: Cpu<'_>, hstate: &Hstate, size: HugePageSize, nth: u64) -> bool {
    let Some(head) = alloc_fresh(cpu, size, nth).await else { return false };
    // prep_new_hugetlb_folio()
    cpu.this_cpu_write(cpu.kernel.page(head).flags(), PageFlags::HEAD | PageFlags::HUGETLB);
    {
        let _hugetlb_lock = cpu.lock(cpu.kernel.hugetlb.lock).await;
        cpu.store(hstate.nr_huge_pages, cpu.this_cpu_read(hstate.nr_huge_pages) + 1).await;
    }
    // The last reference goes, and so the page is a free one of the pool.
    put_page(cpu, head).await;
    true
}

/// `alloc_fresh_hugetlb_folio()`.
async fn alloc_fresh(cpu: Cpu<'_>, size: HugePageSize, nth: u64) -> Option<Page> {
    let of_node = match cpu.setting::<Nodes>() {
        Nodes::One => Gfp::empty(),
        Nodes::Two => Gfp::this_node(nth % 2),
    };
    match size {
        HugePageSize::Huge => alloc_pages(cpu, cpu.pmd_order(), Gfp::COMP | of_node).await,
        HugePageSize::Gigantic => Box::pin(alloc_gigantic_folio(cpu, of_node)).await,
    }
}

/// `remove_pool_hugetlb_folio()`: one page less. False if all that are free are set aside.
async fn remove_pool_huge_folio(cpu: Cpu<'_>, hstate: &Hstate) -> bool {
    let head = {
        let _hugetlb_lock = cpu.lock(cpu.kernel.hugetlb.lock).await;
        let free = cpu.read(&hstate.freelist, |free| free.len() as u64).await;
        if free <= cpu.load(hstate.resv_huge_pages).await {
            return false;
        }
        let Some(head) = remove_hugetlb_folio(cpu, hstate, None).await else { return false };
        head
    };
    put_page(cpu, head).await;
    true
}

/// `alloc_hugetlb_folio_nodemask()`: a free page that is not set aside, of the node that `gfp` names. It takes the place of another one.
///
/// Not modelled: a page that the pool does not have is made for the purpose. Linux makes none that is gigantic.
pub(crate) async fn alloc_hugetlb_folio_nodemask(cpu: Cpu<'_>, hstate: &Hstate, gfp: Gfp) -> Option<Page> {
    let _hugetlb_lock = cpu.lock(cpu.kernel.hugetlb.lock).await;
    let free = cpu.read(&hstate.freelist, |free| free.len() as u64).await;
    if free <= cpu.load(hstate.resv_huge_pages).await {
        return None;
    }
    dequeue_hugetlb_folio_node(cpu, hstate, gfp).await
}
