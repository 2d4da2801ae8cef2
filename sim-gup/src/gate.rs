//! The gate area: `get_gate_page()`.

use sim_mm::{Cpu, Errno, MmStruct, Page, Pte, check, get_page, kernel_pte};
use sim_mmu::{Pfn, VirtAddr};

use crate::flags::FollFlags;
use crate::grab::try_grab_page;
use crate::pages::Pages;
use crate::safeguards::{GATE_PAGE_GRAB, GATE_PAGE_PRESENT, GATE_PAGE_WRITE};

/// `get_gate_page()`: the page behind an address of the gate area, with the reference that was asked for, added to `pages`. The kernel's tables lead
/// there, which never go, so no lock of a table is needed.
pub(crate) async fn get_gate_page(
    cpu: Cpu<'_>,
    mm: &MmStruct,
    address: VirtAddr,
    gup_flags: FollFlags,
    pages: Option<&mut Pages>,
) -> Result<(), Errno> {
    let _routine = cpu.enter("get_gate_page");
    // User gate pages are read-only.
    if check!(cpu, GATE_PAGE_WRITE, gup_flags.contains(FollFlags::WRITE)) {
        return Err(Errno::Efault);
    }
    // Before v5.3 only the two lowest levels could be empty, and the others were asserted.
    let pte = kernel_pte(cpu, address).await;
    if check!(cpu, GATE_PAGE_PRESENT, pte.is_none()) {
        return Err(Errno::Efault);
    }
    let page = Page(pte.map_or(Pfn(0), Pte::pfn));
    if !gup_flags.intersects(FollFlags::GET | FollFlags::PIN) {
        return Ok(());
    }
    if !cpu.has(GATE_PAGE_GRAB) {
        // A plain reference, whatever the caller is going to give back.
        get_page(cpu, page).await;
    } else if !try_grab_page(cpu, page, gup_flags).await {
        return Err(Errno::Enomem);
    }
    if let Some(pages) = pages {
        pages.push(cpu, mm.id, page, address, gup_flags);
    }
    Ok(())
}
