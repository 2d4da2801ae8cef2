//! The crate beside `mm/gup.c`: each of its functions has a counterpart here, and within a file the counterparts stand in the order of the original.

use std::fs;
use std::path::Path;

/// The functions of `mm/gup.c` as of v5.0, in their order. A name behind which stands `:` has no function of its own here; the rest of the line says why.
const FUNCTIONS: &str = include_str!("../functions.txt");

/// The sources of the crate: names of files, and texts.
fn sources() -> Vec<(String, String)> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut sources = Vec::new();
    for folder in [src.clone(), src.join("callers")] {
        for file in fs::read_dir(&folder).expect("the folder is part of the project") {
            let path = file.expect("a readable folder").path();
            if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("a source of the project");
                sources.push((path.display().to_string(), text));
            }
        }
    }
    sources
}

/// Where a function of that name is defined in a text.
fn definition(text: &str, name: &str) -> Option<usize> {
    ["(", "<"].iter().filter_map(|next| text.find(&format!("fn {name}{next}"))).min()
}

#[test]
fn each_function_of_gup_c_has_a_counterpart() {
    let sources = sources();
    let mut missing = Vec::new();
    for line in FUNCTIONS.lines() {
        match line.split_once(':') {
            Some((name, why)) => {
                assert!(!why.trim().is_empty(), "{name} has no counterpart, and nothing says why");
                let found = sources.iter().any(|(_, text)| definition(text, name).is_some());
                assert!(!found, "{name} has a counterpart: its line says that it has none");
            }
            None if sources.iter().any(|(_, text)| definition(text, line).is_some()) => {}
            None => missing.push(line),
        }
    }
    assert!(missing.is_empty(), "no counterpart of {missing:?}");
}

#[test]
fn counterparts_stand_in_the_order_of_the_original() {
    for (file, text) in sources() {
        let places: Vec<(usize, &str)> =
            FUNCTIONS.lines().filter_map(|name| Some((definition(&text, name)?, name))).collect();
        for pair in places.windows(2) {
            assert!(pair[0].0 < pair[1].0, "{file}: {} stands before {}", pair[1].1, pair[0].1);
        }
    }
}
