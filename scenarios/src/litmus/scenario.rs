//! Makes a scenario of a litmus test.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use sim_gup::CATALOGUE;
use sim_mm::{Choices, Group, SpeculativeWalk};

use super::test::{Instruction, Pages, Test, VirtualPage};

/// The words of a page of the machine on which tests run. There are as many as its tables have entries.
const WORDS: usize = 8;

/// Bytes of a word.
const WORD: usize = 8;

/// The places of the locations of a test in the mapping `m` of its scenario.
struct Layout {
    spots: BTreeMap<String, String>,
    /// The operations that make the locations, and give them their values.
    setup: Vec<Value>,
    pages: usize,
}

fn page_text(page: usize) -> String {
    if page == 0 { "m".to_owned() } else { format!("m+{page}") }
}

fn word_text(page: usize, word: usize) -> String {
    if word == 0 { page_text(page) } else { format!("{}[{}]", page_text(page), word * WORD) }
}

impl Layout {
    /// Each location is a word. All are written once in set-up. So no thread faults, and no walk has to set A or D.
    fn of_words(test: &Test) -> Layout {
        let mut layout = Layout { spots: BTreeMap::new(), setup: Vec::new(), pages: 1 };
        for (nth, name) in test.locations().into_iter().enumerate() {
            let spot = word_text(nth / WORDS, nth % WORDS);
            let initial = test.initial.get(name).copied().unwrap_or_default();
            layout.setup.push(json!({ "write": { "to": spot, "value": initial } }));
            layout.spots.insert(name.to_owned(), spot);
            layout.pages = nth / WORDS + 1;
        }
        layout
    }

    /// First comes a page for each frame, which keeps the frame. Then come the pages whose entries are set, and then words for
    /// the flags.
    fn of_pages(pages: &Pages) -> Layout {
        let mut layout = Layout { spots: BTreeMap::new(), setup: Vec::new(), pages: 0 };
        let mut next = || {
            layout.pages += 1;
            layout.pages - 1
        };
        for (name, initial) in &pages.frames {
            let spot = page_text(next());
            layout.setup.push(json!({ "write": { "to": spot, "value": initial } }));
            layout.spots.insert(name.clone(), spot);
        }
        for VirtualPage { name, frame, is_clean } in &pages.pages {
            let spot = page_text(next());
            layout.setup.push(json!({ "set_entry": entry(&spot, &layout.spots[frame], *is_clean) }));
            layout.spots.insert(name.clone(), spot);
        }
        for flags in pages.flags.chunks(WORDS) {
            let page = next();
            for (nth, name) in flags.iter().enumerate() {
                let spot = word_text(page, nth);
                layout.setup.push(json!({ "write": { "to": spot, "value": 0 } }));
                layout.spots.insert(name.clone(), spot);
            }
        }
        layout
    }

    /// The fields of a final value, for a value of an outcome that is no register.
    fn last(&self, name: &str, pages: Option<&Pages>) -> Option<Value> {
        let is_dirty = |page: &&VirtualPage| VirtualPage::dirty_name(&page.name) == name;
        if let Some(page) = pages.and_then(|pages| pages.pages.iter().find(is_dirty)) {
            return Some(json!({ "as": name, "at": self.spots[&page.name], "entry": "dirty" }));
        }
        Some(json!({ "as": name, "at": self.spots.get(name)? }))
    }
}

fn entry(of: &str, to: &str, is_clean: bool) -> Value {
    let mut fields = json!({ "of": of, "to": to });
    if is_clean {
        fields["dirty"] = false.into();
    }
    fields
}

/// The scenario file of a test. If `tso` is false, memory is sequentially consistent.
pub fn scenario_text(test: &Test, tso: bool) -> String {
    let layout = test.pages.as_ref().map_or_else(|| Layout::of_words(test), Layout::of_pages);
    let map = json!({ "mmap": { "as": "m", "pages": layout.pages } });
    let setup: Vec<Value> = std::iter::once(map).chain(layout.setup.iter().cloned()).collect();
    let threads: Vec<Value> = (test.threads.iter().enumerate())
        .map(|(nth, thread)| {
            let run: Vec<Value> = (0..thread.len())
                .map(|at| operation(thread, nth, at, |name| layout.spots[name].clone()))
                .collect();
            json!({ "name": format!("P{nth}"), "process": "p", "cpu": nth, "run": run })
        })
        .collect();
    let mut asked: BTreeSet<&str> = test.observe.iter().map(String::as_str).collect();
    asked.extend(test.locations().into_iter().filter(|name| test.asks_for(name)));
    let finals: Vec<Value> = asked.into_iter().filter_map(|name| layout.last(name, test.pages.as_ref())).collect();
    let mut platform = json!({ "memory": if tso { "tso" } else { "sc" } });
    if test.pages.is_some() {
        let speculative = Choices::default().with(SpeculativeWalk::On);
        for setting in CATALOGUE.settings_of(Group::Platform) {
            if let Some(name) = speculative.name(setting) {
                platform[setting.key] = name.into();
            }
        }
    }
    let mut scenario = json!({
        "name": "litmus",
        "about": about(test),
        "machine": { "cpus": test.threads.len(), "entries_per_table": WORDS, "platform": platform },
        "processes": [{ "name": "p", "setup": setup }],
        "threads": threads,
        "final": finals,
    });
    if let Some(checks) = checks(test) {
        scenario["checks"] = checks;
    }
    serde_json::to_string_pretty(&scenario).expect("JSON can be written")
}

fn about(test: &Test) -> String {
    match &test.condition {
        Some(condition) if test.pages.is_none() => format!("The litmus test {}: {condition}.", test.name),
        _ => format!("The litmus test {}.", test.name),
    }
}

fn operation(thread: &[Instruction], number: usize, at: usize, spot: impl Fn(&str) -> String) -> Value {
    let mut operation = match &thread[at] {
        Instruction::Store { to, value } => json!({ "write": { "to": spot(to), "value": value } }),
        Instruction::StoreLoaded { to, from } => {
            let loaded = thread[..at].iter().rposition(|before| before.register() == Some(from.as_str()));
            let name = loaded.and_then(|loaded| Test::name_of(thread, number, loaded));
            return json!({ "write_value_of": { "to": spot(to), "read": name } });
        }
        Instruction::Load { from, .. } => json!({ "read": { "from": spot(from) } }),
        Instruction::Xchg { at, value, .. } => json!({ "xchg": { "at": spot(at), "value": value } }),
        Instruction::Xadd { at, value, .. } => json!({ "xadd": { "at": spot(at), "value": value } }),
        Instruction::Cmpxchg { at, expected, value, .. } => {
            json!({ "cmpxchg": { "at": spot(at), "expected": expected, "value": value } })
        }
        Instruction::SetEntry { of, to, is_clean } => {
            json!({ "set_entry": entry(&spot(of), &spot(to), *is_clean) })
        }
        Instruction::Invlpg { at } => json!({ "invlpg": { "at": spot(at) } }),
        Instruction::Await { at } => json!({ "wait_until": { "at": spot(at) } }),
        Instruction::Mfence => return json!("mfence"),
        Instruction::Lfence => return json!("lfence"),
        Instruction::Sfence => return json!("sfence"),
    };
    if let (Some(name), Some(object)) = (Test::name_of(thread, number, at), operation.as_object_mut()) {
        object.values_mut().for_each(|fields| fields["as"] = name.clone().into());
    }
    operation
}

/// The outcome for which the test asks, as a check, if one kind of check can say it: values that must come together, or that
/// never may.
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
