//! Commands that are printed to be copied into a shell.

/// A word as a shell takes it.
pub(crate) fn quoted(word: &str) -> String {
    shlex::try_quote(word).map_or_else(|_| word.to_owned(), std::borrow::Cow::into_owned)
}

/// A command of mmsim that takes a file.
pub(crate) fn command(name: &str, file: &str) -> String {
    format!("mmsim {name} {}", quoted(file))
}

#[cfg(test)]
mod tests {
    use super::command;

    #[test]
    fn a_file_is_one_word() {
        assert_eq!(command("replay", "./a.mmsim.json"), "mmsim replay ./a.mmsim.json");
        let odd = "it's a $HOME;x";
        assert_eq!(shlex::split(&command("replay", odd)), Some(vec!["mmsim".into(), "replay".into(), odd.into()]));
    }
}
