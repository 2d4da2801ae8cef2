//! Variants of a scenario: the same race on another machine, and by others who do the same. What is true of a race is true of them as well.

use serde_json::{Map, Value, json};

/// A variant.
#[derive(Clone, Debug, PartialEq)]
pub struct Variant {
    /// What it is called.
    pub name: &'static str,
    /// What is changed.
    pub about: &'static str,
    /// The scenario. A case expects the same violation, wherever it comes about.
    pub json: Value,
}

/// A change of a scenario. `false` if it has nothing to change.
type Change = fn(&mut Value) -> bool;

/// The changes, each with its name and what it does.
const CHANGES: [(&str, &str, Change); 3] = [
    (
        "larger-tables",
        "Upper tables have twice as many entries, and there is twice as much memory.",
        larger_tables,
    ),
    ("other-actor", "What one system call takes away, another does.", other_actor),
    ("more-cpus", "There is one more CPU, which is idle.", more_cpus),
];

/// The variants of a scenario, of which each differs in one thing. One that could not differ is left out.
pub fn variants(scenario: &Value) -> Vec<Variant> {
    let vary = |(name, about, change): (&'static str, &'static str, Change)| {
        let mut json = scenario.clone();
        let changed = change(&mut json);
        if let Some(Value::String(of)) = json.get_mut("name") {
            of.push('-');
            of.push_str(name);
        }
        anywhere(&mut json);
        changed.then_some(Variant { name, about, json })
    };
    CHANGES.into_iter().filter_map(vary).collect()
}

/// A case expects its violation in any routine: another system call has others.
fn anywhere(scenario: &mut Value) {
    for case in list(scenario, "cases") {
        if let Some(Value::Object(expect)) = case.get_mut("expect") {
            expect.remove("in");
        }
    }
}

fn list<'v>(object: &'v mut Value, key: &str) -> impl Iterator<Item = &'v mut Value> {
    object.get_mut(key).and_then(Value::as_array_mut).into_iter().flatten()
}

/// The machine of the scenario, and behind it those of its cases.
fn machines(scenario: &mut Value) -> Vec<&mut Map<String, Value>> {
    let Some(scenario) = scenario.as_object_mut() else { return Vec::new() };
    scenario.entry("machine").or_insert_with(|| json!({}));
    let (mut own, mut of_cases) = (Vec::new(), Vec::new());
    for (key, value) in scenario.iter_mut() {
        match &**key {
            "machine" => own.extend(value.as_object_mut()),
            "cases" => {
                let cases = value.as_array_mut().into_iter().flatten();
                of_cases.extend(cases.filter_map(|case| case.get_mut("machine")?.as_object_mut()));
            }
            _ => {}
        }
    }
    own.append(&mut of_cases);
    own
}

/// Entries of a table, if the scenario does not say how many.
const USUAL_ENTRIES: u64 = MOST_ENTRIES;

/// The most entries of a table.
const MOST_ENTRIES: u64 = 512;

/// Frames, if the scenario does not say how many.
const USUAL_FRAMES: u64 = 64;

/// Page tables stay as they are, because the size of a huge page is that of what they map.
fn larger_tables(scenario: &mut Value) -> bool {
    for (nth, machine) in machines(scenario).into_iter().enumerate() {
        // A case that does not say how large its machine is has that of the scenario.
        let says = |key: &str| nth == 0 || machine.contains_key(key);
        let (tables, memory) = (says("entries_per_table"), says("frames"));
        if tables {
            let now = machine.get("entries_per_table").cloned().unwrap_or(json!(USUAL_ENTRIES));
            let of = |level: &str| match &now {
                Value::Object(levels) => levels.get(level).and_then(Value::as_u64).unwrap_or(USUAL_ENTRIES),
                number => number.as_u64().unwrap_or(USUAL_ENTRIES),
            };
            let more = |level: &str| (of(level) * 2).min(MOST_ENTRIES);
            machine.insert(
                "entries_per_table".to_owned(),
                json!({ "pte": of("pte"), "pmd": more("pmd"), "pud": more("pud"), "p4d": more("p4d") }),
            );
        }
        if memory {
            let frames = machine.get("frames").and_then(Value::as_u64).unwrap_or(USUAL_FRAMES);
            machine.insert("frames".to_owned(), json!(frames * 2));
        }
    }
    true
}

/// Operations that hold no `mmap_lock`, or not for long: faults, and the lockless walk.
const LOCKLESS: [&str; 9] = [
    "device_read",
    "device_write",
    "gup_fast",
    "pin_fast",
    "put_pages",
    "read",
    "wait_until",
    "write",
    "gup_fast_only",
];

/// `munmap()` of a mapping whose place is known becomes an `mmap()` that takes its place. `madvise(MADV_DONTNEED)` becomes `munmap()` if no other thread works under `mmap_lock`, which
/// `munmap()` has for writing.
fn other_actor(scenario: &mut Value) -> bool {
    let places = places(scenario);
    let is_lockless = |operation: &Value| LOCKLESS.iter().any(|key| operation.get(*key).is_some());
    let locked: Vec<bool> = list(scenario, "threads")
        .map(|thread| !list(thread, "run").all(|operation| is_lockless(operation)))
        .collect();
    let mut new = 0;
    for (nth, thread) in list(scenario, "threads").enumerate() {
        let alone = (0..locked.len()).all(|other| other == nth || !locked[other]);
        for operation in list(thread, "run") {
            let Some(other) = instead(operation, alone, &places, new) else { continue };
            *operation = other;
            new += 1;
        }
    }
    new > 0
}

/// What does the same as an operation, if there is anything.
fn instead(operation: &Value, alone: bool, places: &[(String, String, u64)], nth: usize) -> Option<Value> {
    if let Some(advice) = operation.get("madvise") {
        let keeps = |key: &&str| Some(((*key).to_owned(), advice.get(*key)?.clone()));
        let range: Map<String, Value> = ["at", "pages"].iter().filter_map(keeps).collect();
        let is_dontneed = advice.get("advice") == Some(&json!("dontneed"));
        return (is_dontneed && alone).then(|| json!({ "munmap": range }));
    }
    let unmapped = operation.get("munmap")?;
    let name = unmapped.get("at")?.as_str()?;
    let (_, at, pages) = places.iter().find(|place| place.0 == name)?;
    let pages = unmapped.get("pages").and_then(Value::as_u64).unwrap_or(*pages);
    Some(json!({ "mmap": { "as": format!("instead{nth}"), "pages": pages, "at": at, "flags": ["fixed"] } }))
}

/// The mappings of set-up whose address the scenario says: name, address, pages.
fn places(scenario: &mut Value) -> Vec<(String, String, u64)> {
    let mut places = Vec::new();
    for process in list(scenario, "processes") {
        for operation in list(process, "setup") {
            let Some(mapped) = operation.get("mmap") else { continue };
            let text = |key: &str| mapped.get(key).and_then(Value::as_str).map(str::to_owned);
            let pages = mapped.get("pages").and_then(Value::as_u64);
            places.extend(text("as").zip(text("at")).zip(pages).map(|((name, at), pages)| (name, at, pages)));
        }
    }
    places
}

fn more_cpus(scenario: &mut Value) -> bool {
    let used =
        list(scenario, "threads").filter_map(|thread| thread.get("cpu")?.as_u64()).max().map_or(1, |cpu| cpu + 1);
    let Some(machine) = machines(scenario).into_iter().next() else { return false };
    let cpus = machine.get("cpus").and_then(Value::as_u64).unwrap_or(used);
    machine.insert("cpus".to_owned(), json!(cpus + 1));
    true
}
