//! How Linux merges, splits and moves mappings: each fact of `tests/vma/` becomes a scenario, and the fact holds in it.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use mmsim::case::{Budget, Verdict, judge};
use mmsim::scenario::load;
use serde_json::{Value, json};

/// The address of page 0 of a fact.
const BASE: u64 = 0x4000_0000;

/// The source and the destination of facts that say only an alignment. They are multiples of all alignments.
const SOURCE: u64 = 0x5000_0000;
const DESTINATION: u64 = 0x6000_0000;

const PAGE: u64 = 4096;

/// The most pages that memory is given for.
const MOST_PAGES: u64 = 4096;

/// The result for a fact.
enum Translated {
    Scenario(Value),
    /// It needs something that is not there.
    Skipped(&'static str),
}

/// The operations of a fact as they are written so far.
#[derive(Default)]
struct Program {
    parent: Vec<Value>,
    child: Vec<Value>,
    /// The operations whose return value is checked: whether each is in the child, its place, and the values that it may return.
    returned: Vec<(bool, usize, Vec<i64>)>,
    values: Vec<Value>,
    pages: u64,
}

impl Program {
    fn list(&mut self, in_child: bool) -> &mut Vec<Value> {
        if in_child { &mut self.child } else { &mut self.parent }
    }

    /// An operation that succeeds.
    fn push(&mut self, in_child: bool, operation: Value) {
        let place = self.list(in_child).len();
        self.list(in_child).push(operation);
        self.returned.push((in_child, place, vec![0]));
    }

    /// Writes to these pages.
    fn write(&mut self, in_child: bool, pages: impl IntoIterator<Item = u64>) {
        for at in pages {
            self.push(in_child, json!({ "write": { "to": hex(at), "value": at } }));
        }
    }
}

fn hex(address: u64) -> String {
    format!("{address:#x}")
}

fn address(page: u64) -> u64 {
    BASE + page * PAGE
}

fn number(arguments: &Value, key: &str) -> Option<u64> {
    arguments[key].as_u64()
}

fn flags(arguments: &Value) -> Vec<&str> {
    let names = arguments["flags"].as_array().into_iter().flatten().filter_map(Value::as_str);
    names.map(|name| if name == "anon" { "anonymous" } else { name }).collect()
}

/// An address that is a multiple of so many pages, or of a part of one, and of no more.
fn aligned(area: u64, pages: f64) -> u64 {
    area + (pages * PAGE as f64) as u64
}

/// The pages by which it is seen whether contents were kept: some in front, in the middle and at the end.
fn samples(start: u64, pages: u64) -> Vec<u64> {
    let mut samples = vec![start, start + pages / 2 * PAGE, start + (pages - 1) * PAGE];
    samples.dedup();
    samples
}

fn translate(fact: &Value) -> Translated {
    let mut program = Program::default();
    let fails = fact["expect"] == "fail";
    // What the fact writes to all pages of, and where it moves them.
    let (mut filled, mut moved) = (None, None);
    for step in fact["program"].as_array().expect("a list of operations") {
        let in_child = step["in"] == "child";
        let (operation, arguments) =
            step.as_object().and_then(|step| step.iter().find(|(key, _)| *key != "in")).expect("an operation");
        let pages = number(arguments, "pages").unwrap_or(0);
        program.pages += pages;
        if program.pages > MOST_PAGES {
            return Translated::Skipped("more memory than a machine has");
        }
        let at = number(arguments, "at").map(address);
        match operation.as_str() {
            "mmap" => {
                let align = arguments["align"].as_f64();
                let at = at.or(align.map(|align| aligned(SOURCE, align.max(1.0)))).expect("a place");
                filled = Some((at, pages, align.map_or(at, |align| aligned(SOURCE, align))));
                let name = format!("m{}", program.parent.len() + program.child.len());
                program.push(
                    in_child,
                    json!({ "mmap": { "as": name, "pages": pages, "prot": arguments["prot"],
                        "flags": flags(arguments), "at": hex(at) } }),
                );
            }
            "munmap" => {
                program.push(in_child, json!({ "munmap": { "at": at.map(hex), "pages": pages } }));
            }
            "mprotect" => program.push(
                in_child,
                json!({ "mprotect": { "at": at.map(hex), "pages": pages, "prot": arguments["prot"] } }),
            ),
            "write" if arguments["all"] == true => {
                let (at, pages, _) = filled.expect("a mapping");
                program.push(
                    in_child,
                    json!({ "madvise": { "at": hex(at), "pages": pages, "advice": "populate_write" } }),
                );
                program.write(in_child, samples(at, pages));
            }
            "write" => program.write(in_child, (0..pages).filter_map(|page| Some(at? + page * PAGE))),
            "fork" => program.push(in_child, json!({ "fork": { "as": "child" } })),
            "mremap" => {
                let from = at.or(filled.map(|(.., from)| from)).expect("a place");
                let to = number(arguments, "to").map(address);
                let to = to.or(arguments["to_align"].as_f64().map(|align| aligned(DESTINATION, align)));
                moved = to.map(|to| (from, to, pages));
                let mut call = json!({ "at": hex(from), "pages": pages, "new_pages": arguments["new_pages"],
                    "flags": flags(arguments) });
                if let Some(to) = to {
                    call["to"] = hex(to).into();
                }
                program.push(in_child, json!({ "mremap": call }));
            }
            "prctl" => {
                let enable = arguments["set_memory_merge"] == 1;
                program.push(in_child, json!({ "prctl": { "set_memory_merge": enable } }));
            }
            other => panic!("{}: no words for {other}", fact["id"]),
        }
    }
    if fails {
        // The fact does not say which error it is.
        let (.., may) = program.returned.last_mut().expect("an operation");
        *may = vec![-22, -14, -12];
    }
    if fact["expect"] == "ok" {
        let (from, to, pages) = moved.expect("a move");
        for (i, page) in samples(from, pages).into_iter().enumerate() {
            let name = format!("kept{i}");
            program.parent.push(json!({ "read": { "from": hex(page - from + to), "as": name } }));
            program.values.push(json!({ "value": { "of": name, "in": [page] } }));
        }
    }
    if let Some(ranges) = fact["expect"].as_array() {
        let range = |range: &Value| {
            let [at, start, end] = ["at", "start", "end"].map(|key| number(range, key).expect("a page"));
            assert!((start..end).contains(&at), "{}: page {at} is in the range", fact["id"]);
            json!({ "at": hex(address(start)), "pages": end - start })
        };
        let expect: Vec<Value> = ranges.iter().map(range).collect();
        program.list(fact["where"] == "child").push(json!({ "vmas": { "expect": expect } }));
    }
    Translated::Scenario(scenario(program))
}

fn scenario(program: Program) -> Value {
    let Program { parent, child, returned, values, pages } = program;
    let returned = returned.into_iter().map(|(in_child, op, may)| {
        let thread = if in_child { "child" } else { "parent" };
        json!({ "returned": { "thread": thread, "op": op, "in": may } })
    });
    let checks: Vec<Value> = returned.chain(values).collect();
    let mut threads = vec![json!({ "name": "parent", "process": "p", "cpu": 0, "run": parent })];
    if !child.is_empty() {
        threads.push(json!({ "name": "child", "process": "child", "cpu": 0, "after": "parent", "run": child }));
    }
    json!({
        "name": "fact", "about": "A fact of Linux.",
        "machine": { "frames": 256 + 2 * pages },
        "kernel": { "version": "v6.18" },
        "processes": [{ "name": "p" }], "threads": threads, "checks": checks,
        "cases": [{ "name": "v6.18", "explore": { "strategy": "random", "runs": 1 }, "expect": "no-violation" }],
    })
}

/// What is different from the fact; nothing if it holds.
fn difference(scenario: &Value) -> Option<String> {
    let scenario = load("fact.json", &scenario.to_string()).unwrap_or_else(|errors| panic!("{errors}"));
    let case = &scenario.cases[0];
    let report = judge(&scenario, case, Budget::default(), &AtomicBool::new(false), &|_| ())
        .unwrap_or_else(|error| panic!("{error}"));
    let never: Vec<usize> = report.explored.tally.unchecked();
    if report.verdict == Verdict::AsExpected && never.is_empty() {
        return None;
    }
    let finding = report.finding.map_or_else(String::new, |finding| finding.violation.to_string());
    Some(format!("{:?} {finding} {:?}", report.verdict, report.explored.tally.failed_how(&scenario)))
}

#[test]
fn mappings_are_as_linux_has_them() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vma/system-calls.jsonl");
    let text = std::fs::read_to_string(file).expect("the facts are part of the sources");
    let (mut held, mut skipped, mut wrong) = (0, Vec::new(), Vec::new());
    for line in text.lines() {
        let fact: Value = serde_json::from_str(line).expect("a line is a fact");
        let id = fact["id"].as_str().expect("a fact has a name").to_owned();
        match translate(&fact) {
            Translated::Skipped(why) => skipped.push((id, why)),
            Translated::Scenario(scenario) => match difference(&scenario) {
                None => held += 1,
                Some(difference) => wrong.push(format!("{id}: {difference}")),
            },
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let memory = "more memory than a machine has";
    let expected = [
        ("sys/mremap_test/move_2g_pud_pmd", memory),
        ("sys/mremap_test/move_2g_pud_pud", memory),
        ("sys/mremap_test/move_2g_pud_1m", memory),
    ];
    assert_eq!(skipped, expected.map(|(id, why)| (id.to_owned(), why)));
    assert_eq!(held, 23);
}

/// Both lists are given in words, wherever the operation stands.
#[test]
fn a_list_that_differs_is_told() {
    let expected = "expected mappings of 3 pages at buf rw";
    let found = "and found 1 page at buf (0x10000) rw private, 1 page at buf+2 (0x12000) rw private";
    let run = json!([
        { "mmap": { "as": "buf", "pages": 3, "at": "0x10000" } },
        { "munmap": { "at": "buf+1", "pages": 1 } },
        { "vmas": { "expect": [{ "at": "buf", "pages": 3, "prot": "rw" }] } },
    ]);
    let mut differs =
        scenario(Program { parent: run.as_array().cloned().unwrap_or_default(), ..Program::default() });
    let told = difference(&differs).expect("it differs");
    assert!(told.contains(&format!("operation 2 of `parent` {expected}, {found}")), "{told}");

    differs["processes"][0]["setup"] = run;
    differs["threads"][0]["run"] = json!(["mfence"]);
    let scenario = load("set-up.json", &differs.to_string()).unwrap_or_else(|errors| panic!("{errors}"));
    let judged = judge(&scenario, &scenario.cases[0], Budget::default(), &AtomicBool::new(false), &|_| ());
    let told = judged.map(|report| report.verdict).expect_err("the set-up fails").to_string();
    assert!(told.contains("at processes[0].setup[2]") && told.contains(&format!("{expected}, {found}")), "{told}");
}
