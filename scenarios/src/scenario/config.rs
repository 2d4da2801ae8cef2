//! The machine and the kernel.

use std::str::FromStr;

use sim_gup::CATALOGUE;
use sim_mm::{Knob, Release, Safeguard};

use super::decode::{Fields, Node};
use super::fields::MAX_CPUS;
use super::suggest::{did_you_mean, quote};
use super::{KernelSpec, MachineChange, PlatformChange};

/// Knobs whose first value is the one that is modelled.
const FIXED_KNOBS: &[(&str, &[&str])] = &[
    ("flush_batch", &["off", "on"]),
    ("lazy_tlb", &["off", "on"]),
    ("hw_ad", &["on", "off"]),
    ("pte_read", &["atomic", "split_lo_hi"]),
];

const PLATFORM: &[&str] = &[
    "flush",
    "table_free",
    "memory",
    "preempt",
    "speculative_walk",
    "flush_batch",
    "lazy_tlb",
    "hw_ad",
    "pte_read",
];

/// The machine of the scenario: its CPUs, if it says how many, and the rest as a change of the default.
pub(super) fn machine(node: &Node<'_>) -> Option<(Option<usize>, MachineChange)> {
    let fields = node.object(&["cpus", "entries_per_table", "frames", "refcount_bits", "platform"])?;
    let cpus = fields.optional("cpus", |node| node.integer(1..=usize::from(MAX_CPUS))).flatten();
    Some((cpus, change(&fields)))
}

/// What a case changes of the machine.
pub(super) fn machine_change(node: &Node<'_>) -> Option<MachineChange> {
    let fields = node.object(&["entries_per_table", "frames", "refcount_bits", "platform"])?;
    Some(change(&fields))
}

fn change(fields: &Fields<'_>) -> MachineChange {
    MachineChange {
        frames: fields.optional("frames", |node| node.integer(8..=65536)).flatten(),
        entries_per_table: fields.optional("entries_per_table", entries).flatten(),
        refcount_bits: fields.optional("refcount_bits", |node| node.integer(3..=32)).flatten(),
        platform: fields.optional("platform", platform).flatten().unwrap_or_default(),
    }
}

fn entries(node: &Node<'_>) -> Option<u32> {
    let entries: u32 = node.integer(2..=512)?;
    if entries.is_power_of_two() { Some(entries) } else { node.expected("a power of two from 2 to 512") }
}

fn platform(node: &Node<'_>) -> Option<PlatformChange> {
    let fields = node.object(PLATFORM)?;
    for (name, values) in FIXED_KNOBS {
        let kind = format!("`{name}` value");
        fields.optional(name, |node| node.named(&kind, &[((), values[0])], &values[1..]));
    }
    Some(PlatformChange {
        flush: knob(&fields, "flush"),
        table_free: knob(&fields, "table_free"),
        memory: knob(&fields, "memory"),
        preempt: knob(&fields, "preempt"),
        speculative_walk: knob(&fields, "speculative_walk"),
    })
}

/// A knob, if it is there and good.
fn knob<T: Knob>(fields: &Fields<'_>, name: &str) -> Option<T> {
    fields.optional(name, |node| node.named(&format!("`{name}` value"), T::NAMES, &[])).flatten()
}

/// The kernel of the scenario, or what a case changes of it.
pub(super) fn kernel(node: &Node<'_>) -> Option<KernelSpec> {
    let fields = node.object(&["version", "without", "with", "design"])?;
    let mut kernel = KernelSpec {
        version: fields.optional("version", release).flatten(),
        without: fields.or("without", Vec::new(), |node| node.list(safeguard)).unwrap_or_default(),
        ..KernelSpec::default()
    };
    let with = |node: &Node<'_>| {
        let safeguard = safeguard(node)?;
        if kernel.without.contains(&safeguard) {
            node.error(format!("safeguard `{}` is in `without` as well", safeguard.key));
        }
        Some(safeguard)
    };
    kernel.with = fields.or("with", Vec::new(), |node| node.list(with)).unwrap_or_default();
    let design = |node: &Node<'_>| {
        let fields = node.object(&["cow_reuse", "gup_protect"])?;
        Some((knob(&fields, "cow_reuse"), knob(&fields, "gup_protect")))
    };
    (kernel.cow_reuse, kernel.gup_protect) = fields.optional("design", design).flatten().unwrap_or_default();
    Some(kernel)
}

fn release(node: &Node<'_>) -> Option<Release> {
    let text = node.string()?;
    let release = Release::from_str(text).ok();
    if release.is_none() {
        let help = "releases are `v2.6.N`, `vX.Y` since `v3.0`, and `latest`".to_owned();
        node.error_with_help(format!("{} is not a release", quote(text)), Some(help));
    }
    release
}

fn safeguard(node: &Node<'_>) -> Option<Safeguard> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_knob_is_a_field_of_the_platform() {
        for (name, values) in FIXED_KNOBS {
            assert!(PLATFORM.contains(name) && values.len() > 1, "{name}");
        }
    }
}
