//! Edits of a scenario that could make it simpler, as changes of its JSON.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use sim_core::{CpuId, TaskId};

use crate::course::{Act, Course};

/// A scenario with something less.
#[derive(Clone, Debug)]
pub(super) struct Edit {
    pub(super) json: Value,
    /// The thread that went.
    thread: Option<usize>,
    /// The new number of each CPU that is still in use, if they were counted anew.
    cpus: Option<BTreeMap<u64, u64>>,
}

impl Edit {
    /// How many CPUs the machine is left with, if that changes.
    pub(super) fn cpus(&self) -> Option<usize> {
        self.cpus.as_ref().map(BTreeMap::len)
    }

    /// What is left of a course of the scenario before the edit.
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

/// Every edit of a scenario by one thing, those that take the most away first.
pub(super) fn edits(json: &Value) -> Vec<Edit> {
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
    edits.extend(fewer_pages(json).into_iter().map(edit));
    let mut fewer_cpus = json.clone();
    let cpus = count_cpus(&mut fewer_cpus);
    edits.push(Edit { json: fewer_cpus, thread: None, cpus: Some(cpus) });
    for edit in &mut edits {
        if let Some(scenario) = edit.json.as_object_mut() {
            // What was expected is not true of what is left.
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

/// For each number of pages and each distance from a mapping's start: one less, and as few as can be. Then
/// all of them at once, for lengths and distances hang together.
fn fewer_pages(json: &Value) -> Vec<Value> {
    let mut places = Vec::new();
    for section in ["threads", "processes"] {
        if let Some(list) = json.get(section) {
            numbers(list, &format!("/{section}"), &mut places);
        }
    }
    let least = |number: &Number| Number { value: number.least, ..number.clone() };
    let one_less = |number: &Number| Number { value: number.value - 1, ..number.clone() };
    let all: Vec<Number> = places.iter().map(least).collect();
    let single = places.iter().flat_map(|number| [vec![least(number)], vec![one_less(number)]]);
    let lists = std::iter::once(all).chain(single).filter(|list| !list.is_empty());
    lists.map(|list| list.iter().fold(json.clone(), |json, number| number.put_into(json))).collect()
}

/// A number of pages in a scenario that could be less.
#[derive(Clone, Debug)]
struct Number {
    pointer: String,
    value: u64,
    least: u64,
    /// The mapping whose start it is a distance from, if it is one.
    mapping: Option<String>,
}

impl Number {
    fn put_into(&self, mut json: Value) -> Value {
        if let Some(place) = json.pointer_mut(&self.pointer) {
            *place = match &self.mapping {
                None => self.value.into(),
                Some(mapping) if self.value == 0 => mapping.clone().into(),
                Some(mapping) => format!("{mapping}+{}", self.value).into(),
            };
        }
        json
    }
}

fn numbers(json: &Value, pointer: &str, found: &mut Vec<Number>) {
    let children: Vec<(String, &Value)> = match json {
        Value::Array(list) => list.iter().enumerate().map(|(i, child)| (i.to_string(), child)).collect(),
        Value::Object(fields) => fields.iter().map(|(name, child)| (name.clone(), child)).collect(),
        _ => return,
    };
    for (name, child) in children {
        let pointer = format!("{pointer}/{name}");
        let (value, least, mapping) = match (name.as_str(), child) {
            ("pages", Value::Number(pages)) => (pages.as_u64().unwrap_or(1), 1, None),
            ("page", Value::Number(page)) => (page.as_u64().unwrap_or(0), 0, None),
            ("at" | "to" | "from", Value::String(place)) => match place.split_once('+') {
                Some((mapping, page)) => (page.parse().unwrap_or(0), 0, Some(mapping.to_owned())),
                None => (0, 0, None),
            },
            _ => (0, 0, None),
        };
        if value > least {
            found.push(Number { pointer: pointer.clone(), value, least, mapping });
        }
        numbers(child, &pointer, found);
    }
}
