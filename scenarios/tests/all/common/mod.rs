//! The command line as a user calls it.

use std::path::Path;
use std::process::{Command, Output};

/// Runs `mmsim` in a folder.
pub(crate) fn mmsim(folder: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_mmsim"))
        .args(args)
        .current_dir(folder)
        .output()
        .expect("the binary was built")
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Runs, and checks the exit code and that stderr says `says`.
#[track_caller]
pub(crate) fn fails(folder: &Path, args: &[&str], code: i32, says: &str) {
    let output = mmsim(folder, args);
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{args:?} printed {stderr}");
    assert!(stderr.contains(says), "{args:?} does not say {says:?}, but\n{stderr}");
}
