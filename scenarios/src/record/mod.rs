//! Records: a failing run as a file that anyone can replay.
//!
//! A record holds the decisions, and does not need the seed. It has the scenario with its digest, the machine and the
//! kernel with every choice spelt out, each decision with its label, digests of the machine along the way, and the finding
//! that is expected. The seed only says where the record came from.

mod claims;
mod config;
mod contents;
mod decisions;
mod difference;
mod error;

pub use config::{KernelRecord, MachineRecord};
pub use contents::{FORMAT, Provenance, Record};
pub use decisions::{Prefix, Taken};
pub use error::RecordError;

use std::path::{Path, PathBuf};

use serde_json::Value;
use sha2::{Digest, Sha256};
use sim_mm::KernelConfig;

use crate::explore::Trace;
use crate::json::{LoadErrors, part_in_place, read_text, visible};
use crate::scenario::{MachineSpec, Scenario, load};
use crate::shrink::Matter;
use crate::whole_file::WholeFile;
use crate::world::World;

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Record {
    /// The record of a run that ended in a finding.
    ///
    /// # Panics
    /// If the run found nothing, or `scenario_text` is not the text of a scenario.
    pub fn new(
        world: &World<'_>,
        machine: MachineSpec,
        trace: &Trace,
        scenario_text: &str,
        provenance: Provenance,
    ) -> Record {
        let finding = trace.findings.first().expect("a record is made of a run with a finding");
        let scenario: serde_json::Value =
            serde_json::from_str(scenario_text).expect("the scenario was loaded from this text");
        Record {
            format: FORMAT.to_owned(),
            expect: finding.title(),
            message: crate::explain::consequence(world, finding),
            machine: MachineRecord::of(machine, &world.kernel().config.platform),
            kernel: KernelRecord::of(world.kernel().config.kernel),
            provenance,
            steps: trace.steps,
            matters: vec![(1, trace.steps)],
            decisions: trace.decisions.iter().map(ToString::to_string).collect(),
            digests: trace.digests.iter().map(|digest| format!("{digest:016x}")).collect(),
            scenario_digest: sha256(scenario.to_string().as_bytes()),
            scenario,
        }
    }

    /// The record, with the steps that matter noted in it.
    #[must_use]
    pub fn marked(self, matter: &Matter) -> Record {
        Record { matters: matter.ranges(), ..self }
    }

    /// The name of its file: the scenario, the oracle, and a part that tells runs apart.
    pub fn file_name(&self) -> String {
        let name = self.scenario.get("name").and_then(|name| name.as_str()).unwrap_or("scenario");
        let oracle = self.expect.split(' ').next().unwrap_or("finding");
        format!("{name}.{oracle}.{}.mmsim.json", &sha256(self.decisions.join("\n").as_bytes())[..4])
    }

    /// A text that tells this record from every other: the SHA-256 of everything on which a replay depends.
    pub fn digest(&self) -> String {
        let parts =
            serde_json::json!([self.machine, self.kernel, self.decisions, self.digests, self.scenario_digest]);
        sha256(parts.to_string().as_bytes())
    }

    /// Writes the record into a folder, which is made if it is not there. The file is complete, or it is not written at all.
    /// Answers the path of the file.
    ///
    /// # Errors
    /// If the folder cannot be made, or cannot be written to. Then no part of a file is left.
    pub fn write(&self, folder: &Path) -> std::io::Result<PathBuf> {
        std::fs::create_dir_all(folder)?;
        let path = folder.join(self.file_name());
        let text = serde_json::to_string_pretty(self)?;
        WholeFile::begin(&path)?.finish(&(text + "\n"))?;
        Ok(path)
    }

    /// Reads a record.
    ///
    /// # Errors
    /// If the file is no record that this build can replay.
    pub fn read(path: &Path) -> Result<Record, RecordError> {
        let file = path.display().to_string();
        let text = read_text(path)?;
        // The format is read first, so that a record of another version is refused for that reason.
        let value: serde_json::Value =
            serde_json::from_str(&text).map_err(|error| RecordError::Shape { file: file.clone(), error })?;
        let bad = |what: String| RecordError::Bad { file: file.clone(), what };
        match value.get("format").map(|format| format.as_str()) {
            Some(Some(FORMAT)) => {}
            Some(Some(other)) => return Err(bad(error::of_another_format(other))),
            Some(None) => return Err(bad("not a record: its `format` is not text".to_owned())),
            None => return Err(bad("not a record: it has no `format`; `mmsim run` takes scenarios".to_owned())),
        }
        let record: Record =
            serde_json::from_str(&text).map_err(|error| RecordError::Shape { file: file.clone(), error })?;
        if sha256(record.scenario.to_string().as_bytes()) != record.scenario_digest {
            return Err(bad(
                "a record of another scenario: what it holds has not the digest that it names".to_owned()
            ));
        }
        let texts = [&record.expect, &record.message].into_iter().chain(&record.decisions).chain(&record.digests);
        if texts.flat_map(|text| text.chars()).any(|c| !visible(c)) {
            return Err(bad("a text of it has characters that nobody sees".to_owned()));
        }
        record.answers().map_err(&bad)?;
        let in_order = |range: &(u64, u64)| (1..=record.steps).contains(&range.0) && range.0 <= range.1;
        if !record.matters.iter().all(|range| in_order(range) && range.1 <= record.steps) {
            return Err(bad(format!("`matters` names steps that a run of {} has not", record.steps)));
        }
        Ok(record)
    }

    /// The scenario, the machine and the kernel of the record.
    ///
    /// # Errors
    /// If it names something that this build does not know.
    pub fn open(&self, file: &str) -> Result<(Scenario, MachineSpec, KernelConfig), RecordError> {
        let bad = |what: String| RecordError::Bad { file: file.to_owned(), what };
        let scenario = self.load_scenario(file).map_err(RecordError::Scenario)?;
        let machine = self.machine.open().map_err(bad)?;
        if let Some(thread) = scenario.threads.iter().find(|thread| usize::from(thread.cpu) >= machine.cpus) {
            let what = format!("thread `{}` runs on CPU {} of {}", thread.name, thread.cpu, machine.cpus);
            return Err(bad(what));
        }
        Ok((scenario, machine, self.kernel.open().map_err(bad)?))
    }

    /// The scenario. Errors have their places in the file of the record. If that file cannot be read again, or holds another
    /// scenario, the places are those in the scenario as it is printed.
    fn load_scenario(&self, file: &str) -> Result<Scenario, LoadErrors> {
        let text = std::fs::read_to_string(file).ok();
        let part = text.and_then(|text| part_in_place(&text, "scenario"));
        let same =
            |part: &String| serde_json::from_str(part).is_ok_and(|scenario: Value| scenario == self.scenario);
        match part.filter(same) {
            Some(part) => load(file, &part),
            None => load(&format!("{file}, the `scenario` in it as printed"), &format!("{:#}", self.scenario)),
        }
    }
}
