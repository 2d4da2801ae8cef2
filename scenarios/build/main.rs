//! Makes tables from the sources of the kernel: the lines that can be stepped (`src/coverage/lines.rs`), and the names of
//! routines (`src/routines.rs`).
#![allow(clippy::print_stdout, reason = "a build script talks to cargo so")]

mod accesses;
mod routines;

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use accesses::{access_functions, accesses};
use routines::routines;

/// The crates in which access functions are defined. Lines of the last two count.
const CRATES: [&str; 4] = ["sim-core", "sim-mmu", "sim-mm", "sim-gup"];
const COUNTED: [&str; 2] = ["sim-mm", "sim-gup"];

/// A source file: its path from the root of the workspace, its text, and what it parses to.
struct Source {
    name: String,
    text: String,
    syntax: syn::File,
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            files(&path, found)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    Ok(())
}

fn sources(root: &Path, name: &str) -> io::Result<Vec<Source>> {
    let folder = root.join(name).join("src");
    println!("cargo::rerun-if-changed={}", folder.display());
    let mut paths = Vec::new();
    files(&folder, &mut paths)?;
    paths.sort();
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path)?;
        let syntax = syn::parse_file(&text).map_err(|error| {
            io::Error::other(format!("{}:{}: {error}", path.display(), error.span().start().line))
        })?;
        let below = path.strip_prefix(root).unwrap_or(&path);
        Ok(Source { name: below.display().to_string(), text, syntax })
    };
    paths.into_iter().map(read).collect()
}

fn main() -> io::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize()?;
    println!("cargo::rerun-if-changed=build");
    // The library is compiled in. A new file changes only its folder, so the folder must be watched.
    println!("cargo::rerun-if-changed=library");
    let mut read = Vec::new();
    for name in CRATES {
        read.push((name, sources(&root, name)?));
    }
    let names = access_functions(read.iter().flat_map(|(_, files)| files).map(|file| &file.syntax));
    let mut table = String::from("&[\n");
    for (_, files) in read.iter().filter(|(name, _)| COUNTED.contains(name)) {
        for file in files {
            let lines: Vec<&str> = file.text.lines().collect();
            for number in accesses(&file.syntax, &names) {
                let text = lines.get(number - 1).map_or("", |line| line.trim());
                table += &format!("    ({:?}, {number}, {text:?}),\n", file.name);
            }
        }
    }
    table += "]\n";
    let folder = std::env::var_os("OUT_DIR").ok_or_else(|| io::Error::other("cargo runs build scripts"))?;
    let names: BTreeSet<String> =
        read.iter().flat_map(|(_, files)| files).flat_map(|file| routines(&file.syntax)).collect();
    fs::write(Path::new(&folder).join("routines.rs"), format!("&{:?}", Vec::from_iter(names)))?;
    fs::write(Path::new(&folder).join("steppable.rs"), table)
}
