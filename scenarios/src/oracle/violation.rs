//! Violations: what is wrong, with the values. The sentences about a violation are made here, and nowhere else.

use std::fmt;

use sim_core::{Atomic, CpuId, Loc};
use sim_mm::{Errno, Miscount, MmId, PageFlags, SharedPage};
use sim_mmu::{Level, Pfn, VirtAddr, Walker};

use super::OracleId;
use crate::json::counted;

/// A violation: which rule, and the values that break it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the sentence at a variant says what its values are")]
pub enum Violation {
    /// `frame-use-after-free`: user code used a translation of `va`, cached at step `filled_at`.
    LostFrameUsed { mm: MmId, va: VirtAddr, filled_at: u64, pfn: Pfn, lost: Lost },
    /// `frame-use-after-free`: a touch through a reference that was handed out for `va`.
    LostPinTouched { mm: MmId, va: VirtAddr, pfn: Pfn, write: bool, lost: Lost },
    /// `page-table-use-after-free`: a walk took a frame for a table of that level.
    NoSuchTable { by: Walker, routine: Option<&'static str>, table: Pfn, level: Level, found: Found },
    /// `stale-tlb`: an access used a translation that a complete flush should have dropped.
    StaleTranslation { mm: MmId, va: VirtAddr, write: bool, pfn: Pfn, filled_at: u64 },
    /// `incoherent`: `mm` read an old value at `va` from `pfn`, though `now` is there and holds another.
    OldValueRead { mm: MmId, va: VirtAddr, pfn: Pfn, value: u64, now: Pfn, held: u64 },
    /// `multi-hit`: a CPU caches translations of `mm` at `va` to `pfn` for so many pages each.
    TwoSizes { mm: MmId, va: VirtAddr, pfn: Pfn, pages: [u64; 2] },
    /// `cow-broken`: the zero page was written.
    ZeroPageWritten { mm: MmId, va: VirtAddr, pfn: Pfn },
    /// `cow-broken`: a write for `mm` changed a private page of `other`.
    PrivatePageWritten { mm: MmId, va: VirtAddr, pfn: Pfn, other: MmId, at: VirtAddr },
    /// `cow-broken`: a write for `mm` through private memory changed a page of a file.
    FilePageWritten { mm: MmId, va: VirtAddr, pfn: Pfn },
    /// `leak`: `mm` read bytes that it must not read. `owner` wrote them, if anybody maps the frame.
    ForeignRead { mm: MmId, va: VirtAddr, pfn: Pfn, value: u64, owner: Option<MmId> },
    /// `object-use-after-free`: this word of a kernel object was used after the object's end.
    ObjectUsed { word: String, first: Loc },
    /// `kernel-bug`: the kernel says that this must not happen.
    KernelStops { what: &'static str },
    /// `flag-lost`: a store overwrote flags that others had set.
    FlagLost { pfn: Pfn, lost: PageFlags },
    /// `pin-misuse`: a reference was put that had been put before.
    PinPutTwice { mm: MmId, va: VirtAddr, pfn: Pfn },
    /// `pin-misuse`: a touch through a reference that had been put before.
    PinUsedAfterPut { mm: MmId, va: VirtAddr, pfn: Pfn, write: bool },
    /// `stale-pin`: `pfn` is pinned for `va`, and its copy `now` is mapped there.
    StalePin { mm: MmId, va: VirtAddr, pfn: Pfn, now: Pfn },
    /// `return-value`: a function of GUP says that it got `told` pages, and gave out `given`.
    GupToldOtherwise { start: VirtAddr, asked: u64, told: Option<u64>, given: u64, in_order: bool },
    /// `lock`: a task waits for the lock of a page that it has locked itself.
    LockedTwice { pfn: Pfn },
    /// `lock`: a task unlocks a page that it has not locked.
    NotLocked { pfn: Pfn },
    /// `sleep-in-atomic`: code may sleep where it must not.
    SleptInAtomic { why: Atomic },
    /// `refcount`: a reference was dropped that nobody had.
    CountBelowZero { pfn: Pfn },
    /// `refcount`: a reference was taken on a page that had none.
    CountFromZero { pfn: Pfn },
    /// `refcount`: a count became too large for its word.
    CountWrapped { pfn: Pfn, old: u64, new: u64 },
    /// `refcount`: a frame was freed that memory does not have.
    NoFrameFreed { pfn: Pfn },
    /// `refcount`: a free frame was freed.
    FreedTwice { pfn: Pfn },
    /// `refcount`: the zero page was freed.
    ZeroPageFreed { pfn: Pfn },
    /// `refcount`: a frame was freed under a pin of `va`.
    FreedUnderPin { pfn: Pfn, mm: MmId, va: VirtAddr },
    /// `refcount`, at rest: the count is not the number of holders.
    CountAtRest { pfn: Pfn, count: u64, holders: u64, mappings: u64, pins: u64 },
    /// `refcount`, at rest: a frame that is not free has no holder that could give it back.
    LostAtRest { pfn: Pfn },
    /// `mapcount`: a frame was freed that an entry maps.
    FreedUnderMapping { pfn: Pfn, mm: MmId, va: VirtAddr },
    /// `mapcount`, at rest: the count is not the number of entries.
    MapcountAtRest { pfn: Pfn, count: u64, mappings: u64 },
    /// `bad-page-map`, at rest: an address space contradicts itself.
    BadPageMap { what: Miscount },
    /// `dirty-lost`, at rest: a page was written, and nothing says so.
    DirtyLost { pfn: Pfn, page: Option<(MmId, VirtAddr)> },
    /// `lost-write`: a write at `va` went to `pfn`, and `copy`, which was made before, is mapped there instead.
    WriteLost { mm: MmId, va: VirtAddr, pfn: Pfn, copy: Pfn },
    /// `semantics`, at rest: a page was written, and soft-dirty does not tell it.
    WriteUnseen { mm: MmId, va: VirtAddr, pfn: Pfn },
    /// `semantics`: a call said that what was written to `pfn`, a page of a file, is on the disk, and it is not.
    NotSynced { pfn: Pfn, at: SharedPage },
    /// `deadlock`: these tasks wait for ever.
    Deadlock { waits: Vec<Wait> },
    /// `lost-wait`: these tasks wait, one of them for a word whose page has moved.
    LostWait { waits: Vec<Wait> },
    /// `livelock`: a run has not ended within its bound.
    Livelock { bound: u64 },
    /// `check`: a thread read a value that check number `check` does not allow.
    Value { check: usize, of: String, is: u64, one_of: Vec<u64> },
    /// `check`: an operation returned what check number `check` does not allow.
    Returned { check: usize, thread: String, op: usize, value: i64, one_of: Vec<i64> },
    /// `check`: operation `op` of a thread found other mappings than it expects. Both are given in words.
    Mappings { thread: String, op: usize, expected: String, found: String },
    /// `check`: values came together, and check number `check` says that they never do.
    Together { check: usize, values: Vec<(String, u64)> },
    /// `check`: `given` is so, but the values that must follow by check number `check` are not. `are` has the present ones.
    NotImplied { check: usize, given: Vec<(String, u64)>, are: Vec<(String, u64)>, then: Vec<(String, u64)> },
}

/// Why a frame is not the one that its user expects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// Memory has no such frame.
    NoFrame,
    /// It is on the free list.
    Free,
    /// It is a table now.
    Table,
    /// It was freed in between, and belongs to somebody else.
    NewOwner,
    /// It was not behind that address since it was last allocated.
    NeverThere,
}

/// What a frame is that a walk took for a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// Memory has no such frame.
    NoFrame,
    /// The zero page.
    ZeroPage,
    /// A frame on the free list.
    Free,
    /// Contents of user memory.
    Data,
    /// A table of another level, or under another root.
    Table {
        /// The level of its entries.
        level: Level,
        /// Whether it belongs to another address space.
        of_another: bool,
    },
}

/// A task that waits for ever.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wait {
    /// The name of the task.
    pub who: String,
    /// Its CPU.
    pub cpu: CpuId,
    /// The word for which it waits.
    pub what: String,
}

/// The names of things in a sentence. Each method gives the name that the machine has, unless it is overridden.
pub trait Names {
    /// An address space.
    fn mm(&self, mm: MmId) -> String {
        format!("mm{}", mm.0)
    }

    /// A page of an address space, if the sentence says to which process it belongs.
    fn page(&self, _mm: MmId, va: VirtAddr) -> String {
        va.to_string()
    }

    /// A page of an address space, if nothing else says to which process it belongs.
    fn page_of(&self, mm: MmId, va: VirtAddr) -> String {
        self.page(mm, va)
    }

    /// The part of a sentence that says at which step something happened. It begins with a blank, or is empty.
    fn at_step(&self, step: u64) -> String {
        format!(" at step {step}")
    }

    /// An operation of a thread.
    fn operation(&self, _thread: &str, op: usize) -> String {
        format!("run[{op}]")
    }
}

struct Plain;

impl Names for Plain {}

impl Violation {
    /// The oracle that judges it.
    pub fn oracle(&self) -> OracleId {
        match self {
            Violation::LostFrameUsed { .. } | Violation::LostPinTouched { .. } => OracleId::FrameUseAfterFree,
            Violation::NoSuchTable { .. } => OracleId::PageTableUseAfterFree,
            Violation::StaleTranslation { .. } => OracleId::StaleTlb,
            Violation::OldValueRead { .. } => OracleId::Incoherent,
            Violation::TwoSizes { .. } => OracleId::MultiHit,
            Violation::ZeroPageWritten { .. }
            | Violation::PrivatePageWritten { .. }
            | Violation::FilePageWritten { .. } => OracleId::CowBroken,
            Violation::ForeignRead { .. } => OracleId::Leak,
            Violation::ObjectUsed { .. } => OracleId::ObjectUseAfterFree,
            Violation::KernelStops { .. } => OracleId::KernelBug,
            Violation::FlagLost { .. } => OracleId::FlagLost,
            Violation::PinPutTwice { .. } | Violation::PinUsedAfterPut { .. } => OracleId::PinMisuse,
            Violation::StalePin { .. } => OracleId::StalePin,
            Violation::GupToldOtherwise { .. } => OracleId::ReturnValue,
            Violation::LockedTwice { .. } | Violation::NotLocked { .. } => OracleId::Lock,
            Violation::SleptInAtomic { .. } => OracleId::SleepInAtomic,
            Violation::CountBelowZero { .. }
            | Violation::CountFromZero { .. }
            | Violation::CountWrapped { .. }
            | Violation::NoFrameFreed { .. }
            | Violation::FreedTwice { .. }
            | Violation::ZeroPageFreed { .. }
            | Violation::FreedUnderPin { .. }
            | Violation::CountAtRest { .. }
            | Violation::LostAtRest { .. } => OracleId::Refcount,
            Violation::FreedUnderMapping { .. } | Violation::MapcountAtRest { .. } => OracleId::Mapcount,
            Violation::BadPageMap { .. } => OracleId::BadPageMap,
            Violation::DirtyLost { .. } => OracleId::DirtyLost,
            Violation::WriteLost { .. } => OracleId::LostWrite,
            Violation::WriteUnseen { .. } | Violation::NotSynced { .. } => OracleId::Semantics,
            Violation::Deadlock { .. } => OracleId::Deadlock,
            Violation::LostWait { .. } => OracleId::LostWait,
            Violation::Livelock { .. } => OracleId::Livelock,
            Violation::Value { .. }
            | Violation::Returned { .. }
            | Violation::Together { .. }
            | Violation::Mappings { .. }
            | Violation::NotImplied { .. } => OracleId::Check,
        }
    }

    /// The frame that it is about.
    pub fn frame(&self) -> Option<Pfn> {
        match *self {
            Violation::LostFrameUsed { pfn, .. }
            | Violation::LostPinTouched { pfn, .. }
            | Violation::NoSuchTable { table: pfn, .. }
            | Violation::StaleTranslation { pfn, .. }
            | Violation::OldValueRead { pfn, .. }
            | Violation::TwoSizes { pfn, .. }
            | Violation::ZeroPageWritten { pfn, .. }
            | Violation::PrivatePageWritten { pfn, .. }
            | Violation::FilePageWritten { pfn, .. }
            | Violation::ForeignRead { pfn, .. }
            | Violation::FlagLost { pfn, .. }
            | Violation::PinPutTwice { pfn, .. }
            | Violation::PinUsedAfterPut { pfn, .. }
            | Violation::StalePin { pfn, .. }
            | Violation::LockedTwice { pfn }
            | Violation::NotLocked { pfn }
            | Violation::CountBelowZero { pfn }
            | Violation::CountFromZero { pfn }
            | Violation::CountWrapped { pfn, .. }
            | Violation::NoFrameFreed { pfn }
            | Violation::FreedTwice { pfn }
            | Violation::ZeroPageFreed { pfn }
            | Violation::FreedUnderPin { pfn, .. }
            | Violation::CountAtRest { pfn, .. }
            | Violation::LostAtRest { pfn }
            | Violation::FreedUnderMapping { pfn, .. }
            | Violation::DirtyLost { pfn, .. }
            | Violation::WriteLost { pfn, .. }
            | Violation::WriteUnseen { pfn, .. }
            | Violation::NotSynced { pfn, .. }
            | Violation::MapcountAtRest { pfn, .. } => Some(pfn),
            Violation::BadPageMap { what: Miscount::SharedTable { table } } => Some(table),
            Violation::BadPageMap {
                what:
                    Miscount::OtherPage { page, .. }
                    | Miscount::MappedBehindEnd { page, .. }
                    | Miscount::CachedBehindEnd { page, .. }
                    | Miscount::OtherFile { page, .. }
                    | Miscount::Locked { page },
            } => Some(page.0),
            Violation::ObjectUsed { .. }
            | Violation::GupToldOtherwise { .. }
            | Violation::SleptInAtomic { .. }
            | Violation::KernelStops { .. }
            | Violation::BadPageMap { .. }
            | Violation::Deadlock { .. }
            | Violation::LostWait { .. }
            | Violation::Livelock { .. }
            | Violation::Value { .. }
            | Violation::Returned { .. }
            | Violation::Together { .. }
            | Violation::Mappings { .. }
            | Violation::NotImplied { .. } => None,
        }
    }

    /// The page of an address space that it is about.
    pub fn page(&self) -> Option<(MmId, VirtAddr)> {
        match *self {
            Violation::LostFrameUsed { mm, va, .. }
            | Violation::LostPinTouched { mm, va, .. }
            | Violation::StaleTranslation { mm, va, .. }
            | Violation::OldValueRead { mm, va, .. }
            | Violation::TwoSizes { mm, va, .. }
            | Violation::ZeroPageWritten { mm, va, .. }
            | Violation::PrivatePageWritten { mm, va, .. }
            | Violation::FilePageWritten { mm, va, .. }
            | Violation::ForeignRead { mm, va, .. }
            | Violation::PinPutTwice { mm, va, .. }
            | Violation::PinUsedAfterPut { mm, va, .. }
            | Violation::StalePin { mm, va, .. }
            | Violation::FreedUnderPin { mm, va, .. }
            | Violation::FreedUnderMapping { mm, va, .. }
            | Violation::WriteLost { mm, va, .. }
            | Violation::WriteUnseen { mm, va, .. }
            | Violation::BadPageMap {
                what:
                    Miscount::Stray { mm, va }
                    | Miscount::OtherPage { mm, va, .. }
                    | Miscount::MappedBehindEnd { mm, va, .. },
            } => Some((mm, va)),
            Violation::DirtyLost { page, .. } => page,
            _ => None,
        }
    }

    /// Whether it is about how a run ended, rather than about the step that ended it.
    pub fn is_at_rest(&self) -> bool {
        matches!(
            self,
            Violation::CountAtRest { .. }
                | Violation::LostAtRest { .. }
                | Violation::MapcountAtRest { .. }
                | Violation::BadPageMap { .. }
                | Violation::DirtyLost { .. }
                | Violation::WriteUnseen { .. }
                | Violation::Deadlock { .. }
                | Violation::LostWait { .. }
                | Violation::Livelock { .. }
                | Violation::Value { .. }
                | Violation::Returned { .. }
                | Violation::Together { .. }
                | Violation::Mappings { .. }
                | Violation::NotImplied { .. }
        )
    }

    /// The value or the thread that a check is about.
    pub(super) fn subject(&self) -> Option<&str> {
        match self {
            Violation::Value { of: subject, .. }
            | Violation::Returned { thread: subject, .. }
            | Violation::Mappings { thread: subject, .. } => Some(subject),
            Violation::Together { values, .. } | Violation::NotImplied { are: values, .. } => {
                values.first().map(|(name, _)| &**name)
            }
            _ => None,
        }
    }

    /// The message: what is wrong, in a clause with the values.
    fn message(&self, names: &dyn Names) -> String {
        match self {
            Violation::LostFrameUsed { mm, va, filled_at, pfn, lost } => {
                let (page, when) = (names.page_of(*mm, *va), names.at_step(*filled_at));
                let wrong = lost.told("was freed");
                format!("user code at {page} used a translation cached{when} to {pfn}, which {wrong}")
            }
            Violation::LostPinTouched { mm, va, pfn, write, lost } => {
                let wrong = lost.told("was freed under the reference");
                format!(
                    "a {} through a pin of {} touched {pfn}, which {wrong}",
                    verb(*write),
                    names.page_of(*mm, *va)
                )
            }
            Violation::NoSuchTable { by, routine, table, level, found } => {
                let walker = match by {
                    Walker::Hardware => "the page walker",
                    Walker::Speculation => "a speculative walk",
                    Walker::Software => routine.unwrap_or("a software walk"),
                };
                format!("{walker} took {table} for a table of {} entries, but it {found}", level.name())
            }
            Violation::StaleTranslation { mm, va, write, pfn, filled_at } => format!(
                "a {} at {} used a translation to {pfn} cached{}, though a flush of it was complete",
                verb(*write),
                names.page_of(*mm, *va),
                names.at_step(*filled_at)
            ),
            Violation::OldValueRead { mm, va, pfn, value, now, held } => format!(
                "a read at {} answered {value} from {pfn}, though {now} is mapped there and holds {held}",
                names.page_of(*mm, *va)
            ),
            Violation::TwoSizes { mm, va, pfn, pages: [old, new] } => format!(
                "a TLB holds translations of two sizes for {}, {} pages and {}, and both lead to {pfn}",
                names.page_of(*mm, *va),
                old.max(new),
                old.min(new)
            ),
            Violation::ZeroPageWritten { mm, va, .. } => {
                format!("a write at {} changed the zero page", names.page_of(*mm, *va))
            }
            Violation::PrivatePageWritten { mm, va, pfn, other, at } => format!(
                "a write by {} at {} changed {pfn}, which {} maps as its private page {}",
                names.mm(*mm),
                names.page(*mm, *va),
                names.mm(*other),
                names.page(*other, *at)
            ),
            Violation::FilePageWritten { mm, va, pfn } => format!(
                "a write for {} at {} changed {pfn}, a page of a file that is mapped there as private memory",
                names.mm(*mm),
                names.page(*mm, *va)
            ),
            Violation::ForeignRead { mm, pfn, value, owner, .. } => {
                let whose = owner.map_or_else(|| "somebody else".to_owned(), |owner| names.mm(owner));
                format!("{} read {value} from {pfn}, which {whose} wrote for itself alone", names.mm(*mm))
            }
            Violation::ObjectUsed { word, .. } => format!("{word} was used after its end"),
            Violation::KernelStops { what } => format!("the kernel stops: {what}"),
            Violation::FlagLost { pfn, lost } => {
                format!("a plain store to the flags of {pfn} took away {lost}")
            }
            Violation::PinPutTwice { mm, va, pfn } => {
                format!("the pin of {}, which held {pfn}, was put a second time", names.page_of(*mm, *va))
            }
            Violation::PinUsedAfterPut { mm, va, pfn, write } => {
                format!(
                    "a {} through the pin of {} touched {pfn} after the pin was put",
                    verb(*write),
                    names.page_of(*mm, *va)
                )
            }
            Violation::StalePin { mm, va, pfn, now } => format!(
                "the pin of {} holds {pfn}, and {now}, a copy of it, is mapped there",
                names.page_of(*mm, *va)
            ),
            Violation::GupToldOtherwise { asked, told, given, in_order, .. } => {
                let told = told.map_or_else(|| "an error".to_owned(), |told| counted(told, "page"));
                let others = if *in_order { "" } else { ", not all of them those behind the addresses" };
                format!(
                    "{} asked for, {} given out{others}, and the caller is told of {told}",
                    counted(*asked, "page"),
                    given
                )
            }
            Violation::LockedTwice { pfn } => format!("a task waits for the lock of {pfn}, which it has itself"),
            Violation::NotLocked { pfn } => format!("a task unlocks {pfn}, which it has not locked"),
            Violation::SleptInAtomic { why } => {
                let why = match why {
                    Atomic::NoInterrupts => "interrupts are off",
                    Atomic::NoPreemption => "preemption is off",
                    Atomic::RcuReader => "it is in a read-side section of RCU",
                };
                format!("code may sleep here while {why}")
            }
            Violation::CountBelowZero { pfn } => format!("the count of {pfn} fell below zero"),
            Violation::CountFromZero { pfn } => format!("a reference was taken on {pfn}, whose count was zero"),
            Violation::CountWrapped { pfn, old, new } => format!("the count of {pfn} wrapped from {old} to {new}"),
            Violation::NoFrameFreed { pfn } => format!("{pfn} was freed, but memory has no such frame"),
            Violation::FreedTwice { pfn } => format!("{pfn} was freed twice"),
            Violation::ZeroPageFreed { pfn } => format!("{pfn}, the zero page, was freed"),
            Violation::FreedUnderPin { pfn, mm, va } => {
                format!("{pfn} was freed while the pin of {} holds it", names.page_of(*mm, *va))
            }
            Violation::CountAtRest { pfn, count, holders, mappings, pins } => format!(
                "at rest the count of {pfn} is {count}, but it has {holders} holders \
                 ({mappings} mappings, {pins} pins)"
            ),
            Violation::LostAtRest { pfn } => format!("at rest nobody can reach {pfn}, but it is not free"),
            Violation::FreedUnderMapping { pfn, mm, va } => {
                format!("{pfn} was freed while {} maps it at {}", names.mm(*mm), names.page(*mm, *va))
            }
            Violation::MapcountAtRest { pfn, count, mappings } => {
                format!("at rest the mapcount of {pfn} is {count}, but {mappings} entries map it")
            }
            Violation::DirtyLost { pfn, page } => {
                let place = page.map_or_else(String::new, |(mm, va)| format!(" at {}", names.page_of(mm, va)));
                format!("{pfn} was written{place}, but at rest neither an entry nor the page itself is dirty")
            }
            Violation::WriteLost { mm, va, pfn, copy } => format!(
                "what was written at {} went to {pfn} after {pfn} was copied, and the copy {copy} is mapped there instead",
                names.page_of(*mm, *va)
            ),
            Violation::WriteUnseen { mm, va, .. } => format!(
                "user code wrote to {} after clear_refs was complete, and soft-dirty does not tell it",
                names.page_of(*mm, *va)
            ),
            Violation::NotSynced { pfn, at } => format!(
                "what was written to {pfn}, page {} of a file, is not on the disk, though a call returned that promises it",
                at.index
            ),
            Violation::BadPageMap { what: Miscount::Stray { mm, va } } => {
                let (mm, page) = (names.mm(*mm), names.page(*mm, *va));
                format!("at rest {mm} has an entry at {page} that no mapping of its allows")
            }
            Violation::BadPageMap { what: Miscount::OtherPage { mm, va, page } } => {
                let (mm, at, page) = (names.mm(*mm), names.page(*mm, *va), page.0);
                format!("at rest {mm} has an entry at {at} that maps {page}, which its file does not have there")
            }
            Violation::BadPageMap { what: Miscount::MappedBehindEnd { mm, va, page } } => {
                let (mm, at, page) = (names.mm(*mm), names.page(*mm, *va), page.0);
                format!("at rest {mm} maps {page} at {at}, which is behind the end of the file")
            }
            Violation::BadPageMap { what: Miscount::Disorder { mm } } => {
                format!("at rest the list of mappings of {} is out of order", names.mm(*mm))
            }
            Violation::BadPageMap { what } => format!("at rest {what}"),
            Violation::Deadlock { waits } => {
                let waits: Vec<String> = waits.iter().map(ToString::to_string).collect();
                format!("nothing can happen any more: {}", waits.join("; "))
            }
            Violation::LostWait { waits } => {
                let waits: Vec<String> = waits.iter().map(ToString::to_string).collect();
                format!("a word that is waited for has moved, which is not followed: {}", waits.join("; "))
            }
            Violation::Livelock { bound } => format!("the run is not at its end after {bound} steps"),
            Violation::Value { check, of, is, one_of } => {
                format!("checks[{check}]: `{of}` is {is}, not one of {one_of:?}")
            }
            Violation::Together { check, values } => {
                format!("checks[{check}]: {} came together", listed(values))
            }
            Violation::NotImplied { check, given, are, then } => {
                format!("checks[{check}]: with {}, {} and not {}", listed(given), listed(are), listed(then))
            }
            Violation::Mappings { thread, op, expected, found } => {
                format!("operation {op} of `{thread}` expected mappings of {expected}, and found {found}")
            }
            Violation::Returned { check, thread, op, value, one_of } => {
                format!("checks[{check}]: operation {op} of `{thread}` returned {value}, not one of {one_of:?}")
            }
        }
    }

    /// The whole sentence, with such names.
    pub fn sentence(&self, names: &dyn Names) -> String {
        let either = |values: &mut dyn Iterator<Item = String>| values.collect::<Vec<_>>().join(" or ");
        match self {
            Violation::Value { of, is, one_of, .. } => {
                format!("The value `{of}` is {is}, not {}.", either(&mut one_of.iter().map(u64::to_string)))
            }
            Violation::Together { values, .. } => format!("In one run {}.", listed(values)),
            Violation::NotImplied { given, are, then, .. } => {
                format!("In a run in which {}, {}, where {} should be.", listed(given), listed(are), listed(then))
            }
            Violation::Mappings { thread, op, expected, found } => {
                let call = names.operation(thread, *op);
                format!("{call} of {thread} expected these mappings: {expected}. It found: {found}.")
            }
            Violation::Returned { thread, op, value, one_of, .. } => {
                let (call, value) = (names.operation(thread, *op), returned_value(*value));
                let allowed = either(&mut one_of.iter().map(|value| returned_value(*value)));
                format!("{call} of {thread} returned {value}, not {allowed}.")
            }
            _ => {
                let text = self.message(names);
                // A name keeps its spelling, even at the beginning of a sentence.
                let first = text.split(' ').next().unwrap_or_default();
                let is_name = first.contains(['_', '[']) || matches!(self, Violation::ForeignRead { .. });
                match text.get(..1).filter(|_| !is_name) {
                    Some(first) => format!("{}{}.", first.to_uppercase(), &text[1..]),
                    None => text + ".",
                }
            }
        }
    }
}

/// `r0 is 0 and r1 is 0`.
fn listed(values: &[(String, u64)]) -> String {
    values.iter().map(|(name, value)| format!("`{name}` is {value}")).collect::<Vec<_>>().join(" and ")
}

fn verb(write: bool) -> &'static str {
    if write { "write" } else { "read" }
}

/// A count, or the name of an error.
pub(crate) fn returned_value(value: i64) -> String {
    let error = Errno::ALL.iter().find(|errno| errno.code() == value);
    error.map_or_else(|| value.to_string(), |errno| format!("-{errno}"))
}

impl Lost {
    fn told(self, freed: &str) -> String {
        match self {
            Lost::NoFrame => "does not exist".to_owned(),
            Lost::Free => "is free".to_owned(),
            Lost::Table => "is a page table".to_owned(),
            Lost::NewOwner => format!("{freed} and has a new owner"),
            Lost::NeverThere => "was never behind that address since it was last allocated".to_owned(),
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message(&Plain))
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Found::NoFrame => f.write_str("does not exist"),
            Found::ZeroPage => f.write_str("is the zero page"),
            Found::Free => f.write_str("is free"),
            Found::Data => f.write_str("holds user data"),
            Found::Table { level, of_another } => {
                write!(
                    f,
                    "is a table of {} entries{}",
                    level.name(),
                    if *of_another { " of another mm" } else { "" }
                )
            }
        }
    }
}

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {} waits for {}", self.who, self.cpu, self.what)
    }
}
