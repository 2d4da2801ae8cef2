//! What a step touches: the state that it depended on, and the state that it changed.
//!
//! This module makes a promise about two steps of different lanes. If they touch nothing in common, or only look
//! at what they have in common, then they commute: in the other order they do the same, and they lead to the same
//! state. For example, two CPUs that read one word commute, and a read and a write of one word do not. Exhaustive
//! exploration rests on this promise. So nothing is declared by hand if the machine can see it itself. Looks at
//! words and writes to them are noted where they happen. The effects of interrupts, grace periods and store
//! buffers are found by comparing them before and after the step. Only state that lives outside words is
//! declared, by [`Core::touch`](crate::Core::touch).

use crate::gate::Gate;
use crate::id::CpuId;
use crate::loc::Loc;
use crate::machine::{Machine, MemoryModel};
use crate::places::Places;

/// How a step touches a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    /// It depends on what is there, or changes it.
    Plain,
    /// It can only come after the last write to the place. The other order does not exist.
    After,
    /// It waits for this gate, and the value of the place opens and closes the gate.
    Gate {
        gate: Gate,
        /// Its CPU can do something else while the gate is closed.
        or_else: bool,
    },
    /// Something else that its CPU could do waits for this gate, which is closed. The step that closed the gate could
    /// have come after that other thing.
    Instead(Gate),
    /// The place is the back of a store buffer, and the step waits until that buffer is empty.
    Drained,
}

/// A place that a step touched.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Touch {
    pub(crate) loc: Loc,
    pub(crate) writes: bool,
    pub(crate) how: How,
    /// The value before the step. It is zero for a place that is not a word.
    pub(crate) old: u64,
}

/// What a step of a run touched: a word, or a place that stands for state outside words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Touched {
    /// Where.
    pub loc: Loc,
    /// Whether it changed what is there.
    pub writes: bool,
}

/// What a search has seen its machine do. For example, no step is watched for interrupts until the machine raises one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sees {
    pub(crate) interrupts: bool,
    pub(crate) grace_periods: bool,
}

/// What is compared before and after a step.
#[derive(Clone, Copy, Debug, Default)]
struct CpuBefore {
    pending: u32,
    quiescent: bool,
    stores: u32,
    buffered: u32,
}

/// Collects the footprint of one step at a time.
#[derive(Debug, Default)]
pub(crate) struct Tracker {
    journal: usize,
    rcu: u64,
    interrupted: u64,
    cpus: Vec<CpuBefore>,
    /// What the step waited for.
    gate: Option<Gate>,
    /// The gates for which other things wait that its CPU could do instead, and whether each gate is open.
    other_gates: Vec<(Gate, bool)>,
    /// Touches of state that lives outside words.
    outside: Vec<(Loc, bool)>,
    /// What its lane still knows, if the lane said in this step that it forgets the rest.
    pub(crate) forgets: Option<u64>,
    /// The looks of the step, in order.
    pub(crate) looks: Vec<(Loc, u64)>,
    /// The footprint, with one entry for each place.
    pub(crate) touches: Vec<Touch>,
}

/// What must be known of a step to complete its footprint.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    pub(crate) cpu: CpuId,
    /// Whether the oldest buffered store of the CPU reached memory. Otherwise the code of the CPU went on.
    pub(crate) is_drain: bool,
    /// Whether interrupts were on when the step was chosen.
    pub(crate) irq_on: bool,
    /// Whether the step waited until stores had left the store buffer.
    pub(crate) drains: bool,
    /// Whether its CPU could have done something else, or can do so while this step waits: take an interrupt, or switch
    /// to another task.
    pub(crate) or_else: bool,
    /// Whether something that its CPU could do waits until the store buffer is empty.
    pub(crate) may_drain: bool,
}

impl Sees {
    /// Everything that there is.
    pub(crate) const ALL: Sees = Sees { interrupts: true, grace_periods: true };
}

impl Tracker {
    /// A step begins. It waited for `gate`, and other things that its CPU could do instead wait for `other_gates`.
    pub(crate) fn open(
        &mut self,
        machine: &Machine,
        sees: Sees,
        gate: Option<Gate>,
        other_gates: impl Iterator<Item = (Gate, bool)>,
        is_quiescent: impl Fn(usize) -> bool,
    ) {
        self.journal = machine.memory.writes();
        self.rcu = machine.rcu.changes();
        self.interrupted = machine.interrupted.get();
        self.gate = gate;
        self.other_gates.clear();
        self.other_gates.extend(other_gates);
        self.outside.clear();
        self.forgets = None;
        if sees != Sees::default() || self.interrupted != 0 || machine.config.memory == MemoryModel::Tso {
            self.cpus.clear();
            self.cpus.extend(machine.cpus.iter().enumerate().map(|(i, cpu)| CpuBefore {
                pending: cpu.pending.get(),
                quiescent: sees.grace_periods && is_quiescent(i),
                stores: cpu.buffer.entered(),
                buffered: cpu.buffer.len(),
            }));
        }
        machine.memory.set_tracked(true);
    }

    pub(crate) fn touch_outside(&mut self, loc: Loc, writes: bool) {
        self.outside.push((loc, writes));
    }

    /// Touches of state that lives outside words, in order.
    pub(crate) fn outside(&self) -> &[(Loc, bool)] {
        &self.outside
    }

    fn add(&mut self, loc: Loc, writes: bool, how: How, old: u64) {
        match self.touches.iter_mut().find(|touch| touch.loc == loc) {
            None => self.touches.push(Touch { loc, writes, how, old }),
            Some(touch) => {
                // The first touch of the place has the value before the step.
                touch.old = if writes && !touch.writes { old } else { touch.old };
                touch.writes |= writes;
                if touch.how == How::After {
                    touch.how = how;
                }
            }
        }
    }

    /// The step is over, and its footprint is now in `touches`. Answers what the machine was seen to do in the step.
    pub(crate) fn close(
        &mut self,
        machine: &Machine,
        sees: Sees,
        step: Step,
        is_quiescent: impl Fn(usize) -> bool,
    ) -> Sees {
        let places = machine.places();
        let Step { cpu, .. } = step;
        self.touches.clear();
        self.looks.clear();
        match self.gate {
            // A load that waits for its CPU's own buffer is `drains`.
            None | Some(Gate::Open | Gate::OneSource(..)) => {}
            Some(gate @ (Gate::Zero(loc) | Gate::NonZero(loc) | Gate::Is(loc, ..) | Gate::IsNot(loc, ..))) => {
                self.add(loc, false, How::Gate { gate, or_else: step.or_else }, 0);
            }
            Some(Gate::AllDrained) => self.add_buffers(machine, places, How::After),
        }
        for i in 0..self.other_gates.len() {
            match self.other_gates[i] {
                (Gate::Open | Gate::OneSource(..), _) => {}
                (
                    gate @ (Gate::Zero(loc) | Gate::NonZero(loc) | Gate::Is(loc, ..) | Gate::IsNot(loc, ..)),
                    is_open,
                ) => {
                    self.add(loc, false, if is_open { How::Plain } else { How::Instead(gate) }, 0);
                }
                (Gate::AllDrained, _) => self.add_buffers(machine, places, How::Plain),
            }
        }
        let mut looks = std::mem::take(&mut self.looks);
        machine.memory.take_looks(|loc, value| looks.push((loc, value)));
        looks.iter().for_each(|&(loc, value)| self.add(loc, false, How::Plain, value));
        self.looks = looks;
        for i in 0..self.outside.len() {
            let (loc, writes) = self.outside[i];
            self.add(loc, writes, How::Plain, 0);
        }
        machine.memory.writes_since(self.journal, |loc, old| self.add(loc, true, How::Plain, old));
        let shown = Sees {
            interrupts: self.interrupted | machine.interrupted.get() != 0,
            grace_periods: self.rcu != machine.rcu.changes(),
        };
        if sees.interrupts && shown.interrupts {
            for other in CpuId::all(machine.cpus.len()) {
                if machine.cpus[other.index()].pending.get() != self.cpus[other.index()].pending {
                    self.add(places.pending(other), true, How::Plain, 0);
                }
            }
        }
        if sees.interrupts && step.irq_on && !step.is_drain {
            self.add(places.pending(cpu), false, How::Plain, 0);
        }
        if sees.grace_periods {
            for (other, id) in CpuId::all(machine.cpus.len()).enumerate() {
                let changed = self.cpus[other].quiescent != is_quiescent(other);
                if changed || shown.grace_periods {
                    self.add(places.quiescence(id), changed, How::Plain, 0);
                }
            }
            if shown.grace_periods {
                self.add(places.rcu(), true, How::Plain, 0);
            }
        }
        if machine.config.memory == MemoryModel::Tso {
            self.close_buffer(machine, places, step);
        }
        shown
    }

    /// Adds the store buffers: the step, or something else that its CPU could do, waits until all of them are empty.
    fn add_buffers(&mut self, machine: &Machine, places: Places, drained: How) {
        for cpu in CpuId::all(machine.cpus.len()) {
            self.add(places.stored(cpu), false, How::Drained, 0);
            self.add(places.drained(cpu), false, drained, 0);
        }
    }

    fn close_buffer(&mut self, machine: &Machine, places: Places, step: Step) {
        let Step { cpu, is_drain, drains, may_drain, .. } = step;
        let (before, now) = (self.cpus[cpu.index()], &machine.cpus[cpu.index()]);
        let stores = now.buffer.entered();
        for n in before.stores..stores {
            self.add(places.slot(cpu, n), true, How::Plain, 0);
            self.add(places.stored(cpu), true, How::Plain, 0);
        }
        if is_drain {
            self.add(places.slot(cpu, before.stores - before.buffered), false, How::After, 0);
        }
        let left = now.buffer.len();
        if before.buffered + (stores - before.stores) > left {
            self.add(places.drained(cpu), true, How::Plain, 0);
        } else if drains {
            self.add(places.drained(cpu), false, How::After, 0);
        }
        if may_drain {
            self.add(places.drained(cpu), false, How::Plain, 0);
        }
    }

    /// Whether the step itself emptied the store buffer of its CPU, and the buffer had something in it before.
    pub(crate) fn emptied(&self, machine: &Machine, cpu: CpuId) -> bool {
        machine.config.memory == MemoryModel::Tso
            && self.cpus[cpu.index()].buffered > 0
            && machine.cpus[cpu.index()].buffer.is_empty()
    }
}
