//! Reads a row: its events, and what it says about their places.
//!
//! There are two forms. In the first, names are those of events: `WPTE e0`, `INVLPG e1`, `W e2`, `R e3`, `F e4`. Then the
//! places follow from `same_va` and `same_pa`. In the second, names are addresses: `WPTE a0`, `INVLPG a1`, `W a1 walks a0`.
//! A name behind `WPTE` or `walks` is the address of an entry, and any other name is the address of data.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::execution::Execution;
use super::model::MAX_EVENTS;
use super::program::{Event, Program, What};
use super::reading::{Mnemonic, Reading};

/// The parts of a row beside its name and its verdict.
#[derive(Deserialize)]
pub(in crate::litmus) struct RawShape {
    threads: Vec<Vec<String>>,
    #[serde(default)]
    walks: Vec<String>,
    #[serde(default)]
    dirty: Vec<String>,
    #[serde(default)]
    walk_serves: Vec<(String, String)>,
    #[serde(default)]
    invalidates_for: Vec<(String, String)>,
    #[serde(default)]
    same_pa: Vec<(String, String)>,
    #[serde(default)]
    different_pa: Vec<(String, String)>,
    #[serde(default)]
    same_va: Vec<(String, String)>,
}

/// A row: a program in which the frames of entries are still open, and what the row demands of an execution.
#[derive(Debug)]
pub(super) struct Shape {
    events: Vec<(String, usize, Mnemonic)>,
    threads: usize,
    /// The page of each event. For MFENCE it means nothing.
    page: Vec<usize>,
    pages: usize,
    clean: Vec<bool>,
    remaps: Vec<(usize, usize)>,
    /// The accesses that have a walk of their own.
    walks: Vec<usize>,
    /// Pairs of accesses. The walk of the first serves the second.
    serves: Vec<(usize, usize)>,
    same_frame: Vec<(usize, usize)>,
    different_frames: Vec<(usize, usize)>,
}

impl RawShape {
    /// The shape.
    ///
    /// # Errors
    /// What is wrong with it, or not modelled.
    pub(super) fn shape(&self) -> Result<Shape, String> {
        let mut reading = Reading::default();
        for (thread, texts) in self.threads.iter().enumerate() {
            texts.iter().try_for_each(|text| reading.event(thread, text))?;
        }
        let count = reading.events.len();
        if !(1..=MAX_EVENTS).contains(&count) {
            return Err(format!("it has {count} events, and 1 to {MAX_EVENTS} are modelled"));
        }
        let (page, pages) =
            if reading.by_address { reading.pages_by_address()? } else { self.pages_by_relation(&reading)? };
        let users = |pairs: &[(String, String)]| -> Result<Vec<(usize, usize)>, String> {
            let pairs = pairs.iter().filter_map(|pair| self.user_pair(&reading, pair).transpose());
            pairs.collect()
        };
        let ghosts = |names: &[String], ghost: &str| -> Result<Vec<usize>, String> {
            names.iter().map(|name| reading.behind(name, ghost)).collect()
        };
        let mut clean = vec![false; pages];
        for event in ghosts(&self.dirty, "dirty")? {
            clean[page[event]] = true;
        }
        let mut walks = ghosts(&self.walks, "walk")?;
        walks.extend(reading.walking.iter().map(|(event, _)| *event));
        let serves = self
            .walk_serves
            .iter()
            .map(|(walk, access)| Ok((reading.behind(walk, "walk")?, reading.find(access)?)));
        let mut remaps = Vec::new();
        for (store, invlpg) in &self.invalidates_for {
            let pair = (reading.find(store)?, reading.find(invlpg)?);
            reading.expect(pair.0, Mnemonic::Wpte)?;
            reading.expect(pair.1, Mnemonic::Invlpg)?;
            remaps.push(pair);
        }
        if reading.by_address {
            remaps = reading.remaps_by_address(&page);
        }
        remaps.retain(|(store, invlpg)| reading.events[*store].1 != reading.events[*invlpg].1);
        Ok(Shape {
            threads: self.threads.len(),
            pages,
            clean,
            remaps,
            walks,
            serves: serves.collect::<Result<_, String>>()?,
            same_frame: users(&self.same_pa)?,
            different_frames: users(&self.different_pa)?,
            page,
            events: reading.events,
        })
    }

    /// A pair of accesses of user code. `None`, if one of them is an access to an entry.
    fn user_pair(
        &self,
        reading: &Reading,
        (first, second): &(String, String),
    ) -> Result<Option<(usize, usize)>, String> {
        let user = |name: &String| -> Result<Option<usize>, String> {
            if name.contains('(') {
                return reading
                    .behind(name, if name.starts_with("walk(") { "walk" } else { "dirty" })
                    .map(|_| None);
            }
            let event = reading.find(name)?;
            Ok(Some(event).filter(|event| reading.is_user(*event)))
        };
        Ok(user(first)?.zip(user(second)?))
    }

    /// The pages of a row whose names are those of events. Accesses of one frame that no `same_va` names touch one page. A store
    /// to an entry is for the page of its INVLPGs. If it has none, it is for the page of the next access.
    fn pages_by_relation(&self, reading: &Reading) -> Result<(Vec<usize>, usize), String> {
        let count = reading.events.len();
        let mut groups: Vec<usize> = (0..count).collect();
        let mut join = |first: usize, second: usize| {
            let (from, to) = (groups[first].max(groups[second]), groups[first].min(groups[second]));
            groups.iter_mut().filter(|group| **group == from).for_each(|group| *group = to);
        };
        let mut named = vec![false; count];
        for (first, second) in self.same_va.iter().chain(&self.invalidates_for) {
            let (first, second) = (reading.find(first)?, reading.find(second)?);
            join(first, second);
            (named[first], named[second]) = (true, true);
        }
        for store in (0..count).filter(|event| reading.events[*event].2 == Mnemonic::Wpte && !named[*event]) {
            let thread = reading.events[store].1;
            let next =
                (store + 1..count).find(|event| reading.events[*event].1 == thread && reading.is_user(*event));
            next.into_iter().for_each(|next| join(store, next));
        }
        let remapped = |group: usize, groups: &[usize]| {
            (0..count).any(|event| groups[event] == group && reading.events[event].2 == Mnemonic::Wpte)
        };
        for pair in &self.same_pa {
            let Some((first, second)) = self.user_pair(reading, pair)? else { continue };
            // At the start each page has a frame of its own. So two pages have one frame only after a store to an entry.
            let is_synonym = named[first] != named[second]
                && (remapped(groups[first], &groups) || remapped(groups[second], &groups));
            if !(is_synonym || named[first] && named[second]) {
                let (from, to) = (groups[first].max(groups[second]), groups[first].min(groups[second]));
                groups.iter_mut().filter(|group| **group == from).for_each(|group| *group = to);
            }
        }
        let mut numbers = BTreeMap::new();
        let pages = (0..count).map(|event| {
            if reading.events[event].2 == Mnemonic::Mfence {
                return 0;
            }
            let next = numbers.len();
            *numbers.entry(groups[event]).or_insert(next)
        });
        let pages = pages.collect();
        Ok((pages, numbers.len().max(1)))
    }
}

impl Shape {
    /// The programs for which it may stand. In the first, each entry that is stored leads to a frame of its own, or to the
    /// frame of another page if the row says that accesses of both have one frame. In the second, D is clear in the entries of
    /// all pages that are written, because the row may be about the setting of D. In the others, entries lead to the frames of
    /// other pages.
    pub(super) fn programs(&self) -> Vec<Program> {
        let stores: Vec<usize> =
            (0..self.events.len()).filter(|event| self.events[*event].2 == Mnemonic::Wpte).collect();
        let synonym = |store: &usize| {
            let page = self.page[*store];
            self.same_frame.iter().find_map(|(first, second)| {
                let pair = (self.page[*first], self.page[*second]);
                (pair.0 != pair.1).then_some(())?;
                if pair.0 == page { Some(pair.1) } else { (pair.1 == page).then_some(pair.0) }
            })
        };
        let mut next = self.pages;
        let mut fresh = || {
            next += 1;
            next - 1
        };
        let frames: Vec<usize> = stores.iter().map(|store| synonym(store).unwrap_or_else(&mut fresh)).collect();
        let mut all = vec![frames.clone()];
        for (nth, store) in stores.iter().enumerate() {
            for other in (0..self.pages).filter(|other| *other != self.page[*store]) {
                let mut frames = frames.clone();
                frames[nth] = other;
                all.push(frames);
            }
        }
        let mut programs: Vec<Program> = all.iter().map(|frames| self.program(&stores, frames)).collect();
        let mut clean = programs[0].clone();
        for (event, page) in self.page.iter().enumerate() {
            clean.clean[*page] |= self.events[event].2 == Mnemonic::Write;
        }
        programs.insert(1, clean);
        programs
    }

    fn program(&self, stores: &[usize], frames: &[usize]) -> Program {
        let events = self.events.iter().enumerate().map(|(event, (name, thread, mnemonic))| {
            let page = self.page[event];
            let what = match mnemonic {
                Mnemonic::Wpte => {
                    let nth = stores.iter().position(|store| *store == event).unwrap_or_default();
                    What::Wpte { page, frame: frames[nth] }
                }
                Mnemonic::Invlpg => What::Invlpg { page },
                Mnemonic::Read => What::Read { page },
                Mnemonic::Write => What::Write { page },
                Mnemonic::Mfence => What::Mfence,
            };
            Event { name: name.clone(), thread: *thread, what }
        });
        Program {
            events: events.collect(),
            threads: self.threads,
            clean: self.clean.clone(),
            frames: frames.iter().map(|frame| frame + 1).max().unwrap_or_default().max(self.pages),
            remaps: self.remaps.clone(),
        }
    }

    /// Whether the row is about an execution. Accesses must have the same frames or different ones as the row says, and the
    /// walks of the row must be there.
    pub(super) fn has(&self, execution: &Execution<'_>) -> bool {
        let same = |(first, second): &(usize, usize)| execution.frame[*first] == execution.frame[*second];
        let serves = |(walk, access): &(usize, usize)| execution.walk_of[*access] == *walk;
        self.same_frame.iter().all(same)
            && !self.different_frames.iter().any(same)
            && self.walks.iter().all(|access| execution.walk_of[*access] == *access)
            && self.serves.iter().all(serves)
    }
}
