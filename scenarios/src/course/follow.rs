//! Following a course.
//!
//! The steps of each CPU are matched, in order, with the steps that the course has for that CPU. An access is
//! matched by its line of code, and any other step by its kind. Matched steps come in the order of the course.
//! The run may have a step that the course does not have. It comes when the next matched step of its CPU is due.
//! The course may have a step that the CPU has passed, or that never becomes possible. It is left out. When the
//! course has ended, or says nothing that is possible, the simplest step is chosen.

use std::cell::Cell;
use std::rc::Rc;

use sim_core::source::Source;
use sim_core::{Choice, Chooser, CpuId, Enabled, Op, Transition};

use super::{Act, Course};
use crate::oracle::Watch;
use crate::world::World;

/// How far a course was followed. It is asked when the run has ended.
#[derive(Clone, Debug, Default)]
pub struct Ending(Rc<Cell<bool>>);

impl Ending {
    /// Whether the run had decisions that the course does not have.
    pub fn left_course(&self) -> bool {
        self.0.get()
    }
}

/// Makes the choices that a course says.
pub struct Follow {
    course: Course,
    done: Vec<bool>,
    /// The first step that is not done.
    next: usize,
    /// The step that is under way, if the course has it.
    current: Option<usize>,
    ending: Ending,
    /// The event log, which tells what was done, even if there was nothing to choose.
    watch: Rc<Watch>,
    /// How much of the log was read, and the last step in it.
    heard: (usize, u64),
}

impl Follow {
    /// A source that follows `course` in a traced run of `world`, and a handle that tells how far the course was followed.
    pub fn source(course: Course, world: &World<'_>) -> (Source, Ending) {
        let ending = Ending::default();
        let done = vec![false; course.doings.len()];
        let (watch, heard) = (world.watch().clone(), (0, 0));
        let follow = Follow { course, done, next: 0, current: None, ending: ending.clone(), watch, heard };
        (Source::Custom(Box::new(follow)), ending)
    }

    /// The steps that the course still has for a CPU, in order.
    fn left(&self, cpu: CpuId) -> impl Iterator<Item = usize> {
        (self.next..self.done.len()).filter(move |&i| !self.done[i] && self.course.doings[i].cpu == cpu)
    }

    /// Which of some steps does that. A step at the same word comes first, because the same line may come again for another
    /// word. Otherwise the line alone decides, because words may have moved.
    fn find(&self, steps: &[usize], act: Act) -> Option<usize> {
        let doings = &self.course.doings;
        let line = |of: Act| matches!((of, act), (Act::Access(a, _), Act::Access(b, _)) if a == b);
        let same = steps.iter().position(|&i| doings[i].act == act);
        same.or_else(|| steps.iter().position(|&i| line(doings[i].act)))
    }

    /// Marks the steps that were done since the last choice, and the steps that the CPU has passed by that.
    fn hear(&mut self) {
        let mut did: Vec<(CpuId, Act)> = Vec::new();
        let (mut entries, mut step) = self.heard;
        self.watch.log_from(entries, |entry| {
            entries += 1;
            if let Some(act) = super::act(entry).filter(|_| entry.step > step) {
                step = entry.step;
                did.push((entry.cpu, act));
            }
        });
        self.heard = (entries, step);
        for (cpu, act) in did {
            let left: Vec<usize> = self.left(cpu).collect();
            let Some(place) = self.find(&left, act) else { continue };
            self.done[left[place]] = true;
            if let Act::Access(..) = act {
                self.pass(&left[..place]);
            }
        }
    }

    /// If the CPU is about to do a later step of the course, leaves out the steps that it has passed. An interrupt or a
    /// switch that may still come does not count as passed. Neither does a step that no log shows: it may be the try of an
    /// access that only succeeds later, as that of a user whose translation was flushed in the meantime.
    fn align(&mut self, cpu: CpuId, op: &Op) {
        let yet_to_come = |i: usize| !matches!(self.course.doings[i].act, Act::Access(..) | Act::Drain);
        let due: Vec<usize> = self.left(cpu).take_while(|&i| !yet_to_come(i)).collect();
        let place = self.find(&due, Act::Access(op.place, op.loc));
        self.pass(&due[..place.unwrap_or(0)]);
    }

    /// Leaves out the accesses among some steps.
    fn pass(&mut self, steps: &[usize]) {
        for &i in steps {
            self.done[i] |= matches!(self.course.doings[i].act, Act::Access(..) | Act::Unseen);
        }
    }

    fn transition(&mut self, enabled: &Enabled<'_>) -> usize {
        self.hear();
        for i in 0..enabled.len() {
            if let (Transition::Step(cpu), Some(op)) = (enabled.get(i), enabled.op(i)) {
                self.align(cpu, &op);
            }
        }
        self.current = None;
        let mut waiting = 0_u64;
        for i in self.next..self.done.len() {
            let (cpu, act) = (self.course.doings[i].cpu, self.course.doings[i].act);
            if self.done[i] || waiting & 1 << cpu.0 != 0 {
                continue;
            }
            let possible = (0..enabled.len()).find(|&answer| match (enabled.get(answer), act) {
                (Transition::Step(of), Act::Access(..) | Act::Unseen) | (Transition::Drain(of), Act::Drain) => {
                    of == cpu
                }
                (Transition::Interrupt(of, vector), Act::Interrupt(due)) => (of, vector) == (cpu, due),
                (Transition::Switch(of, task), Act::Switch(due)) => (of, task) == (cpu, due),
                _ => false,
            });
            let is_head = self.done[self.next..i].iter().all(|done| *done);
            match (possible, act) {
                (Some(answer), _) => {
                    let known = enabled.op(answer).is_none_or(|op| match act {
                        Act::Access(place, _) => op.place == place,
                        _ => true,
                    });
                    self.current = known.then_some(i);
                    // The log will not show this step.
                    self.done[i] = act == Act::Unseen;
                    return answer;
                }
                (None, Act::Access(..) | Act::Unseen) => waiting |= 1 << cpu.0,
                // The step is due, and there is no such interrupt.
                (None, _) if is_head => self.done[i] = true,
                (None, Act::Drain) => {}
                (None, _) => waiting |= 1 << cpu.0,
            }
        }
        self.ending.0.set(true);
        0
    }

    fn value(&mut self, asked: &'static str, of: usize) -> usize {
        let doings = &mut self.course.doings;
        let has = |values: &[(&str, u32)]| values.iter().position(|(what, _)| *what == asked);
        // If no other step was possible, the step was taken without a question. Its values are the first that are left.
        let place = self.current.filter(|&i| has(&doings[i].values).is_some());
        let place = place.or_else(|| (0..doings.len()).find(|&i| has(&doings[i].values).is_some()));
        let Some(values) = place.map(|i| &mut doings[i].values) else { return 0 };
        let chosen = has(values).map_or(0, |i| values.remove(i).1 as usize);
        if chosen < of { chosen } else { 0 }
    }
}

impl Chooser for Follow {
    fn choose(&mut self, choice: &Choice<'_>) -> usize {
        let answer = match choice {
            Choice::Value { what, of } => self.value(what, *of),
            Choice::Transition(enabled) => self.transition(enabled),
        };
        while self.done.get(self.next).is_some_and(|done| *done) {
            self.next += 1;
        }
        answer
    }
}
