//! What was covered, for people.

use sim_gup::CATALOGUE;

use super::surveyed::Surveyed;
use crate::cli::output::{HEAD, styled, thousands};
use crate::coverage::{Lines, Races, Safeguards, Schedules, Tally};

/// Pairs that raced, if not all are asked for.
const PAIRS: usize = 15;

/// Distinct schedules are told after 4 runs, 16, 64 ...
const TOLD: u32 = 2;

pub(super) fn lines(all: &Surveyed, never_stepped: bool, all_races: bool) -> Vec<String> {
    let coverage = &all.coverage;
    let mut text = vec![format!(
        "{} runs of {} steps on average, sampled by {}; {} with a violation{}",
        thousands(coverage.runs),
        coverage.steps.checked_div(coverage.runs).unwrap_or(0),
        all.strategy,
        thousands(coverage.violations),
        if all.interrupted { "; interrupted" } else { "" }
    )];
    text.push(String::new());
    text.extend(safeguards(&coverage.safeguards));
    text.push(String::new());
    text.extend(stepped(&coverage.lines, never_stepped));
    text.push(String::new());
    text.extend(races(&coverage.races, if all_races { usize::MAX } else { PAIRS }));
    text.push(String::new());
    text.extend(schedules(&all.schedules));
    text
}

fn head(what: &str, rest: &str) -> String {
    format!("{}{rest}", styled(HEAD, what))
}

fn safeguards(safeguards: &Safeguards) -> Vec<String> {
    let mut text = vec![head(
        "safeguards",
        &format!(
            ": {} of {} decided: without them the code would have done something else",
            safeguards.count(|tally| tally.decided > 0),
            CATALOGUE.safeguards().count()
        ),
    )];
    let width = CATALOGUE.safeguards().map(|safeguard| safeguard.key.len()).max().unwrap_or(0);
    let tallies = || CATALOGUE.safeguards().map(|safeguard| (safeguard.key, safeguards.of(safeguard)));
    text.push(format!(
        "  {:width$}  {:>9}  {:>9}  {:>9}",
        "runs in which it was", "decisive", "consulted", "missed"
    ));
    for (key, Tally { decided, consulted, missed, .. }) in tallies() {
        if consulted + missed > 0 {
            let (decided, consulted, missed) = (number(decided), number(consulted), number(missed));
            text.push(format!("  {key:width$}  {decided:>9}  {consulted:>9}  {missed:>9}"));
        }
    }
    let never: Vec<&str> =
        tallies().filter(|(_, tally)| tally.consulted + tally.missed == 0).map(|(key, _)| key).collect();
    let rows = never.chunks(5).enumerate();
    text.extend(rows.map(|(row, keys)| {
        let head = if row == 0 { "never reached:" } else { "" };
        format!("  {head:width$}  {}", keys.join(", "))
    }));
    text
}

/// A dash for none.
fn number(number: u64) -> String {
    if number == 0 { "-".to_owned() } else { thousands(number) }
}

fn stepped(lines: &Lines, never_stepped: bool) -> Vec<String> {
    let files = lines.files();
    let total: usize = files.iter().map(|file| file.total).sum();
    let stepped: usize = files.iter().map(crate::coverage::FileLines::stepped).sum();
    let about =
        format!(": {stepped} of {total} stepped, of those in sim-mm and sim-gup that make a shared access");
    let mut text = vec![head("lines", &about)];
    let width = files.iter().map(|file| file.file.len()).max().unwrap_or(0);
    for file in &files {
        text.push(format!("  {:width$}  {:>3} of {:>3}", file.file, file.stepped(), file.total));
        if never_stepped {
            text.extend(file.never.iter().map(|(line, code)| format!("    {line:>4}  {code}")));
        }
    }
    text
}

fn races(races: &Races, at_most: usize) -> Vec<String> {
    let pairs = races.pairs();
    let one_sided = pairs.iter().filter(|pair| pair.is_one_sided()).count();
    let about = format!(": {} pairs of routines, {one_sided} of them seen one way round only", pairs.len());
    let mut text = vec![head("races", &about)];
    let shown = &pairs[..pairs.len().min(at_most)];
    let objects = shown.iter().map(|pair| pair.object.len()).max().unwrap_or(0);
    let [a, b] = [0, 1].map(|n| shown.iter().map(|pair| pair.routines[n].len()).max().unwrap_or(0));
    if !shown.is_empty() {
        text.push(format!(
            "  {:objects$}  {:a$}  {:b$}  {:>10}  {:>10}",
            "on", "one", "the other", "one first", "then first"
        ));
    }
    for pair in shown {
        let [one, other] = pair.routines;
        let itself = one == other;
        text.push(format!(
            "  {:objects$}  {one:a$}  {:b$}  {:>10}  {:>10}",
            pair.object,
            if itself { "itself" } else { other },
            number(pair.first[0]),
            if itself { String::new() } else { number(pair.first[1]) }
        ));
    }
    if shown.len() < pairs.len() {
        text.push(format!("  and {} more: --races", pairs.len() - shown.len()));
    }
    text
}

fn schedules(campaigns: &[(String, Schedules)]) -> Vec<String> {
    let mut text =
        vec![head("schedules", ": distinct after so many runs; unseen is the chance that the next is new")];
    let width = campaigns.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let longest = campaigns.iter().map(|(_, schedules)| schedules.runs()).max().unwrap_or(0);
    let told: Vec<u64> =
        (1..32).map(|k| 1_u64 << (TOLD * k)).take_while(|runs| *runs < longest).chain([longest]).collect();
    let heads: String = told.iter().map(|runs| format!("  {:>7}", thousands(*runs))).collect();
    text.push(format!("  {:width$}{heads}  unseen", ""));
    for (name, schedules) in campaigns {
        let thinning = schedules.thinning();
        let cells: String = told
            .iter()
            .map(|told| {
                let at = thinning.iter().find(|(runs, _)| runs == told);
                format!("  {:>7}", at.map_or_else(String::new, |(_, distinct)| thousands(*distinct)))
            })
            .collect();
        text.push(format!("  {name:width$}{cells}  {:>4.1} %", 100.0 * schedules.unseen()));
    }
    text
}
