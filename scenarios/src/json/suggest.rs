//! The words of error messages: quoted names, and suggestions.

/// The most characters of a name that a message repeats.
const CLIP: usize = 48;

/// Whether a reader can see that a character is there. Control characters and marks of the direction of writing are not
/// seen, for example.
pub(crate) fn visible(c: char) -> bool {
    matches!(c, ' '..='~') || c.escape_debug().len() == 1
}

/// The text on one line. A character that nobody would see is shown as its number, because a name of a file may have any
/// characters.
pub(crate) fn shown(text: &str) -> String {
    shown_of(text.chars())
}

/// The same JSON. A character in its strings that nobody would see is shown as an escape.
pub(crate) fn seen(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for c in json.chars() {
        if visible(c) || c == '\n' {
            text.push(c);
        } else {
            let mut units = [0; 2];
            text.extend(c.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")));
        }
    }
    text
}

fn shown_of(text: impl Iterator<Item = char>) -> String {
    let mut shown = String::new();
    for c in text {
        if visible(c) {
            shown.push(c);
        } else {
            shown.extend(c.escape_unicode());
        }
    }
    shown
}

/// The text between backticks, clipped and on one line. A character that nobody would see is shown as its number.
pub(crate) fn quote(text: &str) -> String {
    let more = if text.chars().nth(CLIP).is_some() { "..." } else { "" };
    format!("`{}{more}`", shown_of(text.chars().take(CLIP)))
}

/// All of them, separated by commas.
pub(crate) fn quote_all(names: &[&str]) -> String {
    names.iter().map(|name| quote(name)).collect::<Vec<_>>().join(", ")
}

/// The candidate that was probably meant. At most a third of its letters differ.
pub(crate) fn similar<'a>(text: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let allowed = (text.chars().take(CLIP).count() / 3).max(1);
    let text = text.to_lowercase();
    candidates
        .into_iter()
        .filter(|candidate| candidate.len().abs_diff(text.len()) <= allowed)
        .map(|candidate| (strsim::osa_distance(&text, &candidate.to_lowercase()), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// ``did you mean `x`?``, if a candidate is similar.
pub(crate) fn did_you_mean<'a>(text: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    similar(text, candidates).map(|candidate| format!("did you mean {}?", quote(candidate)))
}

/// The same for a closed set. If nothing is similar, all candidates are listed.
pub(crate) fn did_you_mean_one_of(text: &str, names: &[&str]) -> Option<String> {
    let all = || format!("expected {}{}", if names.len() > 1 { "one of " } else { "" }, quote_all(names));
    did_you_mean(text, names.iter().copied()).or_else(|| (!names.is_empty()).then(all))
}

/// `1 page`, `2 pages`.
pub(crate) fn counted(number: u64, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_a_slip_are_recognised() {
        let names = ["mmap", "munmap", "gup_fast", "gup_fast_only", "exit"];
        for (text, meant) in [
            ("mmpa", Some("mmap")),
            ("gup-fast", Some("gup_fast")),
            ("GUP_FAST", Some("gup_fast")),
            ("exti", Some("exit")),
            ("quit", None),
            ("", None),
            ("mremap", Some("mmap")),
        ] {
            assert_eq!(similar(text, names), meant, "{text}");
        }
        assert_eq!(similar(&"x".repeat(100_000), names), None);
    }

    #[test]
    fn json_says_the_same_where_everything_is_seen() {
        let text = "a\u{202e}\u{9b}\u{e0001}\"\n\u{1b}";
        let seen = seen(&serde_json::json!([text]).to_string());
        assert!(seen.is_ascii(), "{seen}");
        assert_eq!(serde_json::from_str::<Vec<String>>(&seen).ok(), Some(vec![text.to_owned()]));
    }

    #[test]
    fn quoted_text_stays_short_and_on_one_line() {
        assert_eq!(quote("a\nb"), "`a\\u{a}b`");
        assert_eq!(quote("a\u{202e}b\u{200b}\u{7f}"), "`a\\u{202e}b\\u{200b}\\u{7f}`");
        assert_eq!(quote("it's \"äö漢\" \\"), "`it's \"äö漢\" \\`");
        assert_eq!(quote(&"x".repeat(1000)).len(), CLIP + 5);
    }
}
