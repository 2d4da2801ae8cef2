//! A copy of the sources that holds all mutants at once: each change stands behind a switch, and the number in an
//! environment variable turns one of them on. The project itself has no such switch.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::list::Mutant;

/// The variable that names the mutant by its number, from 1.
pub(super) const SWITCH: &str = "MMSIM_MUTANT";

/// The code that the copy of sim-core has in addition.
const SWITCHED: &str = r#"
#[doc(hidden)]
#[allow(clippy::disallowed_methods, missing_docs)]
pub fn mutant(number: usize) -> bool {
    static ON: std::sync::LazyLock<usize> =
        std::sync::LazyLock::new(|| std::env::var("MMSIM_MUTANT").ok().and_then(|n| n.parse().ok()).unwrap_or(0));
    *ON == number
}
"#;

/// Copies the tracked files of the project to `tree`, with every mutant in it.
///
/// # Errors
/// If a file cannot be copied, or the text of a mutant is not in its file exactly once.
pub(super) fn plant(project: &Path, tree: &Path, mutants: &[Mutant]) -> Result<(), String> {
    let at = |path: &Path, error: std::io::Error| format!("{}: {error}", path.display());
    let listed = Command::new("git").arg("-C").arg(project).args(["ls-files", "-z"]).output();
    let listed = listed.map_err(|error| format!("git: {error}"))?;
    let files = String::from_utf8(listed.stdout).map_err(|error| format!("git ls-files: {error}"))?;
    for file in files.split_terminator('\0') {
        let (from, to) = (project.join(file), tree.join(file));
        let Ok(mut contents) = fs::read(&from) else { continue };
        let planted = of_file(mutants, file);
        if !planted.is_empty() || file == "sim-core/src/lib.rs" {
            let text = String::from_utf8(contents).map_err(|error| format!("{file}: {error}"))?;
            let home = if file.starts_with("sim-core/") { "crate" } else { "::sim_core" };
            let mut text = switch(&text, home, &planted)?;
            if file == "sim-core/src/lib.rs" {
                text += SWITCHED;
            }
            contents = text.into_bytes();
        }
        // A file that has not changed keeps its time, so that it is not compiled again.
        if fs::read(&to).is_ok_and(|old| old == contents) {
            continue;
        }
        let folder = to.parent().unwrap_or(tree);
        fs::create_dir_all(folder).map_err(|error| at(folder, error))?;
        fs::write(&to, contents).map_err(|error| at(&to, error))?;
    }
    match mutants.iter().find(|mutant| !project.join(&mutant.file).exists()) {
        Some(mutant) => Err(format!("{}: there is no {}", mutant.name, mutant.file)),
        None => Ok(()),
    }
}

/// The mutants of a file, with their numbers.
fn of_file<'a>(mutants: &'a [Mutant], file: &str) -> Vec<(usize, &'a Mutant)> {
    (1..).zip(mutants).filter(|(_, mutant)| mutant.file == file).collect()
}

/// A piece of a file that mutants change.
struct Piece<'a> {
    start: usize,
    from: &'a str,
    /// The number of each mutant, and what it puts there.
    changes: Vec<(usize, &'a str)>,
}

impl Piece<'_> {
    fn switched(&self, home: &str) -> String {
        let cases =
            self.changes.iter().map(|(number, to)| format!("if {home}::mutant({number}) {{ {to} }} else "));
        let text = cases.collect::<String>() + &format!("{{ {} }}", self.from);
        let is_expression = !self.from.ends_with([';', '}']);
        if is_expression { format!("({text})") } else { text }
    }
}

/// The text of a file with the mutants in it. Several mutants may change the same piece. It is an error if two pieces overlap
/// in another way.
fn switch(text: &str, home: &str, mutants: &[(usize, &Mutant)]) -> Result<String, String> {
    let mut pieces: Vec<Piece<'_>> = Vec::new();
    for (number, mutant) in mutants {
        let from = mutant.from.trim();
        let mut found = text.match_indices(from);
        let (Some((start, _)), None) = (found.next(), found.next()) else {
            let count = text.matches(from).count();
            return Err(format!("{}: its text is {count} times in {}, not once", mutant.name, mutant.file));
        };
        let change = (*number, mutant.to.trim());
        let meets =
            |piece: &&mut Piece<'_>| piece.start < start + from.len() && start < piece.start + piece.from.len();
        match pieces.iter_mut().find(meets) {
            Some(piece) if (piece.start, piece.from) == (start, from) => piece.changes.push(change),
            Some(piece) => {
                return Err(format!("{}: its text overlaps another mutant's, `{}`", mutant.name, piece.from));
            }
            None => pieces.push(Piece { start, from, changes: vec![change] }),
        }
    }
    pieces.sort_by_key(|piece| piece.start);
    let (mut out, mut done) = (String::new(), 0);
    for piece in pieces {
        out += &text[done..piece.start];
        out += &piece.switched(home);
        done = piece.start + piece.from.len();
    }
    Ok(out + &text[done..])
}

#[cfg(test)]
mod tests {
    use super::super::list;
    use super::*;

    /// If somebody changes a line that a mutant changes, this test fails, long before the mutants are run.
    #[test]
    fn each_mutant_has_its_place() {
        let project = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let source =
            |file: &str| fs::read_to_string(project.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        let mutants = list::read(&source("xtask/mutants.toml")).unwrap_or_else(|error| panic!("{error}"));
        let files: std::collections::BTreeSet<&str> = mutants.iter().map(|mutant| mutant.file.as_str()).collect();
        for file in files {
            let switched = switch(&source(file), "::sim_core", &of_file(&mutants, file));
            assert!(switched.is_ok(), "{}", switched.err().unwrap_or_default());
        }
    }
}
