//! A huge page of a file that one entry maps, or that the entries of one table map together: `do_set_pmd()`.

use sim_mmu::{Level, Pfn, VirtAddr};

use crate::folio::{folio_nr_pages, is_large};
use crate::kernel::Cpu;
use crate::mm_types::Page;
use crate::pgtable::{Pmd, maybe_mkwrite, mkdirty, vma_page_prot};
use crate::rmap::folio_add_rmap_pmd;
use crate::settings::{SetPmdAsks, ShmemMapFolio};
use crate::shmem::file_vma_suitable;
use crate::vm_fault::Fault;
use crate::vm_flags::VmFlags;

/// `do_set_pmd()`: one entry maps all of the folio of a page of the file, and the caller's reference is the entry's. False (`VM_FAULT_FALLBACK`)
/// if it cannot, or something is mapped there by now. Nothing is deposited: when the entry has to be replaced by a table, it becomes empty,
/// since the file keeps its pages.
pub(crate) async fn do_set_pmd<'m>(cpu: Cpu<'m>, vmf: Fault<'m>, page: Page) -> bool {
    let flags = vmf.vma.flags(cpu);
    if flags.contains(VmFlags::NOHUGEPAGE) && cpu.setting::<SetPmdAsks>() == SetPmdAsks::Asks {
        return false;
    }
    let head = cpu.kernel.folio_of(page);
    let index = vmf.vma.index_of(cpu, vmf.address);
    if folio_nr_pages(cpu, head) != cpu.pmd_nr() || !file_vma_suitable(cpu, vmf.vma, index) {
        return false;
    }
    let _routine = cpu.enter("do_set_pmd");
    let _ptl = cpu.lock(cpu.kernel.ptl(vmf.pmdp.table())).await;
    if !cpu.read_once(vmf.pmdp).await.none() {
        return false;
    }
    let written = if vmf.is_write() { mkdirty(cpu) | maybe_mkwrite(cpu, vmf.vma) } else { 0 };
    let entry = Pmd::make_huge(head.0, vma_page_prot(cpu, flags)).with(written);
    folio_add_rmap_pmd(cpu, head, vmf.mm.id).await;
    cpu.set_pmd_at(vmf.mm, cpu.pmd_base(vmf.address), vmf.pmdp, entry).await;
    true
}

/// Pages of a folio that are mapped together: the first, its address, and how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Together {
    pub(super) page: Page,
    pub(super) addr: VirtAddr,
    pub(super) pages: u64,
}

impl Together {
    /// A page alone.
    pub(super) fn alone(page: Page, addr: VirtAddr) -> Together {
        Together { page, addr, pages: 1 }
    }

    /// All of the folio of a page that is at `addr`, if it lies in the mapping and in one table. User code that handles its faults is asked for
    /// each page by itself.
    pub(super) fn folio<'m>(cpu: Cpu<'m>, vmf: Fault<'m>, page: Page, addr: VirtAddr) -> Together {
        let alone = Together::alone(page, addr);
        let by_page = cpu.setting::<ShmemMapFolio>() == ShmemMapFolio::Page;
        if by_page || !is_large(cpu, page) || vmf.vma.flags(cpu).intersects(VmFlags::UFFD) {
            return alone;
        }
        let head = cpu.kernel.folio_of(page);
        let (nth, nr) = (page.0.0 - head.0.0, folio_nr_pages(cpu, head));
        let at = addr.vpn().0;
        let in_vma = at - vmf.vma.start(cpu).vpn().0 >= nth && at - nth + nr <= vmf.vma.end(cpu).vpn().0;
        let table = u64::from(cpu.mmu.geometry.entries(Level::Pte));
        let in_table = at % table >= nth && at % table - nth + nr <= table;
        if in_vma && in_table {
            Together { page: head, addr: VirtAddr((at - nth) << 12), pages: nr }
        } else {
            alone
        }
    }

    /// Each page and its address.
    pub(super) fn each(self) -> impl Iterator<Item = (Page, VirtAddr)> {
        (0..self.pages).map(move |nth| (Page(Pfn(self.page.0.0 + nth)), self.addr.plus_pages(nth)))
    }
}
