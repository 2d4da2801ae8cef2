//! `arch/x86`.

pub mod fault;
mod idt;
pub(crate) mod init;
pub(crate) mod pkeys;
mod smp;
pub mod tlb;
pub(crate) mod tlbflush;
pub(crate) mod vsyscall;
