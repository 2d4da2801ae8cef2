//! `cargo xtask TASK`: tasks for people who work on the project.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a task talks to whoever runs it")]

mod mutants;
mod shards;

use std::process::{Command, ExitCode};

const USAGE: &str = "\
usage: cargo xtask TASK

  ci      what every change must pass: .ci/run
  bench   the engine against its peers, the MMU, the whole stack, how soon races are found (docs/performance.md)
  mutants [NAME...] [--find]
          careless changes of the simulated kernel, each of which a case of the library must notice
          (xtask/mutants.toml); with --find the whole library is asked, a few thousand runs a case
  shards  a suite in one piece, by GNU parallel and by a Slurm array: the same (docs/ci.md)
  docs    the API documentation, private items included
  deny [licenses] [bans] [sources] [advisories]
          what cargo-deny says of the dependencies (deny.toml); all four if none is named. Only `advisories`, the known
          defects, needs a way to github.com
";

/// Runs a command and shows its output; `false` if it failed.
fn runs(program: &str, args: &[&str]) -> bool {
    match Command::new(program).args(args).status() {
        Ok(status) => status.success(),
        Err(error) => {
            eprintln!("{program}: {error}");
            false
        }
    }
}

/// Asks cargo-deny for some of its checks. `false`, if a check finds something wrong with a dependency, or if it cannot be made.
fn deny(cargo: &impl Fn(&[&str]) -> bool, parts: &[&str]) -> bool {
    let passed = cargo(&[&["deny", "--workspace", "check"], parts].concat());
    if !passed {
        eprintln!("deny: {} did not pass", parts.join(", "));
        eprintln!("`cargo install cargo-deny --locked` installs cargo-deny");
        if parts.contains(&"advisories") {
            eprintln!("the list of known defects comes from github.com/RustSec/advisory-db");
        }
    }
    passed
}

fn main() -> ExitCode {
    let tasks: Vec<String> = std::env::args().skip(1).collect();
    let cargo = |args: &[&str]| runs(env!("CARGO"), args);
    let done = match tasks.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["ci"] => runs("bash", &[concat!(env!("CARGO_MANIFEST_DIR"), "/../.ci/run")]),
        ["bench"] => {
            cargo(&["bench", "--package", "sim-core", "--bench", "micro"])
                && cargo(&["bench", "--package", "sim-mmu", "--bench", "translate"])
                && cargo(&["bench", "--package", "mmsim", "--bench", "translate"])
                && cargo(&["run", "--release", "--package", "mmsim", "--", "bench"])
                && cargo(&["run", "--release", "--package", "mmsim", "--", "bench", "--races"])
        }
        ["mutants", ref args @ ..] => mutants::run(env!("CARGO"), args).unwrap_or_else(|error| {
            eprintln!("mutants: {error}");
            false
        }),
        ["shards"] => shards::run(env!("CARGO")).unwrap_or_else(|error| {
            eprintln!("shards: {error}");
            false
        }),
        ["docs"] => cargo(&["doc", "--workspace", "--no-deps", "--document-private-items"]),
        ["deny"] => deny(&cargo, &["licenses", "bans", "sources"]) && deny(&cargo, &["advisories"]),
        ["deny", ref parts @ ..] => deny(&cargo, parts),
        ["help" | "--help" | "-h"] => {
            println!("{USAGE}");
            true
        }
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    if done { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
