//! `ksmd`, as far as it makes a page a process's own again: `break_ksm()` of `mm/ksm.c`.

use sim_core::{BoxFuture, Routine};
use sim_mm::{Cpu, Errno, MmStruct, VmFlags, put_page, vma_lookup};
use sim_mmu::VirtAddr;

use crate::flags::FollFlags;
use crate::follow::follow_page_mask;
use crate::followed::Followed;
use crate::settings::KsmLook;

/// `break_cow()`: ksmd has given up merging the page at an address, and looks whether a merged page is mapped there. It would be copied.
/// Nobody merges pages here, so it always ends with the look.
///
/// The look waits for a page that is being moved, because it could be a merged one (`FOLL_MIGRATION`). The caller is a user of the address space.
///
/// # Errors
/// `EINVAL`, if no mapping is there whose pages may be merged.
pub fn break_cow<'m>(cpu: Cpu<'m>, mm: &'m MmStruct, addr: VirtAddr) -> BoxFuture<'m, Result<(), Errno>> {
    Box::pin(async move {
        let _kernel = cpu.enter_kernel();
        let _routine = cpu.enter(Routine::system_call("break_cow"));
        let _mmap_lock = cpu.down_read(mm.mmap_lock).await;
        // find_mergeable_vma()
        let vma = vma_lookup(cpu, mm, addr)
            .await
            .filter(|vma| vma.flags(cpu).contains(VmFlags::MERGEABLE) && vma.anon_vma(cpu).is_some());
        let vma = vma.ok_or(Errno::Einval)?;
        let waits = match cpu.setting::<KsmLook>() {
            KsmLook::Follow => FollFlags::MIGRATION,
            KsmLook::Walk => FollFlags::empty(),
        };
        let flags = FollFlags::GET | FollFlags::REMOTE | waits;
        if let Followed::Page(page) = follow_page_mask(cpu, mm, vma, addr.page_base(), flags).await {
            put_page(cpu, page).await;
        }
        Ok(())
    })
}
