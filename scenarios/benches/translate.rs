//! Measures how many cases are answered in a second, and what takes the time.
//!
//! `cargo bench -p mmsim --bench translate`. Without `--bench`, as under `cargo test --benches`, it takes
//! one short round and only shows that everything runs. The cases are those of `tests/mmu/`, on one thread.

// A benchmark reads the host's clock and prints.
#![allow(clippy::disallowed_types, clippy::print_stdout)]

use std::hint::black_box;
use std::io::Read;
use std::path::Path;
use std::time::{Duration, Instant};

use mmsim::hardware::translate::batch::Batch;
use mmsim::hardware::translate::case::Case;
use mmsim::hardware::translate::lines::{in_order, lines_of};
use serde::de::IgnoredAny;
use sim_mmu::Vendor;

/// What is measured: one pass over all cases.
type Pass<'a> = (&'static str, Box<dyn FnMut() + 'a>);

fn main() {
    let full = std::env::args().any(|argument| argument == "--bench");
    let (rounds, slice) = if full { (9, Duration::from_millis(300)) } else { (1, Duration::from_millis(1)) };
    let text = cases();
    let lines: Vec<&str> = lines_of(&text).map(|line| std::str::from_utf8(line).expect("ASCII")).collect();
    let parsed: Vec<Case<'_>> =
        lines.iter().map(|line| Case::parse(line.as_bytes()).expect("they are cases")).collect();
    let mut answers = Vec::new();
    let mut passes: Vec<Pass<'_>> = vec![
        (
            "walk the JSON of each line, keep nothing",
            Box::new(|| {
                for line in &lines {
                    black_box(serde_json::from_str::<IgnoredAny>(line)).expect("JSON");
                }
            }),
        ),
        (
            "parse only",
            Box::new(|| {
                for line in &lines {
                    black_box(Case::parse(line.as_bytes())).expect("a case");
                }
            }),
        ),
        (
            "translate only, already parsed",
            Box::new(|| {
                for case in &parsed {
                    black_box(case.run(Vendor::Intel));
                }
            }),
        ),
        (
            "translate and write the answers",
            Box::new(|| {
                answers.clear();
                for case in &parsed {
                    case.run(Vendor::Intel).push(&case.id, &mut answers);
                }
                black_box(&answers);
            }),
        ),
        (
            "whole: lines in, answers out",
            Box::new(|| {
                in_order(
                    &text[..],
                    1,
                    |chunk| Batch::answer(chunk, Vendor::Intel),
                    |batch| drop(black_box(batch)),
                )
                .expect("memory can be read");
            }),
        ),
    ];
    println!("{} cases of {} bytes on average, one thread; medians of {rounds} rounds\n", lines.len(), {
        text.len() / lines.len()
    });
    let mut times: Vec<Vec<f64>> = vec![Vec::new(); passes.len()];
    // The measurements take turns round by round, because machines are noisy.
    for _ in 0..rounds {
        for ((_, pass), times) in passes.iter_mut().zip(&mut times) {
            let (start, mut count) = (Instant::now(), 0);
            while start.elapsed() < slice || count == 0 {
                pass();
                count += 1;
            }
            times.push(start.elapsed().as_secs_f64() / f64::from(count) / lines.len() as f64);
        }
    }
    for ((name, _), times) in passes.iter().zip(&mut times) {
        times.sort_by(f64::total_cmp);
        let median = times[times.len() / 2];
        println!("{name:<42} {:>10.0} cases/s  {:>6.1} ns a case", 1.0 / median, median * 1e9);
    }
}

/// The lines of all cases.
fn cases() -> Vec<u8> {
    let mut text = Vec::new();
    for name in ["x86-4level.jsonl.gz", "x86-5level.jsonl.gz"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mmu").join(name);
        let file = std::fs::File::open(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        flate2::read::MultiGzDecoder::new(file).read_to_end(&mut text).expect("gzip");
    }
    text
}
