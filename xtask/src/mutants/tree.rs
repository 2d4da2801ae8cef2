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
    fs::create_dir_all(tree).map_err(|error| at(tree, error))?;
    clear(tree, &files).map_err(|error| at(tree, error))?;
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

/// Removes what was planted last time and is not in the list of files any more, since the compiler would find it there. Keeps the list beside the
/// tree.
fn clear(tree: &Path, files: &str) -> std::io::Result<()> {
    let list = tree.with_extension("files");
    let now: std::collections::BTreeSet<&str> = files.split_terminator('\0').collect();
    for file in fs::read_to_string(&list).unwrap_or_default().split_terminator('\0') {
        let planted = tree.join(file);
        if !now.contains(file) && planted.exists() {
            fs::remove_file(planted)?;
        }
    }
    fs::write(list, files)
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

    /// Whether a lock that is held, or a routine that is told of, ends sooner since its `let` stands in braces. That would change the kernel with
    /// every mutant, and without one.
    fn ends_a_guard(text: &str, from: &str) -> bool {
        let Ok(block) = syn::parse_str::<syn::Block>(&format!("{{ {from} }}")) else { return false };
        let is_guard = |statement: &syn::Stmt| {
            let syn::Stmt::Local(local) = statement else { return false };
            matches!(&local.pat, syn::Pat::Ident(name) if name.ident.to_string().starts_with('_'))
        };
        let ends_there = text.split_once(from).is_some_and(|(_, rest)| rest.trim_start().starts_with('}'));
        block.stmts.iter().any(is_guard) && !ends_there
    }

    #[test]
    fn a_guard_that_a_mutant_would_end_is_seen() {
        let text = "fn f() { let _held = lock(); let seen = 1; g(); }";
        assert!(ends_a_guard(text, "let _held = lock();"));
        assert!(!ends_a_guard(text, "lock()") && !ends_a_guard(text, "let seen = 1; g();"));
        assert!(!ends_a_guard(text, "let _held = lock(); let seen = 1; g();"));
    }

    /// If somebody changes a line that a mutant changes, this test fails, long before the mutants are run. So it does if the text of a mutant is
    /// only a part of an expression: one such mutant would keep all of them from being built.
    #[test]
    fn each_mutant_has_its_place() {
        let project = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let source =
            |file: &str| fs::read_to_string(project.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        let mutants = list::read(&source("xtask/mutants.toml")).unwrap_or_else(|error| panic!("{error}"));
        let files: std::collections::BTreeSet<&str> = mutants.iter().map(|mutant| mutant.file.as_str()).collect();
        for file in files {
            let (text, in_file) = (source(file), of_file(&mutants, file));
            let switched = switch(&text, "::sim_core", &in_file);
            assert!(switched.is_ok(), "{}", switched.err().unwrap_or_default());
            for one in in_file {
                let switched = switch(&text, "::sim_core", &[one]).unwrap_or_else(|error| panic!("{error}"));
                let parsed = syn::parse_file(&switched);
                assert!(
                    parsed.is_ok(),
                    "{}: {file} is no Rust with it: {}",
                    one.1.name,
                    parsed.err().map(|error| error.to_string()).unwrap_or_default()
                );
                assert!(!ends_a_guard(&text, one.1.from.trim()), "{}: its braces end a guard", one.1.name);
            }
        }
    }
}
