//! How a case is explored, and what is expected of it.

use serde_json::{Value, json};

use super::section::Section;
use super::{Expect, ExploreSpec, StrategyName};
use crate::json::{Int, Kind, Named, Node, NonEmpty, described, did_you_mean, fields, quote};
use crate::oracle::OracleId;
use crate::routines::ROUTINES;

impl Named for StrategyName {
    const WHAT: &'static str = "strategy";
    const NAMES: &'static [(StrategyName, &'static str)] = &[
        (StrategyName::Portfolio, "portfolio"),
        (StrategyName::Random, "random"),
        (StrategyName::Sticky, "sticky"),
        (StrategyName::Pct, "pct"),
        (StrategyName::Pos, "pos"),
        (StrategyName::Timed, "timed"),
        (StrategyName::Exhaustive, "exhaustive"),
        (StrategyName::States, "states"),
    ];

    fn about(self) -> Option<&'static str> {
        Some(match self {
            StrategyName::Portfolio => "Samples: PCT of depth 3, POS, PCT of depth 2 and sticky in turn.",
            StrategyName::Random => "Samples: at each step, any CPU that can go on.",
            StrategyName::Sticky => "Samples: a random walk that mostly stays on the CPU that it is on.",
            StrategyName::Pct => {
                "Samples: each task has a priority, which changes twice in a run (PCT of depth 3)."
            }
            StrategyName::Pos => {
                "Samples: each step draws a priority, and draws anew after a step that races with it (POS)."
            }
            StrategyName::Timed => {
                "Samples: the CPU with the earliest clock goes next, as on a machine, with some jitter."
            }
            StrategyName::Exhaustive => "Searches: one schedule of every class of equivalent ones.",
            StrategyName::States => {
                "Searches: every schedule, as far as it leads to states that were not seen before."
            }
        })
    }
}

/// The objects that are declared here, for the documentation.
pub(super) const SECTIONS: &[Section] = &[
    Section { title: "Exploration", facts: ExploreFields::FACTS },
    Section { title: "Violation", facts: ViolationFields::FACTS },
];

fields! {
    /// A strategy with its bounds.
    struct ExploreFields {
        /// The strategy; `portfolio` if not given.
        or (StrategyName::default()) "strategy" strategy: StrategyName,
        /// The largest number of runs. If not given, it is 50,000 for a sample, 200,000 for a sample that is expected to find a
        /// violation, and 2,000,000 for a search.
        optional "runs" runs: Int<u64, 1, 1_000_000_000>,
        /// The most preemptions of a schedule of a search; any number if not given.
        optional "preemptions" preemptions: Int<u32, 0, 1_000>,
    }
}

/// How a case is explored: the name of a strategy, or that and its bounds.
pub(super) struct Explore;

impl Kind for Explore {
    type Value = ExploreSpec;

    fn decode(node: &Node<'_>) -> Option<ExploreSpec> {
        if node.as_string().is_some() {
            return Some(ExploreSpec {
                chosen: true,
                strategy: StrategyName::decode(node)?,
                ..ExploreSpec::default()
            });
        }
        if !node.is_object() {
            return node.expected("a strategy or `{\"strategy\": ..., \"runs\": ...}`");
        }
        let fields = ExploreFields::read(node)?;
        let (strategy, preemptions) = (fields.strategy?, fields.preemptions?);
        if preemptions.is_some() && !strategy.is_exhaustive() {
            node.error("`preemptions` bounds an exhaustive search; a sample has no such bound".to_owned());
            return None;
        }
        Some(ExploreSpec { chosen: true, strategy, runs: fields.runs?, preemptions })
    }

    fn schema() -> Value {
        json!({ "anyOf": [StrategyName::schema(), ExploreFields::FACTS.schema()] })
    }
}

fields! {
    /// A violation.
    struct ViolationFields {
        /// The oracle that finds it. If several are named, one of them must find it.
        required "violation" any_of: Oracles,
        /// A routine that ran where it is found, or where the other side made it wrong; any routine if not given.
        optional "in" routine: RoutineName,
    }
}

impl Kind for Expect {
    type Value = Expect;

    fn decode(node: &Node<'_>) -> Option<Expect> {
        if let Some(text) = node.as_string() {
            if oracles().any(|name| name == text) {
                let help = format!("write `{{\"violation\": \"{text}\"}}`");
                node.error_with_help(format!("{} is an oracle, not an expectation", quote(text)), Some(help));
                return None;
            }
            return node.named("expectation", &[((), "no-violation")], &[]).map(|()| Expect::NoViolation);
        }
        if !node.is_object() {
            return node.expected("`\"no-violation\"` or `{\"violation\": ...}`");
        }
        let fields = ViolationFields::read(node)?;
        Some(Expect::Violation { any_of: fields.any_of?, routine: fields.routine? })
    }

    fn schema() -> Value {
        json!({ "anyOf": [{ "const": "no-violation" }, ViolationFields::FACTS.schema()] })
    }
}

/// The names of all oracles.
fn oracles() -> impl Iterator<Item = &'static str> {
    OracleId::ALL.iter().map(|id| id.name())
}

/// The id of an oracle.
struct Oracle;

/// The schema of an oracle's id.
pub(super) fn oracle_schema() -> Value {
    Oracle::schema()
}

impl Kind for Oracle {
    type Value = String;

    fn decode(node: &Node<'_>) -> Option<String> {
        let names: Vec<_> = oracles().map(|name| (name, name)).collect();
        node.named("oracle", &names, &[]).map(str::to_owned)
    }

    fn schema() -> Value {
        described(OracleId::ALL.iter().map(|id| (id.name(), id.about())))
    }
}

/// One oracle, or several.
struct Oracles;

impl Kind for Oracles {
    type Value = Vec<String>;

    fn decode(node: &Node<'_>) -> Option<Vec<String>> {
        match node.as_string() {
            Some(_) => Oracle::decode(node).map(|id| vec![id]),
            None => NonEmpty::<Oracle>::decode(node),
        }
    }

    fn schema() -> Value {
        json!({ "anyOf": [Oracle::schema(), NonEmpty::<Oracle>::schema()] })
    }
}

/// The name of a routine: a C identifier.
struct RoutineName;

/// The most characters of a routine's name.
const MAX_ROUTINE: usize = 64;

impl Kind for RoutineName {
    type Value = String;

    fn decode(node: &Node<'_>) -> Option<String> {
        let text = node.string()?;
        let good = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        let named = text.bytes().all(good) && !text.starts_with(|c: char| c.is_ascii_digit());
        if !named || !(1..=MAX_ROUTINE).contains(&text.len()) {
            node.error(format!("{} is not the name of a routine", quote(text)));
            return None;
        }
        if ROUTINES.binary_search(&text).is_err() {
            let help = did_you_mean(text, ROUTINES.iter().copied());
            node.error_with_help(format!("the simulated kernel has no routine {}", quote(text)), help);
            return None;
        }
        Some(text.to_owned())
    }

    fn schema() -> Value {
        json!({
            "enum": ROUTINES, "title": "the name of a routine of the simulated kernel, as `gup_pte_range`",
        })
    }
}
