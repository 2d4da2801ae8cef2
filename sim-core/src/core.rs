//! The state that all parts of a run share: the machine, the one who decides, and the one who watches.

use std::cell::{Cell, RefCell};
use std::ops::Deref;
use std::rc::Rc;

use crate::choice::{Choice, Chooser, Decided, Decision, Enabled, Transition};
use crate::cpu_state::Atomic;
use crate::event::Event;
use crate::footprint::{Touch, Touched, Tracker};
use crate::id::CpuId;
use crate::loc::Loc;
use crate::machine::{Config, Machine};
use crate::memory::Memory;
use crate::op::{Op, OpKind};
use crate::ready::Ready;
use crate::source::Source;
use crate::systematic::Search;
use crate::timeline::Timeline;

/// The one who keeps the event log.
pub trait Observer {
    /// An event, at the moment it happens.
    fn observe(&self, core: &Core, cpu: CpuId, event: Event);

    /// Code on `cpu` used a record whose life has ended ([`Slab`](crate::Slab)). `loc` is the word that it used, or the
    /// first word of the record. The observer hears of it in every run, with and without the event log.
    fn touched_dead(&self, core: &Core, cpu: CpuId, loc: Loc) {
        let _ = (core, cpu, loc);
    }

    /// Code on `cpu` is about to do something that may sleep, where that is not allowed. The observer hears of it in every run.
    fn slept_in_atomic(&self, core: &Core, cpu: CpuId, why: Atomic) {
        let _ = (core, cpu, why);
    }
}

/// A model of what operations cost, in cycles. It can keep account of every cycle by which a clock advances: it knows the
/// costs that it answers, and [`waited`](Costs::waited) tells it of the rest. The caller of
/// [`Cpu::spend`](crate::Cpu::spend) tells it of those cycles himself.
pub trait Costs {
    /// The cost of an announced operation, which `cpu` performs right after this call.
    fn operation(&self, core: &Core, cpu: CpuId, op: &Op) -> u64;

    /// The time from the moment at which an interrupt is raised on another CPU to the moment at which it can be taken there.
    fn flight(&self) -> u64;

    /// The cost of taking an interrupt, up to the first instruction of its handler.
    fn interrupt(&self, cpu: CpuId) -> u64;

    /// The cost of the return from an interrupt.
    fn interrupt_return(&self, cpu: CpuId) -> u64;

    /// The clock of the CPU advances by `cycles`, in which it waited for another CPU.
    fn waited(&self, cpu: CpuId, cycles: u64);

    /// A run begins: clocks are at zero.
    fn reset(&self);
}

/// The digest of no access.
const NO_DIGEST: u64 = 0xcbf2_9ce4_8422_2325;

/// Steps between two digests that a record keeps.
pub const DIGEST_EVERY: u64 = 16;

/// A [`Machine`] together with the source of its decisions, its observer and its cost model. The fields and methods of
/// the machine are reached through it.
pub struct Core {
    machine: Machine,
    source: RefCell<Source>,
    recording: Cell<bool>,
    decisions: RefCell<Vec<Decision>>,
    observer: RefCell<Option<Rc<dyn Observer>>>,
    traced: Cell<bool>,
    /// Whether accesses are traced, digested or put to account at all.
    watched: Cell<bool>,
    /// Whether the footprints of steps are wanted, and the step from which on they are.
    searched: Cell<bool>,
    pub(crate) closely_from: Cell<u64>,
    pub(crate) tracker: RefCell<Tracker>,
    /// What each step of the run touched, if that is kept.
    footprints: RefCell<Option<Vec<Vec<Touched>>>>,
    digested: Cell<bool>,
    pub(crate) costed: Cell<bool>,
    pub(crate) costs: RefCell<Option<Rc<dyn Costs>>>,
    pub(crate) timeline: RefCell<Option<Timeline>>,
    digest: Cell<u64>,
    digests: RefCell<Vec<u64>>,
    pub(crate) steps: Cell<u64>,
    stop: Cell<bool>,
}

impl Deref for Core {
    type Target = Machine;

    #[inline(always)]
    fn deref(&self) -> &Machine {
        &self.machine
    }
}

impl Core {
    /// A machine at rest.
    pub fn new(memory: Memory, config: Config) -> Core {
        Core {
            machine: Machine::new(memory, config),
            source: RefCell::new(Source::First),
            recording: Cell::new(false),
            decisions: RefCell::default(),
            observer: RefCell::new(None),
            traced: Cell::new(false),
            watched: Cell::new(false),
            searched: Cell::new(false),
            closely_from: Cell::new(u64::MAX),
            tracker: RefCell::default(),
            footprints: RefCell::new(None),
            digested: Cell::new(false),
            costed: Cell::new(false),
            costs: RefCell::new(None),
            timeline: RefCell::new(None),
            digest: Cell::new(NO_DIGEST),
            digests: RefCell::default(),
            steps: Cell::new(0),
            stop: Cell::new(false),
        }
    }

    /// Steps that the present run has taken.
    #[inline]
    pub fn steps(&self) -> u64 {
        self.steps.get()
    }

    /// Makes the present state of words and objects the one at which every run starts.
    pub fn checkpoint(&self) {
        if self.costed.get() {
            self.forget_changes();
        }
        self.machine.keep();
    }

    /// Takes words, objects, CPUs, RCU and counters back to the checkpoint. The executor must drop its contexts before.
    pub fn rewind(&self) {
        if self.costed.get() {
            self.restart_time();
        }
        self.machine.restore();
        if self.costed.get() {
            self.start_clocks();
        }
        self.steps.set(0);
        self.digest.set(NO_DIGEST);
        if self.watched.get() {
            self.digests.borrow_mut().clear();
        }
        self.stop.set(false);
        if let Some(footprints) = self.footprints.borrow_mut().as_mut() {
            footprints.clear();
        }
        if self.recording.get() {
            self.decisions.borrow_mut().clear();
        }
    }

    /// Decisions of the coming runs come from `source`.
    #[inline]
    pub fn set_source(&self, source: Source) {
        *self.source.borrow_mut() = source;
    }

    /// The source in use, to seed it for the next run or to ask it what happened.
    pub fn with_source<R>(&self, ask: impl FnOnce(&mut Source) -> R) -> R {
        ask(&mut self.source.borrow_mut())
    }

    /// Keeps the decisions of each run from now on, or no longer.
    pub fn keep_decisions(&self, keep: bool) {
        self.recording.set(keep);
        self.decisions.borrow_mut().clear();
    }

    /// The decisions of the run so far, if they are kept.
    pub fn decisions(&self) -> Vec<Decision> {
        self.decisions.borrow().clone()
    }

    /// Keeps from now on what each step of a run touches, or no longer. A search keeps it for itself.
    pub fn keep_footprints(&self, keep: bool) {
        self.footprints.replace(keep.then(Vec::new));
    }

    /// What each step of the run so far touched, if that is kept.
    pub fn footprints(&self) -> Vec<Vec<Touched>> {
        self.footprints.borrow().clone().unwrap_or_default()
    }

    pub(crate) fn keeps_footprints(&self) -> bool {
        self.footprints.borrow().is_some()
    }

    /// The tracker has what the last step touched.
    pub(crate) fn keep_footprint(&self, tracker: &Tracker) {
        if let Some(footprints) = self.footprints.borrow_mut().as_mut() {
            let touched = |touch: &Touch| Touched { loc: touch.loc, writes: touch.writes };
            footprints.push(tracker.touches.iter().map(touched).collect());
        }
    }

    /// Sends every event to `observer` while tracing is on.
    pub fn set_observer(&self, observer: Option<Rc<dyn Observer>>) {
        self.observer.replace(observer);
    }

    /// Turns the event log on or off. Exploring runs without it.
    pub fn set_traced(&self, on: bool) {
        self.traced.set(on);
        self.update_watched();
    }

    /// Whether events are sent.
    #[inline]
    pub fn is_traced(&self) -> bool {
        self.traced.get()
    }

    /// Turns the state digest on or off.
    pub fn set_digested(&self, on: bool) {
        self.digested.set(on);
        self.digests.borrow_mut().clear();
        self.update_watched();
    }

    pub(crate) fn update_watched(&self) {
        let searched = self.searched.get();
        self.watched.set(self.traced.get() || self.digested.get() || self.costed.get() || searched);
    }

    /// Whether anybody wants to know what an operation does.
    #[inline]
    pub(crate) fn is_watched(&self) -> bool {
        self.watched.get()
    }

    /// A digest of every access of this run: who made it, where, the value before and the value after.
    pub fn digest(&self) -> u64 {
        self.digest.get()
    }

    /// The digest after every [`DIGEST_EVERY`] steps.
    pub fn digests(&self) -> Vec<u64> {
        self.digests.borrow().clone()
    }

    /// A step begins.
    #[inline]
    pub(crate) fn count_step(&self) {
        self.steps.set(self.steps.get() + 1);
    }

    /// A step of `cpu` has ended.
    #[inline]
    pub(crate) fn end_step(&self, cpu: CpuId) {
        if self.watched.get() {
            self.end_watched_step(cpu);
        }
    }

    #[cold]
    fn end_watched_step(&self, cpu: CpuId) {
        if self.searched.get() {
            self.memory.set_tracked(false);
        }
        if self.digested.get() && self.steps.get().is_multiple_of(DIGEST_EVERY) {
            self.digests.borrow_mut().push(self.digest.get());
        }
        if self.costed.get() {
            self.note_changes(cpu);
        }
    }

    /// Whether the footprint of the present step is wanted.
    #[inline]
    pub(crate) fn is_searched(&self) -> bool {
        self.watched.get() && self.searched.get()
    }

    /// From now on the footprint of each step is wanted, or of none.
    pub(crate) fn set_searched(&self, on: bool) {
        self.searched.set(on);
        if !on {
            self.memory.set_tracked(false);
        }
        self.update_watched();
    }

    /// Asks the search, if a search is the source of the decisions.
    pub(crate) fn with_search<R>(&self, ask: impl FnOnce(&mut Search) -> R) -> Option<R> {
        match &mut *self.source.borrow_mut() {
            Source::Systematic(search) => Some(ask(search)),
            _ => None,
        }
    }

    /// Ends the run after the present step: an observer has seen enough.
    pub fn request_stop(&self) {
        self.stop.set(true);
    }

    /// Whether somebody asked for the end of the run.
    #[inline]
    pub fn stop_requested(&self) -> bool {
        self.stop.get()
    }

    /// Chooses one of `of` values of which the machine allows each, for example a free frame or a cached translation.
    ///
    /// # Panics
    /// If `of` is zero, because then there is nothing to choose from.
    pub fn choose_value(&self, what: &'static str, of: usize) -> usize {
        assert!(of > 0, "a choice of {what} among nothing");
        if of == 1 { 0 } else { self.choose(&Choice::Value { what, of }) }
    }

    #[inline]
    pub(crate) fn choose_transition(&self, ready: &Ready, others: &[Transition]) -> usize {
        self.choose(&Choice::Transition(Enabled { ready, others, cpus: &self.cpus }))
    }

    // The kind of choice is known where this is called: only inlined can that be used.
    #[inline(always)]
    fn choose(&self, choice: &Choice<'_>) -> usize {
        let chosen = self.source.borrow_mut().choose(choice);
        debug_assert!(chosen < choice.of(), "a source chose {chosen} of {}", choice.of());
        self.note_decision(choice, chosen);
        chosen
    }

    /// Keeps a decision, if decisions are kept.
    #[inline]
    pub(crate) fn note_decision(&self, choice: &Choice<'_>, chosen: usize) {
        if self.recording.get() {
            self.record(choice, chosen);
        }
    }

    #[cold]
    fn record(&self, choice: &Choice<'_>, chosen: usize) {
        let decided = match choice {
            Choice::Transition(enabled) => Decided::Transition(enabled.get(chosen)),
            Choice::Value { what, .. } => Decided::Value(what),
        };
        let decision = Decision { step: self.steps.get(), decided, chosen: chosen as u32, of: choice.of() as u32 };
        self.decisions.borrow_mut().push(decision);
    }

    /// Sends an event to the observer, if tracing is on.
    #[inline]
    pub fn emit(&self, cpu: CpuId, event: impl FnOnce() -> Event) {
        if self.traced.get()
            && let Some(observer) = self.observer.borrow().as_ref()
        {
            observer.observe(self, cpu, event());
        }
    }

    /// Tells the observer if a word that is touched belongs to a record that is free.
    #[inline]
    pub(crate) fn check_life(&self, cpu: CpuId, loc: Loc) {
        if self.memory.is_dead(loc) {
            self.note_dead(cpu, loc);
        }
    }

    /// Something that may sleep comes next, where that is not allowed.
    #[cold]
    pub(crate) fn note_atomic_sleep(&self, cpu: CpuId, why: Atomic) {
        if let Some(observer) = self.observer.borrow().as_ref() {
            observer.slept_in_atomic(self, cpu, why);
        }
    }

    /// A word was touched whose record is free, or has begun another life.
    #[cold]
    pub(crate) fn note_dead(&self, cpu: CpuId, loc: Loc) {
        if let Some(observer) = self.observer.borrow().as_ref() {
            observer.touched_dead(self, cpu, loc);
        }
    }

    #[inline]
    pub(crate) fn performed(&self, cpu: CpuId, op: &Op, old: u64, new: u64) {
        self.check_life(cpu, op.loc);
        if self.watched.get() {
            self.watch_access(cpu, op, old, new);
        }
    }

    #[cold]
    fn watch_access(&self, cpu: CpuId, op: &Op, old: u64, new: u64) {
        // A store does not look at what it replaces.
        if self.memory.is_tracked() && op.kind != OpKind::Write && op.loc != Loc::NONE {
            self.memory.note_look(op.loc, old);
        }
        if self.digested.get() {
            self.mix(cpu, op.kind, op.loc, old, new);
        }
        self.emit(cpu, || Event::Access { kind: op.kind, loc: op.loc, old, new, place: op.place });
    }

    fn mix(&self, cpu: CpuId, kind: OpKind, loc: Loc, old: u64, new: u64) {
        let mut digest = self.digest.get();
        for word in [u64::from(cpu.0) << 8 | kind as u64, self.memory.name_digest(loc), old, new] {
            digest = (digest ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            digest ^= digest >> 29;
        }
        self.digest.set(digest);
    }
}
