//! The formats that each command can write.

use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use clap::{Arg, Command, ValueEnum as _};

use super::Format;

/// What a command can write.
pub(super) fn of(command: &str) -> &'static [Format] {
    match command {
        "completions" | "man" => &[Format::Text],
        "test" | "merge" => &[Format::Text, Format::Json, Format::Jsonl, Format::Ktap, Format::Junit],
        "matrix" => &[Format::Text, Format::Json, Format::Html],
        "explain" => &[Format::Text, Format::Json, Format::Report],
        _ => &[Format::Text, Format::Json],
    }
}

/// The names of formats, as a list.
pub(super) fn names(formats: &[Format]) -> String {
    let values = formats.iter().filter_map(|format| format.to_possible_value());
    values.map(|value| value.get_name().to_owned()).collect::<Vec<_>>().join(", ")
}

/// The command line. At each command it has a `--format` option that takes the formats which that command can write.
pub(super) fn narrowed(command: Command) -> Command {
    command.mut_subcommands(|command| {
        let formats = of(command.get_name());
        with_option(command, formats)
    })
}

fn with_option(command: Command, formats: &'static [Format]) -> Command {
    let values = formats.iter().filter_map(|format| format.to_possible_value());
    let parser =
        PossibleValuesParser::new(values).map(|name| Format::from_str(&name, false).unwrap_or(Format::Text));
    let option = Arg::new("format")
        .long("format")
        .value_name("FORMAT")
        .help("What to print on stdout")
        .value_parser(parser)
        .default_value("text")
        .hide(formats.len() == 1);
    command.arg(option).mut_subcommands(|command| with_option(command, formats))
}
