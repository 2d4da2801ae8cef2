//! The machine and the kernel.

use std::str::FromStr;

use serde_json::{Map, Value, json};
use sim_gup::CATALOGUE;
use sim_mm::{Choices, Group, Release, Safeguard, Setting};
use sim_mmu::Geometry;

use super::section::Section;
use super::spec::MAX_CPUS;
use super::{KernelSpec, MachineChange};
use crate::json::{Int, Kind, List, Node, did_you_mean, fields, quote};

/// The objects that are declared here, for the documentation.
pub(super) const SECTIONS: &[Section] = &[
    Section { title: "Machine", facts: MachineFields::FACTS },
    Section { title: "Entries by level", facts: LevelFields::FACTS },
    Section { title: "Change of a machine", facts: ChangeFields::FACTS },
    Section { title: "Kernel", facts: KernelFields::FACTS },
];

fields! {
    /// A machine.
    struct MachineFields {
        /// The number of CPUs; as many as threads use, if not given.
        optional "cpus" cpus: Int<usize, 1, MAX_CPUS>,
        /// Entries of a table, the same for all levels or one for each; 512 if not given.
        optional "entries_per_table" geometry: Geometry,
        /// Frames of memory; 64 if not given.
        optional "frames" frames: Frames,
        /// Bits of a page's reference count; 32 if not given.
        optional "refcount_bits" refcount_bits: RefcountBits,
        /// The knobs of the platform. Those that are not given are as kernels of the release usually find them.
        or (Choices::default()) "platform" platform: PlatformChoices,
    }
}

fields! {
    /// What a case changes of the machine.
    struct ChangeFields {
        /// Entries of a table, the same for all levels or one for each.
        optional "entries_per_table" geometry: Geometry,
        /// Frames of memory.
        optional "frames" frames: Frames,
        /// Bits of a page's reference count.
        optional "refcount_bits" refcount_bits: RefcountBits,
        /// The knobs of the platform.
        or (Choices::default()) "platform" platform: PlatformChoices,
    }
}

type Frames = Int<u64, 8, 65_536>;
type RefcountBits = Int<u32, 3, 32>;

/// The machine of the scenario: the number of its CPUs, if that is given, and the rest as a change of the default.
pub(super) struct Machine;

impl Kind for Machine {
    type Value = (Option<usize>, MachineChange);

    fn decode(node: &Node<'_>) -> Option<(Option<usize>, MachineChange)> {
        let fields = MachineFields::read(node)?;
        let change = MachineChange {
            frames: fields.frames.flatten(),
            geometry: fields.geometry.flatten(),
            refcount_bits: fields.refcount_bits.flatten(),
            platform: fields.platform.unwrap_or_default(),
        };
        Some((fields.cpus.flatten(), change))
    }

    fn schema() -> Value {
        MachineFields::FACTS.schema()
    }
}

impl Kind for MachineChange {
    type Value = MachineChange;

    fn decode(node: &Node<'_>) -> Option<MachineChange> {
        let fields = ChangeFields::read(node)?;
        Some(MachineChange {
            frames: fields.frames.flatten(),
            geometry: fields.geometry.flatten(),
            refcount_bits: fields.refcount_bits.flatten(),
            platform: fields.platform.unwrap_or_default(),
        })
    }

    fn schema() -> Value {
        ChangeFields::FACTS.schema()
    }
}

/// Entries of a table.
struct Entries;

impl Kind for Entries {
    type Value = u32;

    fn decode(node: &Node<'_>) -> Option<u32> {
        let entries: u32 = node.integer(2..=512)?;
        if entries.is_power_of_two() { Some(entries) } else { node.expected("a power of two from 2 to 512") }
    }

    fn schema() -> Value {
        json!({ "enum": [2, 4, 8, 16, 32, 64, 128, 256, 512], "title": "a power of two from 2 to 512" })
    }
}

fields! {
    /// Entries of a table, by level. For example, with 2 PTEs a table, two pages are a huge page, and there is room beside it.
    struct LevelFields {
        /// PTEs of a page table.
        required "pte" pte: Entries,
        /// Entries of a PMD table.
        required "pmd" pmd: Entries,
        /// Entries of a PUD table.
        required "pud" pud: Entries,
        /// Entries of the top-level table. One half of them is the kernel's.
        required "p4d" p4d: Entries,
    }
}

impl Kind for Geometry {
    type Value = Geometry;

    fn decode(node: &Node<'_>) -> Option<Geometry> {
        if !node.is_object() {
            return Geometry::new(Entries::decode(node)?);
        }
        let LevelFields { pte, pmd, pud, p4d } = LevelFields::read(node)?;
        Geometry::of_levels([pte?, pmd?, pud?, p4d?])
    }

    fn schema() -> Value {
        json!({ "oneOf": [Entries::schema(), LevelFields::FACTS.schema()] })
    }
}

/// Choices among the settings of a group, as an object.
fn choices(node: &Node<'_>, group: Group) -> Option<Choices> {
    let keys: Vec<&'static str> = CATALOGUE.settings_of(group).map(|setting| setting.key).collect();
    let fields = node.object(&keys)?;
    let mut choices = Choices::default();
    for setting in CATALOGUE.settings_of(group) {
        let names: Vec<(usize, &str)> = setting.values.iter().map(|value| value.name).enumerate().collect();
        let value = |node: &Node<'_>| node.named(&format!("`{}` value", setting.key), &names, &[]);
        if let Some(place) = fields.optional(setting.key, value).flatten() {
            choices.set(setting, place);
        }
    }
    Some(choices)
}

pub(super) fn choices_schema(group: Group) -> Value {
    let property = |setting: Setting| {
        let value = |value: &sim_mm::ValueFacts| json!({ "const": value.name, "description": value.about() });
        let values: Vec<Value> = setting.values.iter().map(value).collect();
        (setting.key.to_owned(), json!({ "description": setting.about(), "oneOf": values }))
    };
    let properties: Map<String, Value> = CATALOGUE.settings_of(group).map(property).collect();
    json!({ "type": "object", "properties": properties, "additionalProperties": false })
}

/// Choices among the knobs of the platform.
struct PlatformChoices;

impl Kind for PlatformChoices {
    type Value = Choices;
    fn decode(node: &Node<'_>) -> Option<Choices> {
        choices(node, Group::Platform)
    }
    fn schema() -> Value {
        choices_schema(Group::Platform)
    }
}

/// Choices among the designs of the kernel.
struct DesignChoices;

impl Kind for DesignChoices {
    type Value = Choices;
    fn decode(node: &Node<'_>) -> Option<Choices> {
        choices(node, Group::Design)
    }
    fn schema() -> Value {
        choices_schema(Group::Design)
    }
}

fields! {
    /// A kernel, or what a case changes of it.
    struct KernelFields {
        /// The release to start from; `v5.0` if none is named.
        optional "version" version: ReleaseName,
        /// Safeguards that are switched off.
        or (Vec::new()) "without" without: List<SafeguardKey>,
        /// Safeguards that are switched on.
        or (Vec::new()) "with" with: List<SafeguardKey>,
        /// Designs that are chosen by name. The release decides the others.
        or (Choices::default()) "design" design: DesignChoices,
    }
}

impl Kind for KernelSpec {
    type Value = KernelSpec;

    fn decode(node: &Node<'_>) -> Option<KernelSpec> {
        let fields = KernelFields::read(node)?;
        let (without, with) = (fields.without.unwrap_or_default(), fields.with.unwrap_or_default());
        for item in node.peek("with").iter().flat_map(Node::elements) {
            let twice = |safeguard: &&Safeguard| item.as_string() == Some(safeguard.key);
            if let Some(safeguard) = without.iter().find(twice) {
                item.error(format!("safeguard `{}` is in `without` as well", safeguard.key));
            }
        }
        let (version, design) = (fields.version.flatten(), fields.design.unwrap_or_default());
        Some(KernelSpec { version, without, with, design })
    }

    fn schema() -> Value {
        KernelFields::FACTS.schema()
    }
}

/// The name of a release.
struct ReleaseName;

impl Kind for ReleaseName {
    type Value = Release;

    fn decode(node: &Node<'_>) -> Option<Release> {
        let text = node.string()?;
        let release = Release::from_str(text);
        release.map_err(|why| node.error_with_help(format!("{} {why}", quote(text)), Some(why.help()))).ok()
    }

    fn schema() -> Value {
        let names: Vec<String> =
            Release::known().chain([Release::LATEST]).map(|release| release.to_string()).collect();
        // A release may be written without its `v`, but no error suggests that.
        let title = format!("a release: {}", Release::spelling());
        json!({ "type": "string", "anyOf": [{ "enum": names }, { "pattern": "^[0-9.]+$" }], "title": title })
    }
}

/// The key of a safeguard.
struct SafeguardKey;

impl Kind for SafeguardKey {
    type Value = Safeguard;

    fn decode(node: &Node<'_>) -> Option<Safeguard> {
        let key = node.string()?;
        let safeguard = CATALOGUE.safeguard(key);
        if safeguard.is_none() {
            let keys = CATALOGUE.safeguards().map(|facts| facts.key);
            let meant = did_you_mean(key, keys).map_or(String::new(), |meant| meant + " ");
            let help = format!("{meant}`mmsim safeguards` lists them all");
            node.error_with_help(format!("unknown safeguard {}", quote(key)), Some(help));
        }
        safeguard
    }

    fn schema() -> Value {
        let keys: Vec<&str> = CATALOGUE.safeguards().map(|safeguard| safeguard.key).collect();
        json!({ "enum": keys, "title": "the key of a safeguard: `mmsim safeguards` lists them" })
    }
}
