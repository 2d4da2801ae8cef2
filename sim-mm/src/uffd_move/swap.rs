//! Moving what an entry says of a slot of the swap area: `move_swap_pte()`.
//!
//! Nothing but the entry is moved if the page is in the slot alone. But the swap cache may have the page, and a fault at the new place maps
//! that: so its `anon_vma` and its index have to be those of the new place.

use super::types::{At, Holds, Move, Pause, Src, Stop, is_pte_pages_stable, marks_as_moved};
use crate::check;
use crate::errno::Errno;
use crate::filemap::trylock_page;
use crate::folio::is_large;
use crate::kernel::Cpu;
use crate::mm_types::Page;
use crate::page::put_page;
use crate::page_flags::PageFlags;
use crate::pgtable_generic::double_pt_lock;
use crate::pgtable_set::ptep_get_and_clear;
use crate::rmap::folio_move_anon_rmap;
use crate::safeguards::{UFFD_MOVE_CACHE_LOOKUP, UFFD_MOVE_CACHE_RECHECK, UFFD_MOVE_CACHE_SAME};
use crate::swap_info::SWAP_HAS_CACHE;
use crate::swap_state::lookup_swap_cache;
use crate::swapfile::{get_swap_device, page_swap_entry, put_swap_device};
use crate::swapops::{SwpEntry, pte_swp_exclusive, pte_swp_mksoft_dirty};

/// What `move_pages_pte()` does with an entry that maps no page.
pub(super) async fn move_swap<'m>(
    cpu: Cpu<'m>,
    this: Move<'m>,
    at: At,
    holds: &mut Holds<'m>,
) -> Result<u64, Pause> {
    let entry = SwpEntry::of_pte(at.orig.entry).ok_or(Errno::Efault)?;
    if !pte_swp_exclusive(at.orig.entry) {
        return Err(Pause::from(Errno::Ebusy));
    }
    if !cpu.has(UFFD_MOVE_CACHE_LOOKUP) {
        return move_swap_pte(cpu, this, at, entry, None).await.map_err(Pause::from);
    }
    // The entry was read without the lock of its table.
    if !get_swap_device(cpu).await {
        return Err(Pause::Stop(Stop::Again));
    }
    let done = match lock_cached(cpu, at, entry, holds).await {
        Ok(folio) => move_swap_pte(cpu, this, at, entry, folio).await.map_err(Pause::from),
        Err(pause) => Err(pause),
    };
    put_swap_device(cpu).await;
    done
}

/// The page that the swap cache has of the slot, if it has one, locked.
async fn lock_cached(cpu: Cpu<'_>, at: At, entry: SwpEntry, holds: &mut Holds<'_>) -> Result<Option<Page>, Pause> {
    if let Some(src) = holds.src {
        return Ok(Some(src.folio));
    }
    let Some(folio) = lookup_swap_cache(cpu, entry).await else { return Ok(None) };
    if is_large(cpu, folio) {
        put_page(cpu, folio).await;
        return Err(Pause::from(Errno::Ebusy));
    }
    holds.src = Some(Src { folio, pte: at.orig });
    if trylock_page(cpu, folio).await { Ok(Some(folio)) } else { Err(Pause::Folio(folio)) }
}

/// `move_swap_pte()`, with the page that the swap cache had when it was asked.
async fn move_swap_pte<'m>(
    cpu: Cpu<'m>,
    this: Move<'m>,
    at: At,
    entry: SwpEntry,
    folio: Option<Page>,
) -> Result<u64, Stop> {
    let _routine = cpu.enter("move_swap_pte");
    // The page may have left the swap cache before it was locked, and may have come back with another slot.
    if let Some(folio) = folio
        && check!(cpu, UFFD_MOVE_CACHE_SAME, !is_cached_as(cpu, folio, entry).await)
    {
        return Err(Stop::Again);
    }
    let _locks = double_pt_lock(cpu, at.dst.table(), at.src.table()).await;
    if !is_pte_pages_stable(cpu, at).await {
        return Err(Stop::Again);
    }
    match folio {
        Some(folio) => folio_move_anon_rmap(cpu, folio, this.dst_vma, this.dst).await,
        // A fault may have brought the page back meanwhile, and it may have gone to the same slot again: then the entry is as before, and the
        // swap cache has a page.
        None => {
            let cached = async || {
                let map = cpu.load(cpu.kernel.swap.slot(entry).swap_map()).await;
                map & SWAP_HAS_CACHE != 0
            };
            if check!(cpu, UFFD_MOVE_CACHE_RECHECK, cached().await) {
                return Err(Stop::AgainBehindCache(entry));
            }
        }
    }
    let old = ptep_get_and_clear(cpu, this.mm, this.src, at.src, at.orig).await;
    let moved = if marks_as_moved(cpu) { pte_swp_mksoft_dirty(old.entry) } else { old.entry };
    cpu.set_pte_at(this.mm, this.dst, at.dst, moved).await;
    Ok(1)
}

/// Whether the swap cache has a page, which is locked, for this slot.
async fn is_cached_as(cpu: Cpu<'_>, folio: Page, entry: SwpEntry) -> bool {
    let flags = cpu.load(cpu.kernel.page_flags(folio)).await;
    flags.contains(PageFlags::SWAPCACHE) && page_swap_entry(cpu, folio) == Some(entry)
}
