//! `arch/x86/mm/tlb.c`: which address space a CPU has loaded, and how a CPU flushes the TLBs of others.
//!
//! A flush makes a promise. When it returns, no CPU uses a translation of the range unless an entry justified
//! that translation when the flush began or later. The promise rests on an order on both sides. The CPU that
//! flushes changes the entry, and then reads the cpumask. A CPU that switches sets its bit in the cpumask, and
//! then loads the root.

use sim_core::{CpuId, Routine};
use sim_mmu::VirtAddr;

use crate::arch::tlbflush::{FlushTlbInfo, TlbState};
use crate::check;
use crate::event::Event;
use crate::kernel::Cpu;
use crate::mm_types::{MmId, MmStruct};
use crate::mmdrop::mmdrop;
use crate::safeguards::LAZY_FLUSH_SWITCHES;
use crate::settings::{Flush, LazyFlush, LazyTlb};
use crate::smp::{Call, smp_call_function_many};

impl Cpu<'_> {
    /// `this_cpu_ptr(&cpu_tlbstate)`.
    pub(crate) fn tlb_state(self) -> TlbState {
        self.kernel.tlb_state.at(self.id.index())
    }
}

/// `switch_mm_irqs_off()`: loads the root of `next`; of none, that of `init_mm`, unless the CPU is lazy. PCIDs are off, so
/// the load drops every translation of this CPU.
pub(crate) async fn switch_mm_irqs_off<'m>(cpu: Cpu<'m>, next: Option<&'m MmStruct>) {
    let _routine = cpu.enter("switch_mm_irqs_off");
    let state = cpu.tlb_state();
    let real_prev = MmId::from_word(cpu.this_cpu_read(state.loaded_mm()));
    let was_lazy = cpu.this_cpu_read(state.is_lazy());
    if next.is_none() && real_prev.is_some() && cpu.setting::<LazyTlb>() == LazyTlb::On {
        Box::pin(enter_lazy_tlb(cpu, real_prev)).await;
        return;
    }
    if was_lazy {
        cpu.store(state.is_lazy(), false).await;
    }
    if real_prev != next.map(|mm| mm.id) {
        load_mm(cpu, real_prev, next).await;
    } else if let (Some(mm), true) = (next, was_lazy) {
        // Flushes may have passed a lazy CPU by. The flag is stored before the generation is read, and whoever flushes
        // raises the generation before he reads the flag.
        cpu.mfence().await;
        let tlb_gen = cpu.load(mm.tlb_gen()).await;
        if tlb_gen != cpu.this_cpu_read(state.tlb_gen()) {
            cpu.write_cr3(cpu.this_cpu_read(mm.pgd())).await;
            cpu.this_cpu_write(state.tlb_gen(), tlb_gen);
        }
    }
    if let (Some(prev), true) = (real_prev, was_lazy) {
        Box::pin(mmdrop(cpu, cpu.kernel.mm(prev))).await;
    }
}

/// Leaves one address space for another.
async fn load_mm<'m>(cpu: Cpu<'m>, prev: Option<MmId>, next: Option<&'m MmStruct>) {
    let state = cpu.tlb_state();
    let bit = 1_u64 << cpu.id.0;
    if let Some(prev) = prev {
        cpu.rmw(cpu.kernel.mm(prev).cpumask(), move |mask| mask & !bit).await;
    }
    let (root, tlb_gen) = match next {
        None => (cpu.kernel.init_pgd, 0),
        Some(mm) => {
            // A locked bit set: also the full barrier between the mask and the walks that follow.
            cpu.rmw(mm.cpumask(), move |mask| mask | bit).await;
            (cpu.this_cpu_read(mm.pgd()), cpu.load(mm.tlb_gen()).await)
        }
    };
    cpu.write_cr3(root).await;
    cpu.this_cpu_write(state.loaded_mm(), MmId::into_word(next.map(|mm| mm.id)));
    cpu.this_cpu_write(state.tlb_gen(), tlb_gen);
}

/// `enter_lazy_tlb()`: what runs next needs no address space, so the old one stays loaded, and its root must stay.
async fn enter_lazy_tlb(cpu: Cpu<'_>, prev: Option<MmId>) {
    let state = cpu.tlb_state();
    let Some(prev) = prev.filter(|_| !cpu.this_cpu_read(state.is_lazy())) else { return };
    // mmgrab()
    cpu.rmw(cpu.kernel.mm(prev).mm_count(), |count: u64| count + 1).await;
    cpu.store(state.is_lazy(), true).await;
}

/// `leave_mm()`: a lazy CPU loads the root of `init_mm` after all.
async fn leave_mm(cpu: Cpu<'_>, mm: MmId) {
    let _routine = cpu.enter("leave_mm");
    cpu.store(cpu.tlb_state().is_lazy(), false).await;
    load_mm(cpu, Some(mm), None).await;
    mmdrop(cpu, cpu.kernel.mm(mm)).await;
}

/// `flush_tlb_mm_range()`: pages `start` up to `end`. With `freed_tables`, what was unlinked there will be freed.
pub(crate) async fn flush_tlb_mm_range<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    start: VirtAddr,
    end: VirtAddr,
    freed_tables: bool,
) {
    let _routine = cpu.enter(Routine::helper("flush_tlb_mm_range"));
    let id = cpu.kernel.next_flush();
    cpu.note(Event::FlushBegun { id, mm: mm.id, range: start.vpn()..end.vpn() });
    {
        let _preempt = cpu.preempt_disable();
        match cpu.setting::<Flush>() {
            Flush::Ipi => flush_by_ipi(cpu, mm, start, end, freed_tables).await,
            Flush::NoIpi => broadcast_tlb_flush(cpu, mm, start, end).await,
        }
    }
    cpu.note(Event::FlushDone { id });
}

/// `tlb_is_not_lazy()`: which of the CPUs a flush must interrupt.
async fn not_lazy(cpu: Cpu<'_>, mask: u64, freed_tables: bool) -> u64 {
    if freed_tables || cpu.setting::<LazyFlush>() == LazyFlush::Always {
        return mask;
    }
    let mut left = mask;
    for id in CpuId::all(cpu.mmu.core.config.cpus).filter(|id| mask & 1 << id.0 != 0 && *id != cpu.id) {
        if cpu.load(cpu.kernel.tlb_state.at(id.index()).is_lazy()).await {
            left &= !(1 << id.0);
        }
    }
    left
}

async fn flush_by_ipi<'m>(cpu: Cpu<'m>, mm: &'m MmStruct, start: VirtAddr, end: VirtAddr, freed_tables: bool) {
    // inc_mm_tlb_gen(): locked, hence also the barrier between the entry and the mask.
    let new_tlb_gen = cpu.rmw(mm.tlb_gen(), |tlb_gen| tlb_gen + 1).await + 1;
    let info = FlushTlbInfo { mm: mm.id, start, end, new_tlb_gen };
    if MmId::from_word(cpu.this_cpu_read(cpu.tlb_state().loaded_mm())) == Some(mm.id) {
        let _irq = cpu.irq_save();
        flush_tlb_func_common(cpu, info).await;
    }
    let mut mask = cpu.load(mm.cpumask()).await;
    if cpu.setting::<LazyTlb>() == LazyTlb::On {
        mask = Box::pin(not_lazy(cpu, mask, freed_tables)).await;
    }
    smp_call_function_many(cpu, mask, Call::Flush(info)).await;
}

/// `broadcast_tlb_flush()`: by address, or above the ceiling (`get_flush_tlb_info()`) by one request for
/// all of the address space.
async fn broadcast_tlb_flush<'m>(cpu: Cpu<'m>, mm: &'m MmStruct, start: VirtAddr, end: VirtAddr) {
    let pages = end.vpn().0 - start.vpn().0;
    let range = if pages > SINGLE_PAGE_FLUSH_CEILING { VirtAddr(0)..top(cpu) } else { start..end };
    cpu.broadcast_invalidate(cpu.this_cpu_read(mm.pgd()), range.start.vpn()..range.end.vpn()).await;
}

/// The end of the addresses that one root can map.
fn top(cpu: Cpu<'_>) -> VirtAddr {
    VirtAddr(1 << cpu.mmu.geometry.address_bits())
}

/// `flush_tlb_page()`.
pub(crate) async fn flush_tlb_page<'m>(cpu: Cpu<'m>, mm: &'m MmStruct, address: VirtAddr) {
    flush_tlb_mm_range(cpu, mm, address, address.plus_pages(1), false).await;
}

/// `flush_tlb_mm()`.
pub(crate) async fn flush_tlb_mm<'m>(cpu: Cpu<'m>, mm: &'m MmStruct) {
    flush_tlb_mm_range(cpu, mm, VirtAddr(0), top(cpu), true).await;
}

/// `flush_tlb_func_remote()`: the interrupt's side of a flush.
pub(crate) async fn flush_tlb_func_remote(cpu: Cpu<'_>, info: FlushTlbInfo) {
    let _routine = cpu.enter("flush_tlb_func_remote");
    if MmId::from_word(cpu.this_cpu_read(cpu.tlb_state().loaded_mm())) == Some(info.mm) {
        flush_tlb_func_common(cpu, info).await;
    }
}

/// Above this many pages a flush takes everything: `tlb_single_page_flush_ceiling`.
pub const SINGLE_PAGE_FLUSH_CEILING: u64 = 33;

/// `flush_tlb_func_common()`: catches up with the address space's generation, page by page if
/// exactly one flush of a few pages is missing, else altogether.
async fn flush_tlb_func_common(cpu: Cpu<'_>, info: FlushTlbInfo) {
    if cpu.this_cpu_read(cpu.tlb_state().is_lazy()) {
        if check!(cpu, LAZY_FLUSH_SWITCHES, true) {
            // Boxed, as all that only lazy CPUs do: the futures of the others stay small.
            Box::pin(leave_mm(cpu, info.mm)).await;
        }
        return;
    }
    let tlb_gen = cpu.tlb_state().tlb_gen();
    let mm_tlb_gen = cpu.load(cpu.kernel.mm(info.mm).tlb_gen()).await;
    let local_tlb_gen = cpu.this_cpu_read(tlb_gen);
    if local_tlb_gen == mm_tlb_gen {
        return;
    }
    let pages = info.end.vpn().0 - info.start.vpn().0;
    if info.new_tlb_gen == local_tlb_gen + 1
        && info.new_tlb_gen == mm_tlb_gen
        && pages <= SINGLE_PAGE_FLUSH_CEILING
    {
        for page in 0..pages {
            cpu.invlpg(info.start.plus_pages(page)).await;
        }
    } else {
        cpu.write_cr3(cpu.cr3().root()).await;
    }
    cpu.this_cpu_write(tlb_gen, mm_tlb_gen);
}
