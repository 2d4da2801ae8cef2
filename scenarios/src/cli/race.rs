//! Showing a race: the diagram, what prevents it, and the record to replay.

use std::path::Path;

use super::output::{BAD, styled};
use super::{Failure, Output};
use crate::explain::{WIDTH, explain, prevented_by};
use crate::explore::{Campaign, Trace, simplify};
use crate::library::Loaded;
use crate::oracle::Finding;
use crate::record::{Provenance, Record};

/// A race that was found, made simple.
pub(crate) struct Race<'c> {
    pub(crate) campaign: &'c Campaign<'c>,
    pub(crate) loaded: &'c Loaded,
    pub(crate) case: Option<String>,
    /// The seed of the run.
    pub(crate) run: u64,
}

impl Race<'_> {
    /// Makes the run simpler, prints it, writes its record into `folder`.
    pub(crate) fn show(
        &self,
        mut trace: Trace,
        finding: &Finding,
        folder: Option<&Path>,
        output: &mut Output,
    ) -> Result<serde_json::Value, Failure> {
        trace.put_first(&finding.title());
        let found_with = trace.switches();
        let world = self.campaign.world().map_err(Failure::bad_input)?;
        let mut executor = world.executor();
        let trace = simplify(&world, &mut executor, trace);
        // Names and places are those of the run that is told.
        let trace = again(&world, &mut executor, trace);
        let Some(finding) = trace.findings.first() else { return Ok(serde_json::Value::Null) };
        let text = explain(&world, &trace, finding);
        let (title, rest) = text.split_once('\n').unwrap_or((&text, ""));
        output.text(&styled(BAD, title));
        output.text(rest.trim_end());
        let prevented = prevented_by(self.campaign, self.run, &finding.title());
        let keys: Vec<&str> = prevented.iter().map(|safeguard| safeguard.facts().key).collect();
        if !keys.is_empty() {
            output.text(&format!("prevented by: {}", keys.join(", ")));
        }
        output.text("");
        output.text(&format!(
            "found by {} in run {}; {} switches between CPUs, made {}",
            self.campaign.strategy,
            self.run,
            found_with,
            trace.switches()
        ));
        let provenance =
            Provenance { case: self.case.clone(), strategy: self.campaign.strategy.to_string(), seed: self.run };
        let record = Record::new(&world, self.campaign.machine, &trace, &self.loaded.text, provenance);
        let mut written = None;
        if let Some(folder) = folder {
            let path = record.write(folder).map_err(|error| Failure {
                exit: super::Exit::Violation,
                message: format!(
                    "the race was found, but its record could not be written to {}: {error}",
                    folder.display()
                ),
            })?;
            output.text(&format!("record: {}", path.display()));
            output.text(&format!("replay: mmsim replay {}", path.display()));
            written = Some(path.display().to_string());
        }
        Ok(serde_json::json!({
            "title": finding.title(),
            "oracle": finding.oracle.name(),
            "message": record.message,
            "seed": self.run,
            "steps": trace.steps,
            "switches": trace.switches(),
            "prevented_by": keys,
            "record": written,
            "diagram": text.lines().map(|line| line.chars().take(WIDTH).collect::<String>()).collect::<Vec<_>>(),
        }))
    }
}

/// The same run once more, as the last that the world did.
fn again<'m>(
    world: &'m crate::world::World<'_>,
    executor: &mut sim_core::Executor<'m, sim_mm::Kernel>,
    trace: Trace,
) -> Trace {
    let source = sim_core::source::Source::Replay(sim_core::source::Replay::strict(trace.answers()));
    let title = trace.findings.first().map(Finding::title).unwrap_or_default();
    let mut last = Trace::record(world, executor, source);
    last.put_first(&title);
    last
}
