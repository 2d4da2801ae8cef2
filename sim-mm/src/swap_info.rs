//! `include/linux/swap.h`: the swap area, its slots, and the swap cache.

use sim_core::{
    Array, Core, CpuId, Loc, Memory, MemoryBuilder, Record as _, Shared, Slab, SpinLock, WhenFree, record,
};

use crate::mm_types::Page;
use crate::swapops::SwpEntry;
use sim_mmu::Pfn;

/// `SWAP_HAS_CACHE`: the bit of `swap_map` that says that the swap cache has the slot, or is about to.
pub(crate) const SWAP_HAS_CACHE: u64 = 1 << 16;

record! {
    /// A slot of the swap area.
    pub(crate) struct SwapSlot {
        /// `swap_map`: the entries that name the slot, and [`SWAP_HAS_CACHE`]. Zero says that the slot is free.
        pub(crate) swap_map: Shared<u64> = "swap_map";
        /// `i_pages` of `swapper_spaces`: one more than the frame of the slot's page; zero if the swap cache has none.
        pub(crate) cached: Shared<u64> = "i_pages";
        /// Whether [`SWAP_HAS_CACHE`] is set and no page is to be found. Linux tries again every tick; here those who wait for
        /// it wait for this word.
        pub(crate) busy: Shared<bool> = "swapcache_wq";
        /// `xa_lock` of `i_pages`: held while a page is frozen and taken out. Linux has one for many slots.
        pub(crate) xa_lock: SpinLock = "xa_lock";
    }
}

record! {
    /// What `swapoff()` changes of a swap area.
    pub(crate) struct SwapState {
        /// Whether `SWP_WRITEOK` is gone from `flags`: no page gets a slot any more.
        pub(crate) closed: Shared<bool> = "flags";
        /// Whether `users` is being killed: nobody begins to use a slot that he does not have any more.
        pub(crate) dying: Shared<bool> = "users.dying";
        /// How often a `swap_map` has changed since the area was closed. Linux looks again and again; here that is waited for.
        pub(crate) changes: Shared<u64> = "changes";
    }
}

record! {
    /// `si->users`: the system calls of one CPU that keep the slots from being freed.
    pub(crate) struct SwapUsers {
        /// How many.
        pub(crate) count: Shared<u64> = "users";
    }
}

/// `struct swap_info_struct` of the one swap area. It has no slots on a machine without swap.
pub(crate) struct SwapInfo {
    /// `si->lock`: whoever looks for a free slot holds it, so that is one step.
    pub(crate) lock: Loc,
    /// `swapoff()` frees them.
    slots: Slab<SwapSlot>,
    pub(crate) state: SwapState,
    users: Array<SwapUsers>,
    count: usize,
    contents: Loc,
    words: u32,
}

impl SwapInfo {
    /// An area of so many slots, each of as many words as a frame.
    pub(crate) fn new(memory: &mut MemoryBuilder, slots: usize, words: u32, cpus: usize) -> SwapInfo {
        SwapInfo {
            lock: memory.words("swap_info.lock", 1),
            slots: Slab::new(memory, "swap", slots, WhenFree::Untouchable),
            state: memory.record("swap_info"),
            users: memory.array("swap_info.users", cpus),
            count: slots,
            contents: memory.words("swap_device", slots * words as usize),
            words,
        }
    }

    /// How many slots there are.
    pub(crate) fn len(&self) -> u64 {
        self.count as u64
    }

    /// A slot.
    pub(crate) fn slot(&self, entry: SwpEntry) -> SwapSlot {
        self.slots.record(entry.0 as usize)
    }

    /// `swapon()`, before anything runs.
    pub(crate) fn open(&self, core: &Core) {
        while self.slots.alloc(core).is_some() {}
    }

    /// Frees all slots: `vfree(swap_map)`, `exit_swap_address_space()`. Answers the first word of each.
    pub(crate) fn free(&self, core: &Core) -> Vec<Loc> {
        let lives = (0..self.count).filter_map(|slot| self.slots.current(core, slot));
        lives
            .filter(|life| self.slots.free(core, *life))
            .map(|life| self.slots.record(life.index()).loc())
            .collect()
    }

    /// `si->users` of a CPU.
    pub(crate) fn users(&self, cpu: CpuId) -> Shared<u64> {
        self.users.at(cpu.index()).count()
    }

    /// Notes that a `swap_map` has changed in the present step, if somebody closes the area.
    pub(crate) fn note_change(&self, memory: &Memory) {
        if memory.get(self.state.closed().loc()) != 0 {
            let changes = self.state.changes().loc();
            memory.set(changes, memory.get(changes) + 1);
        }
    }

    /// The first word of what a slot holds.
    pub(crate) fn contents(&self, entry: SwpEntry) -> Loc {
        self.contents.offset(entry.0 as u32 * self.words)
    }

    /// Every slot that is not free, with its `swap_map` and its page in the swap cache: for those who only look.
    pub(crate) fn in_use<'a>(
        &'a self,
        memory: &'a Memory,
    ) -> impl Iterator<Item = (SwpEntry, u64, Option<Page>)> + 'a {
        (0..self.len()).map(SwpEntry).filter_map(move |entry| {
            let slot = self.slot(entry);
            let (map, cached) = (memory.get(slot.swap_map().loc()), memory.get(slot.cached().loc()));
            (map != 0 || cached != 0).then_some((entry, map, page_of_word(cached)))
        })
    }
}

/// The page that a word of the swap cache names.
pub(crate) fn page_of_word(word: u64) -> Option<Page> {
    word.checked_sub(1).map(|pfn| Page(Pfn(pfn)))
}
