//! A fault on a huge page whose entry is for NUMA hinting: `do_huge_pmd_numa_page()`, and how it moved the page before v5.13:
//! `migrate_misplaced_transhuge_page()`.

use sim_mmu::Entry;

use super::zero::is_huge_zero_pmd;
use crate::arch::tlb::flush_tlb_mm_range;
use crate::check;
use crate::folio::folio_nr_pages;
use crate::gfp::Gfp;
use crate::highmem::copy_user_huge_page;
use crate::kernel::Cpu;
use crate::memory::{can_change_pmd_writable, saves_write};
use crate::migrate::{
    discard, migrate_misplaced_page, migrate_page_states, mpol_misplaced, numa_migrates, take_place,
};
use crate::mm_types::Page;
use crate::page::{
    __set_page_locked, get_page, get_page_unless_zero, page_count, page_ref_freeze, page_ref_unfreeze, put_page,
    test_and_set_flags, unlock_page, wait_on_page_locked,
};
use crate::page_alloc::alloc_pages;
use crate::page_flags::PageFlags;
use crate::pgtable::{Pmd, maybe_mkwrite, mkdirty, vm_get_page_prot, vma_page_prot};
use crate::rmap::{folio_add_anon_rmap_pmd, folio_remove_rmap_pmd, page_lock_anon_vma_read};
use crate::safeguards::{NUMA_THP_COUNT, NUMA_THP_FLUSH_PENDING};
use crate::settings::NumaMove;
use crate::swap::{folio_add_lru, isolate_lru_page, putback_lru_page};
use crate::vm_fault::{Fault, VmFault};

/// `do_huge_pmd_numa_page()`: the entry allows again what the mapping allows. On a machine with several nodes the page goes to that of this CPU.
pub(crate) async fn do_huge_pmd_numa_page<'m>(cpu: Cpu<'m>, vmf: Fault<'m>, orig: Pmd) -> VmFault {
    let _routine = cpu.enter("do_huge_pmd_numa_page");
    if numa_migrates(cpu) && cpu.setting::<NumaMove>() == NumaMove::Copied {
        Box::pin(move_or_map(cpu, vmf, orig)).await;
        return VmFault::default();
    }
    let mut ptl = cpu.lock(cpu.kernel.ptl(vmf.pmdp.table())).await;
    if cpu.read_once(vmf.pmdp).await != orig {
        return VmFault::default();
    }
    let head = Page(orig.pfn());
    if let Some(node) = mpol_misplaced(cpu, head).filter(|_| !is_huge_zero_pmd(cpu, orig)) {
        // numa_migrate_prep()
        get_page(cpu, head).await;
        drop(ptl);
        if Box::pin(migrate_misplaced_page(cpu, head, node)).await {
            return VmFault::default();
        }
        ptl = cpu.lock(cpu.kernel.ptl(vmf.pmdp.table())).await;
        if cpu.read_once(vmf.pmdp).await != orig {
            return VmFault::default();
        }
    }
    map_again(cpu, vmf, orig).await;
    drop(ptl);
    VmFault::default()
}

/// `out_map`, `clear_pmdnuma` before v5.13: the entry is present again. The caller holds its lock.
async fn map_again<'m>(cpu: Cpu<'m>, vmf: Fault<'m>, orig: Pmd) {
    let flags = vmf.vma.flags(cpu);
    let writable = if saves_write(cpu) { orig.write() } else { can_change_pmd_writable(cpu, flags, orig).await };
    let new = Pmd::modify(orig.entry, vma_page_prot(cpu, flags)).with(Entry::ACCESSED);
    let new = if writable { new.with(Entry::RW) } else { new };
    cpu.set_pmd_at(vmf.mm, cpu.pmd_base(vmf.address), vmf.pmdp, new).await;
}

/// The body of `do_huge_pmd_numa_page()` before v5.13. The lock of the page keeps two of these apart.
async fn move_or_map<'m>(cpu: Cpu<'m>, vmf: Fault<'m>, orig: Pmd) {
    let lock = cpu.kernel.ptl(vmf.pmdp.table());
    let ptl = cpu.lock(lock).await;
    if cpu.read_once(vmf.pmdp).await != orig {
        return;
    }
    if is_huge_zero_pmd(cpu, orig) {
        map_again(cpu, vmf, orig).await;
        return;
    }
    let head = Page(orig.pfn());
    let locked = test_and_set_flags(cpu, head, PageFlags::LOCKED).await;
    let Some(node) = mpol_misplaced(cpu, head).filter(|_| locked) else {
        if locked {
            map_again(cpu, vmf, orig).await;
            unlock_page(cpu, head).await;
        } else if get_page_unless_zero(cpu, head).await {
            // pmd_trans_migrating(): somebody else moves the page.
            drop(ptl);
            wait_on_page_locked(cpu, head).await;
            put_page(cpu, head).await;
        }
        return;
    };
    get_page(cpu, head).await;
    drop(ptl);
    // Nobody splits the page while its tree is locked.
    let Some((_, tree)) = page_lock_anon_vma_read(cpu, head).await else {
        return give_up(cpu, vmf, orig, head).await;
    };
    let ptl = cpu.lock(lock).await;
    if cpu.read_once(vmf.pmdp).await != orig {
        unlock_page(cpu, head).await;
        put_page(cpu, head).await;
        return;
    }
    // Somebody took the access away and has not flushed yet. So another CPU may still write by an old translation.
    if check!(cpu, NUMA_THP_FLUSH_PENDING, cpu.load(vmf.mm.tlb_flush_pending()).await > 0) {
        let start = cpu.pmd_base(vmf.address);
        flush_tlb_mm_range(cpu, vmf.mm, start, start.plus_pages(cpu.pmd_nr()), false).await;
    }
    drop(ptl);
    migrate_misplaced_transhuge_page(cpu, vmf, orig, head, node).await;
    drop(tree);
}

/// `out_fail`: the page stays, and the entry is present again if it is the same still. The page is unlocked and put.
async fn give_up<'m>(cpu: Cpu<'m>, vmf: Fault<'m>, orig: Pmd, head: Page) {
    let ptl = cpu.lock(cpu.kernel.ptl(vmf.pmdp.table())).await;
    if cpu.read_once(vmf.pmdp).await == orig {
        map_again(cpu, vmf, orig).await;
    }
    drop(ptl);
    unlock_page(cpu, head).await;
    put_page(cpu, head).await;
}

/// `migrate_misplaced_transhuge_page()`: moves a huge page without an entry that says so. The entry allows nobody anything, so all who come to
/// the page fault, and wait for its lock. The page is locked, and the caller's reference is given up.
async fn migrate_misplaced_transhuge_page<'m>(cpu: Cpu<'m>, vmf: Fault<'m>, orig: Pmd, page: Page, node: u64) {
    let _routine = cpu.enter("migrate_misplaced_transhuge_page");
    let Some(new) = alloc_pages(cpu, cpu.pmd_order(), Gfp::this_node(node) | Gfp::COMP).await else {
        return give_up(cpu, vmf, orig, page).await;
    };
    if !numamigrate_isolate_page(cpu, page).await {
        put_page(cpu, new).await;
        return give_up(cpu, vmf, orig, page).await;
    }
    __set_page_locked(cpu, new);
    take_place(cpu, new, page);
    copy_user_huge_page(cpu, new, page, folio_nr_pages(cpu, page)).await;

    let ptl = cpu.lock(cpu.kernel.ptl(vmf.pmdp.table())).await;
    // Those of the mapping and of the list. A pin that came while the page was copied is to another page than the process will have.
    let counts = cpu.has(NUMA_THP_COUNT);
    let is_same = cpu.read_once(vmf.pmdp).await == orig;
    let moves = is_same && (page_ref_freeze(cpu, page, 2).await || !counts);
    if !moves {
        if is_same {
            cpu.decided(NUMA_THP_COUNT);
        }
        drop(ptl);
        discard(cpu, new).await;
        // The caller's reference again.
        get_page(cpu, page).await;
        putback_lru_page(cpu, page).await;
        unlock_page(cpu, page).await;
        put_page(cpu, page).await;
        return;
    }
    let was_frozen = cpu.this_cpu_read(cpu.kernel.refcount(page)) == 0;
    let written = mkdirty(cpu) | maybe_mkwrite(cpu, vmf.vma);
    let entry = Pmd::make_huge(new.0, vm_get_page_prot(vmf.vma.flags(cpu))).with(written);
    folio_add_anon_rmap_pmd(cpu, new, vmf.mm.id, true).await;
    migrate_page_states(cpu, new, page).await;
    cpu.set_pmd_at(vmf.mm, cpu.pmd_base(vmf.address), vmf.pmdp, entry).await;
    if was_frozen {
        page_ref_unfreeze(cpu, page, 2).await;
    }
    folio_remove_rmap_pmd(cpu, page, vmf.mm.id).await;
    drop(ptl);
    folio_add_lru(cpu, new).await;
    unlock_page(cpu, new).await;
    unlock_page(cpu, page).await;
    // The reference of the mapping, and that of the list. The new page has the one by which it came into the world for its mapping.
    put_page(cpu, page).await;
    put_page(cpu, page).await;
}

/// `numamigrate_isolate_page()`: off its list, unless somebody else has a reference. The caller's reference is given up then, since that of
/// the list is enough.
async fn numamigrate_isolate_page(cpu: Cpu<'_>, page: Page) -> bool {
    if !isolate_lru_page(cpu, page).await {
        return false;
    }
    // The mapping's, the caller's, and that of the list.
    if page_count(cpu, page).await != 3 {
        putback_lru_page(cpu, page).await;
        return false;
    }
    put_page(cpu, page).await;
    true
}
