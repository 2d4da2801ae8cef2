//! What was covered, for people.

use sim_gup::CATALOGUE;

use super::surveyed::Surveyed;
use crate::cli::output::{HEAD, styled, thousands};
use crate::coverage::{Lines, Races, Safeguards, Schedules, Tally};
use crate::prose::{USUAL_WIDTH, wrapped};
use crate::table::{Side, Table};

/// The number of pairs that are shown, if not all are asked for.
const PAIRS: usize = 15;

/// The number of distinct schedules is shown after 4 runs, after 16, after 64, and so on.
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
    let tallies = || CATALOGUE.safeguards().map(|safeguard| (safeguard.key, safeguards.of(safeguard)));
    let mut table = Table::of_numbers(2, 3);
    table.row(["runs in which it was", "decisive", "consulted", "missed"].map(str::to_owned));
    for (key, Tally { decided, consulted, missed, .. }) in tallies() {
        if consulted + missed > 0 {
            table.row([key.to_owned(), number(decided), number(consulted), number(missed)]);
        }
    }
    text.extend(table.lines());
    let never: Vec<&str> =
        tallies().filter(|(_, tally)| tally.consulted + tally.missed == 0).map(|(key, _)| key).collect();
    if !never.is_empty() {
        text.push(wrapped(&format!("  never reached: {}", never.join(", ")), USUAL_WIDTH));
    }
    text
}

/// The number, or a dash for none.
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
    let mut table = Table::of_numbers(2, 1);
    for file in &files {
        table.row([file.file.to_string(), format!("{} of {:>3}", file.stepped(), file.total)]);
    }
    for (line, file) in table.lines().into_iter().zip(&files) {
        text.push(line);
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
    let mut table = Table::new(2, [Side::Left, Side::Left, Side::Left, Side::Right, Side::Right]);
    if !shown.is_empty() {
        table.row(["on", "one", "the other", "one first", "then first"].map(str::to_owned));
    }
    for pair in shown {
        let [one, other] = pair.routines;
        let itself = one == other;
        table.row([
            pair.object.to_string(),
            one.to_owned(),
            if itself { "itself" } else { other }.to_owned(),
            number(pair.first[0]),
            if itself { String::new() } else { number(pair.first[1]) },
        ]);
    }
    text.extend(table.lines());
    if shown.len() < pairs.len() {
        text.push(format!("  and {} more: --races", pairs.len() - shown.len()));
    }
    text
}

fn schedules(campaigns: &[(String, Schedules)]) -> Vec<String> {
    let mut text =
        vec![head("schedules", ": distinct after so many runs; unseen is the chance that the next is new")];
    let longest = campaigns.iter().map(|(_, schedules)| schedules.runs()).max().unwrap_or(0);
    let told: Vec<u64> =
        (1..32).map(|k| 1_u64 << (TOLD * k)).take_while(|runs| *runs < longest).chain([longest]).collect();
    let mut table = Table::of_numbers(2, told.len() + 1);
    let heads = told.iter().map(|runs| thousands(*runs)).chain(["unseen".to_owned()]);
    table.row(std::iter::once(String::new()).chain(heads));
    for (name, schedules) in campaigns {
        let thinning = schedules.thinning();
        let distinct = told.iter().map(|told| {
            let at = thinning.iter().find(|(runs, _)| runs == told);
            at.map_or_else(String::new, |(_, distinct)| thousands(*distinct))
        });
        let unseen = format!("{:.1} %", 100.0 * schedules.unseen());
        table.row(std::iter::once(name.clone()).chain(distinct).chain([unseen]));
    }
    text.extend(table.lines());
    text
}
