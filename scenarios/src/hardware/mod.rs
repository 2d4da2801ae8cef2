//! The hardware alone, as `mmsim mmu` shows it: cases of one access, litmus programs for the translation
//! caches, processor profiles, latencies.

pub mod account;
pub mod chase;
pub mod fit;
pub mod litmus;
pub mod plot;
pub mod profile;
pub mod shootdown;
pub mod sweep;
pub mod translate;
pub mod walk;
