//! Races against releases: the kernels that the public record calls vulnerable are those in which they are found.

use std::sync::atomic::AtomicBool;

use crate::common::{fails, mmsim, text};
use mmsim::library::{Loaded, entries, open};
use mmsim::matrix::{Grid, Race, Row, Wanted, grid, page};
use sim_mm::Release;

/// The most runs of a cell that has no race.
const RUNS: u64 = 2_000;

/// The most runs until a race is found.
const RUNS_TO_FIND: u64 = 200_000;

/// Where the simulator disagrees with the record of a CVE: the scenario, and a case of it that says why.
const DISAGREES: [(&str, &str); 1] = [("switch-vs-remote-flush", "no-barrier-no-pcids")];

fn release(text: &str) -> Release {
    text.parse().unwrap_or_else(|_| panic!("{text} is no release"))
}

fn before(release: Release) -> Option<Release> {
    Release::known().take_while(|known| *known < release).last()
}

fn explored<'l>(loaded: &'l Loaded, releases: &[Release], runs: u64, draws: bool, jobs: usize) -> Grid<'l> {
    let stop = AtomicBool::new(false);
    let wanted = Wanted { runs, draws, jobs, stop: &stop, progress: &|_| () };
    grid(Race::of("", loaded), releases.to_vec(), wanted).expect("nobody stopped it")
}

/// A release, and whether the record says that it has the race.
type Told = (Release, bool);

/// What the record says of the releases beside the first and the last one that have the race.
fn told(loaded: &Loaded) -> Vec<Told> {
    let history = &loaded.scenario.history;
    let since = history.since.as_deref().map(release);
    let fixed = history.release.as_deref().map(release);
    let mut told: Vec<Told> = Vec::new();
    told.extend(since.and_then(before).map(|release| (release, false)));
    told.extend(since.map(|release| (release, true)));
    told.extend(fixed.and_then(before).map(|release| (release, true)));
    told.extend(fixed.map(|release| (release, false)));
    told
}

#[test]
fn kernels_are_vulnerable_as_the_record_says() {
    let (mut seen, mut wrong) = (0, Vec::new());
    for entry in entries() {
        let loaded = open(entry.name).expect("the library is good");
        let Some(cve) = &loaded.scenario.history.cve else { continue };
        seen += 1;
        if let Some((_, case)) = DISAGREES.iter().find(|(name, _)| *name == entry.name) {
            let says_why = loaded.scenario.cases.iter().any(|each| each.name == *case && each.about.is_some());
            assert!(says_why, "{} does not say why it disagrees", entry.name);
            continue;
        }
        let told = told(&loaded);
        assert!(told.iter().any(|(_, has_it)| *has_it), "{} does not say which release mended {cve}", entry.name);
        for (release, has_it) in told {
            let grid = explored(&loaded, &[release], if has_it { RUNS_TO_FIND } else { RUNS }, false, 2);
            if grid.rows.iter().any(|row| row.cells[0].is_hit()) != has_it {
                let cell = |row: &Row<'_>| format!("{}: {:?}", row.race.name(), row.cells[0]);
                let cells: Vec<String> = grid.rows.iter().map(cell).collect();
                wrong.push(format!("{cve}, {}: {release} should have it: {has_it}; {cells:?}", entry.name));
            }
        }
    }
    assert!(seen > 25, "only {seen} scenarios name a CVE");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn any_number_of_threads_finds_the_same() {
    let loaded = open("gate-page-reference").expect("in the library");
    let releases: Vec<Release> = ["v5.6", "v5.7", "v5.8", "v5.9"].map(release).to_vec();
    let one = explored(&loaded, &releases, RUNS, true, 1);
    let cells = |grid: &Grid<'_>| grid.rows.iter().map(|row| row.cells.clone()).collect::<Vec<_>>();
    assert_eq!(cells(&one), cells(&explored(&loaded, &releases, RUNS, true, 3)));
    assert_eq!(one.rows[0].vulnerable(&releases), [(release("v5.7"), release("v5.8"))]);
    let page = page(&one, RUNS);
    assert!(page.starts_with("<!DOCTYPE html>") && page.ends_with("</html>\n"));
    assert!(!page.contains("http"), "the file needs no network");
    // Each cell with a violation leads to a diagram that is there.
    let links: Vec<&str> = page.split("href=\"#").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert_eq!(links.len(), 2);
    assert!(links.iter().all(|link| page.contains(&format!("<section id=\"{link}\">"))), "{links:?}");
}

#[test]
fn the_command_line_tells_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let args = ["matrix", "gate-page-reference", "--versions", "v5.6..v5.9,v6.0", "--jobs", "2"];
    let shown = text(&mmsim(folder.path(), &args).stdout);
    assert!(shown.contains("in v5.7 to v5.8"), "{shown}");
    assert!(shown.lines().all(|line| line.len() <= 75), "{shown}");
    let json = mmsim(folder.path(), &[&args[..], &["--format", "json"]].concat());
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).expect("one document");
    assert_eq!(json[0]["name"], "gate-page-reference");
    assert_eq!(json[0]["cells"].as_array().map(Vec::len), Some(5));
    assert_eq!(json[0]["vulnerable"], serde_json::json!([["v5.7", "v5.8"]]));
    fails(folder.path(), &["matrix", "gate-page-referense"], 3, "did you mean");
    fails(folder.path(), &["matrix", "--versions", "v5.9..v5.6"], 2, "is later than");
    fails(folder.path(), &["matrix", "--versions", "v9.9"], 2, "is no release");
}
