//! Records with a lifetime: the objects that kernel code reaches by a pointer.
//!
//! A slab holds records of one kind in slots. Each allocation of a slot begins a new life, and a reference
//! ([`Ref`]) knows which life it means. For example, a reference to a mapping that was freed still names the old
//! life, even when the slot holds another mapping. A use of a record that is free, or that has a new life, is
//! reported to the observer in the step in which it happens ([`Observer::touched_dead`]). The simulated code does
//! not notice it, as on a real machine.
//!
//! The caller decides when a record is freed. It calls [`Slab::free`] at once, or from the callback of a grace
//! period.
//!
//! [`Observer::touched_dead`]: crate::Observer::touched_dead

use std::fmt;
use std::marker::PhantomData;

use crate::core::Core;
use crate::cpu::Cpu;
use crate::life::{SlabLayout, WhenFree};
use crate::loc::Loc;
use crate::memory::MemoryBuilder;
use crate::record::{Array, Record};
use crate::word::{Shared, Word};

/// A slab: a number of slots for records of one kind.
#[derive(Debug)]
pub struct Slab<R> {
    records: Array<R>,
    /// For each slot, how often a life began or ended there. The number is odd while the slot is in use.
    lives: Loc,
    /// How many slots were ever in use.
    used: Shared<u32>,
    /// One more than the slot that was freed last, in a type-safe slab.
    freed_last: Shared<u32>,
    when_free: WhenFree,
}

impl<R> Clone for Slab<R> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<R> Copy for Slab<R> {}

/// A reference to one life of a slot.
pub struct Ref<R> {
    index: u32,
    life: u32,
    names: PhantomData<fn() -> R>,
}

impl<R> Clone for Ref<R> {
    #[inline]
    fn clone(&self) -> Self {
        *self
    }
}

impl<R> Copy for Ref<R> {}

impl<R> PartialEq for Ref<R> {
    fn eq(&self, other: &Self) -> bool {
        (self.index, self.life) == (other.index, other.life)
    }
}

impl<R> Eq for Ref<R> {}

impl<R> fmt::Debug for Ref<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "slot {}, life {}", self.index, self.life)
    }
}

impl<R> Ref<R> {
    /// The slot.
    pub fn index(self) -> usize {
        self.index as usize
    }
}

/// A pointer in a word: zero is `NULL`.
impl<R> Word for Option<Ref<R>> {
    fn into_word(self) -> u64 {
        self.map_or(0, |r| u64::from(r.life) << 32 | u64::from(r.index + 1))
    }

    fn from_word(word: u64) -> Self {
        let index = (word as u32).checked_sub(1)?;
        Some(Ref { index, life: (word >> 32) as u32, names: PhantomData })
    }
}

impl<R: Record> Slab<R> {
    /// A slab of `slots` slots, all of them free.
    pub fn new(memory: &mut MemoryBuilder, name: &'static str, slots: usize, when_free: WhenFree) -> Slab<R> {
        let records: Array<R> = memory.array(name, slots);
        let lives = memory.words(format!("{name}.lives"), slots);
        let used = memory.alone(format!("{name}.used"));
        let freed_last = memory.alone(format!("{name}.freed"));
        if slots > 0 {
            let base = records.at(0).loc();
            let end = base.offset(slots as u32 * R::WORDS);
            memory.note_slab(SlabLayout { base, end, width: R::WORDS, lives, apart: 1, when_free });
        }
        Slab { records, lives, used, freed_last, when_free }
    }

    fn life(self, index: u32) -> Shared<u32> {
        Shared::at(self.lives.offset(index))
    }

    /// The record of a slot, whether it is in use or not.
    pub fn record(self, index: usize) -> R {
        self.records.at(index)
    }

    /// How many slots were ever in use. They are the first ones. This is for code that looks at all of them.
    pub fn used(self, core: &Core) -> usize {
        core.memory.get(self.used.loc()) as usize
    }

    /// Begins a life in a slot that was never in use. If there is none, it takes the first slot that is free. In a type-safe
    /// slab it may also take the slot that was freed last, as allocators do. Code that still looks at that slot then looks
    /// at another record. All words of the new record are zero. `None`, if every slot is in use.
    pub fn alloc(self, core: &Core) -> Option<Ref<R>> {
        let memory = &core.memory;
        let used = memory.get(self.used.loc()) as u32;
        let fresh = ((used as usize) < self.records.len()).then_some(used);
        let is_free = |index: &u32| memory.get(self.life(*index).loc()).is_multiple_of(2);
        let first = fresh.or_else(|| (0..used).find(is_free))?;
        let index = match (memory.get(self.freed_last.loc()) as u32).checked_sub(1).filter(is_free) {
            Some(last) if last != first && core.choose_value("free slot", 2) == 1 => last,
            _ => first,
        };
        if fresh == Some(index) {
            // Nobody has written to this slot yet, so it is zero.
            memory.set(self.used.loc(), u64::from(used) + 1);
        } else {
            memory.clear(self.records.at(index as usize).loc(), R::WORDS);
        }
        let life = memory.get(self.life(index).loc()) + 1;
        memory.set(self.life(index).loc(), life);
        Some(Ref { index, life: life as u32, names: PhantomData })
    }

    /// A reference to the life that a slot is in now; none if the slot is free.
    pub fn current(self, core: &Core, index: usize) -> Option<Ref<R>> {
        let life = core.memory.get(self.life(index as u32).loc());
        (life % 2 == 1).then_some(Ref { index: index as u32, life: life as u32, names: PhantomData })
    }

    /// A reference to the life that a slot is in, or was in last: what a pointer means that knows the slot alone. None if the slot was
    /// never used.
    pub fn latest(self, core: &Core, index: usize) -> Option<Ref<R>> {
        let life = core.memory.get(self.life(index as u32).loc());
        // Even numbers are those of slots that are free.
        let life = (life as u32).checked_sub(1)? | 1;
        Some(Ref { index: index as u32, life, names: PhantomData })
    }

    /// Ends a life. If the life has ended already, the answer is `false`, and nothing happens.
    pub fn free(self, core: &Core, r: Ref<R>) -> bool {
        let live = self.is_live(core, r);
        if live {
            core.memory.set(self.life(r.index).loc(), u64::from(r.life) + 1);
            if self.when_free == WhenFree::TypeSafe {
                core.memory.set(self.freed_last.loc(), u64::from(r.index) + 1);
            }
        }
        live
    }

    /// Whether the life that a reference names goes on.
    #[inline]
    pub fn is_live(self, core: &Core, r: Ref<R>) -> bool {
        core.memory.get(self.life(r.index).loc()) == u64::from(r.life)
    }

    /// Follows a reference. If the life that it names has ended, the observer hears of it.
    #[inline]
    pub fn deref(self, cpu: Cpu<'_>, r: Ref<R>) -> R {
        let record = self.records.at(r.index as usize);
        if !self.is_live(cpu.core, r) {
            cpu.core.note_dead(cpu.id, record.loc());
        }
        record
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use super::*;
    use crate::core::Observer;
    use crate::event::Event;
    use crate::id::CpuId;
    use crate::machine::Config;

    crate::record! {
        struct Thing {
            value: Shared<u64> = "value";
            other: Shared<u64> = "other";
        }
    }

    #[derive(Default)]
    struct Heard(RefCell<Vec<String>>);

    impl Observer for Heard {
        fn observe(&self, _core: &Core, _cpu: CpuId, _event: Event) {}

        fn touched_dead(&self, core: &Core, cpu: CpuId, loc: Loc) {
            self.0.borrow_mut().push(format!("{cpu} {}", core.memory.describe(loc)));
        }
    }

    fn machine(when_free: WhenFree) -> (Core, Slab<Thing>, Rc<Heard>) {
        let mut memory = MemoryBuilder::default();
        memory.words("before", 5);
        let slab = Slab::new(&mut memory, "thing", 2, when_free);
        let heard = Rc::new(Heard::default());
        let core = Core::new(memory.build(), Config::default());
        core.set_observer(Some(heard.clone()));
        (core, slab, heard)
    }

    #[test]
    fn a_use_after_the_end_is_heard_and_changes_nothing() {
        let (core, slab, heard) = machine(WhenFree::Untouchable);
        let cpu = Cpu { core: &core, id: CpuId(0) };
        let first = slab.alloc(&core).expect("a slot is free");
        let value = slab.deref(cpu, first).value();
        cpu.this_cpu_write(value, 7);
        assert!(heard.0.borrow().is_empty(), "{heard:?}", heard = heard.0.borrow());
        assert!(slab.free(&core, first) && !slab.free(&core, first));
        assert_eq!(cpu.this_cpu_read(value), 7);
        slab.deref(cpu, first);
        assert_eq!(*heard.0.borrow(), ["cpu0 thing[0].value", "cpu0 thing[0].value"]);
    }

    #[test]
    fn a_reference_knows_the_life_that_it_meant() {
        for when_free in [WhenFree::Untouchable, WhenFree::TypeSafe] {
            let (core, slab, heard) = machine(when_free);
            let cpu = Cpu { core: &core, id: CpuId(0) };
            let [first, second] = [(); 2].map(|()| slab.alloc(&core).expect("a slot is free"));
            assert_eq!(slab.alloc(&core), None);
            assert_eq!(slab.latest(&core, 1), Some(second));
            slab.free(&core, second);
            assert_eq!((slab.latest(&core, 1), slab.current(&core, 1)), (Some(second), None));
            let third = slab.alloc(&core).expect("a slot is free again");
            assert_eq!((third.index(), third == second), (1, false));
            slab.deref(cpu, first);
            slab.deref(cpu, third);
            assert!(heard.0.borrow().is_empty());
            slab.deref(cpu, second);
            assert_eq!(heard.0.borrow().len(), 1, "slot 1 has another life");
            assert_eq!(Option::from_word(Some(third).into_word()), Some(third));
            assert_eq!(Option::<Ref<Thing>>::from_word(0), None);
        }
    }

    #[test]
    fn a_type_safe_slot_may_be_looked_at_while_it_is_free() {
        let (core, slab, heard) = machine(WhenFree::TypeSafe);
        let cpu = Cpu { core: &core, id: CpuId(0) };
        let thing = slab.alloc(&core).expect("a slot is free");
        let record = slab.deref(cpu, thing);
        slab.free(&core, thing);
        cpu.this_cpu_read(record.other());
        assert!(heard.0.borrow().is_empty());
    }

    #[test]
    fn a_rewind_takes_lives_back() {
        let (core, slab, _) = machine(WhenFree::Untouchable);
        let kept = slab.alloc(&core).expect("a slot is free");
        core.checkpoint();
        slab.free(&core, kept);
        slab.alloc(&core).expect("a slot is free");
        core.rewind();
        assert!(slab.is_live(&core, kept));
        assert_eq!(slab.alloc(&core).map(Ref::index), Some(1));
    }
}
