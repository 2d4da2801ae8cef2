//! `mm/khugepaged.c`: small pages that lie side by side become a huge page.
//!
//! Their entries are taken out of reach first, by clearing the PMD entry that leads to them. Then the pages are locked and asked whether
//! anybody else has a reference. What they hold is copied to the huge page, and only then does the PMD entry map that.

mod collapse;
mod collapse_disk;
mod collapse_file;
mod control;
mod copy;
mod isolate;
mod madvise;
mod pte_mapped;
mod retract;
mod revalidate;
mod scan;
mod scan_file;
mod swapin;

pub use madvise::khugepaged_scan_mm_slot;
pub(crate) use madvise::madvise_collapse;
