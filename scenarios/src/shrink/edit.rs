//! Edits that could make a scenario simpler. They change its JSON.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use sim_core::{CpuId, TaskId};

use crate::course::{Act, Course};
use crate::operation::Mention;
use crate::scenario::Scenario;

/// A scenario from which something was removed.
#[derive(Clone, Debug)]
pub(super) struct Edit {
    pub(super) json: Value,
    /// The thread that was removed.
    thread: Option<usize>,
    /// The new number of each CPU that is still in use, if the CPUs got new numbers.
    cpus: Option<BTreeMap<u64, u64>>,
}

impl Edit {
    /// The new number of CPUs of the machine, if it changes.
    pub(super) fn cpus(&self) -> Option<usize> {
        self.cpus.as_ref().map(BTreeMap::len)
    }

    /// The part of a course of the old scenario that is left after the edit.
    pub(super) fn carry(&self, course: &Course) -> Course {
        let gone = self.thread.map(|thread| TaskId(thread as u8));
        let cpu = |cpu: CpuId| match &self.cpus {
            Some(cpus) => cpus.get(&u64::from(cpu.0)).map(|cpu| CpuId(*cpu as u8)),
            None => Some(cpu),
        };
        let act = |act: Act| match (act, gone) {
            (Act::Switch(task), Some(gone)) if task == gone => None,
            (Act::Switch(task), Some(gone)) if task > gone => Some(Act::Switch(TaskId(task.0 - 1))),
            _ => Some(act),
        };
        let doings = course.doings.iter().filter_map(|doing| {
            let (cpu, act) = (cpu(doing.cpu)?, act(doing.act)?);
            Some(crate::course::Doing { cpu, act, ..doing.clone() })
        });
        Course { doings: doings.collect() }
    }
}

/// Every edit of a scenario that removes one thing. `json` is its file. The edits that remove most come first.
pub(super) fn edits(scenario: &Scenario, json: &Value) -> Vec<Edit> {
    let mut edits = Vec::new();
    let edit = |json: Value| Edit { json, thread: None, cpus: None };
    for i in 0..len(json, "/threads") {
        let mut less = json.clone();
        remove(&mut less, "/threads", i);
        let cpus = count_cpus(&mut less);
        edits.push(Edit { json: less, thread: Some(i), cpus: Some(cpus) });
    }
    edits.extend((0..len(json, "/processes")).map(|i| {
        let mut less = json.clone();
        remove(&mut less, "/processes", i);
        edit(less)
    }));
    for (section, list) in [("threads", "run"), ("processes", "setup")] {
        for i in 0..len(json, &format!("/{section}")) {
            let ops = format!("/{section}/{i}/{list}");
            edits.extend((0..len(json, &ops)).rev().map(|op| {
                let mut less = json.clone();
                remove(&mut less, &ops, op);
                edit(less)
            }));
        }
    }
    edits.extend(fewer_pages(scenario, json).into_iter().map(edit));
    let mut fewer_cpus = json.clone();
    let cpus = count_cpus(&mut fewer_cpus);
    edits.push(Edit { json: fewer_cpus, thread: None, cpus: Some(cpus) });
    for edit in &mut edits {
        if let Some(scenario) = edit.json.as_object_mut() {
            // What a case expected need not hold for the smaller scenario.
            scenario.remove("cases");
            scenario.remove("checks");
        }
    }
    edits
}

fn len(json: &Value, list: &str) -> usize {
    json.pointer(list).and_then(Value::as_array).map_or(0, Vec::len)
}

fn remove(json: &mut Value, list: &str, i: usize) {
    if let Some(list) = json.pointer_mut(list).and_then(Value::as_array_mut) {
        list.remove(i);
    }
}

/// Gives the CPUs that threads use the numbers from 0 on.
fn count_cpus(json: &mut Value) -> BTreeMap<u64, u64> {
    let cpu = |thread: &Value| thread.get("cpu").and_then(Value::as_u64);
    let threads = json.get("threads").and_then(Value::as_array);
    let used: BTreeSet<u64> = threads.into_iter().flatten().filter_map(cpu).collect();
    let numbers: BTreeMap<u64, u64> = used.into_iter().zip(0..).collect();
    for thread in json.get_mut("threads").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(number) = cpu(thread).and_then(|cpu| numbers.get(&cpu)) {
            thread["cpu"] = (*number).into();
        }
    }
    if let Some(cpus) = json.pointer_mut("/machine/cpus") {
        *cpus = numbers.len().max(1).into();
    }
    numbers
}

/// For each number of pages, and for each distance from the start of a mapping: one less, and as few as possible. Then all
/// of them at once, because lengths and distances depend on each other.
fn fewer_pages(scenario: &Scenario, json: &Value) -> Vec<Value> {
    let fields = scenario.statements().flat_map(|statement| {
        let smaller = |(key, mention): (&str, Mention<'_>)| Some((statement.field(key), mention.smaller()?));
        statement.mentions().into_iter().filter_map(smaller).collect::<Vec<_>>()
    });
    let fields: Vec<(String, [Value; 2])> = fields.map(|(path, smaller)| (pointer(&path), smaller)).collect();
    let put = |json: &mut Value, (pointer, value): (&str, &Value)| {
        if let Some(place) = json.pointer_mut(pointer) {
            *place = value.clone();
        }
    };
    let changed = |changes: &[(&str, &Value)]| {
        let mut less = json.clone();
        changes.iter().for_each(|change| put(&mut less, *change));
        less
    };
    let all: Vec<_> = fields.iter().map(|(pointer, [least, _])| (&**pointer, least)).collect();
    let single =
        fields.iter().flat_map(|(pointer, smaller)| smaller.iter().map(|value| changed(&[(pointer, value)])));
    let together = (!all.is_empty()).then(|| changed(&all));
    together.into_iter().chain(single).collect()
}

/// The JSON pointer of a path: `/threads/0/run/1/read/from` of `threads[0].run[1].read.from`.
fn pointer(path: &str) -> String {
    let parts = path.split(['.', '[']).map(|part| part.trim_end_matches(']'));
    parts.map(|part| format!("/{part}")).collect()
}
