//! A litmus test as a scenario.

use serde_json::{Value, json};

use super::test::{Instruction, Test, observed};

/// Words of a page of the machine that tests run on: as many as its tables have entries.
const WORDS: usize = 8;

/// Bytes of a word.
const WORD: usize = 8;

/// The scenario file of a test, in which each location is a word of the mapping `m`. Where `tso` is false, memory is sequentially
/// consistent.
pub fn scenario_text(test: &Test, tso: bool) -> String {
    let locations: Vec<&str> = test.locations().into_iter().collect();
    let spot = |name: &str| {
        let nth = locations.iter().position(|location| *location == name).unwrap_or_default();
        let page = match nth / WORDS {
            0 => String::new(),
            page => format!("+{page}"),
        };
        match nth % WORDS {
            0 => format!("m{page}"),
            word => format!("m{page}[{}]", word * WORD),
        }
    };
    let initial = |name: &str| test.initial.get(name).copied().unwrap_or_default();
    let pages = locations.len().div_ceil(WORDS).max(1);
    // All is written once, so that no thread faults, and no walk has a bit to set.
    let write = |name: &&str| json!({ "write": { "to": spot(name), "value": initial(name) } });
    let map = json!({ "mmap": { "as": "m", "pages": pages } });
    let setup: Vec<Value> = std::iter::once(map).chain(locations.iter().map(write)).collect();
    let threads: Vec<Value> = (test.threads.iter().enumerate())
        .map(|(nth, thread)| {
            let run: Vec<Value> = (thread.iter().zip(Test::stays(thread)))
                .map(|(instruction, stays)| operation(instruction, nth, stays, spot))
                .collect();
            json!({ "name": format!("P{nth}"), "process": "p", "cpu": nth, "run": run })
        })
        .collect();
    let is_observed = |name: &&&str| test.observe.iter().any(|other| other == **name) || test.asks_for(name);
    let finals = locations.iter().filter(is_observed).map(|name| json!({ "as": name, "at": spot(name) }));
    let mut scenario = json!({
        "name": "litmus",
        "about": about(test),
        "machine": {
            "cpus": test.threads.len(), "entries_per_table": WORDS,
            "platform": { "memory": if tso { "tso" } else { "sc" } },
        },
        "processes": [{ "name": "p", "setup": setup }],
        "threads": threads,
        "final": finals.collect::<Vec<_>>(),
    });
    if let Some(checks) = checks(test) {
        scenario["checks"] = checks;
    }
    serde_json::to_string_pretty(&scenario).expect("JSON can be written")
}

fn about(test: &Test) -> String {
    match &test.condition {
        Some(condition) => format!("The litmus test {}: {condition}.", test.name),
        None => format!("The litmus test {}.", test.name),
    }
}

fn operation(instruction: &Instruction, thread: usize, stays: bool, spot: impl Fn(&str) -> String) -> Value {
    let mut operation = match instruction {
        Instruction::Store { to, value } => json!({ "write": { "to": spot(to), "value": value } }),
        Instruction::Load { from, .. } => json!({ "read": { "from": spot(from) } }),
        Instruction::Xchg { at, value, .. } => json!({ "xchg": { "at": spot(at), "value": value } }),
        Instruction::Xadd { at, value, .. } => json!({ "xadd": { "at": spot(at), "value": value } }),
        Instruction::Cmpxchg { at, expected, value, .. } => {
            json!({ "cmpxchg": { "at": spot(at), "expected": expected, "value": value } })
        }
        Instruction::Mfence => return json!("mfence"),
        Instruction::Lfence => return json!("lfence"),
        Instruction::Sfence => return json!("sfence"),
    };
    if let (Some(register), true, Some(object)) = (instruction.register(), stays, operation.as_object_mut()) {
        object.values_mut().for_each(|fields| fields["as"] = observed(thread, register).into());
    }
    operation
}

/// What the test asks for as a check, if one kind of check says it: values that come together, or never do.
fn checks(test: &Test) -> Option<Value> {
    let values = test.condition.as_ref()?.conjunction()?;
    if values.iter().any(|(name, _)| test.constants.contains_key(*name)) {
        return None;
    }
    let values: serde_json::Map<String, Value> =
        values.into_iter().map(|(name, is)| (name.to_owned(), is.into())).collect();
    let kind = if test.is_allowed? { "exists" } else { "never" };
    Some(json!([{ kind: { "values": values } }]))
}
