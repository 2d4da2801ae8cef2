//! `mmsim conform`: programs recorded on real kernels, replayed on the simulated one.

mod show;

use std::io::BufReader;
use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use sim_mm::{AnonOrders, Knob, Release, ShmemOrders, ShmemOrdersWhere};

use super::configure::threads;
use super::interrupt::Interrupts;
use super::output::{BAD, DOUBT, GOOD, HEAD, styled, thousands};
use super::{Exit, Failure, Output, input};
use crate::conform::{Ended, Kind, Program, Score, Traces, Verdict, compare_all, read};
use crate::table::{Side, Table};

#[derive(Debug, clap::Args)]
#[command(after_help = NOTES)]
pub(crate) struct Args {
    /// Traces that the recorder wrote on a real kernel; may be compressed with gzip. `-` is stdin.
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// The release of the simulated kernel: v5.10, or latest. Without it, the release that each trace names.
    #[arg(long, value_name = "RELEASE", value_parser = super::configure::release)]
    kernel: Option<Release>,
    /// Of which size the large folios are that faults on private memory map: 64k, none, all. Without it, what the mappings of each trace tell.
    #[arg(long, value_name = "ANON_ORDERS", value_parser = PossibleValuesParser::new(names::<AnonOrders>()))]
    anon_orders: Option<String>,
    /// The same of shared anonymous memory.
    #[arg(long, value_name = "SHMEM_ORDERS", value_parser = PossibleValuesParser::new(names::<ShmemOrders>()))]
    shmem_orders: Option<String>,
    /// Where shared anonymous memory has them. Without it, wherever they fit.
    #[arg(long, value_name = "WHERE", value_parser = PossibleValuesParser::new(names::<ShmemOrdersWhere>()))]
    shmem_orders_where: Option<String>,
    /// The number of threads, which never changes the output. The default is one for each processor.
    #[arg(long, short, value_parser = clap::value_parser!(u16).range(1..=1024))]
    jobs: Option<u16>,
    /// Replays only the program of this number, and shows where it ends: the step, what was recorded, what the
    /// simulated kernel did, and the state around it.
    #[arg(long, value_name = "N")]
    program: Option<u64>,
}

const NOTES: &str = "Each program is replayed step by step on one CPU. After each step the result, the accesses and \
signals, the fault count, the mappings with flags and statistics, and the pages with frame, mapcount, marks and \
contents must be those that were recorded. A program ends at its first step that differs, or at its first operation \
that is not modelled.\n\n\
Exit codes: 3 if a line was malformed (the other programs are compared all the same); else 6 if it was interrupted \
(the programs that were compared count); else 4 if there was no program; \
else 1 if --program was given and the program diverged; else 0. Without --program a divergence lowers the score, \
and is no failure.";

/// The names of a knob's values.
fn names<K: Knob>() -> impl Iterator<Item = &'static str> {
    K::SETTING.values.iter().map(|value| value.name)
}

/// The knob becomes what an option says, if it is given.
fn choose<K: Knob>(knob: &mut K, option: Option<&str>) {
    if let Some(place) = option.and_then(|name| K::SETTING.by_name(name)) {
        *knob = K::VALUES[place];
    }
}

/// The programs that are compared, and the results.
struct Compared {
    programs: Vec<Program>,
    verdicts: Vec<Verdict>,
    bad_lines: u64,
    left_out: u64,
}

/// Compares the programs of all files.
pub(crate) fn run(args: &Args, output: &mut Output, interrupts: &Interrupts) -> Result<Exit, Failure> {
    let jobs = threads(args.jobs);
    let mut programs = Vec::new();
    let (mut bad_lines, mut left_out) = (0, 0);
    for file in &args.files {
        let name = input::name(file);
        let stream = BufReader::new(input::open(file)?);
        let Traces { programs: read, left_out: without, bad } =
            read(stream).map_err(|error| Failure::bad_input(format!("{name}: {error}")))?;
        for error in &bad {
            output.error(&format!("{name}:{}: error: {}", error.line, error.message));
        }
        bad_lines += bad.len() as u64;
        left_out += without;
        let mut read = read;
        for Program { setting, .. } in &mut read {
            choose(&mut setting.host.anon_orders, args.anon_orders.as_deref());
            choose(&mut setting.host.shmem_orders, args.shmem_orders.as_deref());
            choose(&mut setting.host.shmem_orders_where, args.shmem_orders_where.as_deref());
        }
        programs.extend(read.into_iter().filter(|program| args.program.is_none_or(|n| n == program.number)));
    }
    let bar = output.progress_in("programs", "conform", programs.len() as u64);
    let verdicts = compare_all(&programs, args.kernel, jobs, interrupts.watch(), &|| bar.inc(1));
    bar.finish_and_clear();
    // Programs that an interrupt left out are reported, and do not count.
    let begun = |(program, verdict): (Program, Option<Verdict>)| Some((program, verdict?));
    let all = programs.len();
    let (programs, verdicts): (Vec<_>, Vec<_>) = programs.into_iter().zip(verdicts).filter_map(begun).unzip();
    let not_begun = (all - programs.len()) as u64;
    if not_begun > 0 {
        output.error(&format!("interrupted: {} not compared", self::programs(not_begun)));
    }
    let compared = Compared { programs, verdicts, bad_lines, left_out };
    match args.program {
        Some(_) => compared.show(output),
        None => compared.tell(output),
    }
    let diverged = compared.verdicts.iter().any(|verdict| matches!(verdict.ended, Ended::Diverged(_)));
    Ok(match (&compared, args.program) {
        (Compared { bad_lines: 1.., .. }, _) => Exit::BadInput,
        _ if not_begun > 0 => Exit::Inconclusive,
        (Compared { programs, .. }, _) if programs.is_empty() => Exit::NothingRan,
        (_, Some(_)) if diverged => Exit::Violation,
        _ => Exit::AsExpected,
    })
}

impl Compared {
    fn score(&self) -> Score {
        let mut score = Score::default();
        self.programs.iter().zip(&self.verdicts).for_each(|(program, verdict)| score.add(program, verdict));
        score
    }

    /// The programs that diverged, in order, each with the step.
    fn diverged(&self) -> Vec<Divergence<'_>> {
        let ends = self.programs.iter().zip(&self.verdicts);
        ends.filter_map(|(program, verdict)| {
            let kind = verdict.ended.kind()?;
            Some(Divergence { program, step: verdict.identical, kind })
        })
        .collect()
    }

    fn show(&self, output: &mut Output) {
        for (program, verdict) in self.programs.iter().zip(&self.verdicts) {
            show::text(program, verdict).iter().for_each(|line| output.text(line));
        }
        let documents = self.programs.iter().zip(&self.verdicts);
        output.json(&serde_json::Value::Array(
            documents.map(|(program, verdict)| show::document(program, verdict)).collect(),
        ));
    }

    fn tell(&self, output: &mut Output) {
        let score = self.score();
        for line in table(&score) {
            output.text(&line);
        }
        let diverged = self.diverged();
        for line in listed(&diverged) {
            output.text(&line);
        }
        if self.left_out > 0 {
            output.text(&format!("{} left out: a line of theirs is malformed", programs(self.left_out)));
        }
        let mut document = serde_json::to_value(&score).unwrap_or_default();
        document["bad_lines"] = self.bad_lines.into();
        document["left_out"] = self.left_out.into();
        document["diverged"] = diverged.iter().map(Divergence::document).collect();
        output.json(&document);
    }
}

/// Where a program diverged.
struct Divergence<'a> {
    program: &'a Program,
    step: usize,
    kind: Kind,
}

impl Divergence<'_> {
    fn operation(&self) -> &str {
        &self.program.steps[self.step].op
    }

    fn document(&self) -> serde_json::Value {
        serde_json::json!({
            "program": self.program.number, "step": self.step, "operation": self.operation(),
            "kind": self.kind.to_string(),
        })
    }
}

/// The most divergences that the text lists.
const LISTED: usize = 10;

/// Where programs diverged, for people.
fn listed(diverged: &[Divergence<'_>]) -> Vec<String> {
    if diverged.is_empty() {
        return Vec::new();
    }
    let mut text = vec![String::new(), styled(HEAD, "  diverged at (--program N shows more)")];
    for divergence in diverged.iter().take(LISTED) {
        let Divergence { program, step, kind } = divergence;
        text.push(format!("  program {}, step {step}: {}, {kind}", program.number, divergence.operation()));
    }
    if diverged.len() > LISTED {
        text.push(format!("  and {} more; --format json lists all", thousands((diverged.len() - LISTED) as u64)));
    }
    text
}

fn programs(number: u64) -> String {
    format!("{} program{}", thousands(number), if number == 1 { "" } else { "s" })
}

/// The score for people.
fn table(score: &Score) -> Vec<String> {
    let mut text = vec![
        styled(HEAD, &programs(score.programs)),
        format!("  {}", styled(GOOD, &format!("{:>6} identical to the end", thousands(score.identical)))),
        format!(
            "  {}",
            styled(
                DOUBT,
                &format!(
                    "{:>6} identical up to the first operation that is not modelled",
                    thousands(score.identical_to_first_unmodelled)
                )
            )
        ),
        format!("  {}", styled(BAD, &format!("{:>6} diverged", thousands(score.diverged())))),
        format!("{} of {} steps identical", thousands(score.steps_identical), thousands(score.steps)),
        String::new(),
    ];
    let mut table = Table::new(2, [Side::Left, Side::Right, Side::Right, Side::Right, Side::Left]);
    table.row(["operation", "steps", "identical", "unmodelled", "diverged by"].map(str::to_owned));
    for (name, operation) in &score.by_operation {
        let diverged: Vec<String> = operation.diverged.iter().map(|(kind, n)| format!("{kind} {n}")).collect();
        table.row([
            name.to_string(),
            thousands(operation.steps),
            thousands(operation.identical),
            if operation.not_modelled == 0 { "-".to_owned() } else { thousands(operation.not_modelled) },
            diverged.join(", "),
        ]);
    }
    let mut lines = table.lines().into_iter();
    text.extend(lines.next().map(|head| styled(HEAD, &head)));
    text.extend(lines);
    text
}
