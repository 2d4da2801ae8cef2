//! `mm/memory.c`: faults, copying at fork, zapping, and the tables themselves.

mod anon_folio;
mod anonymous;
mod copy;
mod dax_fault;
mod dirty;
mod fault;
mod file;
mod numa;
mod pud_fault;
mod set_pmd;
mod swap;
mod swap_entry;
mod swap_folio;
mod tables;
mod userfault;
mod wp;
mod zap;

pub(crate) use copy::copy_page_range;
pub use fault::handle_mm_fault;
pub(crate) use fault::mm_fault;
pub(crate) use numa::{can_change_pmd_writable, can_change_pte_writable, saves_write};
pub(crate) use set_pmd::do_set_pmd;
pub(crate) use swap::do_swap_page;
pub(crate) use tables::{
    find_leaf_pud, find_pmd, find_pud, free_pgtables, p4d_offset, pmd_alloc, pte_alloc, pud_alloc,
};
pub(crate) use wp::ptep_clear_flush;
pub(crate) use zap::{Zap, unmap_mapping_range, unmap_page_range, unmap_vmas, zap_page_range};
