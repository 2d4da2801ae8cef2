//! Entries in a row that map pages of one folio in a row: `folio_pte_batch()`.

use sim_mmu::{Pfn, VirtAddr};

use crate::folio::folio_nr_pages;
use crate::kernel::Cpu;
use crate::mm_types::Page;
use crate::pgtable::{Pte, Ptep, TablePtr};

/// `folio_pte_batch()`: how many entries in a row, from this one up to `end`, map pages of the folio in a row. The caller holds the lock of the
/// table, and none of them is in another one.
pub(crate) async fn folio_pte_batch(
    cpu: Cpu<'_>,
    (ptep, addr, end): (Ptep, VirtAddr, VirtAddr),
    pte: Pte,
    head: Page,
) -> u64 {
    let rest = folio_nr_pages(cpu, head) - (pte.pfn().0 - head.0.0);
    let most = rest.min(end.vpn().0 - addr.vpn().0);
    let (mut nr, mut ptep) = (1, ptep);
    while nr < most {
        ptep = ptep.next();
        let next = cpu.read_once(ptep).await;
        if !next.present() || next.pfn() != Pfn(pte.pfn().0 + nr) {
            break;
        }
        nr += 1;
    }
    nr
}
