//! Lines for people, no wider than their terminal.

use textwrap::{Options, WordSeparator, WordSplitter, WrapAlgorithm};

/// The number of columns if there is no terminal.
pub(crate) const USUAL_WIDTH: usize = 80;

/// By how many columns the continuation of a line is indented more than its beginning.
const HANG: usize = 4;

/// A line, broken at blanks. A word that is too wide by itself stays whole.
pub(crate) fn wrapped(line: &str, width: usize) -> String {
    broken(line, width).join("\n")
}

/// A line `LABEL: COMMAND`. It is broken so that a shell joins it again. A quoted part of a command stays on one line.
pub(crate) fn command(label: &str, command: &str, width: usize) -> String {
    let line = format!("{label}: {command}");
    if textwrap::core::display_width(&line) <= width || command.contains(['\'', '"', '\\']) {
        return line;
    }
    broken(&line, width.saturating_sub(2)).join(" \\\n")
}

fn broken(line: &str, width: usize) -> Vec<String> {
    let indent = line.len() - line.trim_start_matches(' ').len();
    let hang = " ".repeat((indent + HANG).min(width / 2));
    let options = Options::new(width)
        .subsequent_indent(&hang)
        .break_words(false)
        .word_separator(WordSeparator::AsciiSpace)
        .word_splitter(WordSplitter::NoHyphenation)
        .wrap_algorithm(WrapAlgorithm::FirstFit);
    textwrap::wrap(line, options).into_iter().map(std::borrow::Cow::into_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_keep_to_their_width_unless_a_word_is_wider() {
        assert_eq!(wrapped("  one two three four", 80), "  one two three four");
        assert_eq!(wrapped("  one two three four", 12), "  one two\n      three\n      four");
        assert_eq!(wrapped("  a wordthatalonedoesnotfit b", 12), "  a\n      wordthatalonedoesnotfit\n      b");
        // Colours take no columns.
        assert_eq!(wrapped("  \u{1b}[31mone\u{1b}[0m two three", 15), "  \u{1b}[31mone\u{1b}[0m two three");
    }

    #[test]
    fn a_command_is_one_that_a_shell_takes() {
        let long = command("    replay", "mmsim replay some/long/file.json", 30);
        assert_eq!(long, "    replay: mmsim replay \\\n        some/long/file.json");
        assert_eq!(command("replay", "mmsim replay 'a b'", 12), "replay: mmsim replay 'a b'");
    }
}
