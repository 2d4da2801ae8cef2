//! A reference that remembers everything that each CPU may have cached. It drops what a CPU must not have any more (SDM
//! 4.10.4).

use std::collections::BTreeSet;

use super::cached::{Cached, Held};
use super::rights::{self, Asked};
use super::walk::{self, Obstacle, Registers, Stand, Step, Walked};
use super::{Act, Flush, Kind, Mode, Outcome};

/// The state of the machine, as far as software can observe it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct State {
    /// All words of all frames, one frame after the other.
    pub(crate) memory: Vec<u64>,
    pub(crate) cpus: Vec<Held>,
    /// INVLPGBs so far, and those that no TLBSYNC has waited for.
    invlpgbs: u64,
    asked: Vec<(u8, u64, Flush)>,
}

/// One of the ways in which an access may go.
#[derive(Debug)]
pub(crate) struct Branch {
    pub(crate) outcome: Outcome,
    flags: Vec<((u64, u32), u64)>,
    translations: Vec<Cached>,
    partials: Vec<Cached>,
}

impl Branch {
    fn without_a_walk(outcome: Outcome) -> Branch {
        Branch { outcome, flags: Vec::new(), translations: Vec::new(), partials: Vec::new() }
    }
}

impl State {
    pub(crate) fn new(memory: Vec<u64>, cpus: Vec<Registers>) -> State {
        let hold = |registers| Held { registers, translations: BTreeSet::new(), partials: BTreeSet::new() };
        State { memory, cpus: cpus.into_iter().map(hold).collect(), invlpgbs: 0, asked: Vec::new() }
    }

    fn slot(&self, cpu: u8, place: (u64, u32)) -> Option<usize> {
        let words =
            1 << self.cpus[usize::from(cpu)].registers.index_bits.iter().fold(0, |most, bits| most.max(*bits));
        let slot = place.0.checked_mul(words)?.checked_add(u64::from(place.1))?;
        usize::try_from(slot).ok().filter(|slot| *slot < self.memory.len())
    }

    /// A word; outside memory all ones.
    fn word(&self, cpu: u8, place: (u64, u32)) -> u64 {
        self.slot(cpu, place).map_or(u64::MAX, |slot| self.memory[slot])
    }

    fn walk(&self, cpu: u8, start: Stand, va: u64, access: Option<(Mode, Kind)>) -> Walked {
        let registers = &self.cpus[usize::from(cpu)].registers;
        walk::walk(registers, start, va, access, |table, index| self.word(cpu, (table, index)))
    }

    /// Where walks for the address may begin: at the root, or where a cached entry leads.
    fn starts(&self, cpu: u8, va: u64) -> Vec<(Stand, Option<Cached>)> {
        let Held { registers, partials, .. } = &self.cpus[usize::from(cpu)];
        let usable = partials.iter().filter(|p| p.covers(va >> 12) && p.pcid == registers.pcid());
        let stand = |p: &Cached| Stand { level: p.level, table: p.frame, rw: p.rw, user: p.user, xd: p.xd };
        [(registers.root(), None)].into_iter().chain(usable.map(|p| (stand(p), Some(*p)))).collect()
    }

    /// What a walk leaves: for each entry that points at a table a partial, for a page a translation and
    /// its pieces around the address.
    fn leavings(
        &self,
        cpu: u8,
        start: Option<Cached>,
        va: u64,
        walked: &Walked,
        write: bool,
    ) -> (Vec<Cached>, Vec<Cached>) {
        let registers = &self.cpus[usize::from(cpu)].registers;
        let tables = if walked.end.is_ok() { walked.steps.len() - 1 } else { walked.steps.len() };
        let around = |pages: u64| (va >> 12) / pages * pages;
        let partial = |step: &Step| {
            let (pages, then) = (registers.pages(step.level), step.then);
            Cached {
                root: start.map_or(registers.root().table, |start| start.root),
                pcid: registers.pcid(),
                global: false,
                page: around(pages),
                pages,
                of: pages,
                frame: then.table,
                level: then.level,
                rw: then.rw,
                user: then.user,
                xd: then.xd,
                key: 0,
                dirty: false,
                since: start.map_or(self.invlpgbs, |start| start.since),
            }
        };
        let partials = walked.steps[..tables].iter().map(partial).collect();
        let Ok(page) = &walked.end else { return (Vec::new(), partials) };
        let last = walked.steps.last().expect("a page has an entry");
        let sizes = (1..=last.level).map(|level| registers.pages(level));
        let translation = |pages| Cached {
            global: last.entry >> 8 & 1 == 1 && registers.pge(),
            page: around(pages),
            pages,
            of: page.pages,
            frame: page.frame + around(pages) % page.pages,
            level: 0,
            rw: page.rw,
            user: page.user,
            xd: page.xd,
            key: page.key,
            dirty: write || last.entry >> 6 & 1 == 1,
            ..partial(last)
        };
        (sizes.map(translation).collect(), partials)
    }

    /// Nothing is cached any more.
    pub(crate) fn forget(&mut self) {
        for held in &mut self.cpus {
            held.drop(|_| true, |_| true);
        }
    }

    /// All ways for an access to go.
    pub(crate) fn branches(&self, cpu: u8, mode: Mode, kind: Kind, va: u64) -> Vec<Branch> {
        let Held { registers, translations, .. } = &self.cpus[usize::from(cpu)];
        if !walk::is_canonical(registers, va) {
            return vec![Branch::without_a_walk(Outcome::Protection)];
        }
        let page = va >> 12;
        let at = |frame: u64| Outcome::At(frame << 12 | va & 0xfff);
        let faults = |obstacle| rights::code(registers, mode, kind, &obstacle).map(Outcome::Fault);
        let mut branches = Vec::new();
        for t in translations.iter().filter(|t| t.covers(page) && (t.global || t.pcid == registers.pcid())) {
            let asked = Asked { mode, kind, user_page: t.user, rw: t.rw, xd: t.xd, key: t.key };
            if !rights::may(registers, &asked) {
                branches.extend(faults(Obstacle::Rights(asked)).map(Branch::without_a_walk));
            } else if kind != Kind::Write || t.dirty {
                // A write through what was cached with D clear sets D first: that is a walk (SDM 4.8).
                branches.push(Branch::without_a_walk(at(t.frame + page - t.page)));
            }
        }
        for (stand, start) in self.starts(cpu, va) {
            let walked = self.walk(cpu, stand, va, Some((mode, kind)));
            let left = |outcome| {
                let (translations, partials) = self.leavings(cpu, start, va, &walked, kind == Kind::Write);
                let flags = match walked.end {
                    Ok(_) => walked.flags(kind).collect(),
                    // Whether the entries above the one that faults get A is not specified. Here they do.
                    Err(_) => walked.steps.iter().map(|step| (step.place, 1 << 5)).collect(),
                };
                Branch { outcome, flags, translations, partials }
            };
            match &walked.end {
                Ok(found) => branches.push(left(at(found.frame + page % found.pages))),
                Err(obstacle) => branches.extend(faults(*obstacle).map(left)),
            }
        }
        branches
    }

    /// The access goes this way.
    pub(crate) fn take(&mut self, cpu: u8, va: u64, branch: &Branch) {
        for (place, flags) in &branch.flags {
            if let Some(slot) = self.slot(cpu, *place) {
                self.memory[slot] |= flags;
            }
        }
        let held = &mut self.cpus[usize::from(cpu)];
        held.translations.extend(&branch.translations);
        held.partials.extend(&branch.partials);
        if matches!(branch.outcome, Outcome::Fault(_)) {
            self.faulted(cpu, va);
        }
    }

    /// A page fault drops the translations of its page, and the partials that a walk for it would use;
    /// so that the access, made again, does not fault again for what is only cached (SDM 4.10.4.1).
    pub(crate) fn faulted(&mut self, cpu: u8, va: u64) {
        let (taken, pcid) = (self.of_the_page(cpu, va), self.cpus[usize::from(cpu)].registers.pcid());
        self.cpus[usize::from(cpu)]
            .drop(|t| taken(t) && (t.global || t.pcid == pcid), |p| p.pcid == pcid && p.covers(va >> 12));
    }

    /// Translations of the page number; where the structures map a large page, all pieces in it too.
    fn of_the_page(&self, cpu: u8, va: u64) -> impl Fn(&Cached) -> bool + use<> {
        let page = va >> 12;
        let now = self.walk(cpu, self.cpus[usize::from(cpu)].registers.root(), va, None);
        let mapped = now.end.ok().map(|found| (page / found.pages * found.pages, found.pages));
        move |t| {
            let inside = |(first, pages)| (first..first + pages).contains(&t.page);
            t.covers(page) || t.pages < t.of && mapped.is_some_and(inside)
        }
    }

    /// The CPU walks for the address on speculation, as often as it likes. It caches no entry with A
    /// clear; that it may set A before shows in memory.
    pub(crate) fn speculate(&mut self, cpu: u8, va: u64) {
        if !walk::is_canonical(&self.cpus[usize::from(cpu)].registers, va) {
            return;
        }
        for (stand, start) in self.starts(cpu, va) {
            let mut walked = self.walk(cpu, stand, va, None);
            if let Some(clear) = walked.steps.iter().position(|step| step.entry >> 5 & 1 == 0) {
                walked.steps.truncate(clear);
                walked.end = Err(Obstacle::NotPresent);
            }
            let (translations, partials) = self.leavings(cpu, start, va, &walked, false);
            let held = &mut self.cpus[usize::from(cpu)];
            held.translations.extend(translations);
            held.partials.extend(partials);
        }
    }

    /// Everything but an access; whether it is carried out, or refused with an exception.
    pub(crate) fn apply(&mut self, act: &Act) -> bool {
        if let Act::Store { frame, index, value } = *act {
            let slot = self.slot(0, (frame, index)).expect("stores are to memory");
            self.memory[slot] = value;
            return true;
        }
        let of_the_page = match *act {
            Act::Invlpg { cpu, va } | Act::Invpcid { cpu, va, .. } => Some(self.of_the_page(cpu, va)),
            _ => None,
        };
        let taken = |t: &Cached| of_the_page.as_ref().is_some_and(|taken| taken(t));
        match *act {
            Act::Access { .. } | Act::Store { .. } | Act::Speculate { .. } => unreachable!("{act:?}"),
            Act::Invlpg { cpu, va } => {
                let held = &mut self.cpus[usize::from(cpu)];
                let (registers, page) = (held.registers, va >> 12);
                // INVLPG of an address that is not canonical is a NOP.
                if walk::is_canonical(&registers, va) {
                    held.drop(
                        |t| taken(t) && (t.global || t.pcid == registers.pcid()),
                        |p| p.pcid == registers.pcid() && (!registers.tce() || p.covers(page)),
                    );
                }
            }
            Act::Invpcid { cpu, kind, pcid, va } => {
                let held = &mut self.cpus[usize::from(cpu)];
                let names_one = kind == 0 || kind == 1;
                let bad = kind > 3
                    || pcid >> 12 != 0
                    || names_one && pcid != 0 && !held.registers.pcide()
                    || kind == 0 && !walk::is_canonical(&held.registers, va);
                match kind {
                    _ if bad => return false,
                    // This drops the mappings that a translation of the address would use.
                    0 => held.drop(
                        |t| taken(t) && t.pcid == pcid && !t.global,
                        |p| p.pcid == pcid && p.covers(va >> 12),
                    ),
                    1 => held.drop_context(pcid),
                    2 => held.drop(|_| true, |_| true),
                    _ => held.drop(|t| !t.global, |_| true),
                }
            }
            Act::MovCr3 { cpu, value, preserve } => {
                let held = &mut self.cpus[usize::from(cpu)];
                if value >> held.registers.maxphyaddr != 0 || preserve && !held.registers.pcide() {
                    return false;
                }
                held.registers.cr3 = value;
                if !preserve {
                    held.drop_context(held.registers.pcid());
                }
            }
            Act::MovCr4 { cpu, value } => {
                let held = &mut self.cpus[usize::from(cpu)];
                let old = held.registers;
                let new = Registers { cr4: value, ..old };
                if !old.pcide() && new.pcide() && old.cr3 & 0xfff != 0 {
                    return false;
                }
                held.registers = new;
                if old.pge() != new.pge() || old.pcide() && !new.pcide() {
                    held.drop(|_| true, |_| true);
                } else if !old.smep() && new.smep() {
                    // The text does not say whether this drops global translations too.
                    held.drop_context(new.pcid());
                }
            }
            Act::MovCr0 { cpu, value } => self.cpus[usize::from(cpu)].registers.cr0 = value,
            Act::Wrpkru { cpu, value } => self.cpus[usize::from(cpu)].registers.pkru = value,
            Act::Broadcast { root, from, to, .. } => {
                for held in &mut self.cpus {
                    held.drop(|t| t.root == root && t.meets((from, to)), |p| p.root == root);
                }
            }
            Act::Invlpgb { cpu, what } => {
                if !self.cpus[usize::from(cpu)].registers.amd {
                    return false;
                }
                self.invlpgbs += 1;
                self.asked.push((cpu, self.invlpgbs, what));
            }
            Act::Tlbsync { cpu } => {
                let (mine, others) = self.asked.iter().copied().partition(|(by, ..)| *by == cpu);
                self.asked = others;
                let mine: Vec<_> = mine;
                for (_, number, what) in mine {
                    let named = |c: &Cached| {
                        c.since < number
                            && what.pages.is_none_or(|pages| c.meets(pages))
                            && (c.global || what.pcid.is_none_or(|pcid| pcid == c.pcid))
                    };
                    for held in &mut self.cpus {
                        held.drop(|t| named(t) && (what.global || !t.global), |p| named(p) && !what.last_only);
                    }
                }
            }
        }
        true
    }
}
