//! Pages of a device: what `gup_pte_range()`, `__gup_device_huge()`, `follow_page_pte()`, and `follow_devmap_pmd()` and `follow_devmap_pud()` of `mm/huge_memory.c` do with entries
//! that have no reference to what they map.
//!
//! Whoever takes a page has a reference to the map of the device first. While he has it the descriptors stay, and when he has the page he can put it: whoever unbinds the
//! device waits for both.

use sim_core::BoxFuture;
use sim_mm::{
    Cpu, Event, HugePte, HugePtep, MmStruct, Page, Pgmap, Pte, check, get_dev_pagemap, huge_pte_lock,
    mark_page_accessed, page_count, put_dev_pagemap, set_page_dirty, set_page_referenced, touch_pmd,
};
use sim_mmu::VirtAddr;

use crate::flags::FollFlags;
use crate::followed::{Followed, Got};
use crate::grab::{Fallback, grab_folio, put_compound_head, try_grab_page};
use crate::pages::{Pages, put_pin};
use crate::safeguards::{
    FOLLOW_DEV_PAGEMAP, FOLLOW_DEVMAP_PMD_RECHECK, FOLLOW_DEVMAP_PUD_RECHECK, FOLLOW_PUT_DEV_PAGEMAP,
    GUP_DEV_PAGEMAP, GUP_DEVICE_HUGE, GUP_DEVICE_HUGE_PUT, GUP_DEVICE_HUGE_RECHECK, GUP_LONGTERM_DEVMAP,
    GUP_PUT_DEV_PAGEMAP, GUP_UNDO_PUTS,
};

/// `undo_dev_pagemap()`: whether what the walk has got in this table is put.
fn undo_dev_pagemap(cpu: Cpu<'_>) -> bool {
    cpu.has(GUP_UNDO_PUTS)
}

/// What the lockless walk does before it takes a page of a device: it gets a reference to its map, unless it has one. An error, if the map is dying.
async fn gup_dev_pagemap(cpu: Cpu<'_>, flags: FollFlags, pages: &mut Pages) -> Result<(), Fallback> {
    if check!(cpu, GUP_LONGTERM_DEVMAP, flags.contains(FollFlags::LONGTERM)) {
        return Err(Fallback);
    }
    if pages.has_pgmap() || !cpu.has(GUP_DEV_PAGEMAP) {
        return Ok(());
    }
    match get_dev_pagemap(cpu).await {
        Some(pgmap) => {
            pages.hold_pgmap(pgmap);
            Ok(())
        }
        None => {
            cpu.decided(GUP_DEV_PAGEMAP);
            Err(Fallback)
        }
    }
}

/// The part of `gup_pte_range()` for the entry of a page of a device. If the map is dying, the walk gives back what it has got in this table.
pub(crate) async fn gup_pte_devmap(
    cpu: Cpu<'_>,
    flags: FollFlags,
    addr: VirtAddr,
    pages: &mut Pages,
) -> Result<(), Fallback> {
    let got = gup_dev_pagemap(cpu, flags, pages).await;
    if got.is_err() && !flags.contains(FollFlags::LONGTERM) {
        for pin in pages.take_of_table(cpu, addr) {
            if undo_dev_pagemap(cpu) {
                put_pin(cpu, pin).await;
            } else {
                cpu.note(Event::Unpinned { id: pin.id });
            }
        }
    }
    got
}

/// `put_dev_pagemap()` at the end of the lockless walk of a table.
pub(crate) async fn put_walks_pagemap(cpu: Cpu<'_>, pages: &mut Pages) {
    if let Some(pgmap) = pages.take_pgmap()
        && cpu.has(GUP_PUT_DEV_PAGEMAP)
    {
        put_dev_pagemap(cpu, pgmap).await;
    }
}

/// `try_grab_page()` of a page of a device: false also if the count is zero, as it is once the device is being unbound.
async fn try_grab_device_page(cpu: Cpu<'_>, page: Page, flags: FollFlags) -> bool {
    page_count(cpu, page).await > 0 && try_grab_page(cpu, page, flags).await
}

/// Whether an entry that maps several pages maps those of a device: `pmd_devmap()` and `pud_devmap()` in `gup_huge_pmd()` and `gup_huge_pud()`.
pub(crate) fn maps_device(cpu: Cpu<'_>, orig: HugePte) -> bool {
    check!(cpu, GUP_DEVICE_HUGE, orig.devmap())
}

/// `__gup_device_huge()`: takes blocks one by one, since each of them is a page of its own. Answers how many it got, and whether these are all.
async fn __gup_device_huge(
    cpu: Cpu<'_>,
    blocks: &[Page],
    flags: FollFlags,
    pages: &mut Pages,
) -> (usize, Result<(), Fallback>) {
    let _routine = cpu.enter("__gup_device_huge");
    for (nr, page) in blocks.iter().enumerate() {
        if gup_dev_pagemap(cpu, flags, pages).await.is_err() {
            return (nr, Err(Fallback));
        }
        set_page_referenced(cpu, *page).await;
        if !grab_folio(cpu, *page, 1, flags).await {
            if !cpu.has(GUP_DEVICE_HUGE_PUT) {
                // Nobody puts it.
                let _ = pages.take_pgmap();
            }
            return (nr, Err(Fallback));
        }
    }
    (blocks.len(), Ok(()))
}

/// `__gup_device_huge_pmd()` and `__gup_device_huge_pud()`, `gup_fast_devmap_pmd_leaf()` and `gup_fast_devmap_pud_leaf()` from v6.10 to v6.16: hands out blocks that one entry maps.
pub(crate) async fn gup_device_huge(
    cpu: Cpu<'_>,
    (ptep, orig): (HugePtep, HugePte),
    addr: VirtAddr,
    end: VirtAddr,
    flags: FollFlags,
    pages: &mut Pages,
) -> Result<(), Fallback> {
    let nth = |nth| orig.page_of(cpu, addr.plus_pages(nth));
    let blocks: Vec<Page> = (0..end.vpn().0 - addr.vpn().0).map(nth).collect();
    let (nr, got) = __gup_device_huge(cpu, &blocks, flags, pages).await;
    put_walks_pagemap(cpu, pages).await;
    // The references keep the blocks from being given up. The second look tells whether that had begun before they were there.
    if got.is_err() || check!(cpu, GUP_DEVICE_HUGE_RECHECK, cpu.read_once(ptep).await != orig) {
        for page in &blocks[..nr] {
            if undo_dev_pagemap(cpu) {
                put_compound_head(cpu, *page, flags).await;
            }
        }
        return Err(Fallback);
    }
    for (page, addr) in blocks.iter().zip((0..).map(|nth| addr.plus_pages(nth))) {
        pages.push_own(cpu, *page, addr, flags);
    }
    Ok(())
}

/// A reference to the map for a look-up that has none; `None` if the map is dying.
async fn map_for_look_up(cpu: Cpu<'_>, flags: FollFlags) -> Option<Option<Pgmap>> {
    if flags.contains(FollFlags::PGMAP) || !cpu.has(FOLLOW_DEV_PAGEMAP) {
        return Some(None);
    }
    let pgmap = get_dev_pagemap(cpu).await;
    if pgmap.is_none() {
        cpu.decided(FOLLOW_DEV_PAGEMAP);
        return None;
    }
    Some(pgmap)
}

/// The part of `follow_page_pte()` for a page of a device. The caller holds the PTE lock, and the entry allows the access.
pub(crate) async fn follow_devmap_pte(cpu: Cpu<'_>, pte: Pte, flags: FollFlags) -> Followed {
    if !flags.intersects(FollFlags::GET | FollFlags::PIN) {
        return Followed::NoStruct;
    }
    let Some(pgmap) = map_for_look_up(cpu, flags).await else { return Followed::NoPage };
    let page = Page(pte.pfn());
    if !try_grab_device_page(cpu, page, flags).await {
        return refused(cpu, pgmap).await;
    }
    if flags.contains(FollFlags::TOUCH) {
        if flags.contains(FollFlags::WRITE) && !pte.dirty() {
            set_page_dirty(cpu, page).await;
        }
        mark_page_accessed(cpu, page).await;
    }
    Followed::DevicePage(page, pgmap)
}

async fn refused(cpu: Cpu<'_>, pgmap: Option<Pgmap>) -> Followed {
    if let Some(pgmap) = pgmap {
        put_dev_pagemap(cpu, pgmap).await;
    }
    Followed::Refused
}

/// `follow_devmap_pmd()`: a block that one entry maps, which is read again under its lock.
pub(crate) async fn follow_devmap_pmd(
    cpu: Cpu<'_>,
    mm: &MmStruct,
    address: VirtAddr,
    (pmdp, seen): (HugePtep, HugePte),
    flags: FollFlags,
) -> Followed {
    let _routine = cpu.enter("follow_devmap_pmd");
    let _ptl = huge_pte_lock(cpu, mm, pmdp).await;
    let now = cpu.read_once(pmdp).await;
    if check!(cpu, FOLLOW_DEVMAP_PMD_RECHECK, !now.leaf() || !now.devmap()) {
        return Followed::NoPage;
    }
    follow_devmap_huge(cpu, mm, address, (pmdp, now, seen), flags).await
}

/// `follow_devmap_pud()`, a part of `follow_huge_pud()` since v6.10: the same where a PUD entry maps the device.
pub(crate) async fn follow_devmap_pud(
    cpu: Cpu<'_>,
    mm: &MmStruct,
    address: VirtAddr,
    (pudp, seen): (HugePtep, HugePte),
    flags: FollFlags,
) -> Followed {
    let _routine = cpu.enter("follow_devmap_pud");
    let _ptl = huge_pte_lock(cpu, mm, pudp).await;
    let now = cpu.read_once(pudp).await;
    if check!(cpu, FOLLOW_DEVMAP_PUD_RECHECK, !now.leaf() || !now.devmap()) {
        return Followed::NoPage;
    }
    follow_devmap_huge(cpu, mm, address, (pudp, now, seen), flags).await
}

/// What both do when they have the lock, and have read the entry again: it is `now` what it is, and was `seen` without the lock.
async fn follow_devmap_huge(
    cpu: Cpu<'_>,
    mm: &MmStruct,
    address: VirtAddr,
    (ptep, now, seen): (HugePtep, HugePte, HugePte),
    flags: FollFlags,
) -> Followed {
    // Without the recheck it goes on with what it took the entry for.
    let entry = if now.leaf() { now } else { seen };
    let write = flags.contains(FollFlags::WRITE);
    if write && !entry.write() {
        return Followed::NoPage;
    }
    if flags.contains(FollFlags::TOUCH) && now.leaf() {
        touch_pmd(cpu, mm, address, ptep, entry.entry, write).await;
    }
    if !flags.intersects(FollFlags::GET | FollFlags::PIN) {
        return Followed::NoStruct;
    }
    let Some(pgmap) = map_for_look_up(cpu, flags).await else { return Followed::Gone };
    let page = entry.page_of(cpu, address);
    if !try_grab_device_page(cpu, page, flags).await {
        return refused(cpu, pgmap).await;
    }
    Followed::DevicePage(page, pgmap)
}

/// `put_dev_pagemap(ctx.pgmap)` at the end of `__get_user_pages()`, which answers `got`.
pub(crate) fn put_context<'a, 'm: 'a>(cpu: Cpu<'m>, pages: &'a mut Pages, got: Got<'m>) -> BoxFuture<'a, Got<'m>> {
    Box::pin(async move {
        if let Some(pgmap) = pages.take_pgmap()
            && cpu.has(FOLLOW_PUT_DEV_PAGEMAP)
        {
            put_dev_pagemap(cpu, pgmap).await;
        }
        got
    })
}
