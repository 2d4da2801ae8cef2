//! How much of all schedules an exploration has covered.

use std::fmt;

use sim_core::systematic::Tally;

use crate::number::thousands;

/// How much of all schedules an exploration has covered.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Extent {
    /// A sample of the schedules.
    #[default]
    Sampled,
    /// Every schedule, or an equivalent one for it.
    Verified(Bounds),
    /// A search for all schedules that ended before it had done all.
    Cut {
        /// How much was done, and within which bounds.
        bounds: Bounds,
        /// About which part of the work that was, from 0 to 1.
        progress: f64,
    },
}

/// How much a search for all schedules has done, and within which bounds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    /// What was done.
    pub tally: Tally,
    /// The bound on the preemptions of a schedule, if there was one.
    pub preemptions: Option<u32>,
}

impl Extent {
    /// Whether every schedule within the bounds was covered.
    pub fn is_verified(self) -> bool {
        matches!(self, Extent::Verified(_))
    }

    /// The same for programs.
    pub fn document(self) -> serde_json::Value {
        let (bounds, progress) = match self {
            Extent::Sampled => return serde_json::json!({ "sampled": true }),
            Extent::Verified(bounds) => (bounds, 1.0),
            Extent::Cut { bounds, progress } => (bounds, progress),
        };
        serde_json::json!({
            "sampled": false,
            "verified": self.is_verified(),
            "complete": bounds.tally.complete,
            "blocked": bounds.tally.blocked,
            "cut": bounds.tally.cut,
            "states": bounds.tally.states,
            "preemptions": bounds.preemptions,
            "progress": progress,
        })
    }
}

impl fmt::Display for Extent {
    /// `verified: 815 complete schedules (0 blocked)`. For a sample, it says only that it is a sample.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Bounds { tally, preemptions }, reached) = match self {
            Extent::Sampled => return f.write_str("sampled"),
            Extent::Verified(bounds) => (bounds, "verified".to_owned()),
            Extent::Cut { bounds, progress } => {
                (bounds, format!("not verified, about {:.1} % done", progress * 100.0))
            }
        };
        let (complete, blocked) = (thousands(tally.complete), thousands(tally.blocked));
        match tally.states {
            0 => write!(f, "{reached}: {complete} complete schedules ({blocked} blocked)")?,
            states => write!(
                f,
                "{reached}: {} states, {complete} complete schedules ({blocked} came to states seen before)",
                thousands(states)
            )?,
        }
        if tally.cut > 0 {
            write!(f, ", {} reached the bound on steps", thousands(tally.cut))?;
        }
        preemptions.map_or(Ok(()), |most| write!(f, ", at most {most} preemptions"))
    }
}
