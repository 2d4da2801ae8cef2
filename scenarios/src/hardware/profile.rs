//! Processor profiles: JSON files. Some of them are a part of the binary.
//!
//! The origin of each figure stands beside it: `"from": "KIND: remark"`. The kind is one of these.
//!
//! - `measured`: this project has measured the figure.
//! - `fitted`: the figure was chosen so that the model shows what was measured or reported. The remark names that.
//! - `document`: the figure comes from the vendor, or from a textbook.
//! - `reported`: somebody else has measured the figure. The remark names the report.
//! - `guess`: none of these. The remark says why this figure and not another.

use std::path::Path;
use std::rc::Rc;

use include_dir::{Dir, include_dir};
use sim_mmu::{
    BadShape, Broadcasts, DataCache, DataCaches, Latencies, Profile, Replacement, SecondLevel, Shape, Sizes,
    StructureCaches, Tlb, TlbArray, Vendor,
};

use crate::json::{Fields, LoadErrors, Node, ReadError, decode, quote, read_text};

static PROFILES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/profiles");

/// Bytes of a line of the data caches.
pub const LINE: u64 = 64;

/// A profile, with what its file has beside the figures.
#[derive(Clone, Debug)]
pub struct Processor {
    /// The figures.
    pub profile: Rc<Profile>,
    /// A line that says which processor it is.
    pub about: String,
}

/// Why a profile could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// There is no such file, and no profile of that name.
    #[error("no profile is called {}, and no file is; there are {}", quote(.name), known().join(", "))]
    Unknown {
        /// What was asked for.
        name: String,
    },
    /// The file cannot be read.
    #[error("{0}")]
    Unreadable(#[from] ReadError),
    /// The file is no profile.
    #[error("{0}")]
    Bad(LoadErrors),
}

/// The names of the profiles in the binary.
pub fn known() -> Vec<&'static str> {
    let mut names: Vec<_> = PROFILES.files().filter_map(|file| file.path().file_stem()?.to_str()).collect();
    names.sort_unstable();
    names
}

/// The text of a profile in the binary.
pub fn text(name: &str) -> Option<&'static str> {
    PROFILES.get_file(format!("{name}.json"))?.contents_utf8()
}

/// Opens a profile by its name or by the path of a file.
///
/// # Errors
/// See [`ProfileError`].
pub fn open(name: &str) -> Result<Processor, ProfileError> {
    if let Some(text) = text(name) {
        return read(&format!("profiles/{name}.json"), text).map_err(ProfileError::Bad);
    }
    if !Path::new(name).exists() && !name.contains(['/', '.']) {
        return Err(ProfileError::Unknown { name: name.to_owned() });
    }
    let text = read_text(Path::new(name))?;
    read(name, &text).map_err(ProfileError::Bad)
}

/// Reads a profile.
///
/// # Errors
/// All that is wrong with the text.
pub fn read(file: &str, text: &str) -> Result<Processor, LoadErrors> {
    decode(file, text, processor)
}

const SECTIONS: &[&str] =
    &["name", "about", "vendor", "clock", "tlb", "structure_caches", "walkers", "caches", "cycles", "broadcast"];

fn processor(node: &Node<'_>) -> Option<Processor> {
    let fields = node.object(SECTIONS)?;
    // All parts are read before a missing one ends this, so that all mistakes are found.
    let name = fields.required("name", Node::name);
    let about = fields.required("about", Node::text);
    let vendor = fields
        .required("vendor", |node| node.named("vendor", &[(Vendor::Intel, "intel"), (Vendor::Amd, "amd")], &[]));
    let mhz = fields.required("clock", |node| figure(node, "mhz", 1, 10_000));
    let tlb = fields.required("tlb", tlb);
    let structure = fields.required("structure_caches", structure);
    let walkers = fields.required("walkers", |node| figure(node, "count", 1, 64));
    let data = fields.required("caches", data_caches);
    let latency = fields.required("cycles", latencies);
    let broadcasts = fields.optional("broadcast", broadcasts);
    let profile = Profile {
        name: name?,
        vendor: vendor?,
        mhz: u32::try_from(mhz?).ok()?,
        tlb: tlb?,
        structure: structure?,
        walkers: u32::try_from(walkers?).ok()?,
        data: data?,
        latency: latency?,
        broadcasts: broadcasts?,
    };
    Some(Processor { profile: Rc::new(profile), about: about? })
}

const KINDS: &[&str] = &["measured", "fitted", "document", "reported", "guess"];

/// The origin of a figure: a kind and a remark.
fn origin(fields: &Fields<'_>) -> Option<()> {
    fields.required("from", |node| {
        let text = node.text()?;
        let kind = text.split([':', ' ', ';', ',']).next().unwrap_or_default();
        if KINDS.contains(&kind) {
            return Some(());
        }
        node.error_with_help(
            "this does not begin with where the figure comes from",
            Some(format!("begin with one of {}, as in `\"guess: as the one before\"`", KINDS.join(", "))),
        );
        None
    })
}

/// `{"UNIT": number, "from": "..."}`.
fn figure(node: &Node<'_>, unit: &'static str, least: u64, most: u64) -> Option<u64> {
    let known: &'static [&'static str] = match unit {
        "mhz" => &["mhz", "from"],
        "count" => &["count", "from"],
        _ => &["cycles", "from"],
    };
    let fields = node.object(known)?;
    let value = fields.required(unit, |node| node.integer(least..=most));
    origin(&fields)?;
    value
}

/// A cost in cycles. The bound is below a second, because no single operation takes so long.
fn cycles(node: &Node<'_>) -> Option<u64> {
    figure(node, "cycles", 0, 1_000_000_000)
}

const REPLACEMENT: &[(Replacement, &str)] = &[(Replacement::Lru, "lru"), (Replacement::TreePlru, "tree-plru")];

/// The shape of an array, read from its fields: the size and the ways. Each unit of the size is `each` entries.
fn shape(fields: &Fields<'_>, size: &'static str, each: u32) -> Option<Shape> {
    let entries: Option<u32> = fields.required(size, |node| node.integer(0..=1 << 24));
    let ways = fields.required("ways", |node| node.integer(0..=u32::MAX));
    let replacement =
        fields.or("replacement", Replacement::Lru, |node| node.named("replacement", REPLACEMENT, &[]));
    let shape = Shape::new(entries? * each, ways?, replacement?);
    let at = |bad: &BadShape| fields.get(if *bad == BadShape::Entries { size } else { "ways" });
    shape.inspect_err(|bad| at(bad).into_iter().for_each(|node| node.error(bad.to_string()))).ok()
}

fn tlb_array(node: &Node<'_>) -> Option<TlbArray> {
    let fields = node.object(&["pages", "entries", "ways", "replacement", "from"])?;
    let sizes = fields.required("pages", |node| {
        let names = [(0, "4k"), (1, "2m"), (2, "1g")];
        let listed = node.list(|size| size.named("page size", &names, &[]))?;
        if node.is_empty_array() {
            node.error("an array holds pages of at least one size");
        }
        Some(Sizes { base: listed.contains(&0), large: listed.contains(&1), huge: listed.contains(&2) })
    });
    let shape = shape(&fields, "entries", 1);
    origin(&fields)?;
    Some(TlbArray { sizes: sizes?, shape: shape? })
}

/// The arrays of one level. At most one of them holds pages of one size.
fn arrays(node: &Node<'_>) -> Option<Vec<TlbArray>> {
    let items = node.items()?;
    let mut seen = Sizes::default();
    let mut arrays = Vec::new();
    for item in &items {
        let Some(array) = tlb_array(item) else { continue };
        let sizes = array.sizes;
        if sizes.base && seen.base || sizes.large && seen.large || sizes.huge && seen.huge {
            item.error("an array before this one holds pages of the same size");
        }
        seen = Sizes {
            base: seen.base || sizes.base,
            large: seen.large || sizes.large,
            huge: seen.huge || sizes.huge,
        };
        arrays.push(array);
    }
    (arrays.len() == items.len()).then_some(arrays)
}

fn tlb(node: &Node<'_>) -> Option<Tlb> {
    let fields = node.object(&["instruction", "data", "second_level", "second_level_look_up"])?;
    let instruction = fields.required("instruction", arrays);
    let data = fields.required("data", arrays);
    let second = fields.required("second_level", second_level);
    let second_cycles = fields.required("second_level_look_up", cycles);
    Some(Tlb { instruction: instruction?, data: data?, second: second?, second_cycles: second_cycles? })
}

fn second_level(node: &Node<'_>) -> Option<SecondLevel> {
    if node.peek("unified").is_some() {
        return node.object(&["unified"])?.required("unified", arrays).map(SecondLevel::Unified);
    }
    let fields = node.object(&["instruction", "data"])?;
    let (instruction, data) = (fields.required("instruction", arrays), fields.required("data", arrays));
    Some(SecondLevel::Split { instruction: instruction?, data: data? })
}

fn structure(node: &Node<'_>) -> Option<StructureCaches> {
    let fields = node.object(&["pde", "pdpte", "pml4e"])?;
    let cache = |node: &Node<'_>| {
        let fields = node.object(&["entries", "ways", "replacement", "from"])?;
        let shape = shape(&fields, "entries", 1);
        origin(&fields)?;
        shape
    };
    let [pde, pdpte, pml4e] = ["pde", "pdpte", "pml4e"].map(|name| fields.optional(name, cache));
    Some(StructureCaches { pde: pde?, pdpte: pdpte?, pml4e: pml4e? })
}

fn data_cache(node: &Node<'_>) -> Option<DataCache> {
    let fields = node.object(&["kib", "ways", "replacement", "cycles", "from"])?;
    let cycles = fields.required("cycles", |node| node.integer(0..=1_000_000_u64));
    let shape = shape(&fields, "kib", 1024 / LINE as u32);
    origin(&fields)?;
    Some(DataCache { shape: shape?, cycles: cycles? })
}

fn data_caches(node: &Node<'_>) -> Option<DataCaches> {
    let fields = node.object(&["l1", "l2", "l3", "memory", "other_core"])?;
    let [l1, l2, l3] = ["l1", "l2", "l3"].map(|name| fields.required(name, data_cache));
    let [memory, other_core] = ["memory", "other_core"].map(|name| fields.required(name, cycles));
    Some(DataCaches { l1: l1?, l2: l2?, l3: l3?, memory_cycles: memory?, other_core_cycles: other_core? })
}

const LATENCIES: &[&str] = &[
    "store",
    "atomic",
    "exception",
    "exception_return",
    "interrupt",
    "interrupt_return",
    "ipi_send",
    "ipi_flight",
    "invlpg",
    "invpcid",
    "mov_cr3",
    "serialising",
];

fn latencies(node: &Node<'_>) -> Option<Latencies> {
    let fields = node.object(LATENCIES)?;
    let all: Vec<Option<u64>> = LATENCIES.iter().map(|name| fields.required(name, cycles)).collect();
    let of = |wanted: &str| all[LATENCIES.iter().position(|name| *name == wanted)?];
    Some(Latencies {
        store: of("store")?,
        atomic: of("atomic")?,
        exception: of("exception")?,
        exception_return: of("exception_return")?,
        interrupt: of("interrupt")?,
        interrupt_return: of("interrupt_return")?,
        ipi_send: of("ipi_send")?,
        ipi_flight: of("ipi_flight")?,
        invlpg: of("invlpg")?,
        invpcid: of("invpcid")?,
        mov_cr3: of("mov_cr3")?,
        serialising: of("serialising")?,
    })
}

fn broadcasts(node: &Node<'_>) -> Option<Broadcasts> {
    let fields = node.object(&["invlpgb", "pages", "tlbsync"])?;
    let invlpgb = fields.required("invlpgb", cycles);
    let pages = fields.required("pages", |node| figure(node, "count", 1, 1 << 16));
    let tlbsync = fields.required("tlbsync", cycles);
    Some(Broadcasts { invlpgb: invlpgb?, pages: pages?, tlbsync: tlbsync? })
}
