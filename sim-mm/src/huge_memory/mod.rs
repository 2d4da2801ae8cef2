//! Transparent huge pages: `mm/huge_memory.c`.
//!
//! A huge page of private memory is one folio, and one PMD entry maps it. The entry may be replaced by a table of entries for its
//! pages ([`split_huge_pmd`]) while the page stays whole. A page table for that is deposited when the huge page is mapped.

mod change;
mod copy;
mod deferred;
mod fault;
mod migrate;
mod move_pages;
mod move_pmd;
mod numa;
mod pud;
mod queue;
mod split_file;
mod split_folio;
mod split_pieces;
mod split_pmd;
mod wp;
mod zap;
mod zero;

pub(crate) use change::{HugeChange, change_huge_pmd, pmd_trans_huge_lock};
pub(crate) use copy::{HugeCopy, copy_huge_pmd};
pub(crate) use deferred::deferred_split_scan;
pub use fault::touch_pmd;
pub(crate) use fault::{Fallback, do_huge_pmd_anonymous_page, huge_pmd_set_accessed};
pub(crate) use migrate::{remove_migration_pmd, set_pmd_migration_entry};
pub(crate) use move_pages::move_pages_huge_pmd;
pub(crate) use move_pmd::move_huge_pmd;
pub(crate) use numa::do_huge_pmd_numa_page;
pub(crate) use pud::{
    change_huge_pud, copy_huge_pud, huge_pud_set_accessed, insert_pfn_pud, split_huge_pud, split_huge_puds,
    zap_huge_pud,
};
pub(crate) use queue::{deferred_split_folio, unqueue_deferred_split};
pub use split_folio::split_huge_page;
pub(crate) use split_folio::{folio_split, split_and_put, split_folio};
pub(crate) use split_pieces::{Pieces, Tails, can_split_folio};
pub use split_pmd::split_huge_pmd;
pub(crate) use split_pmd::{Small, split_huge_pmd_address, vma_adjust_trans_huge};
pub(crate) use wp::do_huge_pmd_wp_page;
pub(crate) use zap::zap_huge_pmd;
pub use zero::is_huge_zero_pmd;
pub(crate) use zero::{mm_put_huge_zero_page, put_huge_zero_page, shrink_huge_zero_page_scan};
