//! The errors of a file, with their places.

use std::fmt;
use std::ops::Range;

use super::suggest::{shown, visible};

/// The number of characters that are shown of a line of the file. Of a longer line, half of them come before the place of the
/// error.
const LINE: usize = 120;

/// The number of characters in a report, which has little room.
pub(crate) const EXCERPT: usize = 60;

/// All errors of a file, in the order of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadErrors {
    /// The name by which the file was opened.
    pub file: String,
    /// The errors: at least one.
    pub errors: Vec<LoadError>,
}

/// One error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadError {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// The JSON path, for example `threads[0].run[1].gup_fast.at`. It is empty for the file as a whole.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// A suggestion: what may have been meant.
    pub help: Option<String>,
    excerpt: Excerpt,
}

/// The part of a line of the file that an error is about.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Excerpt {
    text: String,
    /// Characters before the carets.
    before: usize,
    /// The number of carets.
    width: usize,
}

/// An error as the decoder notes it, with the bytes of the file that it is about.
#[derive(Debug)]
pub(crate) struct Problem {
    pub(crate) range: Range<usize>,
    pub(crate) path: String,
    pub(crate) message: String,
    pub(crate) help: Option<String>,
}

impl LoadErrors {
    /// Finds the lines and columns of the problems, in one pass over the text.
    pub(crate) fn locate(file: &str, text: &str, mut problems: Vec<Problem>) -> LoadErrors {
        problems.sort_by_key(|problem| problem.range.start);
        let (mut line, mut column, mut seen) = (1, 1, 0);
        let mut errors = Vec::with_capacity(problems.len());
        for Problem { range, path, message, help } in problems {
            let start = text.floor_char_boundary(range.start);
            for c in text[seen..start].chars() {
                (line, column) = if c == '\n' { (line + 1, 1) } else { (line, column + 1) };
            }
            seen = start;
            let end = text.floor_char_boundary(range.end).max(start);
            errors.push(LoadError { line, column, path, message, help, excerpt: Excerpt::new(text, start..end) });
        }
        LoadErrors { file: file.to_owned(), errors }
    }
}

impl Excerpt {
    fn new(text: &str, range: Range<usize>) -> Excerpt {
        let in_line = |c: &char| *c != '\n';
        let printable = |c: char| match c {
            c if c.is_control() => ' ',
            c if visible(c) => c,
            _ => '\u{fffd}',
        };
        let mut before: Vec<char> = text[..range.start].chars().rev().take_while(in_line).take(LINE + 1).collect();
        let mut after: Vec<char> = text[range.start..].chars().take_while(in_line).take(LINE + 1).collect();
        if before.len() + after.len() > LINE {
            for part in [&mut before, &mut after].into_iter().filter(|part| part.len() > LINE / 2) {
                part.splice(LINE / 2.., "...".chars());
            }
        }
        let width = text[range].chars().take_while(in_line).take(after.len()).count().max(1);
        let line: String = before.iter().rev().chain(&after).copied().map(printable).collect();
        Excerpt { text: line.trim_end().to_owned(), before: before.len(), width }
    }
}

impl Excerpt {
    /// A part of it of so many characters. The carets begin in that part.
    fn clipped(&self, room: usize) -> Excerpt {
        let start = self.before.saturating_sub(room / 2);
        let mut text: Vec<char> = self.text.chars().skip(start).take(room).collect();
        if start > 0 {
            text.splice(..text.len().min(3), "...".chars());
        }
        if self.text.chars().nth(start + room).is_some() {
            text.splice(room.saturating_sub(3).., "...".chars());
        }
        let before = self.before - start;
        Excerpt {
            text: text.into_iter().collect(),
            before,
            width: self.width.min(room.saturating_sub(before)).max(1),
        }
    }
}

/// Shows all errors. A precision says how many characters of a line of the file are shown: `{:.60}`.
impl fmt::Display for LoadErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = shown(&self.file);
        for (i, error) in self.errors.iter().enumerate() {
            let separator = if i == 0 { "" } else { "\n\n" };
            write!(f, "{separator}{file}:")?;
            error.fmt(f)?;
        }
        match self.errors.len() {
            0 | 1 => Ok(()),
            many => write!(f, "\n\n{file}: {many} errors"),
        }
    }
}

/// `LINE:COLUMN: error: MESSAGE`, the path, the line with carets under the place, and the help.
impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: error: {}", self.line, self.column, self.message)?;
        if !self.path.is_empty() {
            write!(f, "\n  at {}", self.path)?;
        }
        let Excerpt { text, before, width } = &self.excerpt.clipped(f.precision().unwrap_or(usize::MAX));
        if !text.is_empty() {
            let (number, indent, carets) = (self.line.to_string(), " ".repeat(*before), "^".repeat(*width));
            let margin = " ".repeat(number.len());
            write!(f, "\n {number} | {text}\n {margin} | {indent}{carets}")?;
        }
        if let Some(help) = &self.help {
            write!(f, "\n  help: {help}")?;
        }
        Ok(())
    }
}

impl std::error::Error for LoadErrors {}

#[cfg(test)]
mod tests {
    use super::*;

    fn locate(text: &str, ranges: &[Range<usize>]) -> LoadErrors {
        let problem = |range: &Range<usize>| Problem {
            range: range.clone(),
            path: String::new(),
            message: "wrong".to_owned(),
            help: None,
        };
        LoadErrors::locate("f.json", text, ranges.iter().map(problem).collect())
    }

    #[test]
    fn lines_and_columns_count_characters() {
        let found = locate("äb\n\töd x", &[7..9, 0..2]);
        let places: Vec<_> = found.errors.iter().map(|e| (e.line, e.column)).collect();
        assert_eq!(places, [(1, 1), (2, 3)]);
        assert_eq!(
            found.to_string(),
            "f.json:1:1: error: wrong\n 1 | äb\n   | ^\n\n\
             f.json:2:3: error: wrong\n 2 |  öd x\n   |   ^^\n\n\
             f.json: 2 errors"
        );
    }

    #[test]
    fn long_lines_are_clipped_around_the_place() {
        let text = format!("{}here{}", "a".repeat(1000), "b".repeat(1000));
        let shown = locate(&text, std::slice::from_ref(&(1000..1004))).to_string();
        let expected = format!("...{}here{}...", "a".repeat(60), "b".repeat(56));
        assert!(shown.contains(&expected), "{shown}");
        assert!(shown.ends_with(&format!("{}^^^^", " ".repeat(63))), "{shown}");
    }

    #[test]
    fn as_much_of_a_line_is_shown_as_is_asked_for() {
        let text = format!("{}here{}", "a".repeat(30), "b".repeat(30));
        let found = locate(&text, std::slice::from_ref(&(30..34)));
        let expected = format!("f.json:1:1: error: wrong\n 1 | {}\n   | {}^^^^", &text, " ".repeat(30));
        assert_eq!(found.to_string().replace("1:31", "1:1"), expected);
        let clipped = format!("{found:.20}");
        assert!(clipped.ends_with(" 1 | ...aaaaaaaherebbb...\n   |           ^^^^"), "{clipped}");
        assert_eq!(format!("{:.64}", found), found.to_string());
    }

    #[test]
    fn places_outside_of_the_text_are_harmless() {
        assert_eq!(locate("", std::slice::from_ref(&(7..9))).to_string(), "f.json:1:1: error: wrong");
        assert!(locate("é", std::slice::from_ref(&(1..1))).to_string().ends_with("^"));
    }
}
