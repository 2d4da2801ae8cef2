//! What a line expects of its case, and whether an answer agrees with it.
//!
//! If the access completes, the A and D flags count too. If it faults, implementations differ, and only three rules
//! remain: no flag is cleared, D of the last entry is not set, and entries below the one that faults are not touched.

use std::collections::BTreeMap;

use serde::Deserialize;
use sim_mmu::{Entry, Geometry, PhysAddr, Vendor, reserved_bits};

use super::answer::{Answer, Outcome, marks};
use super::case::{Case, CaseError};
use super::hex::Hex;

/// The members of a line that say how its case should end. The case itself does not read them.
#[derive(Clone, Debug, Deserialize)]
pub struct Expected {
    exp: Option<Ending>,
    ad: Option<Marks>,
    #[serde(default)]
    vendor_dep: u8,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Ending {
    Pa(Hex),
    Pf(Hex),
    Vec(u8),
}

/// The flags after the access, as text: one text, or one for each group of engines.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum Marks {
    One(String),
    ByEngine(BTreeMap<String, String>),
}

/// Whether an answer agrees with what was expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// The line does not say what to expect.
    NothingExpected,
    /// What it expects is of a processor of the other maker.
    OtherVendor,
    /// It agrees.
    Agrees,
    /// It does not agree. The text says what differs.
    Differs(String),
}

impl Expected {
    /// Reads what a line expects.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(line: &[u8]) -> Result<Expected, CaseError> {
        serde_json::from_slice(line).map_err(|error| CaseError::from_json(&error))
    }

    /// Judges the answer to `case` on a processor of `vendor`.
    pub fn judge(&self, case: &Case<'_>, vendor: Vendor, answer: &Answer) -> Judgement {
        let Some(ending) = self.exp else { return Judgement::NothingExpected };
        // Such a line expects the outcome of an Intel processor.
        if self.vendor_dep != 0 && vendor != Vendor::Intel {
            return Judgement::OtherVendor;
        }
        let outcome = match ending {
            Ending::Pa(Hex(pa)) => Outcome::Completed(PhysAddr(pa)),
            // An error code has 32 bits. A number that does not fit equals no error code.
            Ending::Pf(Hex(code)) => Outcome::PageFault(u32::try_from(code).unwrap_or(u32::MAX)),
            Ending::Vec(vector) => Outcome::Exception(vector),
        };
        if outcome != answer.outcome {
            return Judgement::Differs(format!("expected {outcome}, found {}", answer.outcome));
        }
        let wrong = match answer.outcome {
            Outcome::Completed(_) => self.wrong_marks(answer),
            _ => wrong_marks_of_a_fault(case, vendor, answer),
        };
        wrong.map_or(Judgement::Agrees, Judgement::Differs)
    }

    fn wrong_marks(&self, answer: &Answer) -> Option<String> {
        let found = answer.marks();
        let expected: Vec<&str> = match self.ad.as_ref()? {
            Marks::One(marks) => vec![marks],
            // Engines that faulted where others completed left other flags. So the flags must be those of one group.
            Marks::ByEngine(groups) => groups.values().map(String::as_str).collect(),
        };
        let text = || format!("expected ad {}, found {found}", expected.join(" or "));
        (!expected.contains(&found.as_str())).then(text)
    }
}

fn wrong_marks_of_a_fault(case: &Case<'_>, vendor: Vendor, answer: &Answer) -> Option<String> {
    let controls = case.controls(vendor);
    let stops = |(level, entry): (&_, &Entry)| {
        !entry.is_present() || entry.0 & reserved_bits(&controls, Geometry::default(), *level, *entry) != 0
    };
    let last = case.entries.len() - 1;
    let faulting = match answer.outcome {
        Outcome::Exception(_) => None,
        _ => Some(case.levels().iter().zip(case.entries.iter()).position(stops).unwrap_or(last)),
    };
    for (n, (before, after)) in case.entries.iter().zip(answer.entries.iter()).enumerate() {
        let untouched = faulting.is_none_or(|faulting| n > faulting);
        let what = if before.0 & !after.0 != 0 {
            "a flag was cleared"
        } else if untouched && before != after {
            "a flag was set below the entry that faults"
        } else if n == last && !before.has(Entry::DIRTY) && after.has(Entry::DIRTY) {
            "D was set by an access that faults"
        } else {
            continue;
        };
        let (level, before, after) = (case.levels()[n].sdm_name(), marks(*before), marks(*after));
        return Some(format!("{level} was {before} and is {after}: {what}"));
    }
    None
}
