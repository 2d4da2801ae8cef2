//! `arch/x86/mm/tlb.c`: which address space a CPU has loaded, and how a CPU flushes the TLBs of others.
//!
//! A flush makes a promise. When it returns, no CPU uses a translation of the range unless an entry justified
//! that translation when the flush began or later. The promise rests on an order on both sides. The CPU that
//! flushes changes the entry, and then reads the cpumask. A CPU that switches sets its bit in the cpumask, and
//! then loads the root.

use sim_core::{CpuId, Routine};
use sim_mmu::{Pfn, VirtAddr};

use crate::arch::tlbflush::{FlushTlbInfo, LOADED_MM_SWITCHING, TlbContext, TlbState, ctx_id};
use crate::check;
use crate::event::Event;
use crate::kernel::Cpu;
use crate::mm_types::{MmId, MmStruct};
use crate::mmdrop::mmdrop;
use crate::safeguards::{
    ASID_FLUSH_NEW, FLUSH_BARRIER, FLUSH_PREEMPT_OFF, FLUSH_SEES_SWITCH, LAZY_FLUSH_SWITCHES, SWITCH_MM_BARRIER,
    SWITCH_TLB_GEN,
};
use crate::settings::{Flush, LazyFlush, LazyTlb, MmCpumask};
use crate::smp::{Call, smp_call_function, smp_call_function_many};
use crate::tlb_types::TlbUbc;

impl<'m> Cpu<'m> {
    /// `this_cpu_ptr(&cpu_tlbstate)`.
    pub(crate) fn tlb_state(self) -> TlbState {
        self.kernel.tlb_state.at(self.id.index())
    }

    /// `cpu_tlbstate.ctxs[asid]`.
    fn tlb_context(self, asid: u64) -> TlbContext {
        self.kernel.tlb_context(self.id, asid)
    }

    /// The slot of the address space that is loaded.
    fn loaded_context(self) -> TlbContext {
        self.tlb_context(self.this_cpu_read(self.tlb_state().loaded_mm_asid()))
    }

    /// `cpu_tlbstate.loaded_mm`: none is `init_mm`. Between two address spaces nobody asks, for interrupts are off.
    pub(crate) fn loaded_mm(self) -> Option<MmId> {
        MmId::from_word(self.this_cpu_read(self.tlb_state().loaded_mm()))
    }

    /// Whether what runs here has no address space of its own.
    pub(crate) fn is_lazy(self) -> bool {
        self.this_cpu_read(self.tlb_state().is_lazy())
    }

    /// `load_new_mm_cr3()`: with `need_flush` the slot loses what is tagged with its PCID.
    #[track_caller]
    fn load_new_mm_cr3(self, pgd: Pfn, asid: u64, need_flush: bool) -> impl Future<Output = ()> + use<'m> {
        self.load_root(self.kernel.build_cr3(pgd, asid), self.kernel.uses_pcids && !need_flush)
    }

    /// `__native_flush_tlb()`: CR3 is read, and written back. That drops what is tagged with the current PCID.
    #[track_caller]
    pub(crate) fn native_flush_tlb(self) -> impl Future<Output = ()> + use<'m> {
        self.load_root(self.cr3(), false)
    }
}

/// `choose_new_asid()`: the slot for an address space, and whether it has to be flushed.
fn choose_new_asid(cpu: Cpu<'_>, next: Option<MmId>, next_tlb_gen: u64) -> (u64, bool) {
    if !cpu.kernel.uses_pcids {
        return (0, true);
    }
    let slots = cpu.kernel.asid_slots();
    let has_one = (0..slots).find(|asid| cpu.this_cpu_read(cpu.tlb_context(*asid).ctx_id()) == ctx_id(next));
    if let Some(asid) = has_one {
        let missed = cpu.this_cpu_read(cpu.tlb_context(asid).tlb_gen()) < next_tlb_gen;
        return (asid, check!(cpu, SWITCH_TLB_GEN, missed));
    }
    // None: the one that was given away the longest time ago.
    let next_asid = cpu.tlb_state().next_asid();
    let asid = cpu.this_cpu_read(next_asid);
    let asid = if asid < slots { asid } else { 0 };
    cpu.this_cpu_write(next_asid, asid + 1);
    (asid, cpu.has(ASID_FLUSH_NEW))
}

/// `switch_mm_irqs_off()`: loads the root of `next`; of none, that of `init_mm`, unless the CPU is lazy.
///
/// Without PCIDs the load drops every translation of this CPU. With PCIDs it drops those of the slot, if a flush was missed
/// while the slot was not loaded, or if another address space had the slot before.
pub(crate) async fn switch_mm_irqs_off<'m>(cpu: Cpu<'m>, next: Option<&'m MmStruct>) {
    let _routine = cpu.enter("switch_mm_irqs_off");
    let state = cpu.tlb_state();
    let real_prev = cpu.loaded_mm();
    let was_lazy = cpu.is_lazy();
    if next.is_none() && real_prev.is_some() && tlb_defer_switch_to_init_mm(cpu) {
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
        let context = cpu.loaded_context();
        if tlb_gen != cpu.this_cpu_read(context.tlb_gen()) {
            cpu.this_cpu_write(context.tlb_gen(), tlb_gen);
            let asid = cpu.this_cpu_read(state.loaded_mm_asid());
            cpu.load_new_mm_cr3(cpu.this_cpu_read(mm.pgd()), asid, true).await;
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
    let lazily = cpu.setting::<MmCpumask>() == MmCpumask::Lazy;
    // The bit is set, and the generation read behind it: whoever flushes raises the generation, and then reads the mask.
    if lazily {
        Box::pin(start_switching(cpu, next)).await;
    } else {
        if let Some(prev) = prev {
            cpu.rmw(cpu.kernel.mm(prev).cpumask(), move |mask| mask & !bit).await;
        }
        if let Some(mm) = next {
            // A locked bit set: also the full barrier between the mask and the walks that follow.
            cpu.rmw(mm.cpumask(), move |mask| mask | bit).await;
        }
    }
    let (pgd, tlb_gen) = match next {
        None => (cpu.kernel.init_pgd, 0),
        Some(mm) => (cpu.this_cpu_read(mm.pgd()), cpu.load(mm.tlb_gen()).await),
    };
    let next = next.map(|mm| mm.id);
    let (asid, need_flush) = choose_new_asid(cpu, next, tlb_gen);
    // Where nothing need be flushed, the slot says so already.
    cpu.this_cpu_write(cpu.tlb_context(asid).ctx_id(), ctx_id(next));
    cpu.this_cpu_write(cpu.tlb_context(asid).tlb_gen(), tlb_gen);
    cpu.load_new_mm_cr3(pgd, asid, need_flush).await;
    if lazily {
        cpu.store(state.loaded_mm(), MmId::into_word(next)).await;
    } else {
        cpu.this_cpu_write(state.loaded_mm(), MmId::into_word(next));
    }
    cpu.this_cpu_write(state.loaded_mm_asid(), asid);
}

/// The part of `switch_mm_irqs_off()` that others see where they look what a CPU has loaded before they interrupt it.
async fn start_switching<'m>(cpu: Cpu<'m>, next: Option<&'m MmStruct>) {
    cpu.store(cpu.tlb_state().loaded_mm(), LOADED_MM_SWITCHING).await;
    let bit = 1_u64 << cpu.id.0;
    match next {
        Some(mm) if cpu.load(mm.cpumask()).await & bit == 0 => {
            cpu.rmw(mm.cpumask(), move |mask| mask | bit).await;
        }
        // What was stored above comes before the generation that is read now. Else a flush might read neither.
        _ if cpu.has(SWITCH_MM_BARRIER) => cpu.mfence().await,
        _ => {}
    }
}

/// `tlb_defer_switch_to_init_mm()`: whether a CPU keeps what is loaded when it has nothing to run that needs it. As long as
/// lazy CPUs took all flushes, those with PCIDs did not: they can leave and come back cheaply. Since v4.20 all do
/// (`95b0e6357d3e`).
fn tlb_defer_switch_to_init_mm(cpu: Cpu<'_>) -> bool {
    cpu.setting::<LazyTlb>() == LazyTlb::On
        && !(cpu.setting::<LazyFlush>() == LazyFlush::Always && cpu.kernel.uses_pcids)
}

/// `enter_lazy_tlb()`: what runs next needs no address space, so the old one stays loaded, and its root must stay.
async fn enter_lazy_tlb(cpu: Cpu<'_>, prev: Option<MmId>) {
    let Some(prev) = prev.filter(|_| !cpu.is_lazy()) else { return };
    // mmgrab()
    cpu.rmw(cpu.kernel.mm(prev).mm_count(), |count: u64| count + 1).await;
    cpu.store(cpu.tlb_state().is_lazy(), true).await;
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
    if cpu.mmu.core.config.cpus == 1 && !cpu.has(FLUSH_PREEMPT_OFF) {
        // The flush of a kernel for one CPU. Another task may run between its two instructions.
        Box::pin(cpu.native_flush_tlb()).await;
    } else {
        let _preempt = cpu.preempt_disable();
        match cpu.setting::<Flush>() {
            Flush::Ipi => flush_by_ipi(cpu, mm, start, end, freed_tables).await,
            Flush::NoIpi => broadcast_tlb_flush(cpu, mm, start, end).await,
        }
    }
    cpu.note(Event::FlushDone { id });
}

/// `tlb_is_not_lazy()`, since v6.14 `should_flush_tlb()`: which of the CPUs of a mask a flush must interrupt.
async fn should_flush_tlb(cpu: Cpu<'_>, mask: u64, info: FlushTlbInfo) -> u64 {
    let may_be_lazy = cpu.setting::<LazyTlb>() == LazyTlb::On && cpu.setting::<LazyFlush>() == LazyFlush::Tables;
    let may_be_elsewhere = cpu.setting::<MmCpumask>() == MmCpumask::Lazy;
    let mut left = mask;
    for id in CpuId::all(cpu.mmu.core.config.cpus).filter(|id| mask & 1 << id.0 != 0 && *id != cpu.id) {
        let state = cpu.kernel.tlb_state.at(id.index());
        // In the order in which they are written: a CPU that is not lazy any more has said before what it loads.
        let elsewhere = may_be_elsewhere && is_elsewhere(cpu, cpu.load(state.loaded_mm()).await, info.mm);
        if elsewhere || may_be_lazy && cpu.load(state.is_lazy()).await {
            left &= !(1 << id.0);
        }
    }
    left
}

/// Whether a CPU that has this loaded need not hear of a flush.
fn is_elsewhere(cpu: Cpu<'_>, loaded_mm: u64, mm: MmId) -> bool {
    // It may have read the generation before it was raised, and not say yet what it loads.
    let switching = check!(cpu, FLUSH_SEES_SWITCH, loaded_mm == LOADED_MM_SWITCHING);
    !switching && loaded_mm != MmId::into_word(Some(mm))
}

async fn flush_by_ipi<'m>(cpu: Cpu<'m>, mm: &'m MmStruct, start: VirtAddr, end: VirtAddr, freed_tables: bool) {
    // inc_mm_tlb_gen(): locked, hence also the barrier between the entry and the mask. Where the address space is loaded here,
    // what invalidates it below is one too.
    let new_tlb_gen = if cpu.has(FLUSH_BARRIER) {
        cpu.rmw(mm.tlb_gen(), |tlb_gen| tlb_gen + 1).await + 1
    } else {
        // Boxed, as all that kernels of today do not do.
        Box::pin(async move {
            let new = cpu.load(mm.tlb_gen()).await + 1;
            cpu.store(mm.tlb_gen(), new).await;
            new
        })
        .await
    };
    let info = FlushTlbInfo { mm: mm.id, start, end, new_tlb_gen };
    if cpu.loaded_mm() == Some(mm.id) {
        let _irq = cpu.irq_save();
        flush_tlb_func_common(cpu, info).await;
    }
    let mut mask = cpu.load(mm.cpumask()).await;
    // Who walks freed tables on speculation has to be told, whatever he says that he does.
    if !freed_tables && (cpu.setting::<LazyTlb>() == LazyTlb::On || cpu.setting::<MmCpumask>() == MmCpumask::Lazy)
    {
        mask = Box::pin(should_flush_tlb(cpu, mask, info)).await;
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

/// `flush_tlb_kernel_range()` of one page: on every CPU, whatever it has loaded, for every address space has the kernel's
/// entries. It is always done by interrupt.
pub(crate) async fn flush_tlb_kernel_range(cpu: Cpu<'_>, page: VirtAddr) {
    let _routine = cpu.enter(Routine::helper("flush_tlb_kernel_range"));
    let _preempt = cpu.preempt_disable();
    cpu.invlpg(page).await;
    smp_call_function(cpu, Call::Invlpg(page)).await;
}

/// `arch_tlbbatch_add_mm()`: translations of a page must go before long. The generation is raised now, so that a CPU that switches to the address
/// space meanwhile knows that it missed a flush.
pub(crate) async fn arch_tlbbatch_add<'m>(cpu: Cpu<'m>, ubc: &mut TlbUbc, mm: &'m MmStruct, address: VirtAddr) {
    cpu.rmw(mm.tlb_gen(), |tlb_gen| tlb_gen + 1).await;
    ubc.cpumask |= cpu.load(mm.cpumask()).await;
    ubc.pages.push((mm.id, address));
}

/// `arch_tlbbatch_flush()`: one interrupt to each CPU, for all address spaces together. Each drops what it has of the one that is
/// loaded there.
pub(crate) async fn arch_tlbbatch_flush(cpu: Cpu<'_>, ubc: &TlbUbc) {
    let ids: Vec<u64> = ubc.pages.iter().map(|(mm, address)| begin_flush(cpu, *mm, *address)).collect();
    let preempt = cpu.preempt_disable();
    match cpu.setting::<Flush>() {
        Flush::Ipi => {
            if ubc.cpumask & 1 << cpu.id.0 != 0 && cpu.loaded_mm().is_some() {
                let _irq = cpu.irq_save();
                flush_tlb_all_of_loaded(cpu).await;
            }
            smp_call_function_many(cpu, ubc.cpumask, Call::FlushLoaded).await;
        }
        Flush::NoIpi => {
            for (mm, address) in &ubc.pages {
                let mm = cpu.kernel.mm(*mm);
                broadcast_tlb_flush(cpu, mm, *address, address.plus_pages(1)).await;
            }
        }
    }
    drop(preempt);
    for id in ids {
        cpu.note(Event::FlushDone { id });
    }
}

/// Notes that a flush of a page begins.
fn begin_flush(cpu: Cpu<'_>, mm: MmId, address: VirtAddr) -> u64 {
    let id = cpu.kernel.next_flush();
    cpu.note(Event::FlushBegun { id, mm, range: address.vpn()..address.plus_pages(1).vpn() });
    id
}

/// `flush_tlb_func()` for no address space in particular: the one that is loaded, altogether.
pub(crate) async fn flush_tlb_all_of_loaded(cpu: Cpu<'_>) {
    let _routine = cpu.enter("flush_tlb_func_remote");
    let Some(mm) = cpu.loaded_mm() else { return };
    if cpu.is_lazy() {
        Box::pin(leave_mm(cpu, mm)).await;
        return;
    }
    let mm_tlb_gen = cpu.load(cpu.kernel.mm(mm).tlb_gen()).await;
    let context = cpu.loaded_context();
    if cpu.this_cpu_read(context.tlb_gen()) != mm_tlb_gen {
        cpu.native_flush_tlb().await;
        cpu.this_cpu_write(context.tlb_gen(), mm_tlb_gen);
    }
}

/// `flush_tlb_func_remote()`: the interrupt's side of a flush.
pub(crate) async fn flush_tlb_func_remote(cpu: Cpu<'_>, info: FlushTlbInfo) {
    let _routine = cpu.enter("flush_tlb_func_remote");
    if cpu.loaded_mm() == Some(info.mm) {
        flush_tlb_func_common(cpu, info).await;
    } else if cpu.setting::<MmCpumask>() == MmCpumask::Lazy {
        // What is still tagged with a PCID of it here is behind its generation, and so never used.
        let bit = 1_u64 << cpu.id.0;
        cpu.rmw(cpu.kernel.mm(info.mm).cpumask(), move |mask| mask & !bit).await;
    }
}

/// Above this many pages a flush takes everything: `tlb_single_page_flush_ceiling`.
pub const SINGLE_PAGE_FLUSH_CEILING: u64 = 33;

/// `flush_tlb_func_common()`: catches up with the address space's generation, page by page if
/// exactly one flush of a few pages is missing, else altogether.
async fn flush_tlb_func_common(cpu: Cpu<'_>, info: FlushTlbInfo) {
    if cpu.is_lazy() {
        if check!(cpu, LAZY_FLUSH_SWITCHES, true) {
            // Boxed, as all that only lazy CPUs do: the futures of the others stay small.
            Box::pin(leave_mm(cpu, info.mm)).await;
        }
        return;
    }
    let tlb_gen = cpu.loaded_context().tlb_gen();
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
        cpu.native_flush_tlb().await;
    }
    cpu.this_cpu_write(tlb_gen, mm_tlb_gen);
}
