//! `mmsim safeguards`.

use serde_json::{Value, json};
use sim_gup::CATALOGUE;
use sim_mm::{Arch, Safeguard};

use super::configure::{safeguard_keys, threads};
use super::interrupt::Interrupts;
use super::output::{HEAD, styled};
use super::{Exit, Failure, Output};
use crate::necessity::{Guard, Proof, Row, Wanted, Why, table};
use crate::prose::wrapped;
use crate::table::{Side, Table};

/// The most columns of the table, so that it fits into a mail that quotes it.
const WIDTH: usize = 75;

#[derive(Debug, clap::Args)]
#[command(after_help = NOTES)]
pub(crate) struct Args {
    /// The keys of safeguards. Without any, all are listed.
    #[arg(value_name = "SAFEGUARD", value_parser = safeguard_keys(), hide_possible_values = true)]
    keys: Vec<String>,
    /// Runs the library, and names for each safeguard the case that goes wrong without it. A safeguard that is a guard of
    /// mm/gup.c has its number there.
    #[arg(long)]
    table: bool,
    /// The number of threads, which never changes a result. Without it there is one for each processor.
    #[arg(long, short, requires = "table", value_parser = clap::value_parser!(u16).range(1..=1024))]
    jobs: Option<u16>,
}

const NOTES: &str = "With --table: A case kills a safeguard if its kernel lacks it and goes wrong, and if nothing is found when \
this safeguard alone is put back. Cases that take away the safeguard and nothing else come first, then those of releases without it. A \
safeguard is deterministic if the case goes wrong in the run in which each CPU runs until it must wait. A safeguard is masked by \
others if a case goes wrong only without all of them.";

/// Lists safeguards, or proves that they are needed.
pub(crate) fn run(args: &Args, output: &mut Output, interrupts: &Interrupts) -> Result<Exit, Failure> {
    let is_wanted =
        |safeguard: &Safeguard| args.keys.is_empty() || args.keys.iter().any(|key| key == safeguard.key);
    let safeguards: Vec<Safeguard> = CATALOGUE.safeguards().filter(is_wanted).collect();
    if args.table { prove(args, &safeguards, output, interrupts) } else { Ok(list(&safeguards, output)) }
}

fn list(safeguards: &[Safeguard], output: &mut Output) -> Exit {
    let mut documents = Vec::new();
    for facts in safeguards {
        let until = facts.until.map_or_else(String::new, |until| format!(" until {until}"));
        output.prose(&format!(
            "{}  {}(), since {}{until}{}",
            styled(HEAD, facts.key),
            facts.routine,
            facts.since,
            facts.arch.told()
        ));
        output.prose(&format!("  {}", facts.about));
        let guards: Vec<String> = guards_of(*facts).map(|guard| guard.to_string()).collect();
        let commit = facts.commit.map(|commit| format!("commit {commit}"));
        let sources: Vec<String> =
            [commit, facts.cve.map(str::to_owned)].into_iter().flatten().chain(guards.clone()).collect();
        if !sources.is_empty() {
            output.text(&format!("  {}", sources.join(", ")));
        }
        documents.push(json!({
            "key": facts.key, "about": facts.about, "routine": facts.routine,
            "since": facts.since.to_string(), "arch": if facts.arch == Arch::X86 { Some("x86") } else { None },
            "until": facts.until.map(|until| until.to_string()),
            "commit": facts.commit, "cve": facts.cve, "guards": guards,
        }));
    }
    output.json(&Value::Array(documents));
    Exit::AsExpected
}

fn prove(
    args: &Args,
    safeguards: &[Safeguard],
    output: &mut Output,
    interrupts: &Interrupts,
) -> Result<Exit, Failure> {
    let jobs = threads(args.jobs);
    let bar = output.progress_in("steps", "safeguards", 0);
    let progress = |done: usize, all: usize| {
        bar.set_length(all as u64);
        bar.set_position(done as u64);
    };
    let wanted = Wanted { jobs, stop: interrupts.watch(), progress: &progress };
    let rows = table(safeguards, wanted).map_err(Failure::bad_input)?;
    bar.finish_and_clear();
    let Some(rows) = rows else {
        output.note("interrupted; there is no table");
        return Ok(Exit::Inconclusive);
    };
    // If only some safeguards are wanted, nobody asked which guards have none.
    let without: Vec<Guard> = if args.keys.is_empty() { without_safeguard() } else { Vec::new() };
    text(&rows, &without, output);
    let documents = rows.iter().flat_map(documents).chain(without.into_iter().map(missing)).collect();
    output.json(&Value::Array(documents));
    Ok(Exit::AsExpected)
}

fn guards_of(safeguard: Safeguard) -> impl Iterator<Item = Guard> {
    safeguard.guards.iter().filter_map(|number| Guard::of(*number))
}

/// The guards that no safeguard is.
fn without_safeguard() -> Vec<Guard> {
    let has_one = |guard: &Guard| CATALOGUE.safeguards().any(|facts| facts.guards.contains(&guard.number));
    Guard::all().filter(|guard| !has_one(guard)).collect()
}

/// The safeguards of a row with their guards. A safeguard that is no guard has one line as well.
fn lines<T>(row: &Row, line: impl Fn(Option<Guard>) -> T) -> Vec<T> {
    let guards: Vec<Guard> = guards_of(row.safeguard).collect();
    if guards.is_empty() { vec![line(None)] } else { guards.into_iter().map(|guard| line(Some(guard))).collect() }
}

fn text(rows: &[Row], without: &[Guard], output: &mut Output) {
    let mut heads = Table::new(0, [Side::Left; 3]);
    let mut whats = Vec::new();
    for row in rows {
        let what =
            wrapped(&format!("  {}", row.proof.as_ref().map_or_else(|| "not shown".to_owned(), told)), WIDTH);
        let head = |guard: Option<Guard>| {
            let (number, about) = guard.map_or_else(Default::default, |guard| (guard.to_string(), guard.about));
            [row.safeguard.key.to_owned(), number, about.to_owned()]
        };
        for head in lines(row, head) {
            heads.row(head);
            whats.push(what.clone());
        }
    }
    for (head, what) in heads.lines().into_iter().zip(whats) {
        output.text(&head);
        output.text(&what);
    }
    if without.is_empty() {
        return;
    }
    output.text(&styled(HEAD, "no safeguard:"));
    let mut table = Table::new(2, [Side::Left; 3]);
    for guard in without {
        table.row([guard.to_string(), guard.about.to_owned(), guard.reason().unwrap_or_default().to_owned()]);
    }
    table.lines().iter().for_each(|line| output.text(line));
}

/// `killed by spec-ref-vs-reuse/no-recheck`
fn told(proof: &Proof) -> String {
    match &proof.why {
        Why::Deterministic => format!("deterministic: {}", proof.case),
        Why::Killed => format!("killed by {}", proof.case),
        Why::MaskedBy(others) => format!("masked by {} in {}", keys(others).join(", "), proof.case),
    }
}

fn keys(safeguards: &[Safeguard]) -> Vec<&'static str> {
    safeguards.iter().map(|safeguard| safeguard.key).collect()
}

/// The row for programs: an object for each of its guards.
fn documents(row: &Row) -> Vec<Value> {
    lines(row, |guard| {
        let mut document = json!({ "key": row.safeguard.key, "guard": guard.map(|guard| guard.to_string()) });
        if let Some(Proof { case, finding, why }) = &row.proof {
            document["finding"] = json!(finding);
            match why {
                Why::Deterministic => document["deterministic"] = json!(case),
                Why::Killed => document["killed_by"] = json!(case),
                Why::MaskedBy(others) => {
                    document["masked_by"] = json!(keys(others));
                    document["case"] = json!(case);
                }
            }
        }
        document
    })
}

/// A guard without a safeguard, for programs.
fn missing(guard: Guard) -> Value {
    let mut document = json!({ "key": null, "guard": guard.to_string() });
    if let Some(reason) = guard.reason() {
        document["reason"] = json!(reason);
    }
    document
}
