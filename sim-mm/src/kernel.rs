//! The kernel of one machine: its data, the state in which runs start, and the CPU on which kernel code runs.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::ops::Deref;
use std::rc::Rc;

use sim_core::{
    Array, BoxFuture, Config, Core, CpuId, Loc, MemoryBuilder, MemoryModel, RwSem, Shared, Slab, SpinLock, TaskId,
    WhenFree, Word, record,
};
use sim_mmu::{Cr3, Hardware, KeyRights, Mmu, Pcid, Pfn, VirtAddr};

use crate::any_frame::AnyFrame;
use crate::arch::init::{INIT_PKRU, boot_controls};
use crate::arch::tlbflush::{TLB_NR_DYN_ASIDS, TlbContext, TlbState, ctx_id};
use crate::blkdev::Disk;
use crate::dev_pagemap::DevPagemap;
use crate::errno::Errno;
use crate::event::Event;
use crate::hugetlb_types::Hugetlb;
use crate::ksm_types::Ksm;
use crate::machine_config::MachineConfig;
use crate::mm_types::{HugeZero, MmId, MmStruct, MmWords, Page, SplitQueue, VmArea, Vma};
use crate::mmap_lock::MmapLock;
use crate::mmzone::{FIRST_HIGH_FRAME, MemMap, Zone};
use crate::page_flags::PageType;
use crate::pagevec::LruBatches;
use crate::rmap::types::AnonVmaWords;
use crate::safeguard_use::SafeguardUse;
use crate::settings::{
    self, AsidSlots, HwAd, InvlpgGlobal, MemoryOrder, PageAlloc, Pkeys, Preempt, RcuFlavor, VmaLock,
};
use crate::shmem_fs::Shmem;
use crate::signal_types::TaskSignal;
use crate::smp_types::CallFunction;
use crate::swap_info::SwapInfo;
use crate::vm_flags::VmFlags;

record! {
    /// The next names of what oracles tell apart and the kernel does not.
    struct Serials {
        flush: Shared<u64> = "flush";
        pin: Shared<u64> = "pin";
    }
}

/// The kernel.
pub struct Kernel {
    /// The hardware that it runs on.
    pub mmu: Mmu,
    /// What it was made with.
    pub config: MachineConfig,
    /// What its `mm/gup.c` does for the memory manager.
    pub gup: GupCalls,
    /// The page of zeroes that reads of untouched memory map.
    pub zero_page: Page,
    /// The safeguards that the present run came to.
    pub safeguard_use: SafeguardUse,
    /// `min_flt` of all tasks together: faults that were handled in the present run. Nobody decides by it.
    pub min_flt: Cell<u64>,
    /// `maj_flt` of all tasks together: those of them that count as if something had been read.
    pub maj_flt: Cell<u64>,
    /// What the present run came to that is not modelled, if anything. Nobody decides by it.
    pub not_modelled: Cell<Option<&'static str>>,
    pub(crate) init_pgd: Pfn,
    /// Which frames there are.
    pub mem_map: MemMap,
    pub(crate) any_frame: AnyFrame,
    /// None where the next frame is a choice.
    pub(crate) zones: Vec<Zone>,
    pub(crate) tlb_state: Array<TlbState>,
    tlb_contexts: Array<TlbContext>,
    pub(crate) call_function: CallFunction,
    pub(crate) rcu_queue: Shared<u64>,
    /// Whether an allocation was made to fail in the present run.
    pub(crate) alloc_failed: Shared<bool>,
    pub(crate) observer: RefCell<Option<Rc<dyn Observer>>>,
    pub(crate) vmas: Slab<VmArea>,
    pub(crate) anon_vmas: Slab<AnonVmaWords>,
    pub(crate) shmem: Shmem,
    pub(crate) disk: Disk,
    /// The memory of a device, if the machine has one.
    pub(crate) pgmap: DevPagemap,
    pub(crate) lru_batches: LruBatches,
    /// The huge page of zeroes.
    pub(crate) huge_zero: HugeZero,
    /// The folios that are to be split when memory is short.
    pub(crate) split_queue: SplitQueue,
    pub(crate) swap: SwapInfo,
    pub(crate) ksm: Ksm,
    pub(crate) hugetlb: Hugetlb,
    /// `mf_mutex`: one page is dealt with at a time that is broken.
    pub(crate) mf_mutex: RwSem,
    /// `NR_MLOCK`: the pages that say that they are locked in memory.
    pub(crate) nr_mlock: Shared<u64>,
    /// `lruvec->lru_lock`: whoever takes a page off a list of reclaim to look at holds it.
    pub(crate) lru_lock: Loc,
    pub(crate) mm_slab: Slab<MmWords>,
    mms: Vec<MmStruct>,
    task_mms: Loc,
    task_pkrus: Loc,
    task_wakens: Loc,
    task_synced: Loc,
    pub(crate) task_signals: Array<TaskSignal>,
    pkey_maps: Loc,
    execute_only_pkeys: Loc,
    /// Guards the entries of the kernel's own tables: `init_mm.page_table_lock`, and `vmap_area_lock`.
    pub(crate) vmalloc_lock: SpinLock,
    /// Whether translations are tagged with PCIDs.
    pub(crate) uses_pcids: bool,
    /// Names for flushes and pins: the oracles', not the kernel's.
    serials: Serials,
}

impl Kernel {
    /// Whether processes can have secret memory (`CONFIG_SECRETMEM`, v5.14).
    #[inline]
    pub(crate) fn has_secretmem(&self) -> bool {
        self.config.setting::<settings::Secretmem>() == settings::Secretmem::On
    }

    /// Whether ksmd may run, so that pages can be merged ones.
    #[inline]
    pub(crate) fn has_ksm(&self) -> bool {
        self.config.setting::<settings::KsmRun>() == settings::KsmRun::On
    }

    /// Whether there is a pool of huge pages (`CONFIG_HUGETLBFS`).
    #[inline]
    pub(crate) fn has_hugetlb(&self) -> bool {
        self.config.setting::<settings::HugetlbPool>() == settings::HugetlbPool::On
    }

    /// A machine on which nothing runs yet. `extra` may hold words of layers above.
    pub fn new(mut memory: MemoryBuilder, config: MachineConfig, gup: GupCalls) -> Kernel {
        let device = config.setting::<settings::Dax>().pages();
        let mem_map = MemMap::new(
            &mut memory,
            config.frames,
            config.high_frames(),
            (config.setting(), config.setting()),
            device,
        );
        let any_frame = AnyFrame::new(&mut memory, mem_map);
        let zones = match config.setting::<PageAlloc>() {
            PageAlloc::AnyFrame => Vec::new(),
            PageAlloc::Buddy => Zone::all(&mut memory, mem_map, config.cpus),
        };
        let tlb_state = memory.array("cpu_tlbstate", config.cpus);
        let tlb_contexts = memory.array("cpu_tlbstate.ctxs", config.cpus * TLB_NR_DYN_ASIDS);
        let call_function = CallFunction::new(&mut memory, config.cpus);
        let rcu_queue = Shared::at(memory.words("rcu.cblist", 1));
        let alloc_failed = Shared::at(memory.words("fault_attr.failed", 1));
        let mm_slab = Slab::new(&mut memory, "mm", config.mms, WhenFree::Untouchable);
        let mms = (0..config.mms as u8).map(|id| MmStruct::new(&mut memory, mm_slab, MmId(id))).collect();
        // SLAB_TYPESAFE_BY_RCU since v6.15: whoever looks a mapping up without a lock may look at a free one.
        let by_count = config.setting::<VmaLock>() == VmaLock::Refcount;
        let when_free = if by_count { WhenFree::TypeSafe } else { WhenFree::Untouchable };
        let vmas = Slab::new(&mut memory, "vma", config.vmas, when_free);
        // Those that a child's mappings hang on may outlive the parent's.
        // SLAB_TYPESAFE_BY_RCU: reclaim and migration come to them by pages, which do not keep them.
        let when_free = if config.walks_rmap() { WhenFree::TypeSafe } else { WhenFree::Untouchable };
        let anon_vmas = Slab::new(&mut memory, "anon_vma", 2 * config.vmas, when_free);
        let shmem = Shmem::new(&mut memory, config.files);
        let blocks = if config.setting::<settings::Disk>() == settings::Disk::None { 0 } else { config.frames };
        let disk = Disk::new(&mut memory, config.files, blocks as usize, config.geometry.most_entries());
        let pgmap = DevPagemap::new(&mut memory, mem_map, config.files);
        let lru_batches = LruBatches::new(&mut memory, config.cpus);
        let word = |memory: &mut MemoryBuilder, name| Shared::at(memory.words(name, 1));
        let huge_zero = HugeZero {
            page: word(&mut memory, "huge_zero_page"),
            refcount: word(&mut memory, "huge_zero_refcount"),
        };
        let split_queue =
            SplitQueue { lock: memory.alone("split_queue_lock"), len: word(&mut memory, "split_queue_len") };
        // As many slots as there are frames: they are never short.
        let slots = if config.has_swap() { config.frames as usize } else { 0 };
        let swap = SwapInfo::new(&mut memory, slots, config.geometry.most_entries(), config.cpus);
        let ksm = Ksm::new(&mut memory);
        let hugetlb = Hugetlb::new(&mut memory, config.vmas);
        let mf_mutex = memory.alone("mf_mutex".to_owned());
        let nr_mlock = Shared::at(memory.words("vmstat.nr_mlock", 1));
        let lru_lock = memory.words("lru_lock", 1);
        let task_mms = memory.words("task.mm", config.tasks);
        let serials = memory.record("serial");
        let task_pkrus = memory.words("task.pkru", config.tasks);
        let task_wakens = memory.words("uwq.waken", config.tasks);
        let task_synced = memory.words("rcu_synchronize.completion", config.tasks);
        let task_signals = memory.array("task.signal", config.tasks);
        let pkey_maps = memory.words("mm.pkey_allocation_map", config.mms);
        let execute_only_pkeys = memory.words("mm.execute_only_pkey", config.mms);
        let vmalloc_lock = memory.alone("vmalloc_lock");
        let safeguard_use = SafeguardUse::default();
        let preempt = config.setting::<Preempt>() == Preempt::On;
        let core = Config {
            cpus: config.cpus,
            memory: match config.setting::<MemoryOrder>() {
                MemoryOrder::Sc => MemoryModel::Sc,
                MemoryOrder::Tso => MemoryModel::Tso,
            },
            rcu: sim_core::rcu::RcuRules {
                read_lock_counts: config.setting::<RcuFlavor>() == RcuFlavor::Consolidated,
                preempt,
            },
            preempt,
            ..Config::default()
        };
        let uses_pcids = config.setup_pcid(&safeguard_use);
        let mut hardware = Hardware::new(config.geometry, config.frames - config.high_frames());
        hardware.elsewhere = mem_map.pfns().filter(|pfn| pfn.0 >= FIRST_HIGH_FRAME).collect();
        hardware.controls = boot_controls(hardware.controls, uses_pcids, config.setting::<Pkeys>());
        hardware.invlpg_spares_global = config.setting::<InvlpgGlobal>() == InvlpgGlobal::Kept;
        hardware.sets_flags = config.setting::<HwAd>() == HwAd::On;
        let mmu = Mmu::new(memory, core, hardware);
        let kernel = Kernel {
            mmu,
            config,
            gup,
            zero_page: Page(Pfn(0)),
            safeguard_use,
            uses_pcids,
            min_flt: Cell::new(0),
            maj_flt: Cell::new(0),
            not_modelled: Cell::new(None),
            init_pgd: Pfn(1),
            mem_map,
            any_frame,
            zones,
            tlb_state,
            tlb_contexts,
            call_function,
            rcu_queue,
            alloc_failed,
            observer: RefCell::new(None),
            vmas,
            anon_vmas,
            shmem,
            disk,
            pgmap,
            lru_batches,
            huge_zero,
            split_queue,
            swap,
            ksm,
            hugetlb,
            mf_mutex,
            nr_mlock,
            lru_lock,
            mm_slab,
            mms,
            task_mms,
            task_pkrus,
            task_wakens,
            task_synced,
            task_signals,
            pkey_maps,
            execute_only_pkeys,
            vmalloc_lock,
            serials,
        };
        kernel.boot();
        kernel
    }

    fn boot(&self) {
        let memory = &self.core().memory;
        let boot_frames = self.config.boot_frames();
        self.any_frame.fill(memory);
        for zone in &self.zones {
            zone.free_all(memory, self.mem_map, boot_frames);
        }
        for pfn in 0..boot_frames {
            self.any_frame.reserve(memory, Pfn(pfn));
            memory.set(self.refcount(Page(Pfn(pfn))).loc(), 1);
            memory.set(self.page(Page(Pfn(pfn))).page_type().loc(), PageType::InUse.into_word());
        }
        self.map_vsyscall();
        self.boot_device();
        self.swap.open(self.core());
        for cpu in CpuId::all(self.config.cpus) {
            self.initialize_tlbstate(cpu);
        }
    }

    /// `initialize_tlbstate_and_flush()`: the kernel's root is loaded, in the first slot, and no other slot is anybody's.
    fn initialize_tlbstate(&self, cpu: CpuId) {
        let memory = &self.core().memory;
        let state = self.tlb_state.at(cpu.index());
        memory.set(state.is_lazy().loc(), 0);
        memory.set(state.loaded_mm_asid().loc(), 0);
        memory.set(state.next_asid().loc(), 1);
        for asid in 0..self.asid_slots() {
            let context = self.tlb_context(cpu, asid);
            memory.set(context.ctx_id().loc(), 0);
            memory.set(context.tlb_gen().loc(), 0);
        }
        self.load_in_first_slot(cpu, None);
    }

    /// An address space is loaded, in the first slot of the CPU.
    fn load_in_first_slot(&self, cpu: CpuId, mm: Option<MmId>) {
        let memory = &self.core().memory;
        memory.set(self.tlb_state.at(cpu.index()).loaded_mm().loc(), MmId::into_word(mm));
        let word = |word: Loc| memory.get(word);
        let (pgd, tlb_gen) = match mm.map(|id| self.mm(id)) {
            None => (self.init_pgd, 0),
            Some(mm) => (Pfn(word(mm.pgd().loc())), word(mm.tlb_gen().loc())),
        };
        let context = self.tlb_context(cpu, 0);
        memory.set(context.ctx_id().loc(), ctx_id(mm));
        memory.set(context.tlb_gen().loc(), tlb_gen);
        self.mmu.preset_cr3(cpu, self.build_cr3(pgd, 0));
    }

    /// `build_cr3()`. `kern_pcid()` is one more than the slot: zero is nobody's, so that it is noticed where a PCID was forgotten.
    pub(crate) fn build_cr3(&self, pgd: Pfn, asid: u64) -> Cr3 {
        if self.uses_pcids { Cr3::of(pgd).with(Pcid(asid as u16 + 1)) } else { Cr3::of(pgd) }
    }

    /// `cpu_tlbstate.ctxs[asid]` of a CPU.
    pub(crate) fn tlb_context(&self, cpu: CpuId, asid: u64) -> TlbContext {
        self.tlb_contexts.at(cpu.index() * TLB_NR_DYN_ASIDS + asid as usize)
    }

    /// The slots that a CPU of this kernel uses.
    pub(crate) fn asid_slots(&self) -> u64 {
        match self.config.setting::<AsidSlots>() {
            AsidSlots::Six => TLB_NR_DYN_ASIDS as u64,
            AsidSlots::Two => 2,
        }
    }

    /// The machine below.
    pub fn core(&self) -> &Core {
        &self.mmu.core
    }

    /// Sends every event of hardware and kernel, and with tracing on every access, to `observer`.
    pub fn set_observer(&self, observer: Option<Rc<dyn Observer>>) {
        self.mmu.core.set_observer(observer.clone().map(|o| o as Rc<dyn sim_core::Observer>));
        self.mmu.set_observer(observer.clone().map(|o| o as Rc<dyn sim_mmu::Observer>));
        self.observer.replace(observer);
    }

    /// An address space.
    pub fn mm(&self, id: MmId) -> &MmStruct {
        &self.mms[usize::from(id.0)]
    }

    /// Every address space that was ever made in this run.
    pub fn mms(&self) -> impl Iterator<Item = &MmStruct> {
        self.mms.iter().filter(|mm| self.core().memory.get(mm.pgd().loc()) != 0)
    }

    /// Whether a private mapping is there now: for those who only look.
    pub(crate) fn is_private(&self, mm: &MmStruct, va: VirtAddr) -> bool {
        let word = |loc| self.core().memory.get(loc);
        let is_there = |vma: &&Vma| {
            let words = self.vmas.record(vma.0.index());
            word(words.vm_start().loc()) <= va.0 && va.0 < word(words.vm_end().loc())
        };
        let flags = |vma: &Vma| VmFlags::from_word(word(self.vmas.record(vma.0.index()).vm_flags().loc()));
        mm.vmas.peek().iter().find(is_there).is_some_and(|vma| !flags(vma).contains(VmFlags::SHARED))
    }

    /// A slot for an address space. Ended ones are not reused, so that a stale use is seen.
    pub(crate) fn unused_mm(&self) -> Option<&MmStruct> {
        self.mms.iter().find(|mm| self.core().memory.get(mm.pgd().loc()) == 0)
    }

    /// The address space of a task, as one more than its number; zero for none.
    pub(crate) fn task_mm(&self, task: TaskId) -> Loc {
        self.task_mms.offset(u32::from(task.0))
    }

    /// `task->mm`.
    pub fn mm_of_task(&self, task: TaskId) -> Option<MmId> {
        MmId::from_word(self.core().memory.get(self.task_mm(task)))
    }

    /// Sets `task->mm`, before the task runs or on its own behalf.
    pub fn set_task_mm(&self, task: TaskId, mm: Option<MmId>) {
        self.core().memory.set(self.task_mm(task), MmId::into_word(mm));
    }

    /// PKRU of a task, as it differs from that with which tasks begin: bit by bit, so that zero is no difference.
    pub(crate) fn task_pkru(&self, task: TaskId) -> Loc {
        self.task_pkrus.offset(u32::from(task.0))
    }

    /// `uwq.waken` of a task: whether the fault that it waits for is handled.
    pub(crate) fn task_synced(&self, task: TaskId) -> Loc {
        self.task_synced.offset(u32::from(task.0))
    }

    /// `uwq.waken` of a task.
    pub(crate) fn task_waken(&self, task: TaskId) -> Loc {
        self.task_wakens.offset(u32::from(task.0))
    }

    /// Loads the PKRU of a task that is going to run on a CPU: `switch_fpu_finish()`.
    pub(crate) fn pkru_load(&self, cpu: CpuId, task: TaskId) {
        let differs = self.core().memory.get(self.task_pkru(task));
        sim_mmu::Cpu::new(&self.mmu, cpu).restore_pkru(KeyRights(INIT_PKRU.0 ^ differs as u32));
    }

    /// `mm->context.pkey_allocation_map`: the keys that an address space has, beside key 0.
    pub(crate) fn pkey_allocation_map(&self, mm: MmId) -> Shared<u64> {
        Shared::at(self.pkey_maps.offset(u32::from(mm.0)))
    }

    /// `mm->context.execute_only_pkey`: the key of mappings that may only be executed; zero while there was none.
    pub(crate) fn execute_only_pkey(&self, mm: MmId) -> Shared<u64> {
        Shared::at(self.execute_only_pkeys.offset(u32::from(mm.0)))
    }

    /// One more task that uses the address space, before it runs.
    pub fn adopt(&self, mm: MmId) {
        let users = self.mm(mm).mm_users().loc();
        self.core().memory.set(users, self.core().memory.get(users) + 1);
    }

    pub(crate) fn next_flush(&self) -> u64 {
        self.next_serial(self.serials.flush())
    }

    /// A name for a reference that GUP hands out.
    pub fn next_pin(&self) -> u64 {
        self.next_serial(self.serials.pin())
    }

    fn next_serial(&self, next: Shared<u64>) -> u64 {
        let serial = self.core().memory.get(next.loc());
        self.core().memory.set(next.loc(), serial + 1);
        serial
    }

    /// Has `cpu` start with the address space of `task` loaded, as if it had run there before. The CPU idles since
    /// [`settle`](Kernel::settle), so its other slots are nobody's.
    pub fn preset(&self, cpu: CpuId, task: TaskId) {
        let memory = &self.core().memory;
        let mm = MmId::from_word(memory.get(self.task_mm(task)));
        if let Some(mm) = mm {
            let mask = self.mm(mm).cpumask().loc();
            memory.set(mask, memory.get(mask) | 1 << cpu.0);
        }
        self.load_in_first_slot(cpu, mm);
        self.pkru_load(cpu, task);
    }

    /// After set-up: every CPU idles with the kernel's root, and no translation is cached.
    pub fn settle(&self) {
        let memory = &self.core().memory;
        for cpu in CpuId::all(self.config.cpus) {
            self.initialize_tlbstate(cpu);
        }
        for mm in &self.mms {
            memory.set(mm.cpumask().loc(), 0);
            // A CPU that was lazy during set-up has left. ksmd has not.
            let stay = 1 + u64::from(self.ksm.knows(mm.id));
            memory.set(mm.mm_count().loc(), memory.get(mm.mm_count().loc()).min(stay));
        }
    }

    /// Makes the present state the one at which every run starts.
    pub fn checkpoint(&self) {
        self.core().checkpoint();
    }

    /// Back to the checkpoint.
    pub fn rewind(&self) {
        self.safeguard_use.forget();
        self.config.setup_pcid(&self.safeguard_use);
        self.min_flt.set(0);
        self.maj_flt.set(0);
        self.not_modelled.set(None);
        self.mmu.rewind();
    }
}

/// A CPU as kernel code sees it.
#[derive(Clone, Copy)]
pub struct Cpu<'m> {
    /// The kernel that runs here.
    pub kernel: &'m Kernel,
    hw: sim_mmu::Cpu<'m>,
}

impl<'m> Cpu<'m> {
    /// CPU `id` of a machine.
    pub fn new(kernel: &'m Kernel, id: CpuId) -> Cpu<'m> {
        Cpu { kernel, hw: sim_mmu::Cpu::new(&kernel.mmu, id) }
    }
}

impl<'m> Deref for Cpu<'m> {
    type Target = sim_mmu::Cpu<'m>;
    fn deref(&self) -> &Self::Target {
        &self.hw
    }
}

/// Whoever watches the kernel.
pub trait Observer: sim_core::Observer + sim_mmu::Observer {
    /// An event, at the moment it happens, caused by `cpu`.
    fn kernel(&self, cpu: Cpu<'_>, event: &Event);
}

/// `__mm_populate()`: takes `mmap_lock` itself. With the flag, errors are ignored and the next mapping is gone on with.
pub(crate) type MmPopulate =
    for<'m> fn(Cpu<'m>, &'m MmStruct, VirtAddr, VirtAddr, bool) -> BoxFuture<'m, Result<(), Errno>>;

/// `populate_vma_page_range()`: a part of one mapping, with `mmap_lock` held all the time.
pub(crate) type PopulateVmaPageRange = for<'m> fn(
    Cpu<'m>,
    &'m MmStruct,
    MmapLock<'m>,
    Vma,
    VirtAddr,
    VirtAddr,
) -> BoxFuture<'m, (Result<u64, Errno>, Option<MmapLock<'m>>)>;

/// `faultin_page_range()` until all of the range is there: `MADV_POPULATE_READ`, or with the flag
/// `MADV_POPULATE_WRITE`.
pub(crate) type MadvisePopulate =
    for<'m> fn(Cpu<'m>, &'m MmStruct, VirtAddr, VirtAddr, bool) -> BoxFuture<'m, Result<(), Errno>>;

/// `break_ksm()`: the page at an address is no merged page any more. Also answers the lock, unless a fault let go of it.
pub(crate) type BreakKsm = for<'m> fn(
    Cpu<'m>,
    &'m MmStruct,
    MmapLock<'m>,
    Vma,
    VirtAddr,
) -> BoxFuture<'m, (Result<(), Errno>, Option<MmapLock<'m>>)>;

/// `follow_page()` with `FOLL_GET` and `FOLL_DUMP`: the page that is mapped at an address, with a reference. With the flag a huge page is split first (`FOLL_SPLIT`).
pub(crate) type FollowPage =
    for<'m> fn(Cpu<'m>, &'m MmStruct, Vma, VirtAddr, bool) -> BoxFuture<'m, Result<Option<Page>, Errno>>;

/// `get_user_pages_fast()` of one page.
pub(crate) type GetUserPageFast = for<'m> fn(Cpu<'m>, VirtAddr) -> BoxFuture<'m, Result<Page, Errno>>;

/// The functions of `mm/gup.c` that the memory manager calls: GUP stands above it, and `mlock()` or `MAP_POPULATE` fault
/// pages in by it.
#[derive(Clone, Copy)]
pub struct GupCalls {
    /// For `mlock()` and `mmap()`.
    pub mm_populate: MmPopulate,
    /// For `mprotect()` of locked memory.
    pub populate_vma_page_range: PopulateVmaPageRange,
    /// For `madvise()`.
    pub madvise_populate: MadvisePopulate,
    /// For ksmd, and for `madvise()`.
    pub break_ksm: BreakKsm,
    /// For `move_pages()`.
    pub follow_page: FollowPage,
    /// For `MADV_HWPOISON`: `get_user_pages_fast()` of one page, of which the caller has the reference.
    pub get_user_page_fast: GetUserPageFast,
}

impl GupCalls {
    /// A machine without GUP: nothing is faulted in ahead of its first use.
    pub const NONE: GupCalls = GupCalls {
        mm_populate: |_, _, _, _, _| Box::pin(async { Ok(()) }),
        populate_vma_page_range: |_, _, held, _, _, _| Box::pin(async { (Ok(0), Some(held)) }),
        madvise_populate: |_, _, _, _, _| Box::pin(async { Ok(()) }),
        break_ksm: |_, _, held, _, _| Box::pin(async { (Ok(()), Some(held)) }),
        follow_page: |_, _, _, _, _| Box::pin(async { Ok(None) }),
        get_user_page_fast: |_, _| Box::pin(async { Err(Errno::Efault) }),
    };
}

impl fmt::Debug for GupCalls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GupCalls")
    }
}
