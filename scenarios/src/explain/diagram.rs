//! Layout: a column for each CPU, a row for each thing that happened.

use std::collections::BTreeMap;
use std::fmt::Write;

use sim_core::CpuId;

use super::WIDTH;
use super::story::{Line, Story};
use crate::oracle::telling;

/// Columns left of the first CPU's: the step's number.
const MARGIN: usize = 4;

/// Draws the story.
pub(super) fn draw(story: &Story) -> String {
    let mut cpus: Vec<CpuId> = story.lines.iter().map(|line| line.cpu).collect();
    cpus.sort_unstable();
    cpus.dedup();
    let mut text = String::new();
    if cpus.is_empty() {
        return text;
    }
    let width = (WIDTH - MARGIN) / cpus.len();
    head(&mut text, story, &cpus, width);
    let mut shown: BTreeMap<CpuId, Vec<&str>> = BTreeMap::new();
    for (number, line) in story.lines.iter().enumerate() {
        let column = cpus.iter().position(|cpu| *cpu == line.cpu).unwrap_or(0);
        let stack = outline(line);
        let before = shown.entry(line.cpu).or_default();
        let common = before.iter().zip(&stack).take_while(|(a, b)| a == b).count();
        for (depth, routine) in stack.iter().enumerate().skip(common) {
            cell(&mut text, None, column, width, depth, &format!("{routine}()"));
        }
        let mark = if line.bad { " <--" } else { "" };
        cell(&mut text, Some(number + 1), column, width, stack.len(), &format!("{}{mark}", line.text));
        *before = stack;
    }
    text
}

/// The routines to show: the outermost, which is the system call, and the innermost that tells.
fn outline(line: &Line) -> Vec<&'static str> {
    let mut shown: Vec<&'static str> = line.stack.first().copied().into_iter().collect();
    shown.extend(telling(&line.stack).filter(|routine| shown.first() != Some(routine)));
    shown
}

fn head(text: &mut String, story: &Story, cpus: &[CpuId], width: usize) {
    let titles: Vec<String> = cpus
        .iter()
        .map(|cpu| match story.heads.get(cpu) {
            Some(name) => format!("CPU {}: {name}", cpu.0),
            None => format!("CPU {}", cpu.0),
        })
        .map(|title| title.chars().take(width - 2).collect())
        .collect();
    for line in [&titles, &titles.iter().map(|title| "-".repeat(title.len())).collect()] {
        let row: String = line.iter().map(|title| format!("{title:width$}")).collect();
        let _ = writeln!(text, "{:MARGIN$}{}", "", row.trim_end());
    }
}

/// One cell of one column; text that does not fit goes on below, indented.
fn cell(text: &mut String, number: Option<usize>, column: usize, width: usize, depth: usize, what: &str) {
    let indent = depth.min(3);
    let room = width - indent - 2;
    for (i, part) in fold(what, room).into_iter().enumerate() {
        let number = number.filter(|_| i == 0).map_or_else(String::new, |number| format!("{number:>2}"));
        let indent = indent + if i > 0 { 2 } else { 0 };
        let _ = writeln!(text, "{number:MARGIN$}{:pad$}{part}", "", pad = column * width + indent);
    }
}

/// Breaks at blanks, or within a word that alone is too long. Parts after the first are two shorter.
fn fold(text: &str, room: usize) -> Vec<String> {
    let mut parts: Vec<String> = vec![String::new()];
    for word in text.split(' ') {
        let limit = if parts.len() > 1 { room - 2 } else { room };
        let last = parts.last_mut().expect("never empty");
        if last.is_empty() {
            last.push_str(word);
        } else if last.len() + 1 + word.len() <= limit {
            last.push(' ');
            last.push_str(word);
        } else {
            parts.push(word.to_owned());
        }
        while let Some(last) = parts.last_mut().filter(|last| last.len() > room) {
            let rest = last.split_off(room);
            parts.push(rest);
        }
    }
    parts
}

/// A paragraph of at most `width` columns.
pub(super) fn wrap(text: &str, width: usize) -> String {
    let mut lines = String::new();
    let mut column = 0;
    for word in text.split(' ') {
        if column > 0 && column + 1 + word.len() > width {
            lines.push('\n');
            column = 0;
        } else if column > 0 {
            lines.push(' ');
            column += 1;
        }
        lines.push_str(word);
        column += word.len();
    }
    lines.push('\n');
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_text_is_folded_into_its_column() {
        for room in 6..30 {
            for part in fold("pte of buf: F6 rwAD -> page_cache_get_speculative", room) {
                assert!(part.len() <= room, "{part:?} in {room}");
            }
        }
        assert_eq!(fold("a bb ccc", 4), ["a bb", "ccc"]);
    }

    #[test]
    fn paragraphs_keep_to_their_width() {
        let text = wrap("one two three four five", 9);
        assert_eq!(text, "one two\nthree\nfour five\n");
    }
}
