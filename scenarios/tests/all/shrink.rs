//! Shrinking: the result replays, is as simple as possible, and is the same each time.

use std::sync::atomic::AtomicBool;

use mmsim::case::{Budget, configuration, judge};
use mmsim::course::{Course, Follow};
use mmsim::explain::{WIDTH, explain};
use mmsim::explore::{Strategy, Trace};
use mmsim::library::{entries, open};
use mmsim::oracle::Site;
use mmsim::record::{Provenance, Record};
use mmsim::scenario::{Case, Expect};
use mmsim::shrink::{Schedule, Size, Subject, matter, shrink, simplify};
use mmsim::world::World;

/// The length of the longest run whose course is followed, in steps.
const LONGEST: u64 = 5_000;

/// Runs that the search for each simpler scenario gets here.
const RUNS: u64 = 100;

fn go(_: u64, _: Size) {}

/// The scenarios of the library in halves, which are looked at side by side.
const HALVES: usize = 2;

/// Every case in a half of the library that expects a violation and is drawn, with the run that was found first.
fn races(half: usize, mut look: impl FnMut(&str, &Subject, &Trace)) {
    let mut seen = 0;
    for entry in entries().into_iter().skip(half).step_by(HALVES) {
        let loaded = open(entry.name).expect("the library is good");
        let violated = |case: &&Case| matches!(case.expect, Expect::Violation { .. });
        for case in loaded.scenario.cases.iter().filter(violated) {
            let name = format!("{}/{}", entry.name, case.name);
            let report = judge(
                &loaded.scenario,
                case,
                Budget { jobs: 1, ..Budget::default() },
                &AtomicBool::new(false),
                &|_| (),
            );
            let report = report.unwrap_or_else(|error| panic!("{name}: {error}"));
            let (machine, kernel) = configuration(&loaded.scenario, case);
            let json = serde_json::from_str(&loaded.text).expect("a scenario is JSON");
            let subject = Subject { json, scenario: loaded.scenario.clone(), machine, kernel };
            let mut trace = report.trace.unwrap_or_else(|| panic!("{name}: nothing was found"));
            let finding = report.finding.expect("a run with a finding");
            trace.put_first(&finding.title());
            look(&name, &subject, &trace);
            seen += 1;
        }
    }
    assert!(seen > 30, "only {seen} cases of the library expect a violation");
}

fn digests(trace: &Trace) -> (u64, Vec<u64>) {
    (trace.steps, trace.digests.clone())
}

/// A good diagram fits a mail, says nothing twice, and names the routines of the finding. It marks the line at which it goes
/// wrong, or says that the finding is about the whole run. Answers what it lacks of these.
#[track_caller]
fn check_diagram(name: &str, world: &World<'_>, trace: &Trace, matters: &[(u64, u64)]) -> Option<String> {
    let finding = &trace.findings[0];
    let text = explain(world, trace, finding, matters);
    let (title, diagram) = text.split_once('\n').expect("a title above the diagram");
    assert_eq!(title, finding.title(), "{name}");
    let narrow = |line: &str| line.is_ascii() && line.len() <= WIDTH;
    assert!(diagram.lines().all(narrow), "{name}:\n{text}");
    let without_number = |line: &str| line.get(4..).unwrap_or_default().to_owned();
    let cells: Vec<String> = diagram.lines().map(without_number).filter(|cell| !cell.is_empty()).collect();
    assert!(cells.windows(2).all(|pair| pair[0] != pair[1]), "{name} says a thing twice:\n{text}");
    let whole_run = ["At rest", "not at its end"].iter().any(|words| text.contains(words));
    if !diagram.contains("<--") && !whole_run {
        return Some(format!("{name} has no bad step:\n{text}"));
    }
    let sites = std::iter::once(&finding.site).chain(&finding.other);
    // What came before the run is not drawn.
    let of_run = |site: &&Site| trace.log.iter().any(|entry| entry.step == site.step && entry.stack == site.stack);
    // A name that is longer than its column goes on in the next line.
    let unfolded: String = diagram.lines().map(str::trim).collect();
    for routine in sites.filter(of_run).filter_map(Site::routine) {
        if !unfolded.contains(&format!("{routine}()")) {
            return Some(format!("{name} does not show {routine}:\n{text}"));
        }
    }
    None
}

/// A course that is followed is the same run.
#[track_caller]
fn check_course(name: &str, world: &World<'_>, trace: &Trace) {
    let mut executor = world.executor();
    let (source, _) = Follow::source(Course::of(trace), world);
    let followed = Trace::record(world, &mut executor, source);
    assert_eq!(digests(&followed), digests(trace), "{name}");
}

/// A schedule is made as simple as it gets, and comes to the same each time. Answers what its diagram lacks.
#[track_caller]
fn check_simple(name: &str, world: &World<'_>, trace: &Trace) -> Option<String> {
    let mut executor = world.executor();
    let simple = simplify(world, &mut executor, trace.clone());
    assert_eq!(simple.findings[0].title(), trace.findings[0].title(), "{name}");
    assert!(Schedule::of(&simple).is_within(Schedule::of(trace)), "{name}: a number of the schedule grew");
    let again = simplify(world, &mut executor, simple.clone());
    assert_eq!(digests(&again), digests(&simple), "{name}: to simplify again changes something");
    let twice = simplify(world, &mut executor, trace.clone());
    assert_eq!(digests(&twice), digests(&simple), "{name}: the second time comes to something else");
    check_diagram(name, world, &simple, &[(1, simple.steps)])
}

/// A race shrinks to a record that replays and explains. Answers what its diagram lacks.
#[track_caller]
fn check_shrunk(name: &str, subject: &Subject, trace: &Trace) -> Option<String> {
    let none = AtomicBool::new(false);
    let small = shrink(subject.clone(), trace.clone(), RUNS, &none, &go).expect("the case was run");
    let before = Size::of(&subject.scenario, subject.machine, trace);
    assert!(small.size.is_within(before), "{name}: {}", before.to(small.size));
    let again = shrink(small.subject.clone(), small.trace.clone(), RUNS, &none, &go).expect("it was run");
    assert_eq!(again.size, small.size, "{name}: to shrink again changes something");
    assert_eq!(again.subject.json, small.subject.json, "{name}");

    let subject = &small.subject;
    let world = World::new(&subject.scenario, subject.machine, subject.kernel).expect("it was run");
    let mut executor = world.executor();
    let provenance = Provenance::of(None, Strategy::Portfolio, 0);
    let matter = matter(&world, &mut executor, &small.trace);
    let text = subject.json.to_string();
    let record = Record::new(&world, subject.machine, &small.trace, &text, provenance).marked(&matter);
    let (scenario, machine, kernel) = record.open(name).unwrap_or_else(|error| panic!("{name}: {error}"));
    let world = World::new(&scenario, machine, kernel).expect("the record was just made");
    let mut executor = world.executor();
    let mut replayed = Trace::record(&world, &mut executor, record.source().expect("just made"));
    replayed.put_first(&record.expect);
    assert_eq!(record.difference(&replayed), None, "{name}");
    check_diagram(name, &world, &replayed, &record.matters)
}

fn check_half(half: usize) {
    let mut lacking = Vec::new();
    races(half, |name, subject, trace| {
        let world = World::new(&subject.scenario, subject.machine, subject.kernel).expect("the case was run");
        // Nobody follows the course of a run that never ends.
        if trace.steps <= LONGEST {
            check_course(name, &world, trace);
        }
        lacking.extend(check_simple(name, &world, trace));
        lacking.extend(check_shrunk(name, subject, trace));
    });
    assert!(lacking.is_empty(), "{}", lacking.join("\n"));
}

#[test]
fn races_shrink_to_records_that_replay_and_explain() {
    check_half(0);
}

#[test]
fn races_of_the_other_half_shrink_as_well() {
    check_half(1);
}
