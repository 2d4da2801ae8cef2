//! Flushes that reclaim puts off: `try_to_unmap_flush()`, since v4.3, and what others do about them.
//!
//! Reclaim clears entries of many pages and flushes once, before the pages are written or freed. In between an entry is empty, and
//! a TLB may still have it. Who finds the entry empty would think that nothing has to be flushed. So an address space knows that a
//! flush is due, and who changes its entries asks for that under the PTE lock.

use sim_mmu::VirtAddr;

use crate::arch::tlb::{arch_tlbbatch_add, arch_tlbbatch_flush, flush_tlb_mm};
use crate::check;
use crate::kernel::Cpu;
use crate::mm_types::MmStruct;
use crate::safeguards::{BATCHED_PENDING_CHECK, BATCHED_PENDING_COUNT};
use crate::settings::FlushBatch;
use crate::tlb_types::TlbUbc;

/// `TLB_FLUSH_BATCH_FLUSHED_SHIFT`: the lower half of `tlb_flush_batched` counts the flushes that are due, the upper half tells how
/// many of them were made up for.
const FLUSHED_SHIFT: u32 = 16;
const PENDING_MASK: u64 = (1 << FLUSHED_SHIFT) - 1;

/// Whether `tlb_flush_batched` counts. Before v5.17 it is a flag.
fn counts_pending(cpu: Cpu<'_>) -> bool {
    cpu.has(BATCHED_PENDING_COUNT)
}

/// `should_defer_flush()`: it is worth while if other CPUs have to be interrupted.
pub(super) async fn should_defer_flush<'m>(cpu: Cpu<'m>, mm: &'m MmStruct) -> bool {
    cpu.setting::<FlushBatch>() == FlushBatch::On && cpu.load(mm.cpumask()).await & !(1 << cpu.id.0) != 0
}

/// `set_tlb_ubc_flush_pending()`.
pub(super) async fn set_tlb_ubc_flush_pending<'m>(
    cpu: Cpu<'m>,
    ubc: &mut TlbUbc,
    mm: &'m MmStruct,
    address: VirtAddr,
    writable: bool,
) {
    arch_tlbbatch_add(cpu, ubc, mm, address).await;
    ubc.flush_required = true;
    // Before the PTE lock is let go of: who takes it next sees that a flush is due.
    if counts_pending(cpu) {
        cpu.rmw(mm.tlb_flush_batched(), |batch: u64| batch + 1).await;
    } else {
        cpu.store(mm.tlb_flush_batched(), 1).await;
    }
    ubc.writable |= writable;
}

/// `try_to_unmap_flush()`.
pub(crate) async fn try_to_unmap_flush(cpu: Cpu<'_>, ubc: &mut TlbUbc) {
    if !ubc.flush_required {
        return;
    }
    let _routine = cpu.enter("try_to_unmap_flush");
    arch_tlbbatch_flush(cpu, ubc).await;
    *ubc = TlbUbc::default();
}

/// `try_to_unmap_flush_dirty()`: if somebody may still write to a page, he may not any more when this returns.
pub(crate) async fn try_to_unmap_flush_dirty(cpu: Cpu<'_>, ubc: &mut TlbUbc) {
    if ubc.writable {
        try_to_unmap_flush(cpu, ubc).await;
    }
}

/// `flush_tlb_batched_pending()`: makes up for flushes that reclaim owes the address space. The caller holds the lock of a page
/// table, and relies on empty entries of it.
pub(crate) async fn flush_tlb_batched_pending<'m>(cpu: Cpu<'m>, mm: &'m MmStruct) {
    if cpu.setting::<FlushBatch>() == FlushBatch::Off {
        return;
    }
    Box::pin(async move {
        let batch = cpu.load(mm.tlb_flush_batched()).await;
        let (pending, flushed) = (batch & PENDING_MASK, batch >> FLUSHED_SHIFT);
        if !check!(cpu, BATCHED_PENDING_CHECK, pending != flushed) {
            return;
        }
        let _routine = cpu.enter("flush_tlb_batched_pending");
        flush_tlb_mm(cpu, mm).await;
        if counts_pending(cpu) {
            // Those that became due since the load stay due.
            cpu.cmpxchg(mm.tlb_flush_batched(), batch, pending | pending << FLUSHED_SHIFT).await;
        } else {
            cpu.store(mm.tlb_flush_batched(), 0).await;
        }
    })
    .await;
}
