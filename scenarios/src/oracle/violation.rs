//! Violations: what is wrong, with the values. The sentences about them are made in `sentence.rs`.

use sim_core::{Atomic, CpuId, Loc};
use sim_mm::{Miscount, MmId, PageFlags, SharedPage};
use sim_mmu::{Level, Pfn, VirtAddr, Walker};

use super::OracleId;

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
    /// A page of a file leaves memory, and the disk does not have what was written to it.
    DirtyDropped { pfn: Pfn, at: SharedPage },
    /// `lost-write`: a write at `va` went to `pfn`, and `copy`, which was made before, is mapped there instead.
    WriteLost { mm: MmId, va: VirtAddr, pfn: Pfn, copy: Pfn },
    /// `lost-write`: ksmd maps `kpage` in place of `pfn`, which does not hold the same.
    MergedOther { mm: MmId, va: VirtAddr, pfn: Pfn, kpage: Pfn },
    /// `semantics`, at rest: a page was written, and soft-dirty does not tell it.
    WriteUnseen { mm: MmId, va: VirtAddr, pfn: Pfn },
    /// `semantics`: a call said that what was written to `pfn`, a page of a file, is on the disk, and it is not.
    NotSynced { pfn: Pfn, at: SharedPage },
    /// `semantics`: GUP gave out a page of secret memory.
    SecretGiven { mm: MmId, va: VirtAddr, pfn: Pfn },
    /// `semantics`: at rest `pfn`, which is in the zone MOVABLE, has a pin that is to last.
    KeptInPlace { mm: MmId, va: VirtAddr, pfn: Pfn },
    /// `semantics`: the allocator hands out a frame whose memory is broken.
    BrokenGiven { pfn: Pfn },
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
            Violation::DirtyLost { .. } | Violation::DirtyDropped { .. } => OracleId::DirtyLost,
            Violation::WriteLost { .. } | Violation::MergedOther { .. } => OracleId::LostWrite,
            Violation::WriteUnseen { .. }
            | Violation::NotSynced { .. }
            | Violation::KeptInPlace { .. }
            | Violation::BrokenGiven { .. }
            | Violation::SecretGiven { .. } => OracleId::Semantics,
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
            | Violation::DirtyDropped { pfn, .. }
            | Violation::WriteLost { pfn, .. }
            | Violation::MergedOther { pfn, .. }
            | Violation::SecretGiven { pfn, .. }
            | Violation::KeptInPlace { pfn, .. }
            | Violation::WriteUnseen { pfn, .. }
            | Violation::BrokenGiven { pfn }
            | Violation::NotSynced { pfn, .. }
            | Violation::MapcountAtRest { pfn, .. } => Some(pfn),
            Violation::BadPageMap {
                what: Miscount::SharedTable { table } | Miscount::TableUsers { table, .. },
            } => Some(table),
            Violation::BadPageMap {
                what:
                    Miscount::OtherPage { page, .. }
                    | Miscount::Unlinked { page, .. }
                    | Miscount::OtherIndex { page, .. }
                    | Miscount::Spte { page, .. }
                    | Miscount::MappedBehindEnd { page, .. }
                    | Miscount::CachedBehindEnd { page, .. }
                    | Miscount::OtherFile { page, .. }
                    | Miscount::Untagged { page, .. }
                    | Miscount::Mlocked { page }
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
            | Violation::MergedOther { mm, va, .. }
            | Violation::SecretGiven { mm, va, .. }
            | Violation::KeptInPlace { mm, va, .. }
            | Violation::WriteUnseen { mm, va, .. }
            | Violation::BadPageMap {
                what:
                    Miscount::Stray { mm, va }
                    | Miscount::OtherPage { mm, va, .. }
                    | Miscount::Unlinked { mm, va, .. }
                    | Miscount::OtherIndex { mm, va, .. }
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
}
