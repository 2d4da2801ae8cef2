//! `mmsim matrix`.

use std::fmt::Write as _;

use serde_json::{Value, json};
use sim_mm::Release;

use super::configure::{release, threads};
use super::interrupt::Interrupts;
use super::output::{BAD, DOUBT, HEAD, styled};
use super::{Exit, Failure, Format, Output};
use crate::library::{self, Loaded};
use crate::matrix::{Cell, Grid, Race, Row, Wanted, grid, page};

/// The first release of a matrix for which none were named.
const OLDEST: Release = Release::v(4, 4);

#[derive(Debug, clap::Args)]
#[command(after_help = NOTES)]
pub(crate) struct Args {
    /// Scenarios: paths of files, or names that `mmsim list` shows. Without any, those of the library that have a history.
    #[arg(value_name = "SCENARIO")]
    scenarios: Vec<String>,
    /// The releases, separated by commas. A range is written v5.0..v5.4. Without it they are all since v4.4.
    #[arg(long, value_name = "RELEASES", value_delimiter = ',', value_parser = releases)]
    versions: Vec<Releases>,
    /// The most runs of a cell.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u64).range(1..))]
    runs: u64,
    /// The number of threads, which never changes a result. Without it there is one for each processor.
    #[arg(long, short, value_parser = clap::value_parser!(u16).range(1..=1024))]
    jobs: Option<u16>,
}

const NOTES: &str = "Each cell is explored: the scenario, under the kernel of that release, with all of its safeguards. In the text, # \
is a race by an oracle by which the scenario knows it, o is another violation, . is none, and a blank is a release that cannot run the \
scenario. No violation means: not in so many runs. With --format html it is one file that needs no network, in which each \
violation leads to its diagram.";

/// Releases from the first to the last.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Releases(Release, Release);

fn releases(text: &str) -> Result<Releases, String> {
    let (first, last) = text.split_once("..").unwrap_or((text, text));
    let releases = Releases(release(first)?, release(last)?);
    if releases.0 > releases.1 {
        return Err(format!("{first} is later than {last}"));
    }
    Ok(releases)
}

impl Releases {
    fn each(self) -> impl Iterator<Item = Release> {
        Release::known().chain([Release::LATEST]).filter(move |release| self.0 <= *release && *release <= self.1)
    }
}

/// Explores races in many releases, and shows which have them.
pub(crate) fn run(
    args: &Args,
    format: Format,
    output: &mut Output,
    interrupts: &Interrupts,
) -> Result<Exit, Failure> {
    let loaded = wanted(&args.scenarios)?;
    let races: Vec<Race<'_>> = loaded.iter().flat_map(|(topic, loaded)| Race::of(topic, loaded)).collect();
    let jobs = threads(args.jobs);
    let releases = chosen(&args.versions);
    let bar = output.progress_in("cells", "matrix", (races.len() * releases.len()) as u64);
    let progress = |done: usize| bar.set_position(done as u64);
    let draws = format == Format::Html;
    let wanted = Wanted { runs: args.runs, draws, jobs, stop: interrupts.watch(), progress: &progress };
    let grid = grid(races, releases, wanted);
    bar.finish_and_clear();
    let Some(grid) = grid else {
        output.note("interrupted; there is no matrix");
        return Ok(Exit::Inconclusive);
    };
    if draws {
        output.part(&page(&grid, args.runs));
    }
    text(&grid, output);
    output.json(&Value::Array(grid.rows.iter().map(|row| document(row, &grid.releases)).collect()));
    Ok(Exit::AsExpected)
}

/// The scenarios, each with its topic.
fn wanted(names: &[String]) -> Result<Vec<(&'static str, Loaded)>, Failure> {
    let entries = library::entries();
    if names.is_empty() {
        let all = entries.iter().map(|entry| Ok((entry.topic, library::open(entry.name)?)));
        let all: Vec<(&'static str, Loaded)> =
            all.collect::<Result<_, library::OpenError>>().map_err(Failure::bad_input)?;
        return Ok(all.into_iter().filter(|(_, loaded)| loaded.scenario.history.is_known()).collect());
    }
    let topic = |name: &str| entries.iter().find(|entry| entry.name == name).map_or("", |entry| entry.topic);
    let open = |name: &String| Ok((topic(name), library::open(name).map_err(Failure::bad_input)?));
    let mut opened: Vec<(&'static str, Loaded)> = names.iter().map(open).collect::<Result<_, Failure>>()?;
    opened.sort_by_key(|(topic, _)| *topic);
    Ok(opened)
}

fn chosen(versions: &[Releases]) -> Vec<Release> {
    if versions.is_empty() {
        return Release::known().filter(|release| *release >= OLDEST).collect();
    }
    let mut releases: Vec<Release> = versions.iter().flat_map(|releases| releases.each()).collect();
    releases.sort_unstable();
    releases.dedup();
    releases
}

/// A page for each topic: the name of a race, the releases that have it, and below them its cells.
fn text(grid: &Grid<'_>, output: &mut Output) {
    for topic in grid.rows.chunk_by(|one, next| one.race.topic == next.race.topic) {
        if !topic[0].race.topic.is_empty() {
            output.text(&styled(HEAD, topic[0].race.topic));
        }
        for row in topic {
            output.text(&format!("  {}", row.race.name()));
            output.text(&format!("    {}", spans(row, &grid.releases)));
            for line in lines(row, &grid.releases) {
                output.text(&line);
            }
        }
        output.text("");
    }
}

fn spans(row: &Row<'_>, releases: &[Release]) -> String {
    let ranges = row.vulnerable(releases);
    if ranges.is_empty() {
        return "in none of these releases".to_owned();
    }
    let range = |(first, last): &(Release, Release)| match first == last {
        true => first.to_string(),
        false => format!("{first} to {last}"),
    };
    format!("in {}", ranges.iter().map(range).collect::<Vec<_>>().join(", "))
}

/// The cells of a row, with the releases of one major number on a line.
fn lines(row: &Row<'_>, releases: &[Release]) -> Vec<String> {
    let cells: Vec<(&Release, &Cell)> = releases.iter().zip(&row.cells).collect();
    let major = |release: &Release| release.to_string().split('.').next().unwrap_or_default().to_owned();
    let series = cells.chunk_by(|one, next| major(one.0) == major(next.0));
    let line = |series: &[(&Release, &Cell)]| {
        let mut line = format!("    {:<22}", format!("{} to {}", series[0].0, series[series.len() - 1].0));
        for (_, cell) in series {
            let mark = cell.mark().to_string();
            let shown = match cell {
                Cell::Hit(hit) => styled(if hit.is_known { BAD } else { DOUBT }, &mark),
                _ => mark,
            };
            write!(line, "{shown}").expect("a string takes all that is written");
        }
        line.trim_end().to_owned()
    };
    series.map(line).collect()
}

fn document(row: &Row<'_>, releases: &[Release]) -> Value {
    let cell = |(release, cell): (&Release, &Cell)| {
        let release = release.to_string();
        match cell {
            Cell::NotThere(why) => json!({ "version": release, "verdict": "not-there", "why": why }),
            Cell::Clean(runs) => json!({ "version": release, "verdict": "no-violation", "runs": runs }),
            Cell::Hit(hit) => json!({
                "version": release, "verdict": if hit.is_known { "vulnerable" } else { "other-violation" },
                "runs": hit.runs, "title": hit.title,
            }),
        }
    };
    let ranges = row.vulnerable(releases);
    json!({
        "topic": row.race.topic, "name": row.race.scenario.name, "machine_of_case": row.race.of_case,
        "about": row.race.scenario.about, "cve": row.race.scenario.history.cve,
        "vulnerable": ranges.iter().map(|(first, last)| [first.to_string(), last.to_string()]).collect::<Vec<_>>(),
        "cells": releases.iter().zip(&row.cells).map(cell).collect::<Vec<_>>(),
    })
}
