//! The machine and the kernel of a record. Every choice is spelt out.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sim_gup::CATALOGUE;
use sim_mm::{Choices, Group, KernelConfig, Release, Safeguard, Settings};
use sim_mmu::Geometry;

use crate::json::quote;
use crate::scenario::MachineSpec;

/// The names of the values of some settings, by the keys of the settings. A record that is older than a setting does not
/// name the setting. Its value is then the default of the machine, or that of the release.
type Named = BTreeMap<String, String>;

/// A machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MachineRecord {
    cpus: usize,
    entries_per_table: Entries,
    frames: u64,
    refcount_bits: u32,
    #[serde(flatten)]
    platform: Named,
}

/// Entries of a table: the same number at all levels, or one for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
enum Entries {
    All(u32),
    Levels { pte: u32, pmd: u32, pud: u32, p4d: u32 },
}

impl Entries {
    fn of(geometry: Geometry) -> Entries {
        let [pte, pmd, pud, p4d] = geometry.levels().map(|(_, entries)| entries);
        geometry.uniform().map_or(Entries::Levels { pte, pmd, pud, p4d }, Entries::All)
    }

    fn open(self) -> Option<Geometry> {
        match self {
            Entries::All(entries) => Geometry::new(entries),
            Entries::Levels { pte, pmd, pud, p4d } => Geometry::of_levels([pte, pmd, pud, p4d]),
        }
    }
}

/// A kernel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KernelRecord {
    version: String,
    #[serde(flatten)]
    designs: Named,
    /// The safeguards that it does not have.
    without: Vec<String>,
    /// The safeguards that it has.
    with: Vec<String>,
}

impl MachineRecord {
    pub(super) fn of(machine: MachineSpec, platform: &Settings) -> MachineRecord {
        MachineRecord {
            cpus: machine.cpus,
            entries_per_table: Entries::of(machine.geometry),
            frames: machine.frames,
            refcount_bits: machine.refcount_bits,
            platform: names(Group::Platform, platform),
        }
    }

    pub(super) fn open(&self) -> Result<MachineSpec, String> {
        let MachineRecord { cpus, entries_per_table, frames, refcount_bits, .. } = *self;
        let number = |name: &str, good: bool, range: &str| {
            if good { Ok(()) } else { Err(format!("machine.{name} is out of range: {range}")) }
        };
        number("cpus", (1..=16).contains(&cpus), "1 to 16")?;
        let geometry = entries_per_table.open();
        number("entries_per_table", geometry.is_some(), "a power of two from 2 to 512")?;
        let geometry = geometry.unwrap_or_default();
        number("frames", (8..=65_536).contains(&frames), "8 to 65536")?;
        number("refcount_bits", (3..=32).contains(&refcount_bits), "3 to 32")?;
        let platform = choices("machine", Group::Platform, &self.platform)?;
        Ok(MachineSpec { cpus, geometry, frames, refcount_bits, platform })
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
            designs: names(Group::Design, &kernel.designs),
            without: keys(false),
            with: keys(true),
        }
    }

    pub(super) fn open(&self) -> Result<KernelConfig, String> {
        let version: Release =
            self.version.parse().map_err(|why| format!("kernel.version: {} {why}", quote(&self.version)))?;
        let safeguards = |keys: &[String]| -> Result<Vec<Safeguard>, String> {
            let known = |key: &String| {
                CATALOGUE.safeguard(key).ok_or_else(|| format!("this build knows no safeguard {}", quote(key)))
            };
            keys.iter().map(known).collect()
        };
        let (without, with) = (safeguards(&self.without)?, safeguards(&self.with)?);
        if let Some(twice) = without.iter().find(|safeguard| with.contains(safeguard)) {
            return Err(format!("the record names `{}` as on and as off", twice.key));
        }
        // A safeguard that the record does not name is younger than the record. It is taken as there if the release has it.
        // If that is wrong, the digests differ, and the replay says where.
        let designs = choices("kernel", Group::Design, &self.designs)?;
        Ok(KernelConfig::new(CATALOGUE, version, &without, &with, &designs))
    }

    /// The safeguards that it does not have, by their keys.
    pub fn without(&self) -> &[String] {
        &self.without
    }
}

/// The values of all settings of a group that have more than one.
fn names(group: Group, settings: &Settings) -> Named {
    let several = CATALOGUE.settings_of(group).filter(|setting| setting.values.len() > 1);
    several.map(|setting| (setting.key.to_owned(), settings.name(setting).to_owned())).collect()
}

/// The settings that the names choose.
fn choices(place: &str, group: Group, names: &Named) -> Result<Choices, String> {
    let mut choices = Choices::default();
    for (key, name) in names {
        let setting = CATALOGUE.settings_of(group).find(|setting| setting.key == key);
        let setting = setting.ok_or_else(|| format!("{place}: this build knows no setting {}", quote(key)))?;
        let value = setting.by_name(name);
        choices.set(
            setting,
            value.ok_or_else(|| format!("{place}.{key}: this build knows no value {}", quote(name)))?,
        );
    }
    Ok(choices)
}
