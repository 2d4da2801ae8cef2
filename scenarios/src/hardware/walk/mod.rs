//! Tells the walk of a case: each entry that was read, what it did, and which rule decided.

mod record;
mod registers;
mod rules;
mod step;
mod text;

use serde::Serialize;
use sim_mmu::{Access, AccessKind, Geometry, PageFault, Privilege, Vendor};

use self::record::{Met, Recorder};
use crate::hardware::translate::answer::{Outcome, marks};
use crate::hardware::translate::case::Case;
use crate::hardware::translate::tables::{Entries, Tables};
pub use registers::Register;
pub use rules::Rule;
pub use step::{Bits, Step};
pub use text::{Line, Tone};

/// Everything that is told about a case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WalkReport {
    /// The name of the case.
    pub id: String,
    /// The maker of the processor.
    pub vendor: &'static str,
    /// The registers that matter for it.
    pub registers: Vec<Register>,
    /// MAXPHYADDR.
    pub maxphyaddr: u8,
    /// CPL.
    pub cpl: u8,
    /// EFLAGS.AC.
    pub ac: bool,
    /// The linear address.
    pub va: String,
    /// The number of bits of a linear address that a walk translates.
    pub va_bits: u32,
    /// Whether the other bits are as they must be.
    pub canonical: bool,
    /// What is odd about the paging structures.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub remarks: Vec<String>,
    /// The walks. There are two if a write follows a read.
    pub walks: Vec<Walked>,
    /// A and D of the entries before the access, top level first.
    pub ad_before: String,
    /// A and D of the entries after the access.
    pub ad: String,
    /// How the access ended.
    #[serde(flatten)]
    pub ending: Ending,
}

/// How an access ended, in the notation of the cases.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Ending {
    /// It completed at this physical address.
    Pa(String),
    /// #PF, with this error code.
    Pf(String),
    /// Another exception, with this vector.
    Vec(u8),
}

/// One walk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Walked {
    /// The access: `supervisor-mode data read`.
    pub access: String,
    /// The entries that were read, in order.
    pub steps: Vec<Step>,
    /// The rights of all entries together, if the walk reached the page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rights: Option<Rights>,
    /// What the rules on access rights say, if the walk reached the page.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<Rule>,
    /// How it ended.
    #[serde(flatten)]
    pub ending: Ending,
    /// The names of the flags that are set in the error code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_code: Option<String>,
    /// The offset of the address in the page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<String>,
}

/// The rights of a translation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Rights {
    /// R/W: set in every entry.
    pub rw: bool,
    /// U/S: set in every entry.
    pub us: bool,
    /// XD: set in some entry.
    pub xd: bool,
    /// The key of the page.
    pub key: u8,
}

impl WalkReport {
    /// Runs the case on a processor of `vendor`, and tells what happens.
    pub fn of(case: &Case<'_>, vendor: Vendor) -> WalkReport {
        let geometry = Geometry::default();
        let mut tables = case.tables();
        let remarks = remarks(case, &tables);
        let mut walks = Vec::new();
        for &kind in case.act.accesses() {
            let walked = Walked::of(case, vendor, kind, &mut tables);
            let completed = matches!(walked.ending, Ending::Pa(_));
            walks.push(walked);
            if !completed {
                break;
            }
        }
        let ad = |entries: &Entries| entries.iter().copied().map(marks).collect();
        WalkReport {
            id: case.id.to_string(),
            vendor: match vendor {
                Vendor::Intel => "Intel",
                Vendor::Amd => "AMD",
            },
            registers: registers::of(case),
            maxphyaddr: case.maxphyaddr,
            cpl: if case.user { 3 } else { 0 },
            ac: case.ac,
            va: format!("{:016x}", case.va.0),
            va_bits: geometry.address_bits_from(case.root_level()),
            canonical: geometry.is_canonical(case.va, case.root_level()),
            remarks,
            ad_before: ad(&case.entries),
            ad: ad(&tables.entries()),
            ending: case.run(vendor).outcome.into(),
            walks,
        }
    }
}

impl From<Outcome> for Ending {
    fn from(outcome: Outcome) -> Ending {
        match outcome {
            Outcome::Completed(pa) => Ending::Pa(format!("{:x}", pa.0)),
            Outcome::PageFault(code) => Ending::Pf(format!("{code:x}")),
            Outcome::Exception(vector) => Ending::Vec(vector),
        }
    }
}

fn remarks(case: &Case<'_>, tables: &Tables) -> Vec<String> {
    let name = |n: usize| case.levels()[n].sdm_name();
    tables
        .shared()
        .map(|(n, by)| format!("{} and {} are the same word of memory: the {1} is there", name(n), name(by)))
        .collect()
}

impl Walked {
    fn of(case: &Case<'_>, vendor: Vendor, kind: AccessKind, tables: &mut Tables) -> Walked {
        let controls = case.controls(vendor);
        let mut recorder = Recorder::new(&controls, tables);
        let outcome = case.access(&controls, kind, &mut recorder);
        let seen = recorder.seen;
        let page = seen.last().and_then(|last| match last.met {
            Met::Page(rights) => Some((last.level, rights)),
            _ => None,
        });
        let access = Access { kind, privilege: case.privilege() };
        let error_code = match outcome {
            Outcome::PageFault(code) => Some(PageFault { va: case.va, code }.to_string()),
            _ => None,
        };
        Walked {
            access: name(access),
            steps: seen.iter().map(|seen| Step::of(case, seen)).collect(),
            rights: page.map(|(_, rights)| Rights {
                rw: rights.write,
                us: rights.user,
                xd: !rights.fetch,
                key: rights.key,
            }),
            rules: page.map_or_else(Vec::new, |(_, rights)| rules::of(&controls, access, rights, &seen)),
            ending: outcome.into(),
            error_code,
            offset: page.map(|(level, _)| format!("{:x}", case.va.0 & (Geometry::default().span(level) - 1))),
        }
    }
}

fn name(access: Access) -> String {
    let mode = match access.privilege {
        Privilege::User => "user-mode",
        Privilege::Supervisor { .. } => "supervisor-mode",
        Privilege::Implicit => "implicit supervisor-mode",
    };
    let kind = match access.kind {
        AccessKind::Read => "data read",
        AccessKind::Write => "data write",
        AccessKind::Fetch => "instruction fetch",
    };
    format!("{mode} {kind}")
}
