//! `mmsim mmu walk`: one walk, entry by entry.

use std::path::Path;

use super::translate::Maker;
use super::{Exit, Failure, Output};
use crate::cli::input;
use crate::cli::output::{BAD, GOOD, HEAD, styled};
use crate::hardware::translate::case::{Case, CaseError};
use crate::hardware::translate::lines::{Chunks, lines_of};
use crate::hardware::walk::{Tone, WalkReport};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A case: a JSON object, or a file with one a line, `-` for stdin.
    case: String,
    /// The case of the file with this id; the first if it is not given.
    #[arg(long)]
    id: Option<String>,
    /// The maker of the processor.
    #[arg(long, value_enum, default_value_t = Maker::Intel)]
    vendor: Maker,
}

pub(crate) fn run(args: &Args, output: &mut Output) -> Result<Exit, Failure> {
    let told = if args.case.trim_start().starts_with('{') {
        let case = Case::parse(args.case.as_bytes()).map_err(|error| at("case", 1, &error))?;
        if args.id.as_ref().is_some_and(|id| *id != case.id) {
            return Err(Failure::bad_input(format!("the case has the id `{}`", case.id)));
        }
        WalkReport::of(&case, args.vendor.into())
    } else {
        look_up(args)?
    };
    for line in told.lines() {
        output.text(&match line.tone {
            Tone::Head => styled(HEAD, &line.text),
            Tone::Plain => line.text,
            Tone::Good => styled(GOOD, &line.text),
            Tone::Bad => styled(BAD, &line.text),
        });
    }
    output.json(&serde_json::json!(told));
    Ok(Exit::AsExpected)
}

/// The case of a file that the options choose.
fn look_up(args: &Args) -> Result<WalkReport, Failure> {
    let path = Path::new(&args.case);
    let name = input::name(path);
    let mut number = 0;
    let mut first_bad = None;
    for chunk in Chunks::new(input::open(path)?) {
        let chunk = chunk.map_err(|error| Failure::bad_input(format!("{name}: {error}")))?;
        for line in lines_of(&chunk) {
            number += 1;
            if line.trim_ascii().is_empty() {
                continue;
            }
            match Case::parse(line) {
                Ok(case) if args.id.as_ref().is_none_or(|id| *id == case.id) => {
                    return Ok(WalkReport::of(&case, args.vendor.into()));
                }
                Ok(_) => {}
                Err(error) if args.id.is_none() => return Err(at(&name, number, &error)),
                // It may be the case that is looked for.
                Err(error) => first_bad = first_bad.or(Some(at(&name, number, &error))),
            }
        }
    }
    Err(first_bad.unwrap_or_else(|| {
        Failure::bad_input(match &args.id {
            Some(id) => format!("{name}: no case has the id `{id}`"),
            None => format!("{name}: there is no case"),
        })
    }))
}

fn at(file: &str, line: u64, error: &CaseError) -> Failure {
    Failure::bad_input(format!("{file}:{line}:{}: error: {error}", error.column))
}
