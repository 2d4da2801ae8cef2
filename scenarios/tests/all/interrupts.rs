//! Signals: mmsim tells what it has found until then, and ends soon.
#![cfg(unix)]

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

fn start(folder: &Path, args: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mmsim"));
    command.args(args).current_dir(folder).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().expect("the binary was built")
}

/// Sends SIGTERM so many times, as fast as can be.
fn terminate(child: &Child, times: usize) {
    let kills = vec![format!("kill -TERM {}", child.id()); times].join("; ");
    let sent = Command::new("sh").args(["-c", &kills]).status().expect("there is a shell");
    assert!(sent.success(), "{kills}");
}

/// Waits for the end of a program, which must come soon.
#[track_caller]
fn ends(child: &mut Child) -> ExitStatus {
    for _ in 0..3000 {
        if let Some(status) = child.try_wait().expect("it is a child") {
            return status;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    child.kill().expect("it is still there");
    panic!("it does not end");
}

/// `timeout` sends a signal to its child, and the same again to the group in which the child is.
#[test]
fn two_signals_at_once_lose_nothing() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let args = ["test", "--library", "--runs", "20000", "--junit", "report.xml"];
    let mut child = start(folder.path(), &args);
    let mut stdout = BufReader::new(child.stdout.take().expect("it is a pipe"));
    let mut told = String::new();
    stdout.read_line(&mut told).expect("it is text");
    terminate(&child, 2);
    stdout.read_to_string(&mut told).expect("it is text");
    let status = ends(&mut child);
    let mut said = String::new();
    child.stderr.take().expect("it is a pipe").read_to_string(&mut said).expect("it is text");
    assert_eq!(status.code(), Some(6), "{said}{told}");
    assert!(said.contains("interrupted; these are partial results"), "{said}");
    assert!(told.contains("NOT REACHED") && told.trim_end().ends_with(" not reached"), "{told}");
    let report = std::fs::read_to_string(folder.path().join("report.xml")).expect("the report is written");
    assert!(report.ends_with("</testsuites>\n"), "{report}");
}

#[test]
fn a_signal_ends_what_waits_for_input() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let made = Command::new("mkfifo").arg(folder.path().join("fifo")).status().expect("there is a mkfifo");
    assert!(made.success());
    for args in [
        ["run", "fifo"],
        ["explore", "fifo"],
        ["coverage", "fifo"],
        ["shrink", "fifo"],
        ["test", "fifo"],
        ["run", "/dev/stdin"],
    ] {
        let mut child = start(folder.path(), &args);
        // To open the pipe waits for a reader. So from here on mmsim reads.
        let writer = (args[1] == "fifo").then(|| {
            std::fs::OpenOptions::new().write(true).open(folder.path().join("fifo")).expect("it is a pipe")
        });
        if writer.is_none() {
            std::thread::sleep(Duration::from_millis(300));
        }
        terminate(&child, 1);
        assert!(!ends(&mut child).success(), "{args:?}");
    }
}
