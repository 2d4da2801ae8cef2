//! A finding as a kernel log would report it. The report has a title, the access, both stacks, the last allocation and the
//! last free, the versions, and a command that shows the finding again.

use std::fmt::Write as _;

use sim_core::Event as Core;

use super::diagram::wrap;
use super::lives::Lives;
use super::spaces::Spaces;
use super::{WIDTH, consequence};
use crate::explore::Trace;
use crate::oracle::{Finding, Logged, Site, What};
use crate::record::Record;
use crate::shell::command;
use crate::world::World;

/// The report of a record's run. `file` is the record's.
pub fn report(world: &World<'_>, trace: &Trace, finding: &Finding, record: &Record, file: &str) -> String {
    let rule = "=".repeat(66);
    let mut text = format!("{rule}\nBUG: mmsim: {}\n", finding.title());
    text.push_str(&wrap(&consequence(world, finding), WIDTH));
    if let Some(access) = last_access(world, trace) {
        text.push_str(&access);
    }
    let spaces = Spaces::of(world, trace);
    side(&mut text, &spaces, trace, "Call trace", &finding.site);
    if let Some(other) = &finding.other {
        side(&mut text, &spaces, trace, "Against", other);
    }
    lives(&mut text, world, &spaces, trace, finding);
    let machine = serde_json::to_value(&record.machine).unwrap_or_default();
    let knobs = machine.as_object().into_iter().flatten().map(|(name, value)| {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        format!("{name}={value}")
    });
    let _ = writeln!(text);
    text.push_str(&wrap(&format!("Machine: {}", knobs.collect::<Vec<_>>().join(" ")), WIDTH));
    if let Some(reservation) = super::reservation(world) {
        text.push_str(&wrap(&reservation, WIDTH));
    }
    let kernel = world.kernel().config.kernel;
    text.push_str(&wrap(
        &format!("Kernel: {} without {}", kernel.version, some_or_nothing(record.kernel.without())),
        WIDTH,
    ));
    let _ = writeln!(text, "Simulator: mmsim {}", env!("CARGO_PKG_VERSION"));
    let _ = writeln!(text, "Scenario: {}, {} steps", world.scenario.name, trace.steps);
    let _ = writeln!(text, "Record: {}", record.digest());
    let _ = writeln!(text, "Replay: {}\n{rule}", command("replay", file));
    text
}

fn some_or_nothing(keys: &[String]) -> String {
    if keys.is_empty() { "nothing that it could lack".to_owned() } else { keys.join(", ") }
}

/// The access of the last step: what it read or wrote, where, and from which line.
fn last_access(world: &World<'_>, trace: &Trace) -> Option<String> {
    let entry = trace.log.iter().rev().find(|entry| matches!(entry.what, What::Core(Core::Access { .. })))?;
    let What::Core(Core::Access { kind, loc, old, new, place }) = entry.what else { return None };
    let what = world.kernel().core().memory.describe(loc);
    let values = if old == new { format!("found {old:#x}") } else { format!("{old:#x} -> {new:#x}") };
    Some(format!(
        "Last access: {kind:?} of {what} by CPU {}, step {}: {values}\n  at {}:{}\n",
        entry.cpu.0,
        entry.step,
        place.file(),
        place.line()
    ))
}

/// The stack of one side. If the log has its step, the line of the access stands there too. A step of set-up may have the
/// number of another step of the log, so the stacks are compared.
fn side(text: &mut String, spaces: &Spaces<'_>, trace: &Trace, word: &str, site: &Site) {
    let here = |entry: &&Logged| (entry.step, entry.cpu) == (site.step, site.cpu);
    let logged = trace.log.iter().filter(here).any(|entry| entry.stack == site.stack);
    stack(text, spaces, trace, word, site, logged);
}

/// The last allocation and the last free, before the finding, of the frame or the object that it is about.
fn lives(text: &mut String, world: &World<'_>, spaces: &Spaces<'_>, trace: &Trace, finding: &Finding) {
    let Some(lives) = Lives::of(world, trace, finding) else { return };
    for (word, event) in [("Allocated by", lives.allocated), ("Freed by", lives.freed)] {
        if let Some(Logged { step, cpu, stack: routines, .. }) = event {
            let site = Site { cpu: *cpu, step: *step, stack: routines.clone() };
            stack(text, spaces, trace, word, &site, true);
        } else if lives.begin_before() && word == "Allocated by" {
            let _ = writeln!(text, "\nAllocated before the run, or never");
        }
    }
}

/// A stack, the innermost routine first. If the log has the line of the access, it stands there too.
fn stack(text: &mut String, spaces: &Spaces<'_>, trace: &Trace, word: &str, site: &Site, logged: bool) {
    let here = |entry: &&Logged| (entry.step, entry.cpu) == (site.step, site.cpu);
    let thread = spaces.thread(site.cpu, site.step).filter(|_| logged);
    let name = thread.map_or_else(String::new, |thread| format!(" ({})", thread.name));
    let when = if logged { format!("step {}", site.step) } else { "at rest, or before the run".to_owned() };
    let _ = writeln!(text, "\n{word}: CPU {}{name}, {when}:", site.cpu.0);
    let place = trace.log.iter().filter(here).find_map(|entry| match entry.what {
        What::Core(Core::Access { place, .. }) if logged => Some(format!(" {}:{}", place.file(), place.line())),
        _ => None,
    });
    if site.stack.is_empty() {
        let _ = writeln!(text, " <user>{}", place.clone().unwrap_or_default());
    }
    for (depth, routine) in site.stack.iter().rev().enumerate() {
        let place = place.as_deref().filter(|_| depth == 0).unwrap_or_default();
        let _ = writeln!(text, " {routine}{place}");
    }
}
