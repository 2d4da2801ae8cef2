//! One program: where its comparison ended, and the state around that.

use serde_json::{Value, json};

use crate::cli::output::{BAD, DOUBT, GOOD, HEAD, styled};
use crate::conform::compare::{accesses, result};
use crate::conform::program::Step;
use crate::conform::trace::{Args, Returned};
use crate::conform::{Ended, Observation, Program, Verdict};

/// The number of steps before the last that are shown.
const BEFORE: usize = 3;

/// For people.
pub(super) fn text(program: &Program, verdict: &Verdict) -> Vec<String> {
    let Verdict { identical, ended, last } = verdict;
    let mut text = vec![styled(
        HEAD,
        &format!("program {}: {identical} of {} steps identical", program.number, program.compared),
    )];
    let first = identical.saturating_sub(BEFORE);
    for (nth, step) in program.steps.iter().enumerate().take(*identical).skip(first) {
        text.push(format!("  {}", told(nth, step)));
    }
    let here = program.steps.get(*identical);
    let marked =
        |style, what: &str| here.map(|step| format!("  {} <-- {}", told(*identical, step), styled(style, what)));
    match ended {
        Ended::AtTheEnd if *identical < program.steps.len() => {
            text.push(styled(GOOD, "identical as far as the recording is reproducible"));
        }
        Ended::AtTheEnd => text.push(styled(GOOD, "identical to the end")),
        Ended::NotModelled => {
            text.extend(marked(DOUBT, "not modelled"));
            text.push("before it, both:".to_owned());
            text.extend(identical.checked_sub(1).into_iter().flat_map(|nth| state(&program.steps[nth].seen)));
        }
        Ended::Diverged(differences) => {
            text.extend(marked(BAD, "differs"));
            for difference in differences {
                let of = difference.process.map_or_else(String::new, |process| format!(" of process {process}"));
                text.push(format!("{}{of}", styled(BAD, &difference.kind.to_string())));
                text.push(format!("  recorded:  {}", or_nothing(&difference.recorded)));
                text.push(format!("  simulated: {}", or_nothing(&difference.simulated)));
            }
            if let Some(before) = identical.checked_sub(1) {
                text.push(styled(HEAD, "before, both:"));
                text.extend(state(&program.steps[before].seen));
            }
            if let Some(step) = here {
                text.push(styled(HEAD, "after, recorded:"));
                text.push(format!("  returned {}", returns(&step.returned)));
                text.extend(state(&step.seen));
            }
            if let Some((returned, seen)) = last {
                text.push(styled(HEAD, "after, simulated:"));
                text.push(format!("  returned {}", returns(returned)));
                text.extend(state(seen));
            }
        }
    }
    text
}

fn or_nothing(text: &str) -> &str {
    if text.is_empty() { "nothing" } else { text }
}

/// A step on a line.
fn told(nth: usize, step: &Step) -> String {
    format!("step {nth} (line {}), process {}: {}({})", step.line, step.process, step.op, arguments(&step.args))
}

/// The arguments that an operation has.
fn arguments(args: &Args) -> String {
    let Args { pg, n, nn, to, prot, kind, share, flags, fd, off, adv, acc, via, val, slot, child, node } = args;
    let number = |name: &str, value: &Option<u64>| value.map(|value| format!("{name} {value}"));
    let word = |value: &Option<String>| value.clone();
    [
        number("pg", pg),
        number("n", n),
        number("nn", nn),
        number("to", to),
        word(prot),
        word(kind),
        word(share),
        word(flags),
        number("fd", fd),
        number("off", off),
        word(adv),
        word(acc),
        word(via),
        val.map(|value| format!("val {value}")),
        slot.map(|slot| format!("slot {slot}")),
        child.map(|child| format!("child {child}")),
        number("node", node),
    ]
    .into_iter()
    .flatten()
    .collect::<Vec<_>>()
    .join(", ")
}

fn returns(returned: &Returned) -> String {
    let mut text = format!("{}; {} minor faults, {} major", result(returned), returned.minflt, returned.majflt);
    if !returned.acc.is_empty() {
        text.push_str(&format!("; accesses {}", accesses(returned)));
    }
    text
}

fn state(seen: &Observation) -> Vec<String> {
    let mut text = Vec::new();
    for (process, view) in seen {
        text.push(format!("  process {process}"));
        text.extend(view.vmas.iter().map(|vma| format!("    {vma}")));
        text.extend(view.pages.iter().map(|run| format!("    {run}")));
    }
    text
}

/// For programs.
pub(super) fn document(program: &Program, verdict: &Verdict) -> Value {
    let (ended, differences) = match &verdict.ended {
        Ended::AtTheEnd => ("identical", &[][..]),
        Ended::NotModelled => ("not_modelled", &[][..]),
        Ended::Diverged(differences) => ("diverged", &differences[..]),
    };
    let differences: Vec<Value> = differences
        .iter()
        .map(|difference| {
            json!({
                "kind": difference.kind.to_string(), "process": difference.process,
                "recorded": difference.recorded, "simulated": difference.simulated,
            })
        })
        .collect();
    let step = program.steps.get(verdict.identical).filter(|_| ended != "identical");
    json!({
        "program": program.number, "ended": ended, "steps": program.compared, "steps_identical": verdict.identical,
        "step": step.map(|step| json!({
            "line": step.line, "process": step.process, "op": step.op, "arguments": arguments(&step.args),
        })),
        "differences": differences,
        "recorded": step.map(|step| state(&step.seen)),
        "simulated": verdict.last.as_ref().filter(|_| ended == "diverged").map(|(_, seen)| state(seen)),
    })
}
