//! The sentences about a violation. They are made here, and nowhere else.

use std::fmt;

use sim_core::Atomic;
use sim_mm::{Errno, Miscount, MmId};
use sim_mmu::{VirtAddr, Walker};

use super::violation::{Found, Lost, Violation, Wait};
use crate::json::counted;

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
            Violation::DirtyDropped { pfn, at } => format!(
                "{pfn}, page {} of a file, leaves memory, and the disk does not have what was written to it",
                at.index
            ),
            Violation::DirtyLost { pfn, page } => {
                let place = page.map_or_else(String::new, |(mm, va)| format!(" at {}", names.page_of(mm, va)));
                format!("{pfn} was written{place}, but at rest neither an entry nor the page itself is dirty")
            }
            Violation::WriteLost { mm, va, pfn, copy } => format!(
                "what was written at {} went to {pfn} after {pfn} was copied, and the copy {copy} is mapped there instead",
                names.page_of(*mm, *va)
            ),
            Violation::MergedOther { mm, va, pfn, kpage } => format!(
                "ksmd maps {kpage} at {} in place of {pfn}, and the two do not hold the same",
                names.page_of(*mm, *va)
            ),
            Violation::KeptInPlace { mm, va, pfn } => format!(
                "at rest {pfn}, which is in the zone MOVABLE, is pinned for long as {}",
                names.page_of(*mm, *va)
            ),
            Violation::SecretGiven { mm, va, pfn } => format!(
                "GUP gives out {pfn}, the page at {}, which is secret memory: the kernel cannot read it",
                names.page_of(*mm, *va)
            ),
            Violation::BrokenGiven { pfn } => {
                format!("the allocator hands out {pfn}, whose memory is broken as memory_failure() was told")
            }
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
            Violation::BadPageMap { what: Miscount::Unlinked { mm, va, page } } => {
                let (mm, at, page) = (names.mm(*mm), names.page(*mm, *va), page.0);
                format!(
                    "at rest {mm} maps {page} at {at}, and nobody comes from {page} to that mapping by its anon_vma"
                )
            }
            Violation::BadPageMap { what: Miscount::OtherIndex { mm, va, page, says, index } } => {
                let (mm, at, page) = (names.mm(*mm), names.page(*mm, *va), page.0);
                format!(
                    "at rest {mm} maps {page} at {at}, whose index is {index}, and {page} says that its index is {says}"
                )
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
