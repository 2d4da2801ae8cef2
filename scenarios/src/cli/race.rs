//! Showing a race: the diagram, what prevents it, and the record to replay.

use std::path::{Path, PathBuf};

use super::output::{BAD, styled};
use super::{Failure, Output};
use crate::course::Course;
use crate::explain::{WIDTH, explain, prevented_by, reservation, told};
use crate::explore::{Campaign, Trace};
use crate::json::shown;
use crate::library::Loaded;
use crate::oracle::Finding;
use crate::record::{Provenance, Record};
use crate::shell::command;
use crate::shrink::{Matter, Schedule, matter, simplify};
use crate::world::World;

/// A race that was found, made simple.
pub(crate) struct Race<'c> {
    pub(crate) campaign: &'c Campaign<'c>,
    pub(crate) loaded: &'c Loaded,
    pub(crate) case: Option<String>,
    /// The number of the run. In a sample, the number is also the seed.
    pub(crate) run: u64,
}

impl Race<'_> {
    /// Makes the run simpler, prints it, and writes its record into `folder`.
    pub(crate) fn show(
        &self,
        mut trace: Trace,
        finding: &Finding,
        folder: Option<&Path>,
        output: &mut Output,
    ) -> Result<serde_json::Value, Failure> {
        trace.put_first(&finding.title());
        let found = Schedule::of(&trace);
        let world = self.campaign.world().map_err(Failure::bad_input)?;
        let mut executor = world.executor();
        let trace = simplify(&world, &mut executor, trace);
        let Some(finding) = trace.findings.first() else { return Ok(serde_json::Value::Null) };
        let matter = matter(&world, &mut executor, &trace);
        let record = self.record_of(&world, &trace, &matter);
        let text = explain(&world, &trace, finding, &record.matters);
        let (title, rest) = text.split_once('\n').unwrap_or((&text, ""));
        output.text(&styled(BAD, title));
        output.text(rest.trim_end());
        let prevented = prevented_by(self.campaign, &trace, finding);
        let holding = prevented.iter().filter(|prevention| prevention.holds);
        let keys: Vec<String> = holding.map(ToString::to_string).collect();
        let reservation = reservation(&world);
        for line in told(&prevented).iter().chain(&reservation) {
            output.prose(line);
        }
        output.text("");
        output.prose(&format!(
            "found by {} in run {}, made simpler: {} -> {} switches, {} -> {} steps, {matter}",
            self.campaign.strategy,
            self.run,
            found.switches,
            Course::of(&trace).switches(),
            found.steps,
            trace.steps,
        ));
        let mut written = None;
        if let Some(folder) = folder {
            let path = write(&record, folder)?;
            let file = path.display().to_string();
            output.prose(&format!("record: {}", shown(&file)));
            output.command("replay", &command("replay", &file));
            written = Some(file);
        }
        Ok(serde_json::json!({
            "title": finding.title(),
            "oracle": finding.oracle().name(),
            "message": record.message,
            "run": self.run,
            "seed": self.campaign.strategy.samples().then_some(self.run),
            "steps": trace.steps,
            "switches": Course::of(&trace).switches(),
            "prevented_by": keys,
            "note": reservation,
            "record": written,
            "diagram": text.lines().map(|line| line.chars().take(WIDTH).collect::<String>()).collect::<Vec<_>>(),
        }))
    }

    /// Makes the run simpler, and makes a record of what is left.
    pub(crate) fn record(&self, mut trace: Trace, title: &str) -> Result<Record, Failure> {
        trace.put_first(title);
        let world = self.campaign.world().map_err(Failure::bad_input)?;
        let mut executor = world.executor();
        let trace = simplify(&world, &mut executor, trace);
        let matter = matter(&world, &mut executor, &trace);
        Ok(self.record_of(&world, &trace, &matter))
    }

    fn record_of(&self, world: &World<'_>, trace: &Trace, matter: &Matter) -> Record {
        let provenance = Provenance::of(self.case.clone(), self.campaign.strategy, self.run);
        Record::new(world, self.campaign.machine, trace, &self.loaded.text, provenance).marked(matter)
    }
}

/// Writes the record of a race that was found. If it cannot be written, the race still counts as found.
pub(super) fn write(record: &Record, folder: &Path) -> Result<PathBuf, Failure> {
    record.write(folder).map_err(|error| Failure {
        exit: super::Exit::Violation,
        message: format!(
            "the race was found, but its record could not be written to {}: {error}",
            folder.display()
        ),
    })
}
