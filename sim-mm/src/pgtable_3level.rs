//! Entries that are wider than a word of the processor: `arch/x86/include/asm/pgtable-3level.h`, for 32-bit kernels with PAE. Such a kernel loads
//! and stores the two halves of an entry one after the other (`pte_read: split_lo_hi`). A locked change of a whole entry (`cmpxchg8b`) is one
//! access there too.
//!
//! There the low half has the flags and the frames below 4 GiB. A machine here is small, and its words are as small: the low half of an entry
//! is its flags and the last four bits of the frame number. So frames 0 to 15 have nothing in the high half, as frames below 4 GiB.

use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};

use sim_core::{BoxFuture, Bytes, OpKind};
use sim_mmu::{Entry, VirtAddr};

use crate::kernel::Cpu;
use crate::mm_types::MmStruct;
use crate::pgtable::{EntryPtr, Pmd, Pmdp, Pte, Ptep};
use crate::safeguards::PMD_READ_ATOMIC;
use crate::settings::PteRead;

/// `pte_low`: present, the permissions, A and D, and where the frame number begins.
const LOW: Bytes = Bytes::of(0, 2);

/// `pte_high`.
const HIGH: Bytes = Bytes::of(2, 6);

impl<'m> Cpu<'m> {
    /// Whether the kernel reads and writes entries in two halves.
    #[inline]
    pub fn splits_entries(self) -> bool {
        self.setting::<PteRead>() == PteRead::SplitLoHi
    }

    /// A load of one half. Answers an entry with that half alone.
    #[track_caller]
    fn load_half<P: EntryPtr + 'm>(self, ptr: P, half: EntryHalf) -> impl Future<Output = Entry> + use<'m, P> {
        let bytes = half.bytes();
        let op = self.entry_op(ptr, OpKind::Read, Location::caller());
        let op = op.behind(self.load_gate(op.loc, bytes));
        self.step(op, move |hw| {
            let word = hw.perform_load(&op);
            self.table_access(ptr);
            Entry(bytes.put(0, bytes.take(word)))
        })
    }

    /// A store of the high half. It means nothing while the low half is not present.
    #[track_caller]
    fn store_high(self, ptep: Ptep, new: Entry) -> impl Future<Output = ()> + use<'m> {
        let op = self.entry_op(ptep, OpKind::Write, Location::caller());
        self.step(op, move |hw| {
            self.before_change();
            hw.perform_store_of(&op, HIGH, HIGH.take(new.0));
            self.table_access(ptep);
        })
    }

    /// A store of the low half of an entry whose high half was that of `before`.
    #[track_caller]
    fn store_low(
        self,
        (mm, va): (&'m MmStruct, VirtAddr),
        ptep: Ptep,
        (before, new): (Entry, Entry),
    ) -> impl Future<Output = ()> + use<'m> {
        let op = self.entry_op(ptep, OpKind::Write, Location::caller());
        self.step(op, move |hw| {
            let old = Entry(LOW.put(before.0, LOW.take(hw.core.memory.get(op.loc))));
            self.before_change();
            hw.perform_store_of(&op, LOW, LOW.take(new.0));
            self.table_access(ptep);
            self.note_change(mm, va, ptep, old, new);
        })
    }

    /// A locked exchange of the low half with nothing. Answers what was there.
    #[track_caller]
    fn clear_low(self, (mm, va): (&'m MmStruct, VirtAddr), ptep: Ptep) -> impl Future<Output = Pte> + use<'m> {
        let op = self.entry_op(ptep, OpKind::Rmw, Location::caller());
        self.step(op, move |hw| {
            let old = Entry(hw.core.memory.get(op.loc));
            self.before_change();
            hw.perform_rmw(&op, old.0, LOW.put(old.0, 0));
            self.table_access(ptep);
            if !old.is_none() {
                self.note_change(mm, va, ptep, old, Entry::NONE);
            }
            ptep.value(old)
        })
    }
}

/// `native_set_pte()`: the high half first. Stores become visible in their order, so whoever sees the low half that makes the entry present
/// sees the high half that belongs to it.
pub(crate) fn native_set_pte<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    va: VirtAddr,
    ptep: Ptep,
    new: Entry,
) -> BoxFuture<'m, ()> {
    Box::pin(async move {
        let before = cpu.entry_now(ptep);
        cpu.store_high(ptep, new).await;
        cpu.store_low((mm, va), ptep, (before, new)).await;
    })
}

/// `native_ptep_get_and_clear()`: the low half first, by an exchange. From then on the entry is not present, and nobody uses its high half.
pub(crate) fn native_ptep_get_and_clear<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    va: VirtAddr,
    ptep: Ptep,
) -> BoxFuture<'m, Pte> {
    Box::pin(async move {
        let old = cpu.clear_low((mm, va), ptep).await;
        cpu.store_high(ptep, Entry::NONE).await;
        old
    })
}

/// `ptep_get_lockless()`, or `gup_get_pte()`: an entry that others make and take away meanwhile. If it has halves, both are read, and the low half
/// once more. If that is what it was, the entry was not taken away in between, so the high half belongs to it; else all is read anew.
///
/// If `rereads` says no, the two halves may be of two entries.
#[track_caller]
pub fn ptep_get_lockless<'m, R: FnOnce() -> bool>(
    cpu: Cpu<'m>,
    ptep: Ptep,
    rereads: R,
) -> impl Future<Output = Pte> + use<'m, R> {
    if cpu.splits_entries() {
        EntryAccess::Halves(read_halves(cpu, ptep, rereads()))
    } else {
        EntryAccess::Whole(cpu.read_once(ptep))
    }
}

fn read_halves(cpu: Cpu<'_>, ptep: Ptep, rereads: bool) -> BoxFuture<'_, Pte> {
    Box::pin(async move {
        loop {
            let low = cpu.load_half(ptep, EntryHalf::Low).await;
            let high = cpu.load_half(ptep, EntryHalf::High).await;
            if !rereads || cpu.load_half(ptep, EntryHalf::Low).await == low {
                return ptep.value(joined(low, high));
            }
        }
    })
}

/// An access to an entry: a single one, or one for each half.
pub(crate) enum EntryAccess<'m, F: Future> {
    Whole(F),
    Halves(BoxFuture<'m, F::Output>),
}

impl<F: Future + Unpin> Future for EntryAccess<'_, F> {
    type Output = F::Output;

    #[inline(always)]
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        match self.get_mut() {
            EntryAccess::Whole(access) => Pin::new(access).poll(context),
            EntryAccess::Halves(accesses) => accesses.as_mut().poll(context),
        }
    }
}

/// One half of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum EntryHalf {
    Low,
    High,
}

impl EntryHalf {
    fn bytes(self) -> Bytes {
        match self {
            EntryHalf::Low => LOW,
            EntryHalf::High => HIGH,
        }
    }
}

/// The entry whose halves these are.
fn joined(low: Entry, high: Entry) -> Entry {
    Entry(low.0 | high.0)
}

/// `pmd_read_atomic()`, `pmdp_get_lockless()`: an entry that others may fill and empty meanwhile. They fill it with one access (`set_64bit()`). So if
/// the low half is there, and still there behind the load of the high half, both are of one entry.
pub(crate) async fn pmd_read_atomic(cpu: Cpu<'_>, pmdp: Pmdp) -> Pmd {
    if !cpu.splits_entries() {
        return cpu.read_once(pmdp).await;
    }
    Box::pin(async move {
        if !cpu.has(PMD_READ_ATOMIC) {
            // The compiler may read the high half first.
            let high = cpu.load_half(pmdp, EntryHalf::High).await;
            return pmdp.value(joined(cpu.load_half(pmdp, EntryHalf::Low).await, high));
        }
        loop {
            let low = cpu.load_half(pmdp, EntryHalf::Low).await;
            if low.is_none() {
                return pmdp.value(Entry::NONE);
            }
            let high = cpu.load_half(pmdp, EntryHalf::High).await;
            if cpu.load_half(pmdp, EntryHalf::Low).await == low {
                return pmdp.value(joined(low, high));
            }
        }
    })
    .await
}
