//! A scenario that is written step by step: who does what, one after the other.

use serde_json::{Value, json};

/// The address of the memory that a row is about. A huge page can begin there.
pub(super) const BUF: &str = "0x4000";

/// The pages of a huge page: a page table has four entries.
pub(super) const HUGE: u64 = 4;

/// Processes with what they do in turn, and the values that must be read.
#[derive(Default)]
pub(super) struct Program {
    setup: Vec<Value>,
    /// Each part is a thread that begins when the one before has ended.
    parts: Vec<(&'static str, Vec<Value>)>,
    expected: Vec<(String, u64)>,
    platform: Vec<(&'static str, &'static str)>,
}

impl Program {
    /// The process `p` does this before everything else.
    pub(super) fn set_up(&mut self, operation: Value) {
        self.setup.push(operation);
    }

    /// A process does this next.
    pub(super) fn run(&mut self, process: &'static str, operation: Value) {
        match self.parts.last_mut() {
            Some((last, part)) if *last == process => part.push(operation),
            _ => self.parts.push((process, vec![operation])),
        }
    }

    /// The same for an operation that reads a value. The operation gets a name for the value, which must be this one.
    pub(super) fn reads(&mut self, process: &'static str, what: &str, mut operation: Value, value: u64) {
        let name = format!("{what}-{}", self.expected.len());
        let fields = operation.as_object_mut().and_then(|tagged| tagged.values_mut().next());
        fields.expect("an operation has fields")["as"] = name.clone().into();
        self.expected.push((name, value));
        self.run(process, operation);
    }

    /// The machine has this knob turned.
    pub(super) fn platform(&mut self, knob: &'static str, value: &'static str) {
        self.platform.push((knob, value));
    }

    /// The values that must be read, by their names.
    pub(super) fn expected(&self) -> &[(String, u64)] {
        &self.expected
    }

    /// The scenario, on a release.
    pub(super) fn scenario(&self, release: &str) -> Value {
        let mut platform = json!({ "thp": "madvise", "page_alloc": "buddy", "swap": "sync" });
        for (knob, value) in &self.platform {
            platform[*knob] = (*value).into();
        }
        let mut threads = Vec::new();
        for (nth, (process, run)) in self.parts.iter().enumerate() {
            let mut thread = json!({ "name": format!("t{nth}"), "process": process, "cpu": 0, "run": run });
            if let Some(before) = nth.checked_sub(1) {
                thread["after"] = format!("t{before}").into();
            }
            threads.push(thread);
        }
        let check = |(name, value): &(String, u64)| json!({ "value": { "of": name, "in": [value] } });
        json!({
            "name": "cow-matrix", "about": "A row of the matrix.",
            "machine": {
                "cpus": 1, "entries_per_table": { "pte": HUGE, "pmd": 4, "pud": 2, "p4d": 2 }, "frames": 64,
                "platform": platform },
            "kernel": { "version": release },
            "processes": [{ "name": "p", "setup": self.setup }],
            "threads": threads,
            "checks": self.expected.iter().map(check).collect::<Vec<_>>(),
            "cases": [{ "name": "row", "expect": "no-violation" }],
        })
    }
}

/// Page `page` of the memory.
pub(super) fn page(page: u64) -> String {
    format!("buf+{page}")
}

/// `mprotect()` of so many pages from that one on.
pub(super) fn mprotect(from: u64, pages: u64, prot: &str) -> Value {
    json!({ "mprotect": { "at": page(from), "pages": pages, "prot": prot } })
}

/// `madvise()` of so many pages from that one on.
pub(super) fn madvise(from: u64, pages: u64, advice: &str) -> Value {
    json!({ "madvise": { "at": page(from), "pages": pages, "advice": advice } })
}
