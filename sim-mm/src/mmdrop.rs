//! The end of an address space that nobody uses any more: `mmdrop()` of `kernel/fork.c`.

use crate::event::Event;
use crate::kernel::Cpu;
use crate::mm_types::{MmStruct, Page};
use crate::page::put_page;
use crate::settings::{LazyTlb, VmaLock};

/// Whether anybody but the users holds an address space: a lazy CPU, who looked up a mapping of another process, or ksmd.
fn is_counted(cpu: Cpu<'_>) -> bool {
    cpu.setting::<LazyTlb>() == LazyTlb::On
        || cpu.setting::<VmaLock>() == VmaLock::Refcount
        || cpu.kernel.has_ksm()
}

/// `mmgrab()`: the address space is not freed before the caller has let go of it, though it may be empty.
pub(crate) async fn mmgrab(cpu: Cpu<'_>, mm: &MmStruct) {
    cpu.rmw(mm.mm_count(), |count: u64| count + 1).await;
}

/// `mmdrop()`: by who has grabbed the address space, or by all users together. The last one frees its root. Where there can
/// be nobody but the users, nothing is counted.
pub(crate) async fn mmdrop(cpu: Cpu<'_>, mm: &MmStruct) {
    if !is_counted(cpu) || cpu.rmw(mm.mm_count(), |count: u64| count - 1).await == 1 {
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
