//! The list of mutants: `xtask/mutants.toml`.

use serde::Deserialize;

/// One careless change.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Mutant {
    /// What it does, in a few words with hyphens.
    pub(super) name: String,
    /// The source file, from the root of the project.
    pub(super) file: String,
    /// The text that it changes: an expression or whole statements, found once in the file.
    pub(super) from: String,
    /// What stands there instead.
    pub(super) to: String,
    /// Who notices it: `SCENARIO/CASE`.
    pub(super) killed_by: Option<String>,
    /// Why nobody can notice it.
    pub(super) lives: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    mutant: Vec<Mutant>,
}

/// Reads the list.
///
/// # Errors
/// What is wrong with it.
pub(super) fn read(text: &str) -> Result<Vec<Mutant>, String> {
    let list: List = toml::from_str(text).map_err(|error| format!("mutants.toml: {error}"))?;
    let mut seen = std::collections::BTreeSet::new();
    for mutant in &list.mutant {
        if !seen.insert(&mutant.name) {
            return Err(format!("mutants.toml: two mutants are called {}", mutant.name));
        }
        if mutant.killed_by.is_some() == mutant.lives.is_some() {
            return Err(format!("mutants.toml: {} needs `killed_by` or `lives`, and not both", mutant.name));
        }
    }
    Ok(list.mutant)
}
