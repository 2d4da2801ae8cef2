//! For people: a line an item, and what helps where something is wrong.

use anstyle::{AnsiColor, Style};

use super::{At, Outcome, Report, Status, Totals};

/// Text, with colours.
#[derive(Debug, Default)]
pub struct Text;

impl Report for Text {
    fn item(&mut self, at: At<'_>, outcome: &Outcome) -> String {
        let mut text = String::new();
        if at.is_first() {
            let head = Style::new().bold();
            text.push_str(&format!("{head}{}{head:#}\n", at.group().name));
        }
        let width = at.group().items.iter().map(|item| item.name.chars().count()).max().unwrap_or(0);
        let (style, word) = shown(outcome.status);
        let mut lines = outcome.what.lines();
        let first = lines.next().unwrap_or_default();
        text.push_str(&format!("  {:width$}  {style}{word}{style:#}  {first}\n", at.name().name));
        for line in lines {
            text.push_str(&format!("    {line}\n"));
        }
        let told = !matches!(outcome.status, Status::Inconclusive | Status::ExpectedFailure);
        for (name, value) in outcome.details.iter().filter(|_| told) {
            text.push_str(&format!("    {name}: {value}\n"));
        }
        text
    }

    fn end(&mut self, totals: &Totals) -> String {
        let counts: Vec<String> = totals.present().map(|(_, words, number)| format!("{number} {words}")).collect();
        format!("{}\n", counts.join(", "))
    }
}

fn shown(status: Status) -> (Style, &'static str) {
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
