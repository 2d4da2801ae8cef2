//! The output of commands: results go to stdout, errors and progress to stderr.

use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use clap::ColorChoice;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::explore::{Strategy, WHOLE_SEARCH};
use crate::json::{seen, shown};
pub(crate) use crate::number::thousands;
use crate::prose::{self, USUAL_WIDTH, wrapped};

/// The number of columns that is used at least, even if the terminal has fewer.
const NARROWEST: usize = 20;

/// What a command prints on stdout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Text,
    /// One JSON document.
    Json,
    /// A JSON document on each line. Each is written as soon as it is known.
    Jsonl,
    /// The kernel's test protocol.
    Ktap,
    /// JUnit's XML.
    Junit,
    /// A finding as a kernel log would report it.
    Report,
    /// One file for a browser, which needs no network.
    Html,
}

/// The output of a command.
pub(crate) struct Output {
    format: Format,
    stdout: anstream::AutoStream<std::io::Stdout>,
    stderr: anstream::AutoStream<std::io::Stderr>,
    width: usize,
}

pub(crate) const GOOD: Style = AnsiColor::Green.on_default();
pub(crate) const BAD: Style = AnsiColor::Red.on_default().bold();
pub(crate) const DOUBT: Style = AnsiColor::Yellow.on_default();
pub(crate) const HEAD: Style = Style::new().bold();

/// Text in a style.
pub(crate) fn styled(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}

impl Output {
    pub(crate) fn new(format: Format, color: ColorChoice) -> Output {
        let choice = match color {
            ColorChoice::Auto => anstream::ColorChoice::Auto,
            ColorChoice::Always => anstream::ColorChoice::Always,
            ColorChoice::Never => anstream::ColorChoice::Never,
        };
        let terminal = terminal_size::terminal_size_of(std::io::stdout());
        Output {
            width: terminal.map_or(USUAL_WIDTH, |(width, _)| usize::from(width.0).max(NARROWEST)),
            format,
            stdout: anstream::AutoStream::new(std::io::stdout(), choice),
            stderr: anstream::AutoStream::new(std::io::stderr(), choice),
        }
    }

    /// Whether people read the output.
    pub(crate) fn is_text(&self) -> bool {
        self.format == Format::Text
    }

    /// Prints a line for people.
    pub(crate) fn text(&mut self, line: &str) {
        if self.is_text() {
            self.write(line);
        }
    }

    /// Prints a line for people that may be long. It is broken at the width of their terminal.
    pub(crate) fn prose(&mut self, line: &str) {
        self.text(&wrapped(line, self.width));
    }

    /// Prints a command that can be copied into a shell, and what it is for.
    pub(crate) fn command(&mut self, label: &str, command: &str) {
        self.text(&prose::command(label, command, self.width));
    }

    /// The columns of the terminal.
    pub(crate) fn width(&self) -> usize {
        self.width
    }

    /// Prints a part of a report in any format, as it is. Only colours are left out, if they are not wanted.
    pub(crate) fn part(&mut self, text: &str) {
        let written = write!(self.stdout, "{text}").and_then(|()| self.stdout.flush());
        self.must_be_written(written);
    }

    /// Prints the document for programs.
    pub(crate) fn json(&mut self, value: &serde_json::Value) {
        if self.format == Format::Json {
            self.write(&seen(&format!("{value:#}")));
        }
    }

    fn write(&mut self, line: &str) {
        let written = writeln!(self.stdout, "{line}").and_then(|()| self.stdout.flush());
        self.must_be_written(written);
    }

    /// Writes bytes as they are, whatever the format: a stream of results for programs.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        let mut stdout = std::io::stdout().lock();
        let written = stdout.write_all(bytes).and_then(|()| stdout.flush());
        drop(stdout);
        self.must_be_written(written);
    }

    fn must_be_written(&mut self, written: std::io::Result<()>) {
        if let Err(error) = written {
            // It is no error if the reader has gone. Every other error is reported.
            if error.kind() != std::io::ErrorKind::BrokenPipe {
                self.error(&format!("stdout: {error}"));
            }
            std::process::exit(if error.kind() == std::io::ErrorKind::BrokenPipe { 0 } else { 3 });
        }
    }

    /// Prints an error. If stderr is gone too, nobody can be told.
    pub(crate) fn error(&mut self, message: &str) {
        let prefix = if message.contains(": error: ") { String::new() } else { styled(BAD, "error") + ": " };
        // The names of files and options may contain anything.
        let lines: Vec<String> = message.trim_end().split('\n').map(shown).collect();
        drop(writeln!(self.stderr, "{prefix}{}", lines.join("\n")));
    }

    /// Prints a remark that is not a result.
    pub(crate) fn note(&mut self, message: &str) {
        drop(writeln!(self.stderr, "{}", shown(message)));
    }

    /// A bar for a search whose end is not known: how many candidates were tried, and a message. It is seen only on a terminal.
    pub(crate) fn candidates(&self) -> ProgressBar {
        let bar = self.progress("", u64::MAX);
        let style = ProgressStyle::with_template("{spinner} {human_pos} candidates, {elapsed}: {msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
        bar
    }

    /// A progress bar over cases: how many are done, and which was begun last. It is seen only on a terminal.
    pub(crate) fn cases(&self, total: u64) -> ProgressBar {
        let bar = self.progress_in("cases", "", total);
        let style = ProgressStyle::with_template("{bar:20} {pos}/{len} cases, {elapsed}: {wide_msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar
    }

    /// A progress bar over `total` runs, seen only on a terminal.
    pub(crate) fn progress(&self, what: &str, total: u64) -> ProgressBar {
        self.progress_in("runs", what, total)
    }

    /// A progress bar over `runs`, or over the work of a search for all schedules.
    pub(crate) fn progress_of(&self, strategy: Strategy, what: &str, runs: u64) -> ProgressBar {
        if strategy.samples() {
            return self.progress(what, runs);
        }
        let bar = self.progress(what, WHOLE_SEARCH);
        let style = ProgressStyle::with_template("{msg} {bar:30} about {percent} % of all schedules, {elapsed}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar
    }

    /// A progress bar in some unit.
    pub(crate) fn progress_in(&self, unit: &str, what: &str, total: u64) -> ProgressBar {
        // If lines say what is done, there is no bar, because the lines would be written over it.
        let target = if std::io::stderr().is_terminal() && !tracing::enabled!(tracing::Level::INFO) {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        let bar = ProgressBar::with_draw_target(Some(total), target);
        let style = ProgressStyle::with_template(&format!(
            "{{msg}} {{bar:30}} {{human_pos}}/{{human_len}} {unit}, {{per_sec}}, {{eta}} left"
        ));
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_message(what.to_owned());
        bar.enable_steady_tick(Duration::from_millis(200));
        bar
    }
}
