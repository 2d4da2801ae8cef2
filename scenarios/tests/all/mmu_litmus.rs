//! Litmus programs for the translation caches: no policy has an outcome that is not allowed. The adversarial caches, explored
//! exhaustively, have all outcomes that are allowed.

use std::io::Read as _;

use flate2::read::GzDecoder;
use mmsim::hardware::litmus::{Budget, Program, Report, explore, read_programs};
use mmsim::hardware::profile;
use sim_mmu::Policy;

/// More runs than any program needs.
const MOST: u64 = 100_000;

fn programs() -> Vec<Program> {
    let mut text = String::new();
    let sample = &include_bytes!("../mmu/tlb-litmus-programs.jsonl.gz")[..];
    GzDecoder::new(sample).read_to_string(&mut text).expect("the sample is text");
    text.push_str(include_str!("../mmu/more-litmus.jsonl"));
    let read = read_programs(&text).into_iter();
    read.map(|(line, program)| program.unwrap_or_else(|error| panic!("line {line}: {error}"))).collect()
}

/// What a failing program showed, step by step.
fn told(program: &Program, report: &Report) -> String {
    let mut lines = format!("{}: {} (SDM {})", program.name, program.about, program.sdm);
    for step in report.accesses.iter().chain(&report.flags) {
        let name = program.steps[step.step].name.as_deref().unwrap_or("?");
        lines += &format!(
            "\n  step {} `{name}`: seen {:?}, not allowed {:?}, not reached {:?}",
            step.step, step.reached, step.outside, step.missing
        );
    }
    lines + &format!("\n  together {:?}, refused {:?}", report.not_joint, report.refusals)
}

fn never_shows_what_may_not_be(policy: Policy, profile: Option<&str>) {
    let profile = profile.map(|name| profile::open(name).expect("a profile of the project").profile);
    for program in programs() {
        let report = explore(&program, policy, profile.clone(), Budget::Exhaustive(MOST));
        assert!(report.complete, "{}: more runs than {MOST}", program.name);
        assert_eq!(report.outside(), 0, "{policy:?}\n{}", told(&program, &report));
    }
}

#[test]
fn coherent_caches_are_sound() {
    never_shows_what_may_not_be(Policy::Coherent, None);
}

#[test]
fn finite_caches_are_sound() {
    for name in ["zen5", "skylake", "golden-cove"] {
        never_shows_what_may_not_be(Policy::Profile, Some(name));
    }
}

#[test]
fn the_laziest_caches_are_sound() {
    never_shows_what_may_not_be(Policy::Laziest, None);
}

#[test]
fn adversarial_caches_are_sound_and_reach_all_that_is_allowed() {
    for program in programs() {
        for duplicates in [false, true] {
            let report = explore(&program, Policy::Adversarial { duplicates }, None, Budget::Exhaustive(MOST));
            let (reached, demanded) = report.reached();
            let as_it_should_be = report.complete && report.outside() == 0 && reached == demanded;
            assert!(as_it_should_be, "duplicates {duplicates}\n{}", told(&program, &report));
        }
    }
}

/// A sample sees a part of what an exhaustive search sees, and the same part each time.
#[test]
fn a_sample_is_a_part() {
    for program in programs() {
        let policy = Policy::Adversarial { duplicates: false };
        let all = explore(&program, policy, None, Budget::Exhaustive(MOST));
        let sample = |first| explore(&program, policy, None, Budget::Sampled(50, first));
        let (once, again) = (sample(7), sample(7));
        for ((once, again), all) in once.accesses.iter().zip(&again.accesses).zip(&all.accesses) {
            assert_eq!(once.reached, again.reached, "{}", program.name);
            assert!(once.reached.is_subset(&all.reached), "{}: {once:?} of {all:?}", program.name);
        }
    }
}

/// The caches matter: without them, some allowed outcomes are never seen.
#[test]
fn coherent_caches_miss_what_only_staleness_shows() {
    let missing = programs().into_iter().filter(|program| {
        let report = explore(program, Policy::Coherent, None, Budget::Exhaustive(MOST));
        let (reached, demanded) = report.reached();
        reached < demanded
    });
    assert!(missing.count() > 40, "most programs have a stale outcome");
}

#[test]
fn a_line_that_is_no_program_says_why() {
    let good = r#"{"test":"t","cpu":{"cr0":"80010001","cr4":"a0","efer":"d00"},"cr3":"1000","memory":[],"program":[{"op":"a","access":{"va":"0","kind":"r"},"allowed":["pf:0"]}]}"#;
    let cases = [
        ("{", "EOF"),
        ("7", "invalid type"),
        (&good.replace("\"cr3\":\"1000\",", ""), "missing field `cr3`"),
        (&good.replace("80010001", "8001zz"), "`8001zz` is not a hex number"),
        (&good.replace("\"kind\":\"r\"", "\"kind\":\"q\""), "unknown variant `q`"),
        (&good.replace("\"allowed\":[\"pf:0\"]", "\"invlpg\":\"0\""), "a step does one thing, this one 2"),
        (
            &good.replace("\"access\":{\"va\":\"0\",\"kind\":\"r\"}", "\"invlpg\":\"0\""),
            "only an access has `allowed`",
        ),
        (&good.replace("\"efer\":\"d00\"", "\"efer\":\"d00\",\"levels\":5"), "CR4.LA57 makes it 4 levels"),
        (&good.replace("\"efer\":\"d00\"", "\"efer\":\"d00\",\"maxphyaddr\":60"), "MAXPHYADDR is 36 to 52"),
        (
            &good.replace("\"memory\":[]", "\"memory\":[{\"pa\":\"1008\",\"index\":1,\"value\":\"0\"}]"),
            "memory[0]: no entry 1 in a table at 0x1008",
        ),
    ];
    assert!(Program::parse(good).is_ok(), "{:?}", Program::parse(good));
    for (line, why) in cases {
        let error = Program::parse(line).expect_err(line);
        assert!(error.contains(why), "{error}\n  for {line}");
    }
}
