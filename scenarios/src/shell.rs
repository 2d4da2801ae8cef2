//! Commands that are printed to be copied into a shell.

use std::fmt::Write as _;

use crate::json::visible;

/// A word that a shell reads as this text. Every character of it can be seen.
pub(crate) fn quoted(word: &str) -> String {
    if !word.chars().all(visible) {
        return numbered(word);
    }
    shlex::try_quote(word).map_or_else(|_| word.to_owned(), std::borrow::Cow::into_owned)
}

/// A word between `$'` and `'`. There, characters can be given as numbers.
fn numbered(word: &str) -> String {
    let mut text = "$'".to_owned();
    for c in word.chars() {
        let number = u32::from(c);
        let written = match c {
            '\'' | '\\' => write!(text, "\\{c}"),
            c if visible(c) => write!(text, "{c}"),
            _ if number > 0xffff => write!(text, "\\U{number:08x}"),
            _ => write!(text, "\\u{number:04x}"),
        };
        written.expect("a string takes all");
    }
    text + "'"
}

/// A command of mmsim that takes a file.
pub(crate) fn command(name: &str, file: &str) -> String {
    format!("mmsim {name} {}", quoted(file))
}

#[cfg(test)]
mod tests {
    use super::{command, quoted};

    #[test]
    fn a_file_is_one_word() {
        assert_eq!(command("replay", "./a.mmsim.json"), "mmsim replay ./a.mmsim.json");
        assert_eq!(quoted("a\u{202e}'\n"), r"$'a\u202e\'\u000a'");
        let odd = "it's a $HOME;x";
        assert_eq!(shlex::split(&command("replay", odd)), Some(vec!["mmsim".into(), "replay".into(), odd.into()]));
    }
}
