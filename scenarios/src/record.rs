//! Records: a failing run as a file that anyone can replay.
//!
//! A record holds the decisions, not the seed: the scenario inline with its digest, machine and kernel
//! with every choice spelt out, each decision with its label, digests of the machine along the way, and
//! what is expected. The seed only says where it came from.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use sim_core::source::{Replay, Source};
use sim_mm::{
    CowReuse, Flush, GupProtect, KernelConfig, Knob, MemoryOrder, Platform, Preempt, Release, SpeculativeWalk,
};
use sim_mm::{SAFEGUARDS, Safeguard, TableFree};

use crate::explore::Trace;
use crate::scenario::{MachineSpec, Scenario, load};
use crate::world::World;

/// The format that this build writes and reads.
pub const FORMAT: &str = "mmsim-record-1";

/// A record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// The format and its version.
    pub format: String,
    /// What is expected of a replay: the title of the finding.
    pub expect: String,
    /// The consequence, in a sentence.
    pub message: String,
    /// The machine.
    pub machine: MachineRecord,
    /// The kernel.
    pub kernel: KernelRecord,
    /// Where it came from.
    pub provenance: Provenance,
    /// Steps of the run.
    pub steps: u64,
    /// `ANSWER/OF LABEL` of each decision.
    pub decisions: Vec<String>,
    /// The machine's digest after every 16 steps, and at the end.
    pub digests: Vec<String>,
    /// SHA-256 of the scenario.
    pub scenario_digest: String,
    /// The scenario.
    pub scenario: serde_json::Value,
}

/// A machine, every choice spelt out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MachineRecord {
    cpus: usize,
    entries_per_table: u32,
    frames: u64,
    refcount_bits: u32,
    flush: String,
    table_free: String,
    memory: String,
    preempt: String,
    speculative_walk: String,
}

/// A kernel, every choice spelt out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KernelRecord {
    version: String,
    cow_reuse: String,
    gup_protect: String,
    /// Safeguards that it has not.
    without: Vec<String>,
    /// Safeguards that it has.
    with: Vec<String>,
}

/// Where a record came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provenance {
    /// The case of the scenario, if it was one.
    pub case: Option<String>,
    /// The strategy.
    pub strategy: String,
    /// The seed of the run that found it, before it was made simpler.
    pub seed: u64,
}

/// Why a record cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The file cannot be read.
    #[error("{file}: {error}")]
    Unreadable {
        /// The file.
        file: String,
        /// Why.
        error: std::io::Error,
    },
    /// It is not JSON, or not of a record's shape.
    #[error("{file}:{}:{}: not a record: {error}", .error.line(), .error.column())]
    Shape {
        /// The file.
        file: String,
        /// What is wrong.
        error: serde_json::Error,
    },
    /// What it says makes no sense.
    #[error("{file}: {what}")]
    Bad {
        /// The file.
        file: String,
        /// What is wrong.
        what: String,
    },
}

fn digest(scenario: &serde_json::Value) -> String {
    Sha256::digest(scenario.to_string().as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
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
        let scenario = serde_json::from_str(scenario_text).expect("the scenario was loaded from this text");
        let kernel = world.kernel.config.kernel;
        let keys = |on: bool| {
            let all = SAFEGUARDS.iter().filter(|facts| kernel.safeguards.has(facts.safeguard) == on);
            all.map(|facts| facts.key.to_owned()).collect()
        };
        Record {
            format: FORMAT.to_owned(),
            expect: finding.title(),
            message: crate::explain::consequence(world, finding),
            machine: MachineRecord {
                cpus: machine.cpus,
                entries_per_table: machine.entries_per_table,
                frames: machine.frames,
                refcount_bits: machine.refcount_bits,
                flush: machine.platform.flush.name().to_owned(),
                table_free: machine.platform.table_free.name().to_owned(),
                memory: machine.platform.memory.name().to_owned(),
                preempt: machine.platform.preempt.name().to_owned(),
                speculative_walk: machine.platform.speculative_walk.name().to_owned(),
            },
            kernel: KernelRecord {
                version: kernel.version.to_string(),
                cow_reuse: kernel.cow_reuse.name().to_owned(),
                gup_protect: kernel.gup_protect.name().to_owned(),
                without: keys(false),
                with: keys(true),
            },
            provenance,
            steps: trace.steps,
            decisions: trace.decisions.iter().map(ToString::to_string).collect(),
            digests: trace.digests.iter().map(|digest| format!("{digest:016x}")).collect(),
            scenario_digest: digest(&scenario),
            scenario,
        }
    }

    /// Writes the record into a folder: whole, or not at all. Answers the file's path.
    ///
    /// # Errors
    /// If the folder cannot be written to; no part of a file is left then.
    pub fn write(&self, folder: &Path) -> std::io::Result<PathBuf> {
        let name = self.scenario.get("name").and_then(|name| name.as_str()).unwrap_or("scenario");
        let oracle = self.expect.split(' ').next().unwrap_or("finding");
        let run = Sha256::digest(self.decisions.join("\n").as_bytes());
        let path = folder.join(format!("{name}.{oracle}.{:02x}{:02x}.mmsim.json", run[0], run[1]));
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        serde_json::to_writer_pretty(&mut file, self)?;
        file.write_all(b"\n")?;
        file.flush()?;
        file.as_file().sync_all()?;
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            file.as_file().set_permissions(std::fs::Permissions::from_mode(0o644))?;
        }
        file.persist(&path).map_err(|error| error.error)?;
        Ok(path)
    }

    /// Reads a record.
    ///
    /// # Errors
    /// If the file is no record that this build can replay.
    pub fn read(path: &Path) -> Result<Record, RecordError> {
        let file = path.display().to_string();
        let text = std::fs::read_to_string(path)
            .map_err(|error| RecordError::Unreadable { file: file.clone(), error })?;
        // The format first, so that a record of another version is refused for that reason.
        let value: serde_json::Value =
            serde_json::from_str(&text).map_err(|error| RecordError::Shape { file: file.clone(), error })?;
        match value.get("format").and_then(|format| format.as_str()) {
            Some(FORMAT) => {}
            Some(other) => {
                let what = format!(
                    "the record has format `{other}`, and this build reads `{FORMAT}`; \
                     replay it with the build that wrote it, or find the race anew with `mmsim run`"
                );
                return Err(RecordError::Bad { file, what });
            }
            None => {
                let what = "not a record: it has no `format`".to_owned();
                return Err(RecordError::Bad { file, what });
            }
        }
        let record: Record =
            serde_json::from_str(&text).map_err(|error| RecordError::Shape { file: file.clone(), error })?;
        if digest(&record.scenario) != record.scenario_digest {
            let what = "the scenario is not the one that was recorded: its digest differs".to_owned();
            return Err(RecordError::Bad { file, what });
        }
        Ok(record)
    }

    /// The scenario, the machine and the kernel of the record.
    ///
    /// # Errors
    /// If it names what this build does not know.
    pub fn open(&self, file: &str) -> Result<(Scenario, MachineSpec, KernelConfig), RecordError> {
        let bad = |what: String| RecordError::Bad { file: file.to_owned(), what };
        let text = serde_json::to_string_pretty(&self.scenario).map_err(|error| bad(error.to_string()))?;
        let scenario = load("scenario", &text).map_err(|errors| bad(errors.to_string()))?;
        Ok((scenario, self.machine().map_err(bad)?, self.kernel().map_err(bad)?))
    }

    fn machine(&self) -> Result<MachineSpec, String> {
        let MachineRecord { cpus, entries_per_table, frames, refcount_bits, .. } = self.machine;
        if !(1..=16).contains(&cpus)
            || sim_mmu::Geometry::new(entries_per_table).is_none()
            || !(8..=65_536).contains(&frames)
            || !(3..=32).contains(&refcount_bits)
        {
            return Err("the machine's numbers are out of range".to_owned());
        }
        Ok(MachineSpec {
            cpus,
            entries_per_table,
            frames,
            refcount_bits,
            platform: Platform {
                flush: knob::<Flush>(&self.machine.flush)?,
                table_free: knob::<TableFree>(&self.machine.table_free)?,
                memory: knob::<MemoryOrder>(&self.machine.memory)?,
                preempt: knob::<Preempt>(&self.machine.preempt)?,
                speculative_walk: knob::<SpeculativeWalk>(&self.machine.speculative_walk)?,
            },
        })
    }

    fn kernel(&self) -> Result<KernelConfig, String> {
        let version: Release =
            self.kernel.version.parse().map_err(|_| format!("no release `{}`", self.kernel.version))?;
        let safeguards = |keys: &[String]| -> Result<Vec<Safeguard>, String> {
            let known = |key: &String| {
                Safeguard::by_key(key).ok_or_else(|| format!("this build knows no safeguard `{key}`"))
            };
            keys.iter().map(known).collect()
        };
        let (without, with) = (safeguards(&self.kernel.without)?, safeguards(&self.kernel.with)?);
        if without.len() + with.len() != SAFEGUARDS.len() {
            return Err("the record does not name every safeguard of this build".to_owned());
        }
        let cow_reuse = knob::<CowReuse>(&self.kernel.cow_reuse)?;
        let gup_protect = knob::<GupProtect>(&self.kernel.gup_protect)?;
        Ok(KernelConfig::new(version, &without, &with, Some(cow_reuse), Some(gup_protect)))
    }

    /// The decisions as a replay takes them.
    ///
    /// # Errors
    /// If one is not of the form `ANSWER/OF LABEL`.
    pub fn source(&self) -> Result<Source, String> {
        let answers = self.decisions.iter().map(|text| {
            let (answer, rest) = text.split_once('/')?;
            let (of, _) = rest.split_once(' ')?;
            let (answer, of): (u32, u32) = (answer.parse().ok()?, of.parse().ok()?);
            (answer < of).then_some((answer, of))
        });
        let checked: Option<Vec<(u32, u32)>> = answers.collect();
        let checked = checked.ok_or("a decision is not of the form `ANSWER/OF LABEL`")?;
        Ok(Source::Replay(Replay::strict(checked)))
    }

    /// The first point at which a replay differs from the record: what was expected, and what came.
    pub fn difference(&self, trace: &Trace) -> Option<String> {
        let actual: Vec<String> = trace.decisions.iter().map(ToString::to_string).collect();
        let longer = self.decisions.len().max(actual.len());
        let or_end = |list: &[String], i: usize| list.get(i).cloned().unwrap_or_else(|| "the end".to_owned());
        if let Some(i) = (0..longer).find(|&i| self.decisions.get(i) != actual.get(i)) {
            let step = trace.decisions.get(i).map_or(trace.steps, |decision| decision.step);
            return Some(format!(
                "decision {i}, at step {step}: expected `{}`, found `{}`",
                or_end(&self.decisions, i),
                or_end(&actual, i)
            ));
        }
        let digests: Vec<String> = trace.digests.iter().map(|digest| format!("{digest:016x}")).collect();
        let different =
            (0..self.digests.len().max(digests.len())).find(|&i| self.digests.get(i) != digests.get(i));
        if let Some(i) = different {
            let every = sim_core::DIGEST_EVERY as usize;
            return Some(format!(
                "steps {} to {}: expected digest {}, found {}",
                i * every + 1,
                ((i + 1) * every).min(trace.steps as usize),
                or_end(&self.digests, i),
                or_end(&digests, i)
            ));
        }
        let found =
            trace.findings.first().map_or_else(|| "no violation".to_owned(), crate::oracle::Finding::title);
        (found != self.expect).then(|| format!("the verdict: expected `{}`, found `{found}`", self.expect))
    }
}

fn knob<K: Knob>(name: &str) -> Result<K, String> {
    K::by_name(name).ok_or_else(|| format!("this build knows no value `{name}`"))
}
