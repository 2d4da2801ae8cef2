//! The command line as a user calls it, and files with the output that is expected.

use std::path::Path;
use std::process::{Command, Output};

use mmsim::scenario::{Case, Expect};
use snapbox::assert::DEFAULT_ACTION_ENV;
use snapbox::{Assert, Data, data::DataFormat};

/// Runs `mmsim` in a folder.
pub(crate) fn mmsim(folder: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_mmsim"))
        .args(args)
        .current_dir(folder)
        .output()
        .expect("the binary was built")
}

/// Whether a case expects runs that never end. They are long, and a search of all schedules takes very long for them.
pub(crate) fn never_ends(case: &Case) -> bool {
    matches!(&case.expect, Expect::Violation { any_of, .. } if any_of.iter().any(|oracle| oracle == "livelock"))
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

/// Expected texts that stand in files. They are compared to the letter. With `SNAPSHOTS=overwrite` in the environment, the
/// texts that differ are written. Read them before you commit them.
#[derive(Default)]
pub(crate) struct Snapshots(Vec<String>);

impl Snapshots {
    pub(crate) fn compare(&mut self, file: &Path, actual: String) {
        let expected = Data::read_from(file, Some(DataFormat::Text)).raw();
        let compared = Assert::new().action_env(DEFAULT_ACTION_ENV).try_eq(
            Some(&file.display()),
            Data::text(actual),
            expected,
        );
        self.0.extend(compared.err().map(|different| different.to_string()));
    }

    /// Fails with everything that differs.
    #[track_caller]
    pub(crate) fn all_hold(self) {
        assert!(self.0.is_empty(), "{}", self.0.join("\n"));
    }
}
