//! `mm/gup.c`: getting references to the pages behind user addresses.
//!
//! [`get_user_pages_fast`] walks without a lock. If it fails, it falls back to [`get_user_pages_unlocked`], which
//! holds `mmap_lock`. The kernel's callers of both are in [`callers`].

pub mod callers;
mod check_vma;
mod cow;
mod devmap;
mod fast;
mod faultin;
mod flags;
mod follow;
mod follow_pte;
mod followed;
mod gate;
mod get_user_pages;
mod get_user_pages_fast;
mod grab;
mod gup;
mod huge;
mod hugetlb;
mod longterm;
mod pages;
mod populate;
pub mod safeguards;
mod settings;
mod split;

pub use faultin::fixup_user_fault;
pub use flags::FollFlags;
pub use get_user_pages::{
    get_user_pages, get_user_pages_locked, get_user_pages_remote, get_user_pages_unlocked, pin_user_pages,
};
pub use get_user_pages_fast::{__get_user_pages_fast, get_user_pages_fast, pin_user_pages_fast};
pub use pages::{Grab, Pages, Pin, put_pin};
pub use populate::GUP_CALLS;
pub use safeguards::SAFEGUARDS;
pub use settings::{ForcedWrite, GupHugeZero, GupProtect};

/// What a kernel with GUP has of safeguards and settings: GUP's own, and the memory manager's.
pub const CATALOGUE: sim_mm::Catalogue =
    sim_mm::Catalogue::new(&[SAFEGUARDS, sim_mm::SAFEGUARDS], &[settings::SETTINGS, sim_mm::SETTINGS]);
