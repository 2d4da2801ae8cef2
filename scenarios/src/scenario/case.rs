//! Cases: variants of the scenario, and what is expected of them.

use sim_mm::Knob;

use super::config;
use super::decode::Node;
use super::fields::some;
use super::suggest::quote;
use super::{Case, Expect, ExploreSpec, KernelSpec, MachineChange, StrategyName};

/// The ids of the oracles: what a case can expect to be violated.
pub const ORACLE_IDS: &[&str] = &[
    "frame-use-after-free",
    "page-table-use-after-free",
    "stale-tlb",
    "cow-broken",
    "leak",
    "lost-write",
    "dirty-lost",
    "stale-pin",
    "refcount",
    "mapcount",
    "lock",
    "sleep-in-atomic",
    "deadlock",
    "livelock",
    "kernel-bug",
    "return-value",
    "semantics",
    "object-use-after-free",
    "check",
];

/// The most runs that a case can ask for.
const MAX_RUNS: u64 = 1_000_000_000;

/// The most preemptions that a search can be bounded to.
const MAX_PREEMPTIONS: u32 = 1_000;

const DEFAULT_EXPLORE: ExploreSpec =
    ExploreSpec { strategy: StrategyName::Portfolio, runs: None, preemptions: None };

impl Knob for StrategyName {
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
}

/// One of the cases.
pub(super) fn case(node: &Node<'_>) -> Case {
    let mut case = Case {
        name: String::new(),
        about: None,
        kernel: KernelSpec::default(),
        machine: MachineChange::default(),
        explore: DEFAULT_EXPLORE,
        expect: Expect::NoViolation,
    };
    if let Some(fields) = node.object(&["name", "about", "kernel", "machine", "explore", "expect"]) {
        case.name = fields.required("name", Node::name).unwrap_or_default();
        case.about = fields.optional("about", Node::text).flatten();
        case.kernel = fields.optional("kernel", config::kernel).flatten().unwrap_or_default();
        case.machine = fields.optional("machine", config::machine_change).flatten().unwrap_or_default();
        case.explore = fields.optional("explore", explore).flatten().unwrap_or(DEFAULT_EXPLORE);
        case.expect = fields.required("expect", expect).unwrap_or(Expect::NoViolation);
    }
    case
}

fn explore(node: &Node<'_>) -> Option<ExploreSpec> {
    let strategy = |node: &Node<'_>| node.named("strategy", StrategyName::NAMES, &[]);
    if node.as_string().is_some() {
        return Some(ExploreSpec { strategy: strategy(node)?, runs: None, preemptions: None });
    }
    if !node.is_object() {
        return node.expected("a strategy or `{\"strategy\": ..., \"runs\": ...}`");
    }
    let fields = node.object(&["strategy", "runs", "preemptions"])?;
    let (strategy, runs, preemptions) = (
        fields.or("strategy", DEFAULT_EXPLORE.strategy, strategy),
        fields.optional("runs", |node| node.integer(1..=MAX_RUNS)),
        fields.optional("preemptions", |node| node.integer(0..=MAX_PREEMPTIONS)),
    );
    let (strategy, preemptions) = (strategy?, preemptions?);
    if preemptions.is_some() && !strategy.is_exhaustive() {
        node.error("`preemptions` bounds an exhaustive search; a sample has no such bound".to_owned());
        return None;
    }
    Some(ExploreSpec { strategy, runs: runs?, preemptions })
}

fn expect(node: &Node<'_>) -> Option<Expect> {
    if let Some(text) = node.as_string() {
        if ORACLE_IDS.contains(&text) {
            let help = format!("write `{{\"violation\": \"{text}\"}}`");
            node.error_with_help(format!("{} is an oracle, not an expectation", quote(text)), Some(help));
            return None;
        }
        return node.named("expectation", &[((), "no-violation")], &[]).map(|()| Expect::NoViolation);
    }
    if !node.is_object() {
        return node.expected("`\"no-violation\"` or `{\"violation\": ...}`");
    }
    let fields = node.object(&["violation", "in"])?;
    let any_of = fields.required("violation", |node| match node.as_string() {
        Some(_) => oracle(node).map(|id| vec![id]),
        None => some(node)?.list(oracle),
    });
    let routine = fields.optional("in", routine);
    Some(Expect::Violation { any_of: any_of?, routine: routine? })
}

fn oracle(node: &Node<'_>) -> Option<String> {
    let ids: Vec<_> = ORACLE_IDS.iter().map(|id| (*id, *id)).collect();
    node.named("oracle", &ids, &[]).map(str::to_owned)
}

/// The name of a routine: a C identifier.
fn routine(node: &Node<'_>) -> Option<String> {
    let text = node.string()?;
    let good = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    if text.bytes().all(good) && !text.starts_with(|c: char| c.is_ascii_digit()) && (1..=64).contains(&text.len())
    {
        return Some(text.to_owned());
    }
    node.error(format!("{} is not the name of a routine", quote(text)));
    None
}
