//! The names of a run: the mappings, the pins, the values that were read, and what operations returned.

use std::rc::Rc;

use sim_core::{Loc, TaskId};
use sim_gup::Pin;
use sim_mm::{Errno, MmId};
use sim_mmu::VirtAddr;

#[derive(Clone, Debug)]
struct Mapping {
    process: usize,
    name: Rc<str>,
    start: VirtAddr,
    pages: u64,
}

/// A difference between the mappings that a thread expected and those of its process, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mismatch {
    /// The mappings that were expected.
    pub(crate) expected: String,
    /// The mappings that are there.
    pub(crate) found: String,
}

/// What the names of a scenario stand for.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// The address space of each process, once it exists.
    pub(super) mms: Vec<Option<MmId>>,
    /// The address spaces that processes have left by `exec`, and who they were. What is mapped there counts as of one more process
    /// behind the others.
    former: Vec<(usize, MmId)>,
    mappings: Vec<Mapping>,
    pins: Vec<(TaskId, Rc<str>, Vec<Pin>)>,
    values: Vec<(Rc<str>, u64)>,
    returned: Vec<(TaskId, usize, i64)>,
    /// Operations that failed, each with its error.
    failed: Vec<(TaskId, usize, Errno)>,
    /// Operations that found other mappings than they expected.
    mismatches: Vec<(TaskId, usize, Rc<Mismatch>)>,
    /// Tasks that wait for a word: the address of the word, its place in the page, and its location when the task began to wait.
    waits: Vec<(TaskId, VirtAddr, u32, Loc)>,
}

/// Names that are given others' values keep the room that they have for them: each run begins so.
impl Clone for Names {
    fn clone(&self) -> Names {
        let mut clone = Names::default();
        clone.clone_from(self);
        clone
    }

    fn clone_from(&mut self, other: &Names) {
        let Names { mms, mappings, pins, values, returned, failed, mismatches, waits, former } = other;
        self.mms.clone_from(mms);
        self.mappings.clone_from(mappings);
        self.pins.clone_from(pins);
        self.values.clone_from(values);
        self.returned.clone_from(returned);
        self.failed.clone_from(failed);
        self.mismatches.clone_from(mismatches);
        self.waits.clone_from(waits);
        self.former.clone_from(former);
    }
}

impl Names {
    pub(super) fn new(processes: usize) -> Names {
        Names { mms: vec![None; processes], ..Names::default() }
    }

    /// Set-up is over. What its operations returned is forgotten.
    pub(super) fn forget_results(&mut self) {
        self.returned.clear();
        self.failed.clear();
    }

    pub(super) fn map(&mut self, process: usize, name: &str, start: VirtAddr, pages: u64) {
        self.mappings.retain(|mapping| !(mapping.process == process && &*mapping.name == name));
        self.mappings.push(Mapping { process, name: name.into(), start, pages });
    }

    /// The address of a mapping of a process, and its length.
    pub(super) fn mapping(&self, process: usize, name: &str) -> Option<(VirtAddr, u64)> {
        let found = self.mappings.iter().find(|mapping| mapping.process == process && &*mapping.name == name);
        found.map(|mapping| (mapping.start, mapping.pages))
    }

    /// A child has the mappings of its parent under the same names.
    pub(super) fn fork(&mut self, parent: usize, child: usize, mm: MmId) {
        let inherited: Vec<Mapping> = self
            .mappings
            .iter()
            .filter(|mapping| mapping.process == parent)
            .map(|mapping| Mapping { process: child, ..mapping.clone() })
            .collect();
        self.mappings.extend(inherited);
        self.mms[child] = Some(mm);
    }

    /// The process leaves its mappings behind, and has another address space.
    pub(super) fn exec(&mut self, process: usize, mm: MmId) {
        let Some(old) = self.mms[process].replace(mm) else { return };
        let left = self.mms.len() + self.former.len();
        self.former.push((process, old));
        self.mappings
            .iter_mut()
            .filter(|mapping| mapping.process == process)
            .for_each(|mapping| mapping.process = left);
    }

    /// The address spaces that a process has had, in turn.
    pub(super) fn mms_of(&self, process: usize) -> impl Iterator<Item = MmId> {
        let former = self.former.iter().filter(move |(of, _)| *of == process).map(|(_, mm)| *mm);
        former.chain(self.mms[process])
    }

    pub(super) fn pin(&mut self, task: TaskId, name: &str, pins: Vec<Pin>) {
        self.pins.push((task, name.into(), pins));
    }

    pub(super) fn pinned(&self, task: TaskId, name: &str, page: u64) -> Option<Pin> {
        let (_, _, pins) = self.pins.iter().rev().find(|(t, n, _)| *t == task && &**n == name)?;
        pins.get(page as usize).copied()
    }

    /// All pages of a pin. The pin is still known after it was put, because a caller may use it wrongly.
    pub(super) fn pins(&self, task: TaskId, name: &str) -> Vec<Pin> {
        let found = self.pins.iter().rev().find(|(t, n, _)| *t == task && &**n == name);
        found.map(|(_, _, pins)| pins.clone()).unwrap_or_default()
    }

    pub(super) fn set_value(&mut self, name: &str, value: u64) {
        self.values.retain(|(n, _)| &**n != name);
        self.values.push((name.into(), value));
    }

    pub(super) fn value(&self, name: &str) -> Option<u64> {
        self.values.iter().find(|(n, _)| &**n == name).map(|(_, value)| *value)
    }

    pub(super) fn set_returned(&mut self, task: TaskId, op: usize, value: i64) {
        self.returned.push((task, op, value));
    }

    pub(super) fn returned(&self, task: TaskId, op: usize) -> Option<i64> {
        self.returned.iter().find(|(t, o, _)| (*t, *o) == (task, op)).map(|(_, _, value)| *value)
    }

    pub(super) fn set_failed(&mut self, task: TaskId, op: usize, errno: Errno) {
        self.failed.push((task, op, errno));
        self.set_returned(task, op, errno.code());
    }

    /// The operations that failed, and how.
    pub(super) fn failed(&self) -> &[(TaskId, usize, Errno)] {
        &self.failed
    }

    /// The present operation of a task found other mappings than it expected. It is the one after all that have returned.
    pub(super) fn note_mismatch(&mut self, task: TaskId, mismatch: Mismatch) {
        let op = self.returned.iter().filter(|(of, ..)| *of == task).count();
        self.mismatches.push((task, op, Rc::new(mismatch)));
    }

    pub(super) fn begin_wait(&mut self, task: TaskId, va: VirtAddr, word: u32, loc: Loc) {
        self.waits.push((task, va, word, loc));
    }

    pub(super) fn end_wait(&mut self, task: TaskId) {
        self.waits.retain(|(of, ..)| *of != task);
    }

    /// The word for which a task waits: its address, its place in the page, and its location when the task began to wait.
    pub(super) fn wait(&self, task: TaskId) -> Option<(VirtAddr, u32, Loc)> {
        self.waits.iter().find(|(of, ..)| *of == task).map(|(_, va, word, loc)| (*va, *word, *loc))
    }

    /// The operations that found other mappings than they expected.
    pub(super) fn mismatches(&self) -> &[(TaskId, usize, Rc<Mismatch>)] {
        &self.mismatches
    }

    /// Every page that is mapped, in any address space.
    pub(super) fn pages(&self) -> Vec<VirtAddr> {
        let pages = self.mappings.iter().flat_map(|m| (0..m.pages).map(|page| m.start.plus_pages(page)));
        let mut pages: Vec<VirtAddr> = pages.collect();
        pages.sort_unstable();
        pages.dedup();
        pages
    }

    /// The mapping of a page. If two have the same place, it is the one that came later.
    fn mapping_of(&self, mm: MmId, va: VirtAddr) -> Option<(&Mapping, u64)> {
        let left = || Some(self.mms.len() + self.former.iter().position(|(_, of)| *of == mm)?);
        let process = self.mms.iter().position(|of| *of == Some(mm)).or_else(left)?;
        self.mappings.iter().rev().filter(|mapping| mapping.process == process).find_map(|mapping| {
            let page = va.vpn().0.checked_sub(mapping.start.vpn().0).filter(|page| *page < mapping.pages)?;
            Some((mapping, page))
        })
    }

    pub(super) fn page_name(&self, mm: MmId, va: VirtAddr) -> Option<String> {
        let (mapping, page) = self.mapping_of(mm, va)?;
        Some(if page == 0 { mapping.name.to_string() } else { format!("{}+{page}", mapping.name) })
    }
}
