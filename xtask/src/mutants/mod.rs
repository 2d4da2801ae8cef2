//! `cargo xtask mutants`: is each careless change of the simulated kernel noticed by the library?
//!
//! All mutants are in one build, of a copy of the sources (`target/mutants`), and one is on at a time.

mod list;
mod tree;

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use list::Mutant;

/// The result for a mutant.
enum Fate {
    /// A case failed: the line that says so.
    Killed(String),
    /// Every case that was asked ended as it should.
    Alive,
    /// There is no such case, or the program could not be started.
    NotRun(String),
}

struct Judge<'a> {
    program: &'a Path,
    /// Whether the whole library is asked, a few thousand runs a case, and not the case that the list names.
    finds: bool,
}

impl Judge<'_> {
    fn judge(&self, number: usize, mutant: &Mutant) -> Fate {
        let mut command = Command::new(self.program);
        let named = mutant.killed_by.as_deref().filter(|_| !self.finds);
        match named.map(|case| case.split_once('/').unwrap_or((case, ""))) {
            Some((scenario, "")) => command.args(["test", scenario]),
            Some((scenario, case)) => command.args(["run", scenario, "--case", case, "--no-record"]),
            None => command.args(["test", "--library", "--strategy", "portfolio", "--runs", "4000"]),
        };
        command.args(["--color", "never"]).env(tree::SWITCH, number.to_string()).stdin(Stdio::null());
        let output = match command.output() {
            Ok(output) => output,
            Err(error) => return Fate::NotRun(format!("{}: {error}", self.program.display())),
        };
        let text = String::from_utf8_lossy(&output.stdout);
        match output.status.code() {
            Some(0) => Fate::Alive,
            // So few runs need not find what is expected.
            Some(6) if named.is_none() => Fate::Alive,
            // A violation that nobody expects, or one that is expected and no longer there.
            Some(1 | 6) => Fate::Killed(what_failed(&text).unwrap_or_default()),
            // The simulator itself reports a defect.
            Some(101) | None => Fate::Killed("the simulator stops".to_owned()),
            Some(_) => Fate::NotRun(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        }
    }
}

/// The words of `mmsim test` and `mmsim run` for a case with a wrong result. The surest sign comes first.
const VERDICTS: [&str; 6] = ["FAILED", "UNEXPECTED", "UNCHECKED", "ABSENT", "ERROR", "INCONCLUSIVE"];

/// The first case with a wrong result: `SCENARIO/CASE` and what was found.
fn what_failed(text: &str) -> Option<String> {
    VERDICTS.iter().find_map(|verdict| first_with(text, verdict))
}

fn first_with(text: &str, verdict: &str) -> Option<String> {
    let mut scenario = "";
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if !line.starts_with(' ') {
            scenario = line;
            continue;
        }
        let mut words = line.split_whitespace();
        let (Some(case), Some(said)) = (words.next(), words.next()) else { continue };
        if said != verdict || !line.starts_with("  ") {
            continue;
        }
        // A long line goes on below, further to the right.
        let rest = lines.take_while(|line| line.starts_with("      ") && !line.trim().is_empty());
        let found: Vec<&str> = words.chain(rest.flat_map(str::split_whitespace)).collect();
        return Some(format!("{scenario}/{case}: {said} {}", found.join(" ")));
    }
    None
}

/// Builds the mutants and asks the library about each, or about those that are named.
///
/// # Errors
/// If the list is wrong, the sources cannot be copied, or they do not build.
pub(crate) fn run(cargo: &str, args: &[&str]) -> Result<bool, String> {
    let project = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."));
    let text = std::fs::read_to_string(project.join("xtask/mutants.toml"));
    let mutants = list::read(&text.map_err(|error| format!("xtask/mutants.toml: {error}"))?)?;
    let names: Vec<&str> = args.iter().copied().filter(|arg| *arg != "--find").collect();
    if let Some(unknown) = names.iter().find(|name| !mutants.iter().any(|mutant| mutant.name == **name)) {
        return Err(format!("there is no mutant {unknown}"));
    }

    let place = project.join("target/mutants");
    tree::plant(project, &place.join("tree"), &mutants)?;
    let built = Command::new(cargo)
        .current_dir(place.join("tree"))
        .env("RUSTFLAGS", "-Awarnings")
        .args(["build", "--release", "--package", "mmsim", "--target-dir", "../build"])
        .args(["--config", "profile.release.lto=\"off\"", "--config", "profile.release.codegen-units=16"])
        .status();
    if !built.map_err(|error| format!("{cargo}: {error}"))?.success() {
        return Err("the mutants do not build".to_owned());
    }

    let program = place.join("build/release/mmsim");
    let judge = Judge { program: &program, finds: args.contains(&"--find") };
    let wanted: Vec<(usize, &Mutant)> =
        (1..).zip(&mutants).filter(|(_, m)| names.is_empty() || names.contains(&m.name.as_str())).collect();
    let (next, fates) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some((number, mutant)) = wanted.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let fate = judge.judge(*number, mutant);
                    show(mutant, &fate);
                    fates.lock().unwrap_or_else(PoisonError::into_inner).push((*mutant, fate));
                }
            });
        }
    });
    Ok(sum_up(&fates.into_inner().unwrap_or_else(PoisonError::into_inner)))
}

fn show(mutant: &Mutant, fate: &Fate) {
    match fate {
        Fate::Killed(how) => println!("killed  {:<36} {how}", mutant.name),
        Fate::Alive => match &mutant.lives {
            Some(why) => println!("lives   {:<36} {why}", mutant.name),
            None => println!("ALIVE   {:<36} {}", mutant.name, mutant.file),
        },
        Fate::NotRun(why) => println!("ERROR   {:<36} {why}", mutant.name),
    }
}

/// Whether every mutant ended as the list says.
fn sum_up(fates: &[(&Mutant, Fate)]) -> bool {
    let killed = fates.iter().filter(|(_, fate)| matches!(fate, Fate::Killed(_))).count();
    let explained =
        fates.iter().filter(|(mutant, fate)| matches!(fate, Fate::Alive) && mutant.lives.is_some()).count();
    let surprising = fates.iter().filter(|(mutant, fate)| match fate {
        Fate::Killed(_) => mutant.lives.is_some(),
        Fate::Alive => mutant.lives.is_none(),
        Fate::NotRun(_) => true,
    });
    let surprising = surprising.count();
    let percent = 100 * killed / fates.len().max(1);
    println!(
        "{killed} of {} killed ({percent} %), {explained} live and are explained, {surprising} not as listed",
        fates.len()
    );
    surprising == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_failed_is_said() {
        let run = "verdicts\n  wrongly-trusted  UNEXPECTED  leak in gup_pte_range / do_anonymous_page, after\n      \
                   349 runs\n\nleak in gup_pte_range / do_anonymous_page\n\n    CPU 0: gup\n";
        assert_eq!(
            what_failed(run).as_deref(),
            Some("verdicts/wrongly-trusted: UNEXPECTED leak in gup_pte_range / do_anonymous_page, after 349 runs")
        );
        let test = "one\n  a  ok  nothing\n  b  INCONCLUSIVE  no leak in 3 runs\ntwo\n  c  FAILED  a leak\n";
        assert_eq!(what_failed(test).as_deref(), Some("two/c: FAILED a leak"));
        assert_eq!(what_failed("one\n  a  ok  nothing\n"), None);
    }
}
