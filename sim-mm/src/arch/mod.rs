//! `arch/x86`.

pub mod fault;
mod idt;
mod smp;
pub mod tlb;
pub(crate) mod tlbflush;
