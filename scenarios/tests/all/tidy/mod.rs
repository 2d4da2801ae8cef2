//! Rules of the house that a compiler does not know.

mod licences;
mod modules;

use std::path::{Path, PathBuf};

use self::modules::{Circle, Crate};
use mmsim::oracle::OracleId;
use sim_gup::CATALOGUE;
use sim_mm::Shape;

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

/// The code of some crates, file by file, without white space and without the tests inside.
fn code(crates: &[&str]) -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut files = Vec::new();
    for name in crates {
        sources(&root.join(name).join("src"), &mut files);
    }
    files.sort();
    let read = |file: PathBuf| {
        let text = std::fs::read_to_string(&file).expect("a source file");
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        // An example in a comment consults nothing.
        let code = code.lines().filter(|line| !line.trim_start().starts_with("//"));
        (file, code.flat_map(str::split_whitespace).collect())
    };
    files.into_iter().map(read).collect()
}

#[test]
fn each_safeguard_is_consulted_at_exactly_one_place_and_decides_at_one() {
    let code = code(&["sim-mm", "sim-gup"]);
    let places = |what: String| code.iter().map(|(_, text)| text.matches(&what).count()).sum::<usize>();
    for safeguard in CATALOGUE.safeguards() {
        let name = safeguard.key.to_uppercase().replace('-', "_");
        let checked = places(format!("check!(cpu,{name},"));
        let asked = places(format!("cpu.has({name})")) + places(format!("cpu.consulted({name})"));
        assert_eq!(checked + asked, 1, "{} is consulted at {} places", safeguard.key, checked + asked);
        // An order or a design decides wherever it is reached. A check that is not made by `check!` must say that it decided.
        let decided = checked + places(format!("cpu.decided({name})"));
        let decides = usize::from(safeguard.shape == Shape::Check);
        assert_eq!(decided, decides, "{} decides at {decided} places", safeguard.key);
    }
}

#[test]
fn safeguards_are_numbered_without_gaps_and_their_keys_name_one_each() {
    let mut ids: Vec<usize> = CATALOGUE.safeguards().map(sim_mm::Safeguard::id).collect();
    ids.sort_unstable();
    assert!(ids.iter().copied().eq(0..ids.len()), "{ids:?}");
    for safeguard in CATALOGUE.safeguards() {
        assert_eq!(CATALOGUE.safeguard(safeguard.key), Some(safeguard), "{} is given twice", safeguard.key);
        let sentence = safeguard.about.starts_with(char::is_uppercase) && safeguard.about.ends_with('.');
        assert!(sentence && !safeguard.routine.is_empty(), "{}", safeguard.key);
    }
}

#[test]
fn a_release_has_the_safeguards_that_came_before_it_and_left_after_it() {
    let breaks = |version: &str| {
        let version = version.parse().expect("a release");
        sim_gup::safeguards::GUP_READ_BREAKS_COW.is_in(version)
    };
    assert_eq!(["v5.7", "v5.8", "v5.9"].map(breaks), [false, true, false]);
}

#[test]
fn a_setting_is_named_in_its_table_and_nowhere_else() {
    let code = code(&["sim-mm", "sim-gup", "scenarios"]);
    for setting in CATALOGUE.settings() {
        let name = format!("\"{}\"", setting.key);
        let tables = code.iter().filter(|(_, text)| text.contains(&name));
        let files: Vec<String> = tables.map(|(path, _)| path.display().to_string()).collect();
        // Words of everyday life, such as `memory`, name other things as well.
        let is_word = !setting.key.contains('_');
        assert!(is_word || files.len() == 1, "`{}` is named in {files:?}", setting.key);
        let sentence = |text: &str| text.starts_with(|c: char| c.is_uppercase() || c == '`');
        assert!(sentence(setting.about()) && setting.values.iter().all(|value| sentence(value.about())));
    }
}

fn circles(name: &str) -> Vec<Circle> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name).join("src");
    let mut files = Vec::new();
    sources(&src, &mut files);
    // The root of a binary beside a library is a crate of its own.
    files.retain(|file| !(file.ends_with("src/main.rs") && src.join("lib.rs").exists()));
    let read = |file: &PathBuf| std::fs::read_to_string(file).expect("a source file");
    let texts: Vec<String> = files.iter().map(read).collect();
    let below = |file: &'_ PathBuf| file.strip_prefix(&src).expect("a file below it").to_path_buf();
    let paths: Vec<PathBuf> = files.iter().map(below).collect();
    Crate::read(paths.iter().map(PathBuf::as_path).zip(texts.iter().map(String::as_str))).circles()
}

#[test]
fn modules_form_a_line() {
    for name in ["sim-core", "sim-mmu", "sim-mm", "sim-gup", "scenarios", "xtask"] {
        let ways: Vec<String> = circles(name).into_iter().map(|circle| circle.way).collect();
        assert!(ways.is_empty(), "modules of {name} use one another in a circle: {}", ways.join("; "));
    }
}

/// Tests of what counts as use, and what does not.
#[test]
fn a_circle_is_found_where_there_is_one() {
    let ways = |files: &[(&str, &str)]| -> Vec<String> {
        let files = files.iter().map(|(path, text)| (Path::new(*path), *text));
        Crate::read(files).circles().into_iter().map(|circle| circle.way).collect()
    };
    let lib = ("lib.rs", "mod a; mod b; pub use a::A; pub use b::B;");
    let b = ("b.rs", "pub struct B(Option<&'static super::A>);");
    assert_eq!(ways(&[lib, ("a.rs", "use crate::B; pub struct A(B);"), b]), ["a -> b -> a"]);
    assert_eq!(ways(&[lib, ("a.rs", "pub struct A(crate::b::B);"), b]), ["a -> b -> a"]);
    for harmless in [
        "pub struct A; #[cfg(test)] mod tests { use crate::B; }",
        "/// See [`B`](crate::B).\npub struct A; // crate::B",
        "pub struct A; pub(crate) use crate::b::B as Other;",
    ] {
        assert_eq!(ways(&[lib, ("a.rs", harmless), b]), [""; 0], "{harmless}");
    }
    // A macro may be called as a module is.
    let rule = ("e.rs", "macro_rules! a { () => {} }");
    assert_eq!(
        ways(&[lib, ("a.rs", "use crate::B; pub struct A(B);"), rule, ("b.rs", "crate::a! { struct B; }")]),
        [""; 0]
    );
    // An item that a parent defines belongs to the parent. An item that it re-exports does not.
    let child = ("a/c.rs", "use super::{A, D}; pub fn c(_: A, _: D) {}");
    let d = ("a/d.rs", "pub struct D;");
    let calls = "mod c; mod d; pub use d::D; pub struct A; pub fn a() { c::c(A, D) }";
    assert_eq!(ways(&[("lib.rs", "mod a;"), ("a/mod.rs", calls), child, d]), ["a -> a/c -> a"]);
    let passes_on = "mod c; mod d; pub use c::c; pub use d::D; pub struct A;";
    assert_eq!(ways(&[("lib.rs", "mod a;"), ("a/mod.rs", passes_on), child, d]), [""; 0]);
}

#[test]
fn every_oracle_has_a_name_a_sentence_and_a_place_in_the_readme() {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let readme = std::fs::read_to_string(readme).expect("the README is there");
    let (_, listed) = readme.split_once("**Oracles**").expect("the README lists the oracles");
    let listed = listed.split('.').next().unwrap_or_default();
    for oracle in OracleId::ALL.iter().filter(|oracle| **oracle != OracleId::Check) {
        assert!(listed.contains(oracle.name()), "the README does not name {oracle}");
        let about = oracle.about();
        assert!(about.starts_with(char::is_uppercase) && about.ends_with('.'), "{oracle}: {about}");
        assert_eq!(OracleId::by_name(oracle.name()), Some(*oracle));
    }
}
