//! KTAP, version 1: `Documentation/dev-tools/ktap.rst` of the kernel, with the totals of its selftests.
//!
//! A group is a test, and its items are the subtests. Diagnostic lines stand before the result that they are about.

use super::{At, Outcome, Report, Status, Totals};
use crate::json::{shown, visible};

/// KTAP.
#[derive(Debug, Default)]
pub struct Ktap {
    begun: bool,
    /// The number of items of the group with each status.
    group: Vec<Status>,
}

/// The indentation of a level.
const INDENT: &str = "  ";

impl Report for Ktap {
    fn item(&mut self, at: At<'_>, outcome: &Outcome) -> String {
        let mut text = String::new();
        if !self.begun {
            self.begun = true;
            text.push_str(&format!("KTAP version 1\n1..{}\n", at.plan.groups.len()));
        }
        if at.is_first() {
            self.group.clear();
            text.push_str(&format!("{INDENT}KTAP version 1\n{INDENT}# Subtest: {}\n", name(&at.group().name)));
            text.push_str(&format!("{INDENT}1..{}\n", at.group().items.len()));
        }
        self.group.push(outcome.status);
        for line in diagnostics(outcome) {
            text.push_str(&format!("{INDENT}# {}\n", shown(&line)));
        }
        let result = result(outcome.status);
        let why = remark(outcome).map_or_else(String::new, |why| format!(" # {}", shown(&why)));
        text.push_str(&format!("{INDENT}{result} {} {}{why}\n", at.item + 1, name(&at.name().name)));
        if at.is_last() {
            let (result, why) = self.group_result();
            text.push_str(&format!("{result} {} {}{why}\n", at.group + 1, name(&at.group().name)));
        }
        text
    }

    fn end(&mut self, totals: &Totals) -> String {
        let of = |statuses: &[Status]| statuses.iter().map(|status| totals.of(*status)).sum::<u64>();
        let begin = if self.begun { "" } else { "KTAP version 1\n1..0\n" };
        format!(
            "{begin}# Totals: pass:{} fail:{} xfail:{} xpass:{} skip:{} error:{}\n",
            of(&[Status::Passed]),
            of(&[Status::Failed]),
            of(&[Status::ExpectedFailure]),
            of(&[Status::UnexpectedPass]),
            of(&[Status::Skipped, Status::NotReached, Status::Elsewhere]),
            of(&[Status::Error, Status::Inconclusive]),
        )
    }
}

impl Ktap {
    fn group_result(&self) -> (&'static str, &'static str) {
        let left_out =
            |status: &Status| matches!(status, Status::Skipped | Status::NotReached | Status::Elsewhere);
        if self.group.iter().any(|status| result(*status) == "not ok") {
            ("not ok", "")
        } else if self.group.iter().all(left_out) {
            ("ok", " # SKIP")
        } else {
            ("ok", "")
        }
    }
}

fn result(status: Status) -> &'static str {
    match status {
        Status::Passed | Status::ExpectedFailure => "ok",
        Status::Skipped | Status::NotReached | Status::Elsewhere => "ok",
        Status::Failed | Status::UnexpectedPass | Status::Inconclusive | Status::Error => "not ok",
    }
}

/// What stands behind the name: a directive and its reason.
fn remark(outcome: &Outcome) -> Option<String> {
    let why = outcome.what.lines().next().unwrap_or_default();
    match outcome.status {
        Status::Passed | Status::Failed => None,
        Status::ExpectedFailure => Some(format!("XFAIL {why}")),
        Status::UnexpectedPass => Some(format!("XPASS {why}")),
        Status::Inconclusive => Some(format!("inconclusive: {why}")),
        Status::Error => Some(format!("ERROR {why}")),
        Status::Skipped => Some(format!("SKIP {why}")),
        Status::NotReached => Some(format!("SKIP not reached: {why}")),
        Status::Elsewhere => Some(format!("SKIP left to the merge: {why}")),
    }
}

fn diagnostics(outcome: &Outcome) -> Vec<String> {
    let mut lines: Vec<String> = match outcome.status {
        Status::Passed | Status::Failed => vec![outcome.what.clone()],
        Status::Error => outcome.what.lines().map(str::to_owned).collect(),
        _ => Vec::new(),
    };
    lines.extend(outcome.details.iter().map(|(name, value)| format!("{name}: {value}")));
    lines
}

/// A description. It has no `#`, which would begin a directive, and no character that nobody sees.
fn name(text: &str) -> String {
    text.chars().map(|c| if c == '#' || !visible(c) { '_' } else { c }).collect()
}
