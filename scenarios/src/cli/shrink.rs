//! `mmsim shrink`.

use std::path::PathBuf;
use std::sync::atomic::Ordering;

use super::interrupt::Interrupts;
use super::output::{GOOD, styled};
use super::replay::Opened;
use super::{Exit, Failure, Output};
use crate::json::shown;
use crate::record::Record;
use crate::shell::command;
use crate::shrink::{RUNS, Shrinking, Size, Subject, matter, shrink};
use crate::world::World;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A record that `mmsim run` wrote.
    record: PathBuf,
    /// The folder that the new record is written to; made if it is not there.
    #[arg(long, value_name = "DIR", default_value = ".")]
    out: PathBuf,
    /// Runs to search for the finding in each simpler scenario, where the old schedule does not lead there.
    #[arg(long, default_value_t = RUNS, value_parser = clap::value_parser!(u64).range(1..))]
    runs: u64,
}

/// Makes the scenario and the schedule of a record as simple as possible, and writes a new record.
pub(crate) fn run(args: &Args, output: &mut Output, interrupts: &Interrupts) -> Result<Exit, Failure> {
    let opened = Opened::read(&args.record)?;
    let stop = interrupts.watch();
    let (trace, before) = {
        let world = opened.world()?;
        let trace = opened.replay_exactly(&world)?;
        let before = Size::of(&opened.scenario, opened.machine, &trace);
        (trace, before)
    };
    let Opened { record, scenario, machine, kernel, .. } = opened;
    let subject = Subject { json: record.scenario.clone(), scenario, machine, kernel };
    let bar = output.candidates();
    let progress = |tried: u64, size: Size| {
        bar.set_position(tried);
        bar.set_message(size.to_string());
    };
    let shrunk = shrink(subject, trace, args.runs, stop, &progress).map_err(Failure::bad_input)?;
    bar.finish_and_clear();
    let Shrinking { subject, trace, size } = shrunk;
    let world = World::new(&subject.scenario, subject.machine, subject.kernel).map_err(Failure::bad_input)?;
    let mut executor = world.executor();
    let matter = matter(&world, &mut executor, &trace);
    let text = subject.json.to_string();
    let new = Record::new(&world, subject.machine, &trace, &text, record.provenance.clone()).marked(&matter);
    let interrupted = stop.load(Ordering::Relaxed);
    output.text(&format!("{}: {}", styled(GOOD, "shrunk"), new.expect));
    output.prose(&before.to(size));
    output.text(&format!("{} steps, {matter}", trace.steps));
    let path = new.write(&args.out).map_err(|error| Failure {
        exit: Exit::BadInput,
        message: format!("the record could not be written to {}: {error}", args.out.display()),
    })?;
    output.prose(&format!("record: {}", shown(&path.display().to_string())));
    output.command("explain", &command("explain", &path.display().to_string()));
    if interrupted {
        output.note("interrupted; simpler ones may be left");
    }
    output.json(&serde_json::json!({
        "title": new.expect, "before": before.json(), "after": size.json(), "record": path.display().to_string(),
        "steps": trace.steps, "matter": matter.steps.len(), "interrupted": interrupted,
    }));
    Ok(if interrupted { Exit::Inconclusive } else { Exit::AsExpected })
}
