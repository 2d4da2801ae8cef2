//! The walk as text, of at most 100 columns.

use std::fmt;

use super::step::{Bits, Step};
use super::{Ending, WalkReport, Walked};

/// A line of the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// How it may be set off.
    pub tone: Tone,
    /// What it says.
    pub text: String,
}

/// What a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// A heading.
    Head,
    /// An ordinary line.
    Plain,
    /// A rule or an outcome that lets the access pass.
    Good,
    /// A rule or an outcome that does not.
    Bad,
}

/// This stands once at the top, so that a reader finds the sections in any edition.
const SECTIONS: &str = "Sections: Intel SDM, volume 3A, chapter 4; it is chapter 5 in editions from 2024 on.";

/// The longest line, in bytes.
const WIDTH: usize = 100;

/// The heads of the columns of an entry.
const COLUMNS: &str = "entry  table          index  value             P RW US A D PS G PAT XD key  address";

impl WalkReport {
    /// The lines of the text.
    pub fn lines(&self) -> Vec<Line> {
        let mut lines = Lines(Vec::new());
        lines.add(Tone::Head, format!("{}: {} levels, {}", printable(&self.id), self.levels(), self.vendor));
        lines.plain(SECTIONS.to_owned());
        lines.plain(String::new());
        self.registers(&mut lines);
        let (top, canonical) = (self.va_bits - 1, self.canonical);
        let bits = if canonical { "are all alike" } else { "differ" };
        lines.plain(String::new());
        lines.add(
            if canonical { Tone::Plain } else { Tone::Bad },
            format!(
                "address {} is{} canonical: bits 63:{top} {bits} (4.5; volume 1, 3.3.7.1)",
                self.va,
                if canonical { "" } else { " not" }
            ),
        );
        for remark in &self.remarks {
            lines.plain(format!("remark: {remark}"));
        }
        for walk in &self.walks {
            lines.plain(String::new());
            walk.tell(self, &mut lines);
        }
        lines.plain(String::new());
        lines.plain(format!("A and D: {} before, {} after (top level first; B is both)", self.ad_before, self.ad));
        lines.0
    }

    fn levels(&self) -> u32 {
        (self.va_bits - 12) / 9
    }

    fn registers(&self, lines: &mut Lines) {
        for register in &self.registers {
            let set = set(&register.set);
            let clear = register.clear.join(" ");
            let clear = if clear.is_empty() { clear } else { format!("; not {clear}") };
            let set = if set.is_empty() && clear.is_empty() { "no key" } else { &set };
            lines.plain(format!("{:<5} {:>8}  {set}{clear}", register.name, register.value));
        }
        lines.plain(format!("CPL {}, EFLAGS.AC {}, MAXPHYADDR {}", self.cpl, u8::from(self.ac), self.maxphyaddr));
    }
}

impl fmt::Display for WalkReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines().iter().try_for_each(|line| writeln!(f, "{}", line.text))
    }
}

/// A text without characters on which a terminal would act.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

struct Lines(Vec<Line>);

impl Lines {
    /// Adds a line. If it is too long, it becomes several lines with the same indentation.
    fn add(&mut self, tone: Tone, text: String) {
        // A text may begin with more blanks than a line has room for.
        let indent = (text.len() - text.trim_start().len() + 2).min(WIDTH / 2);
        let mut rest = text.as_str();
        let mut line = String::new();
        while line.len() + rest.len() > WIDTH {
            let room = rest.floor_char_boundary(WIDTH - line.len());
            // The line is not broken within the blanks at its beginning.
            let blank = rest[..room].rfind(' ').filter(|at| !rest[..*at].trim().is_empty());
            let (part, next) = rest.split_at(blank.unwrap_or(room));
            self.0.push(Line { tone, text: line + part });
            (line, rest) = (" ".repeat(indent), next.trim_start());
        }
        self.0.push(Line { tone, text: line + rest });
    }

    fn plain(&mut self, text: String) {
        self.add(Tone::Plain, text);
    }
}

impl Walked {
    fn tell(&self, told: &WalkReport, lines: &mut Lines) {
        lines.add(Tone::Head, self.access.clone());
        if !self.steps.is_empty() {
            lines.plain(format!("  {COLUMNS}"));
        }
        for step in &self.steps {
            lines.plain(format!("  {}", step.columns()));
            lines.plain(format!("         {}", step.does));
        }
        if let Some(rights) = self.rights {
            lines.plain(format!(
                "  rights over all levels: R/W {}, U/S {}, XD {}; key {}",
                u8::from(rights.rw),
                u8::from(rights.us),
                u8::from(rights.xd),
                rights.key
            ));
        }
        for rule in &self.rules {
            let (tone, verdict) = if rule.allowed { (Tone::Plain, "allows") } else { (Tone::Bad, "DENIES") };
            lines.add(tone, format!("  {:<4} {verdict}: {} ({})", rule.by, rule.because, rule.section));
        }
        match &self.ending {
            Ending::Pa(pa) => {
                let offset = self.offset.as_deref().unwrap_or_default();
                lines.add(Tone::Good, format!("  completes at physical address {pa}, {offset} into the page"));
            }
            Ending::Pf(code) => {
                let set = self.error_code.as_deref().unwrap_or_default();
                let text = format!("  #PF, error code {code}: {} (4.7); CR2 {}", spelled(set), told.va);
                lines.add(Tone::Bad, text);
            }
            Ending::Vec(vector) => {
                lines.add(Tone::Bad, format!("  exception {vector}, #GP(0): no entry is read"));
            }
        }
    }
}

/// The names of the bits that are set. For key rights, the keys: `AD 1 2; WD 1`.
fn set(names: &[String]) -> String {
    let keys = |what: &str| {
        let keys: Vec<&str> = names.iter().filter_map(|name| name.strip_prefix(what)).collect();
        (!keys.is_empty()).then(|| format!("{what} {}", keys.join(" ")))
    };
    match (keys("AD"), keys("WD")) {
        (None, None) => names.join(" "),
        (access, write) => [access, write].into_iter().flatten().collect::<Vec<_>>().join("; "),
    }
}

/// `P|W` as `P W; not U RSVD I PK`.
fn spelled(set: &str) -> String {
    let (set, clear): (Vec<&str>, Vec<&str>) =
        ["P", "W", "U", "RSVD", "I", "PK"].into_iter().partition(|flag| set.split('|').any(|one| one == *flag));
    match (set.join(" "), clear.join(" ")) {
        (set, clear) if set.is_empty() => format!("all clear: {clear}"),
        (set, clear) if clear.is_empty() => set,
        (set, clear) => format!("{set}; not {clear}"),
    }
}

impl Step {
    /// As the heads of the columns say.
    fn columns(&self) -> String {
        let Bits { p, rw, us, a, d, ps, g, pat, xd, key, address } = &self.bits;
        let bit = |bit: &Option<bool>| match bit {
            None => '.',
            Some(false) => '0',
            Some(true) => '1',
        };
        format!(
            "{:<6} {:<13} {:>6}  {}  {} {:>2} {:>2} {} {} {:>2} {} {:>3} {:>2} {:>3}  {}",
            self.level,
            self.table,
            self.index,
            self.entry,
            u8::from(*p),
            bit(rw),
            bit(us),
            bit(a),
            bit(d),
            bit(ps),
            bit(g),
            bit(pat),
            bit(xd),
            key.map_or_else(|| ".".to_owned(), |key| key.to_string()),
            address.as_deref().unwrap_or("."),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_a_text_begins_with_its_lines_end() {
        for text in
            [" ".repeat(1000), " ".repeat(99) + "word", "-".repeat(1000), " ".repeat(300) + &"word ".repeat(100)]
        {
            let mut lines = Lines(Vec::new());
            lines.plain(text.clone());
            assert!(lines.0.iter().all(|line| line.text.len() <= WIDTH), "{text:?}");
            let words = |text: &str| text.split_whitespace().collect::<String>();
            let told: String = lines.0.iter().map(|line| words(&line.text)).collect();
            assert_eq!(told, words(&text));
        }
    }
}
