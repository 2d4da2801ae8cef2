//! The remark beside a line. It says what is established at that line and cannot be seen in the line itself.

use std::collections::BTreeMap;

use sim_core::{CpuId, Loc};
use sim_mm::{MmId, SharedPage};
use sim_mmu::{Entry, Level, Pfn, Vpn};

use super::fact::{Count, Fact, brief_pte};
use super::line::Line;
use super::narrator::Narrator;
use super::spaces::PageOf;

/// What has been established so far, line by line.
#[derive(Default)]
struct Known {
    /// The translations that CPUs cache, and the page of each.
    cached: BTreeMap<CpuId, (PageOf, Entry)>,
    /// The frames to which entries lead that CPUs have read, and that they will use later.
    in_hand: BTreeMap<CpuId, Pfn>,
    /// The values that CPUs last read in entries, or wrote there.
    read: BTreeMap<(CpuId, Loc), Entry>,
    /// The entry of each page.
    entries: BTreeMap<(MmId, Vpn), Entry>,
    /// The CPUs that hold pins.
    pins: Vec<CpuId>,
    freed: bool,
    /// The last remark.
    said: Option<String>,
    /// Whether a remark has said that the frame is the zero page, or a page of a file.
    introduced: bool,
}

/// Adds a remark where something is established.
pub(super) fn remark(lines: &mut [Line], narrator: &Narrator<'_>) {
    let mut known = Known::default();
    for line in lines {
        line.remark = known.of(line, narrator).filter(|remark| known.said.as_ref() != Some(remark));
        known.learn(line, narrator);
    }
}

impl Known {
    /// A CPU other than that of the line which still caches a page, and with which entry.
    fn still_caches(&self, line: &Line, narrator: &Narrator<'_>) -> Option<String> {
        let (by, (page, entry)) = self.cached.iter().find(|(by, _)| **by != line.cpu)?;
        let page = narrator.spaces.again(line.space, page);
        Some(format!("CPU {} still caches {page}: {}", by.0, brief_pte(*entry)))
    }

    /// A CPU other than that of the line which goes on with a frame that is gone: it caches the page, or will use the frame.
    fn holds_on(&self, line: &Line, narrator: &Narrator<'_>) -> Option<String> {
        self.still_caches(line, narrator).or_else(|| {
            let (by, pfn) = self.in_hand.iter().find(|(by, _)| **by != line.cpu)?;
            Some(format!("CPU {} will use {pfn}", by.0))
        })
    }

    fn of(&self, line: &Line, narrator: &Narrator<'_>) -> Option<String> {
        if line.bad && narrator.is_at_rest() {
            return match &line.fact {
                Fact::Count { .. } => Some("never given up".to_owned()),
                Fact::Entry { old, .. } => Some(format!("{} is lost", old.pfn())),
                _ => None,
            };
        }
        let introduced = self.introduces_zero_page(line, narrator);
        introduced.or_else(|| self.established(line, narrator)).or_else(|| self.introduces_shared(line, narrator))
    }

    /// Says that the frame is the zero page, at the first line about it.
    fn introduces_zero_page(&self, line: &Line, narrator: &Narrator<'_>) -> Option<String> {
        let is_first = narrator.is_zero_page() && !self.introduced && line.fact.frame() == narrator.frame;
        narrator.frame.filter(|_| is_first).map(|pfn| format!("{pfn} is the zero page"))
    }

    /// Says that the frame belongs to a file, at the first line in which an entry leads to it.
    fn introduces_shared(&self, line: &Line, narrator: &Narrator<'_>) -> Option<String> {
        let leads = match &line.fact {
            Fact::Entry { old, new, .. } if line.fact.maps_page() => {
                narrator.leads_to_frame(*old) || narrator.leads_to_frame(*new)
            }
            Fact::Filled { leaf, .. } => narrator.leads_to_frame(*leaf),
            _ => false,
        };
        let SharedPage { file, index } = narrator.shared_at(line.step).filter(|_| leads && !self.introduced)?;
        Some(format!("{} is page {index} of file {file}", narrator.frame?))
    }

    fn established(&self, line: &Line, narrator: &Narrator<'_>) -> Option<String> {
        match &line.fact {
            Fact::Freed { .. } | Fact::Retired { .. } | Fact::Count { freed: true, .. } => {
                self.holds_on(line, narrator)
            }
            Fact::FlushDone { .. } => self.still_caches(line, narrator),
            Fact::Count { count: Count::Ref, pfn, values, .. } if self.freed && values.first() == Some(&0) => {
                Some(format!("{pfn} is on the free list"))
            }
            Fact::Entry { of, old, new, .. } if line.fact.maps_page() && narrator.leads_to_frame(*new) => {
                let frame = narrator.frame?;
                let process = of.as_ref().and_then(|page| narrator.spaces.process(page.key().0));
                if self.freed && !narrator.leads_to_frame(*old) {
                    return process.map(|process| format!("{frame} is now {process}'s"));
                }
                let opens = narrator.leads_to_frame(*old) && new.has(Entry::RW) && !old.has(Entry::RW);
                let other = self.pins.iter().find(|by| **by != line.cpu).filter(|_| opens)?;
                Some(format!("CPU {} still holds a pin on {frame}", other.0))
            }
            Fact::Entry { loc, old, .. } if line.fact.maps_page() && !line.fact.is_read() => {
                let read = self.read.get(&(line.cpu, *loc)).filter(|read| brief_pte(**read) != brief_pte(*old))?;
                Some(format!("CPU {} had read {}", line.cpu.0, brief_pte(*read)))
            }
            Fact::Pinned { of, pfn, .. } => {
                let entry = self.entries.get(&of.key())?;
                match () {
                    () if !entry.is_present() => Some(format!("{of} is unmapped")),
                    () if entry.pfn() != *pfn => Some(format!("{of} maps {} now", entry.pfn())),
                    () => None,
                }
            }
            Fact::Touched { of: Some(of), through: Some(_), .. } if line.bad => {
                let (entry, (_, cached)) = (self.entries.get(&of.key())?, self.cached.get(&line.cpu)?);
                let differ = brief_pte(*entry) != brief_pte(*cached);
                let level = narrator.level(*entry);
                differ.then(|| format!("stale TLB: the {} is {}", level.name(), brief_pte(*entry)))
            }
            Fact::Entry { level, new, .. }
                if line.fact.is_read() && narrator.follows_none() && new.is_none() && !line.bad =>
            {
                let what = if *level == Level::Pte { "page" } else { "table" };
                Some(format!("not checked: its {what} would be {}", new.pfn()))
            }
            _ => None,
        }
    }

    fn learn(&mut self, line: &Line, narrator: &Narrator<'_>) {
        self.said.clone_from(&line.remark);
        let introductions = [self.introduces_zero_page(line, narrator), self.introduces_shared(line, narrator)];
        self.introduced |= line.remark.is_some() && introductions.contains(&line.remark);
        if !matches!(line.fact, Fact::Taken { .. }) {
            self.in_hand.remove(&line.cpu);
        }
        match &line.fact {
            Fact::Filled { of, leaf, .. } => {
                self.cached.insert(line.cpu, (of.clone(), *leaf));
            }
            Fact::Dropped { target, .. } => {
                self.cached.remove(target);
            }
            Fact::Began { table, .. } => {
                self.in_hand.insert(line.cpu, *table);
            }
            Fact::Entry { level, of, loc, new, .. } => {
                self.read.insert((line.cpu, *loc), *new);
                self.entries.extend(of.as_ref().map(|of| (of.key(), *new)));
                let used_next = *level != Level::Pte || !line.stack.is_empty();
                if line.fact.is_read() && narrator.leads_to_frame(*new) && used_next {
                    self.in_hand.insert(line.cpu, new.pfn());
                }
            }
            Fact::Pinned { .. } => self.pins.push(line.cpu),
            Fact::Freed { .. } | Fact::Count { freed: true, .. } => self.freed = true,
            _ => {}
        }
    }
}
