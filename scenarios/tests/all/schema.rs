//! The schema of scenario files: it is compared with files that load, and with files that do not.

use std::fs;
use std::path::{Path, PathBuf};

use jsonschema::Validator;
use mmsim::scenario::{load, schema};

use crate::common::{Snapshots, mmsim, text};

/// The JSON files below a folder of this crate, with their texts.
fn files(folder: &str) -> Vec<(PathBuf, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let entries = walkdir::WalkDir::new(folder).sort_by_file_name();
    let paths = entries.into_iter().map(|entry| entry.expect("a readable folder").into_path());
    let json = paths.filter(|path| path.extension().is_some_and(|extension| extension == "json"));
    json.map(|path| (path.clone(), fs::read_to_string(path).expect("a readable file"))).collect()
}

fn validator() -> Validator {
    jsonschema::draft202012::new(&schema()).expect("the schema is one")
}

#[test]
fn the_schema_is_one_of_its_dialect() {
    assert!(jsonschema::draft202012::meta::is_valid(&schema()));
}

#[test]
fn what_loads_is_valid() {
    let validator = validator();
    let mut checked = 0;
    for (path, text) in files("library").into_iter().chain(files("tests/good")) {
        load("f.json", &text).unwrap_or_else(|errors| panic!("{}: {errors}", path.display()));
        let instance = serde_json::from_str(&text).expect("it loads");
        let errors: Vec<String> = validator.iter_errors(&instance).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{}: {errors:?}", path.display());
        checked += 1;
    }
    assert!(checked >= 16, "only {checked} files");
}

/// Files whose only mistake is that their parts contradict each other. A schema cannot see that.
const BEYOND_A_SCHEMA: [&str; 6] = [
    "other-processes",
    "overlapping-mappings",
    "small-user-space",
    "unknown-pin",
    "unknown-process",
    "vfork-without-child",
];

#[test]
fn what_does_not_load_is_not_valid() {
    let validator = validator();
    let mut passed = Vec::new();
    for (path, text) in files("tests/bad") {
        assert!(load("f.json", &text).is_err(), "{} loads", path.display());
        let Ok(instance) = serde_json::from_str(&text) else { continue };
        if validator.is_valid(&instance) {
            passed.push(path.file_stem().expect("a file has a name").to_string_lossy().into_owned());
        }
    }
    assert_eq!(passed, BEYOND_A_SCHEMA);
}

#[test]
fn the_documentation_is_what_the_command_prints() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let printed = mmsim(here, &["schema", "--markdown"]);
    assert_eq!(printed.status.code(), Some(0), "{}", text(&printed.stderr));
    let mut expected = Snapshots::default();
    expected.compare(&here.join("../docs/scenario.md"), text(&printed.stdout));
    expected.all_hold();
}
