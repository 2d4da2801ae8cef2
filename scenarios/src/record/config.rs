//! The machine and the kernel of a record, every choice spelt out.

use serde::{Deserialize, Serialize};
use sim_gup::CATALOGUE;
use sim_mm::{
    CowReuse, Flush, GupProtect, KernelConfig, Knob, MemoryOrder, Platform, Preempt, Release, Safeguard,
    SpeculativeWalk, TableFree,
};

use crate::scenario::MachineSpec;

/// A machine.
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

/// A kernel.
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

impl MachineRecord {
    pub(super) fn of(machine: MachineSpec) -> MachineRecord {
        MachineRecord {
            cpus: machine.cpus,
            entries_per_table: machine.entries_per_table,
            frames: machine.frames,
            refcount_bits: machine.refcount_bits,
            flush: machine.platform.flush.name().to_owned(),
            table_free: machine.platform.table_free.name().to_owned(),
            memory: machine.platform.memory.name().to_owned(),
            preempt: machine.platform.preempt.name().to_owned(),
            speculative_walk: machine.platform.speculative_walk.name().to_owned(),
        }
    }

    pub(super) fn open(&self) -> Result<MachineSpec, String> {
        let MachineRecord { cpus, entries_per_table, frames, refcount_bits, .. } = *self;
        let number = |name: &str, good: bool, range: &str| {
            if good { Ok(()) } else { Err(format!("machine.{name} is out of range: {range}")) }
        };
        number("cpus", (1..=16).contains(&cpus), "1 to 16")?;
        let entries = sim_mmu::Geometry::new(entries_per_table).is_some();
        number("entries_per_table", entries, "a power of two from 2 to 512")?;
        number("frames", (8..=65_536).contains(&frames), "8 to 65536")?;
        number("refcount_bits", (3..=32).contains(&refcount_bits), "3 to 32")?;
        Ok(MachineSpec {
            cpus,
            entries_per_table,
            frames,
            refcount_bits,
            platform: Platform {
                flush: knob::<Flush>("machine.flush", &self.flush)?,
                table_free: knob::<TableFree>("machine.table_free", &self.table_free)?,
                memory: knob::<MemoryOrder>("machine.memory", &self.memory)?,
                preempt: knob::<Preempt>("machine.preempt", &self.preempt)?,
                speculative_walk: knob::<SpeculativeWalk>("machine.speculative_walk", &self.speculative_walk)?,
            },
        })
    }
}

impl KernelRecord {
    pub(super) fn of(kernel: KernelConfig) -> KernelRecord {
        let keys = |on: bool| {
            let all = CATALOGUE.safeguards().filter(|safeguard| kernel.safeguards.has(*safeguard) == on);
            all.map(|safeguard| safeguard.key.to_owned()).collect()
        };
        KernelRecord {
            version: kernel.version.to_string(),
            cow_reuse: kernel.cow_reuse.name().to_owned(),
            gup_protect: kernel.gup_protect.name().to_owned(),
            without: keys(false),
            with: keys(true),
        }
    }

    pub(super) fn open(&self) -> Result<KernelConfig, String> {
        let version: Release =
            self.version.parse().map_err(|_| format!("kernel.version: no release `{}`", self.version))?;
        let safeguards = |keys: &[String]| -> Result<Vec<Safeguard>, String> {
            let known = |key: &String| {
                CATALOGUE.safeguard(key).ok_or_else(|| format!("this build knows no safeguard `{key}`"))
            };
            keys.iter().map(known).collect()
        };
        let (without, with) = (safeguards(&self.without)?, safeguards(&self.with)?);
        let named = |safeguard: &Safeguard| without.contains(safeguard) || with.contains(safeguard);
        if let Some(twice) = without.iter().find(|safeguard| with.contains(safeguard)) {
            return Err(format!("the record names `{}` as on and as off", twice.key));
        }
        if let Some(missing) = CATALOGUE.safeguards().find(|safeguard| !named(safeguard)) {
            return Err(format!(
                "the record does not say whether the kernel has the safeguard `{}`, which came after it; \
                 replay it with the build that wrote it, or find the race anew with `mmsim run`",
                missing.key
            ));
        }
        let cow_reuse = knob::<CowReuse>("kernel.cow_reuse", &self.cow_reuse)?;
        let gup_protect = knob::<GupProtect>("kernel.gup_protect", &self.gup_protect)?;
        Ok(KernelConfig::new(CATALOGUE, version, &without, &with, Some(cow_reuse), Some(gup_protect)))
    }

    /// The safeguards that it has not, by their keys.
    pub fn without(&self) -> &[String] {
        &self.without
    }
}

fn knob<K: Knob>(place: &str, name: &str) -> Result<K, String> {
    K::by_name(name).ok_or_else(|| format!("{place}: this build knows no value `{name}`"))
}
