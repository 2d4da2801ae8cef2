//! Reports for people: a line for each item, and texts that help if something is wrong.

use anstyle::{AnsiColor, Style};

use super::{At, Outcome, Report, Status, Totals};
use crate::json::shown;
use crate::prose::{command, wrapped};

/// Text, with colours.
#[derive(Debug)]
pub struct Text {
    /// The widest line.
    pub width: usize,
}

impl Report for Text {
    fn item(&mut self, at: At<'_>, outcome: &Outcome) -> String {
        let mut told = Vec::new();
        if at.is_first() {
            let head = Style::new().bold();
            told.push(format!("{head}{}{head:#}", shown(&at.group().name)));
        }
        let names = at.group().items.iter().map(|item| shown(&item.name).chars().count());
        let aligned = names.max().unwrap_or(0).min(self.width / 3);
        let (style, word) = styled(outcome.status);
        let mut lines = outcome.what.lines().map(shown);
        let first = lines.next().unwrap_or_default();
        told.push(wrapped(
            &format!("  {:aligned$}  {style}{word}{style:#}  {first}", shown(&at.name().name)),
            self.width,
        ));
        told.extend(lines.map(|line| wrapped(&format!("    {line}"), self.width)));
        let helps = !matches!(outcome.status, Status::Inconclusive | Status::ExpectedFailure);
        for (name, value) in outcome.details.iter().filter(|_| helps) {
            let label = format!("    {name}");
            told.push(match *name {
                "command" | "replay" => command(&label, &shown(value), self.width),
                _ => wrapped(&format!("{label}: {}", shown(value)), self.width),
            });
        }
        told.join("\n") + "\n"
    }

    fn end(&mut self, totals: &Totals) -> String {
        let counts: Vec<String> = totals.present().map(|(_, words, number)| format!("{number} {words}")).collect();
        wrapped(&counts.join(", "), self.width) + "\n"
    }
}

fn styled(status: Status) -> (Style, &'static str) {
    let good = AnsiColor::Green.on_default();
    let bad = AnsiColor::Red.on_default().bold();
    let doubt = AnsiColor::Yellow.on_default();
    match status {
        Status::Passed => (good, "ok"),
        Status::ExpectedFailure => (good, "XFAIL"),
        Status::Failed => (bad, "FAILED"),
        Status::UnexpectedPass => (bad, "XPASS"),
        Status::Error => (bad, "ERROR"),
        Status::Inconclusive => (doubt, "INCONCLUSIVE"),
        Status::Skipped => (doubt, "skipped"),
        Status::NotReached => (doubt, "NOT REACHED"),
        Status::Elsewhere => (Style::new(), "-"),
    }
}
