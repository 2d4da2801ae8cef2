//! Rules of the house that a compiler does not know.

use std::path::{Path, PathBuf};

use sim_mm::{SAFEGUARDS, Shape};

/// Every Rust file below a folder.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder of the project") {
        let path = entry.expect("a readable folder").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn each_safeguard_is_consulted_at_exactly_one_place_and_decides_at_one() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut files = Vec::new();
    for folder in ["sim-mm/src", "sim-gup/src"] {
        sources(&root.join(folder), &mut files);
    }
    let code: Vec<String> = files
        .iter()
        .map(|file| std::fs::read_to_string(file).expect("a source file"))
        .map(|text| text.split("#[cfg(test)]").next().unwrap_or_default().to_owned())
        .collect();
    for facts in SAFEGUARDS {
        let consulted = format!("has(Safeguard::{:?})", facts.safeguard);
        let places: usize = code.iter().map(|text| text.matches(&consulted).count()).sum();
        assert_eq!(places, 1, "{} is consulted at {places} places", facts.key);
        // Orders and designs decide where they are reached; a check has to say so.
        let decided = format!("decided(Safeguard::{:?})", facts.safeguard);
        let places: usize = code.iter().map(|text| text.matches(&decided).count()).sum();
        assert_eq!(places, usize::from(facts.shape == Shape::Check), "{} decides at {places} places", facts.key);
    }
}
