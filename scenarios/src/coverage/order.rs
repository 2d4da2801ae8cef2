//! The happens-before order of one run, built event by event.
//!
//! Two events are ordered in these cases: both are of one CPU; both touch one word and one of them writes it; one
//! releases a lock that the other takes; one raises the interrupt that the other takes. The order is transitive.
//! A grace period comes after everything before it. Under TSO a store is an event of its CPU, and its way to
//! memory is an event of the store buffer of that CPU.
//!
//! Two accesses of different CPUs *race* if they touch one word, one of them writes it, the later one does not
//! wait at a lock or for a condition, and no other event stands between them in this order. So they could have
//! come the other way round.

use std::collections::{BTreeMap, VecDeque};

use sim_core::{CpuId, Loc};
use sim_mmu::Level;

/// The number of an actor: the code of a CPU, or its store buffer. Store buffers have the numbers after all CPUs.
type Actor = usize;

/// An access with which others may race.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Access {
    /// The actor that made it.
    pub(super) cpu: CpuId,
    /// The routine that made it.
    pub(super) routine: &'static str,
    /// The word.
    pub(super) loc: Loc,
    /// The level at which the word was taken for an entry of a paging structure, if it was.
    pub(super) entry: Option<Level>,
    /// Whether it changes what is there.
    pub(super) writes: bool,
    /// Whether it waited for the value that it found, or gives something back. Then the other order does not exist.
    pub(super) waits: bool,
    /// A digest of its kind and its values, which tells it from others.
    pub(super) what: u64,
}

/// Two accesses that raced, in the order of the run.
pub(super) type Raced = (Access, Access);

/// Everything that came before a point of an actor, with the point: the number of events of each actor, and a digest of all.
#[derive(Clone, Debug, Default)]
struct Past {
    clock: Vec<u32>,
    digest: u64,
}

impl Past {
    fn join(&mut self, other: &Past) {
        for (own, others) in self.clock.iter_mut().zip(&other.clock) {
            *own = (*own).max(*others);
        }
    }

    /// Whether event `at` of `actor` is part of it.
    fn has(&self, actor: Actor, at: u32) -> bool {
        self.clock[actor] >= at
    }
}

/// An access that was the last of its kind to a word.
#[derive(Clone, Debug)]
struct Mark {
    access: Access,
    actor: Actor,
    past: Past,
}

impl Mark {
    fn at(&self) -> u32 {
        self.past.clock[self.actor]
    }
}

/// The last write to a word, and each actor's last read since.
#[derive(Clone, Debug, Default)]
struct Word {
    write: Option<Mark>,
    reads: Vec<Mark>,
}

/// The order of the events so far.
#[derive(Clone, Debug)]
pub(super) struct Order {
    cpus: usize,
    actors: Vec<Past>,
    words: BTreeMap<Loc, Word>,
    /// Stores that each CPU has buffered, the oldest first.
    buffers: Vec<VecDeque<(Access, Past)>>,
    /// What came before the interrupts that are pending on each CPU.
    raised: Vec<Past>,
    total: u64,
}

fn mix(digest: u64, word: u64) -> u64 {
    let mixed = (digest ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed ^ mixed >> 29
}

impl Order {
    /// No event yet, on a machine with so many CPUs.
    pub(super) fn new(cpus: usize) -> Order {
        let nothing = Past { clock: vec![0; 2 * cpus], digest: 0 };
        Order {
            cpus,
            actors: vec![nothing.clone(); 2 * cpus],
            words: BTreeMap::new(),
            buffers: vec![VecDeque::new(); cpus],
            raised: vec![nothing; cpus],
            total: 0,
        }
    }

    /// A digest of the order. It is the same for all runs in which the same events are ordered alike.
    pub(super) fn digest(&self) -> u64 {
        self.total
    }

    fn store_buffer_of(&self, cpu: CpuId) -> Actor {
        self.cpus + cpu.index()
    }

    /// An event of an actor. It comes after everything in the past of the actor.
    fn advance(&mut self, actor: Actor, what: u64) {
        let past = &mut self.actors[actor];
        past.clock[actor] += 1;
        past.digest = mix(mix(past.digest, actor as u64), what);
        self.total = self.total.wrapping_add(mix(past.digest, self.cpus as u64));
    }

    /// Something that a CPU does without touching a word.
    pub(super) fn act(&mut self, cpu: CpuId, what: u64) {
        self.advance(cpu.index(), what);
    }

    /// All stores of the CPU have reached memory before it does anything else.
    pub(super) fn drained(&mut self, cpu: CpuId) {
        let buffer = self.actors[self.store_buffer_of(cpu)].clone();
        let past = &mut self.actors[cpu.index()];
        past.join(&buffer);
        past.digest = mix(past.digest, buffer.digest);
    }

    /// An access to memory itself.
    pub(super) fn access(&mut self, access: Access, raced: &mut Vec<Raced>) {
        self.touch(access.cpu.index(), access, raced);
    }

    /// A load: from the CPU's own store buffer, if that has the word.
    pub(super) fn load(&mut self, access: Access, raced: &mut Vec<Raced>) {
        let forwarded = self.buffers[access.cpu.index()].iter().any(|(store, _)| store.loc == access.loc);
        if forwarded { self.act(access.cpu, access.what) } else { self.access(access, raced) }
    }

    /// A store into the CPU's buffer.
    pub(super) fn store(&mut self, access: Access) {
        self.act(access.cpu, access.what);
        let past = self.actors[access.cpu.index()].clone();
        self.buffers[access.cpu.index()].push_back((access, past));
    }

    /// The CPU's oldest store to `loc` reaches memory.
    pub(super) fn drain(&mut self, cpu: CpuId, loc: Loc, raced: &mut Vec<Raced>) {
        let stored = std::iter::from_fn(|| self.buffers[cpu.index()].pop_front());
        let Some((access, past)) = stored.into_iter().find(|(access, _)| access.loc == loc) else { return };
        let actor = self.store_buffer_of(cpu);
        self.actors[actor].join(&past);
        self.actors[actor].digest = mix(self.actors[actor].digest, past.digest);
        self.touch(actor, access, raced);
    }

    fn touch(&mut self, actor: Actor, access: Access, raced: &mut Vec<Raced>) {
        let word = self.words.entry(access.loc).or_default();
        let reads = if access.writes { std::mem::take(&mut word.reads) } else { Vec::new() };
        let rivals: Vec<&Mark> = word.write.iter().chain(&reads).collect();
        let past = &self.actors[actor];
        for mark in &rivals {
            let between = || {
                rivals.iter().any(|other| !std::ptr::eq(*other, *mark) && other.past.has(mark.actor, mark.at()))
            };
            let ordered = past.has(mark.actor, mark.at()) || mark.access.cpu == access.cpu;
            if !access.waits && !ordered && !between() {
                raced.push((mark.access, access));
            }
        }
        let of_reads = reads.iter().fold(0_u64, |sum, read| sum.wrapping_add(mix(read.past.digest, 1)));
        let of_write = word.write.as_ref().map_or(0, |write| mix(write.past.digest, 2));
        let past = &mut self.actors[actor];
        rivals.iter().for_each(|mark| past.join(&mark.past));
        past.digest = mix(past.digest, of_reads.wrapping_add(of_write));
        self.advance(actor, mix(access.what, u64::from(access.loc.0)));
        let mark = Mark { access, actor, past: self.actors[actor].clone() };
        let word = self.words.entry(access.loc).or_default();
        if access.writes {
            word.write = Some(mark);
        } else {
            word.reads.retain(|read| read.actor != actor);
            word.reads.push(mark);
        }
    }

    /// A CPU makes an interrupt pending. One that it raises on itself ends a grace period.
    pub(super) fn raise(&mut self, cpu: CpuId, target: CpuId) {
        let causes = if cpu == target { 0..self.actors.len() } else { cpu.index()..cpu.index() + 1 };
        for past in &self.actors[causes] {
            self.raised[target.index()].join(past);
            let raised = &mut self.raised[target.index()];
            raised.digest = raised.digest.wrapping_add(mix(past.digest, 3));
        }
    }

    /// A CPU takes an interrupt.
    pub(super) fn interrupt(&mut self, cpu: CpuId, what: u64) {
        let raised = self.raised[cpu.index()].clone();
        let past = &mut self.actors[cpu.index()];
        past.join(&raised);
        past.digest = mix(past.digest, raised.digest);
        self.act(cpu, what);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(cpu: u8, loc: u32, writes: bool) -> Access {
        Access {
            cpu: CpuId(cpu),
            routine: "",
            loc: Loc(loc),
            entry: None,
            writes,
            waits: false,
            what: u64::from(writes),
        }
    }

    fn ordered(accesses: &[Access]) -> (u64, Vec<Raced>) {
        let mut order = Order::new(3);
        let mut raced = Vec::new();
        accesses.iter().for_each(|access| order.access(*access, &mut raced));
        (order.digest(), raced)
    }

    /// The digests of every interleaving, and how many interleavings there are.
    fn interleave(programs: &[Vec<Access>]) -> (std::collections::BTreeSet<u64>, usize) {
        let mut open = vec![(vec![0; programs.len()], Vec::new())];
        let (mut digests, mut whole) = (std::collections::BTreeSet::new(), 0);
        while let Some((at, so_far)) = open.pop() {
            let nexts = (0..programs.len()).filter(|&i| at[i] < programs[i].len());
            let before = open.len();
            for i in nexts {
                let (mut at, mut longer) = (at.clone(), so_far.clone());
                longer.push(programs[i][at[i]]);
                at[i] += 1;
                open.push((at, longer));
            }
            if open.len() == before {
                whole += 1;
                digests.insert(ordered(&so_far).0);
            }
        }
        (digests, whole)
    }

    /// There are as many digests as there are ways to order the events that depend on each other.
    #[test]
    fn one_digest_a_schedule() {
        let (x, y, z) = (0, 1, 2);
        for (programs, interleavings, schedules) in [
            // Store buffering: both loads cannot come before both stores.
            (
                vec![vec![access(0, x, true), access(0, y, false)], vec![access(1, y, true), access(1, x, false)]],
                6,
                3,
            ),
            // The two have nothing in common.
            (vec![vec![access(0, x, true); 2], vec![access(1, y, true); 2]], 6, 1),
            // Looks commute.
            (vec![vec![access(0, x, false)], vec![access(1, x, false)], vec![access(2, x, false)]], 6, 1),
            // One write and two looks at one word.
            (vec![vec![access(0, x, false)], vec![access(1, x, false)], vec![access(2, x, true)]], 6, 4),
            // Three writes of one word, and words of their own.
            (
                vec![
                    vec![access(0, x, true), access(0, z, false)],
                    vec![access(1, x, true), access(1, z, false)],
                    vec![access(2, x, true)],
                ],
                30,
                6,
            ),
        ] {
            let (digests, whole) = interleave(&programs);
            assert_eq!((whole, digests.len()), (interleavings, schedules), "{programs:?}");
        }
    }

    #[test]
    fn only_neighbours_race() {
        let raced = |accesses: &[Access]| -> Vec<(u8, u8)> {
            ordered(accesses).1.iter().map(|(first, second)| (first.cpu.0, second.cpu.0)).collect()
        };
        assert_eq!(raced(&[access(0, 0, true), access(1, 0, false)]), [(0, 1)]);
        assert_eq!(raced(&[access(0, 0, false), access(1, 0, false)]), []);
        assert_eq!(raced(&[access(0, 0, true), access(0, 0, true)]), []);
        // The first write comes before the last one already, through the read between them.
        assert_eq!(raced(&[access(0, 0, true), access(1, 0, false), access(2, 0, true)]), [(0, 1), (1, 2)]);
        // Accesses that are ordered by word 1 do not race on word 0.
        let published = [access(0, 0, true), access(0, 1, true), access(1, 1, false), access(1, 0, false)];
        assert_eq!(raced(&published), [(0, 1)]);
        // Accesses that are ordered by a lock do not race either.
        let lock = |cpu| Access { waits: true, ..access(cpu, 1, true) };
        assert_eq!(raced(&[lock(0), access(0, 0, true), lock(0), lock(1), access(1, 0, true), lock(1)]), []);
    }

    /// A buffered store races when it reaches memory, not when it is made.
    #[test]
    fn a_store_races_on_its_way_to_memory() {
        let mut order = Order::new(2);
        let mut raced = Vec::new();
        order.store(access(0, 0, true));
        order.load(access(1, 0, false), &mut raced);
        order.load(access(0, 0, false), &mut raced);
        assert_eq!(raced, []);
        order.drain(CpuId(0), Loc(0), &mut raced);
        assert_eq!(raced, [(access(1, 0, false), access(0, 0, true))]);
    }
}
