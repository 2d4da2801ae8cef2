//! Which steps of a run bear on a finding, and what each did.
//!
//! A step bears on it if it touches the frame or an entry that leads to it, the page, or a flush of
//! the page. Everything else is left out.

use std::collections::BTreeMap;

use sim_core::{CpuId, Event as Core, Loc, OpKind};
use sim_mm::{Event as Mm, FrameUse, MmId};
use sim_mmu::{Entry, Event as Hardware, Level, Pfn, VirtAddr, Vpn};

use crate::explore::Trace;
use crate::oracle::{Finding, Logged, OracleId, What};
use crate::world::World;

/// One line of the story.
#[derive(Clone, Debug)]
pub(super) struct Line {
    /// The step of the run.
    step: u64,
    pub(super) cpu: CpuId,
    /// The active routines, outermost first.
    pub(super) stack: Vec<&'static str>,
    pub(super) text: String,
    /// This is where it goes wrong.
    pub(super) bad: bool,
}

/// The steps that matter, and what they led to.
#[derive(Clone, Debug)]
pub(super) struct Story {
    pub(super) lines: Vec<Line>,
    /// The name of each CPU's first thread, for the heads of the columns.
    pub(super) heads: BTreeMap<CpuId, String>,
    pub(super) consequence: String,
}

impl Story {
    pub(super) fn of(world: &World<'_>, trace: &Trace, finding: &Finding) -> Story {
        let teller = Teller::new(world, trace, finding);
        let mut lines = Vec::new();
        let last = trace.log.last().map_or(0, |entry| entry.step);
        for step in trace.log.chunk_by(|a, b| a.step == b.step && a.cpu == b.cpu) {
            for line in teller.tell(step) {
                // The same CPU sees the same again, and nobody did anything in between.
                let since = lines.iter().rev().take_while(|before: &&Line| before.cpu == line.cpu);
                if !since.clone().any(|before| before.text == line.text) {
                    lines.push(line);
                }
            }
        }
        // The finding ends the run. What is judged at rest has no bad step, but for the read of a value that a
        // check does not allow.
        let last_cpu = trace.log.iter().rev().find(|entry| entry.step == last).map(|entry| entry.cpu);
        let bad = match finding.oracle {
            OracleId::Check => lines.iter().rposition(|line: &Line| line.text.contains("read ")),
            _ if finding.is_at_rest() || finding.site.step > last => None,
            _ => lines.len().checked_sub(1).filter(|&i| Some(lines[i].cpu) == last_cpu),
        };
        if let Some(bad) = bad {
            lines[bad].bad = true;
        }
        let heads = world.scenario.threads.iter().rev().map(|t| (CpuId(t.cpu), t.name.clone())).collect();
        let consequence = by_line(&consequence(world, finding), &lines);
        Story { lines, heads, consequence }
    }

    /// What another oracle says, with the numbers of the lines.
    pub(super) fn also(&self, text: &str) -> String {
        by_line(text, &self.lines)
    }
}

/// The finding's message with the scenario's names.
pub(super) fn consequence(world: &World<'_>, finding: &Finding) -> String {
    let names = world.process_names();
    let page = finding.page.and_then(|(mm, va)| world.page_name(mm, va).map(|name| (va.to_string(), name)));
    let renamed: Vec<String> = finding
        .message
        .split(' ')
        .map(|word| {
            let core = word.trim_end_matches([',', '.', ';']);
            let tail = &word[core.len()..];
            let process =
                names.iter().find(|(mm, _)| core == format!("mm{}", mm.0)).map(|(_, name)| name.as_str());
            let place = page.as_ref().filter(|(va, _)| va == core).map(|(_, name)| name.as_str());
            format!("{}{tail}", process.or(place).unwrap_or(core))
        })
        .collect();
    let mut text = renamed.join(" ");
    // A routine keeps its spelling, even at the head of a sentence.
    let names_a_routine = text.split(' ').next().is_some_and(|word| word.contains(['_', '[']));
    if let Some(first) = text.get(..1).filter(|_| !names_a_routine) {
        text = first.to_uppercase() + &text[1..];
    }
    text + "."
}

/// A sentence that names steps of the run, with the numbers that the reader sees instead. A step that is not
/// shown is not named.
fn by_line(text: &str, lines: &[Line]) -> String {
    let mut parts = text.split(" at step ");
    let mut renumbered = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(|c: char| !c.is_ascii_digit()).unwrap_or(part.len());
        let (number, rest) = part.split_at(end);
        let line = lines.iter().position(|line| Ok(line.step) == number.parse());
        if let Some(line) = line {
            renumbered.push_str(&format!(" at {}", line + 1));
        }
        renumbered.push_str(rest);
    }
    renumbered
}

/// The frame that a check's value was read from: through the last translation that gave it.
fn frame_of_check(trace: &Trace, finding: &Finding) -> Option<Pfn> {
    let (_, rest) = finding.message.split_once("` is ")?;
    let checked: u64 = rest.split(',').next()?.parse().ok()?;
    trace.log.iter().rev().find_map(|entry| match entry.what {
        What::Hardware(Hardware::Retired { through, value, .. }) if value == checked => Some(through.pfn),
        What::Mm(Mm::PinTouched { pfn, value, .. }) if value == checked => Some(pfn),
        _ => None,
    })
}

/// Knows what the finding is about, and what locations are called.
struct Teller<'a> {
    world: &'a World<'a>,
    frame: Option<Pfn>,
    pages: Vec<(MmId, VirtAddr)>,
    /// Entries whose page is known, by location.
    entries: BTreeMap<Loc, (MmId, VirtAddr)>,
    /// Flushes that concern the pages.
    flushes: Vec<u64>,
}

impl<'a> Teller<'a> {
    fn new(world: &'a World<'a>, trace: &Trace, finding: &Finding) -> Teller<'a> {
        let mut teller = Teller {
            world,
            frame: finding.frame.or_else(|| frame_of_check(trace, finding)),
            pages: finding.page.into_iter().collect(),
            entries: BTreeMap::new(),
            flushes: Vec::new(),
        };
        for step in trace.log.chunk_by(|a, b| a.step == b.step && a.cpu == b.cpu) {
            let access = step.iter().find_map(|entry| match entry.what {
                What::Core(Core::Access { loc, .. }) => Some(loc),
                _ => None,
            });
            for entry in step {
                if let (What::Mm(Mm::PteChanged { mm, va, old, new }), Some(loc)) = (&entry.what, access) {
                    teller.entries.insert(loc, (*mm, *va));
                    if teller.leads_to_frame(*old) || teller.leads_to_frame(*new) {
                        teller.pages.push((*mm, *va));
                    }
                }
            }
        }
        for entry in &trace.log {
            if let What::Mm(Mm::FlushBegun { id, mm, range }) = &entry.what
                && teller.pages.iter().any(|(of, va)| of == mm && range.contains(&va.vpn()))
            {
                teller.flushes.push(*id);
            }
        }
        teller
    }

    fn is_frame(&self, pfn: Pfn) -> bool {
        self.frame == Some(pfn)
    }

    fn leads_to_frame(&self, entry: Entry) -> bool {
        entry.is_present() && self.is_frame(entry.pfn())
    }

    fn page(&self, mm: MmId, va: VirtAddr) -> String {
        self.world.page_name(mm, va).unwrap_or_else(|| va.to_string())
    }

    /// The lines of one step.
    fn tell(&self, step: &[Logged]) -> Vec<Line> {
        let access = step.iter().find_map(|entry| match entry.what {
            What::Core(Core::Access { kind, loc, old, new, .. }) => Some((kind, loc, old, new)),
            _ => None,
        });
        let mut told = Vec::new();
        let mut table = None;
        for entry in step {
            let text = match &entry.what {
                What::Core(event) => self.tell_core(event),
                What::Hardware(Hardware::TableAccess { level, table: frame, .. }) => {
                    table = Some((entry, *level, *frame));
                    None
                }
                What::Hardware(event) => self.tell_hardware(event),
                What::Mm(event) => self.tell_mm(event, &entry.stack),
            };
            told.extend(text.map(|text| self.line(entry, text)));
        }
        // An entry that was only read, or that leads to a table.
        if told.is_empty()
            && let (Some((entry, level, frame)), Some((kind, loc, old, new))) = (table, access)
        {
            told.extend(self.tell_entry(level, frame, kind, loc, old, new).map(|text| self.line(entry, text)));
        }
        told
    }

    fn line(&self, entry: &Logged, text: String) -> Line {
        Line { step: entry.step, cpu: entry.cpu, stack: entry.stack.clone(), text, bad: false }
    }

    fn tell_entry(&self, level: Level, table: Pfn, kind: OpKind, loc: Loc, old: u64, new: u64) -> Option<String> {
        let (before, after) = (Entry(old), Entry(new));
        let known = self.entries.get(&loc).filter(|place| level == Level::Pte && self.pages.contains(place));
        if known.is_none() && !self.leads_to_frame(before) && !self.leads_to_frame(after) && !self.is_frame(table)
        {
            return None;
        }
        let name = match known {
            Some((mm, va)) => format!("{} of {}", level.name(), self.page(*mm, *va)),
            None => level.name().to_owned(),
        };
        Some(if kind.writes() && old != new {
            format!("{name}: {before} -> {after}")
        } else if self.is_frame(table) {
            format!("{name} in {table} = {after}")
        } else {
            format!("{name} = {after}")
        })
    }

    fn tell_core(&self, event: &Core) -> Option<String> {
        match event {
            Core::Raise { target, .. } if !self.flushes.is_empty() => Some(format!("IPI to CPU {}", target.0)),
            Core::Interrupt(_) if !self.flushes.is_empty() => Some("<interrupt>".to_owned()),
            _ => None,
        }
    }

    fn tell_hardware(&self, event: &Hardware) -> Option<String> {
        match event {
            Hardware::Retired { va, access, through, value, .. } if self.is_frame(through.pfn) => {
                let verb = if access.writes() { "write" } else { "read" };
                let mm = self.pages.iter().find(|(_, page)| page.vpn() == va.vpn()).map(|(mm, _)| *mm);
                let page = mm.map_or_else(|| va.to_string(), |mm| self.page(mm, *va));
                Some(format!("{verb} {page}: {value} [{}]", through.pfn))
            }
            Hardware::Began(partial) if self.is_frame(partial.table) => {
                Some(format!("walk begins with the cached {}: {}", partial.level.name(), partial.table))
            }
            Hardware::Filled(found) if self.is_frame(found.pfn) => Some(format!("TLB caches {}", found.pfn)),
            Hardware::Invalidated { target, page } if self.concerns(page.map(VirtAddr::vpn)) => {
                Some(format!("TLB of CPU {} dropped", target.0))
            }
            _ => None,
        }
    }

    fn concerns(&self, page: Option<Vpn>) -> bool {
        self.pages.iter().any(|(_, va)| page.is_none_or(|vpn| vpn == va.vpn()))
    }

    fn tell_mm(&self, event: &Mm, stack: &[&str]) -> Option<String> {
        match event {
            Mm::FrameAllocated { pfn, for_use } if self.is_frame(*pfn) => Some(match for_use {
                FrameUse::Data => format!("{pfn} allocated"),
                FrameUse::Root => format!("{pfn} allocated as a root"),
                FrameUse::Table { level, .. } => format!("{pfn} allocated, for {}s", level.name()),
            }),
            Mm::FrameFreed { pfn } if self.is_frame(*pfn) => Some(format!("{pfn} freed")),
            Mm::PageCopied { from, to } if self.is_frame(*from) || self.is_frame(*to) => {
                Some(format!("copy {from} to {to}"))
            }
            Mm::PteChanged { mm, va, old, new }
                if self.leads_to_frame(*old) || self.leads_to_frame(*new) || self.pages.contains(&(*mm, *va)) =>
            {
                Some(format!("pte of {}: {old} -> {new}", self.page(*mm, *va)))
            }
            Mm::RefChanged { pfn, old, new, .. } if self.is_frame(*pfn) => {
                Some(format!("{pfn} _refcount {old} -> {new}"))
            }
            Mm::MapcountChanged { pfn, old, new } if self.is_frame(*pfn) => {
                Some(format!("{pfn} _mapcount {old} -> {new}"))
            }
            Mm::FlushBegun { id, .. } if self.flushes.contains(id) => Some("flush ...".to_owned()),
            Mm::FlushDone { id } if self.flushes.contains(id) => Some("... flush done".to_owned()),
            Mm::Pinned { va, mm, pfn, .. } if self.is_frame(*pfn) => {
                Some(format!("pins {pfn} as {}", self.page(*mm, *va)))
            }
            Mm::PinTouched { pfn, value, write, .. } if self.is_frame(*pfn) => {
                let who = if stack.is_empty() { "DMA " } else { "" };
                let verb = if *write { "write" } else { "read" };
                Some(format!("{who}{verb} {pfn}: {value}"))
            }
            _ => None,
        }
    }
}
