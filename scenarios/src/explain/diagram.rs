//! Layout: a column for each CPU, a row for each thing that happened.

use std::collections::BTreeMap;
use std::fmt::Write;

use sim_core::CpuId;

use super::line::Line;
use super::story::Story;

/// The widest line, so that a diagram survives a mail.
pub const WIDTH: usize = 75;

/// The width of the number of a line, which stands left of the column of the first CPU.
const MARGIN: usize = 4;

/// Blanks between two columns.
const GAP: usize = 3;

/// Routines deeper than this are not indented further.
const DEEPEST: usize = 3;

/// Draws the story.
pub(super) fn draw(story: &Story) -> String {
    let mut cpus: Vec<CpuId> = story.lines.iter().map(|line| line.cpu).collect();
    cpus.sort_unstable();
    cpus.dedup();
    let mut text = String::new();
    if cpus.is_empty() {
        return text;
    }
    let columns = Columns::of(story, &cpus);
    head(&mut text, story, &cpus, &columns);
    let mut shown: BTreeMap<CpuId, Vec<String>> = BTreeMap::new();
    for (number, line) in story.lines.iter().enumerate() {
        let column = cpus.iter().position(|cpu| *cpu == line.cpu).unwrap_or(0);
        let stack = line.outline();
        let before = shown.entry(line.cpu).or_default();
        let common = before.iter().zip(&stack).take_while(|(a, b)| a == b).count();
        for (depth, routine) in stack.iter().enumerate().skip(common) {
            columns.cell(&mut text, None, column, depth, routine);
        }
        columns.cell(&mut text, Some(number + 1), column, stack.len(), &said(line));
        if let Some(remark) = &line.remark {
            columns.cell(&mut text, None, column, stack.len(), &format!("// {remark}"));
        }
        *before = stack;
    }
    text
}

fn said(line: &Line) -> String {
    format!("{}{}", line.fact, if line.bad { " <--" } else { "" })
}

/// Where each column begins and how wide it is, the gap to the next included.
struct Columns {
    widths: Vec<usize>,
}

impl Columns {
    /// Columns as wide as their text. If that is too much, the widest columns are made narrower: as long as there are any, those
    /// in which no word breaks by it.
    fn of(story: &Story, cpus: &[CpuId]) -> Columns {
        // The width of the longest text of a column, and that of its longest word.
        let natural = |cpu: &CpuId| {
            let lines = story.lines.iter().filter(|line| line.cpu == *cpu);
            let texts = lines.flat_map(|line| {
                let stack = line.outline();
                let depth = stack.len();
                let remark = line.remark.iter().map(|remark| format!("// {remark}"));
                let said = [said(line)].into_iter().chain(remark).map(move |text| (depth, text));
                stack.into_iter().enumerate().chain(said).collect::<Vec<_>>()
            });
            let title = title(story, *cpu).len();
            texts.fold((title + GAP, title + GAP), |(longest, word), (depth, text)| {
                let before = depth.min(DEEPEST) + GAP;
                (longest.max(before + text.len()), word.max(before + longest_word(&text)))
            })
        };
        let (mut widths, words): (Vec<usize>, Vec<usize>) = cpus.iter().map(natural).unzip();
        while widths.iter().sum::<usize>() > WIDTH - MARGIN + GAP {
            let widest = (0..widths.len()).max_by_key(|&n| (widths[n] > words[n], widths[n]));
            widths[widest.expect("there is a column")] -= 1;
        }
        Columns { widths }
    }

    /// One cell of one column. Text that does not fit goes on below, indented.
    fn cell(&self, text: &mut String, number: Option<usize>, column: usize, depth: usize, what: &str) {
        let indent = depth.min(DEEPEST);
        let start: usize = self.widths[..column].iter().sum();
        let room = self.widths[column] - indent - GAP;
        for (i, part) in fold(what, room).into_iter().enumerate() {
            let number = number.filter(|_| i == 0).map_or_else(String::new, |number| format!("{number:>2}"));
            let indent = indent + if i > 0 { 2 } else { 0 };
            let _ = writeln!(text, "{number:MARGIN$}{:pad$}{part}", "", pad = start + indent);
        }
    }
}

/// The room that a text needs so that none of its words breaks. What is folded stands further to the right.
fn longest_word(text: &str) -> usize {
    text.split(' ').enumerate().map(|(n, word)| word.len() + if n > 0 { 2 } else { 0 }).max().unwrap_or(0)
}

fn title(story: &Story, cpu: CpuId) -> String {
    match story.heads.get(&cpu) {
        Some(name) => format!("CPU {}: {name}", cpu.0),
        None => format!("CPU {}", cpu.0),
    }
}

fn head(text: &mut String, story: &Story, cpus: &[CpuId], columns: &Columns) {
    let titles = cpus.iter().zip(&columns.widths).map(|(cpu, width)| {
        let title: String = title(story, *cpu).chars().take(width - GAP).collect();
        (title, *width)
    });
    let titles: Vec<(String, usize)> = titles.collect();
    let row: String = titles.iter().map(|(title, width)| format!("{title:width$}")).collect();
    let rule: String = titles.iter().map(|(title, width)| format!("{:width$}", "-".repeat(title.len()))).collect();
    for line in [row, rule] {
        let _ = writeln!(text, "{:MARGIN$}{}", "", line.trim_end());
    }
}

/// Breaks a text at blanks, or within a word that is too long by itself. The parts after the first are shorter by two.
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
