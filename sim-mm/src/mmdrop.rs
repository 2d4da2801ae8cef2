//! The end of an address space that nobody uses any more: `mmdrop()` of `kernel/fork.c`.

use crate::event::Event;
use crate::kernel::Cpu;
use crate::mm_types::{MmStruct, Page};
use crate::page::put_page;
use crate::settings::LazyTlb;

/// `mmdrop()`: by a CPU that no longer has the address space loaded, or by all users together. The last one frees its
/// root. Where no CPU is ever lazy there is nobody but the users, and nothing is counted.
pub(crate) async fn mmdrop(cpu: Cpu<'_>, mm: &MmStruct) {
    let counts = cpu.setting::<LazyTlb>() == LazyTlb::On;
    if !counts || cpu.rmw(mm.mm_count(), |count: u64| count - 1).await == 1 {
        __mmdrop(cpu, mm).await;
    }
}

/// `__mmdrop()`: `pgd_free()`, then `free_mm()`.
async fn __mmdrop(cpu: Cpu<'_>, mm: &MmStruct) {
    let (slab, first) = (cpu.kernel.mm_slab, mm.pgd().loc());
    let Some(life) = slab.current(cpu.core, usize::from(mm.id.0)) else { return };
    put_page(cpu, Page(cpu.this_cpu_read(mm.pgd()))).await;
    if slab.free(cpu.core, life) {
        cpu.note(Event::ObjectFreed { first });
    }
}
