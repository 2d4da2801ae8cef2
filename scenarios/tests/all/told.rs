//! The texts that the user reads: each file in `told/` has a command line and, below it, the exact output.
//!
//! The output is the same in every build profile and on every machine. The files are compared to the letter.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::Snapshots;

/// Runs a command line of a `told` file in an empty folder; answers stdout, stderr and the exit code.
fn output_of(command: &str) -> String {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut text = String::new();
    for part in command.split(" && ") {
        let words = part.split_whitespace().map(|word| match word.strip_prefix('*') {
            // `*.mmsim.json` is the record that the command before wrote.
            Some(suffix) => {
                let files = std::fs::read_dir(folder.path()).expect("the folder is there");
                let names = files.filter_map(|file| file.ok()?.file_name().into_string().ok());
                names.into_iter().find(|name| name.ends_with(suffix)).unwrap_or_else(|| word.to_owned())
            }
            None => word.to_owned(),
        });
        let output = Command::new(env!("CARGO_BIN_EXE_mmsim"))
            .args(words.skip(1))
            .current_dir(folder.path())
            .output()
            .expect("the binary was built");
        text.push_str(&String::from_utf8_lossy(&output.stdout));
        text.push_str(&String::from_utf8_lossy(&output.stderr));
        text.push_str(&format!("[exit {}]\n", output.status.code().unwrap_or(-1)));
    }
    text
}

fn told() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/told");
    let files = std::fs::read_dir(folder).expect("the folder is part of the project");
    let mut paths: Vec<PathBuf> = files.map(|file| file.expect("a readable folder").path()).collect();
    paths.sort();
    paths
}

#[test]
fn every_command_prints_what_is_told() {
    let mut expected = Snapshots::default();
    for path in told() {
        let text = std::fs::read_to_string(&path).expect("a text file");
        let (command, _) = text.split_once('\n').expect("a command line above its output");
        expected.compare(&path, format!("{command}\n{}", output_of(command.trim_start_matches("$ "))));
    }
    expected.all_hold();
}

#[test]
fn no_line_of_a_diagram_is_wider_than_a_mail() {
    for path in told().into_iter().filter(|path| path.to_string_lossy().contains("race-")) {
        let text = std::fs::read_to_string(&path).expect("a text file");
        let diagram = text.lines().skip(1).take_while(|line| !line.starts_with("prevented by"));
        for line in diagram {
            assert!(line.is_ascii() && line.len() <= 75, "{}: {line}", path.display());
        }
    }
}

#[test]
fn a_diagram_says_that_a_page_belongs_to_a_file() {
    let scenario = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracles/shared-page-reused.json");
    let run = |pages: &str| {
        let text = std::fs::read_to_string(&scenario).expect("the scenario is part of the project");
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("scenario.json");
        std::fs::write(&file, text.replace(r#""flags": ["shared"]"#, pages))
            .expect("the folder can be written to");
        output_of(&format!("mmsim run {} --without gup-pte-recheck --no-record", file.display()))
    };
    // The remark is broken at the width of its column.
    let is_told = |text: &str| text.contains(" is page 0 of") && text.contains("file 0");
    let shared = run(r#""flags": ["shared"]"#);
    assert!(shared.contains("frame-use-after-free") && is_told(&shared), "{shared}");
    let private = run(r#""flags": ["private"]"#);
    assert!(private.contains("frame-use-after-free") && !is_told(&private), "{private}");
}

#[test]
fn a_line_says_whose_a_page_is_if_it_is_another_processs() {
    let path = |name: &str| Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/told").join(name);
    let read = |name: &str| std::fs::read_to_string(path(name)).expect("a text file");
    let fork = read("race-fork-of-a-range.txt");
    // The parent's thread changes its own entry, then the child's, of one name.
    assert!(fork.contains(" pte of buf+1: F7 rw -> F7 ro\n"), "{fork}");
    assert!(fork.contains(" child's pte of buf+1: none -> F7 ro\n"), "{fork}");
    let stranger = read("race-vmsplice-stranger.txt");
    assert!(stranger.contains(" reads child's buf: 42 (F6) <--\n"), "{stranger}");
    for path in told().into_iter().filter(|path| path.to_string_lossy().contains("race-")) {
        let text = std::fs::read_to_string(&path).expect("a text file");
        assert!(!text.contains("0x7f"), "{} calls a page by its address", path.display());
    }
}

#[test]
fn a_report_says_where_a_frame_was_allocated_and_freed() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/told/report-spec-ref-vs-reuse.txt");
    let text = std::fs::read_to_string(path).expect("a text file");
    // The thread that unmaps frees the frame of the victim, and another thread allocates it again.
    for (word, thread, routine) in
        [("Allocated by: CPU 2", "reuse", "do_anonymous_page"), ("Freed by: CPU 1", "zap", "tlb_flush_mmu")]
    {
        let (_, after) = text.split_once(word).unwrap_or_else(|| panic!("no {word} in {text}"));
        let stack = after.split("\n\n").next().unwrap_or(after);
        assert!(stack.starts_with(&format!(" ({thread}), step ")) && stack.contains(routine), "{word}{stack}");
    }
}

#[test]
fn the_readme_shows_what_the_first_command_prints() {
    let read = |path: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    };
    let told = read("tests/told/race-spec-ref-vs-reuse.txt");
    let (command, output) = told.split_once('\n').expect("a command line above its output");
    let shown = output.split("\nfound by").next().unwrap_or(output).trim_end();
    let readme = read("../README.md");
    assert!(readme.contains(command.trim_start_matches("$ mmsim ")), "the README does not give {command}");
    assert!(readme.contains(shown), "the README does not show:\n{shown}");
}
