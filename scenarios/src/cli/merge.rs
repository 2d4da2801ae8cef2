//! `mmsim merge`.

use std::path::{Path, PathBuf};

use super::reports::{Reports, exit, write_record};
use super::{Exit, Failure, Format, Output};
use crate::suite::{Evidence, Judge, Merged, Part, merge};

#[derive(Debug, clap::Args)]
#[command(after_help = NOTES)]
pub(crate) struct Args {
    /// Result files of `mmsim test --shard`, or folders that hold them.
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    #[command(flatten)]
    reports: Reports,
}

const NOTES: &str = "The output is that of one `mmsim test` that did all of it. Exit codes are those of `mmsim test`; \
6 also if a shard is missing, 3 if files do not belong together. With --out, the shortest record that any shard \
has of each distinct finding is kept too.";

/// Merges the results of shards, and tells them as if one machine had done all.
pub(crate) fn run(args: &Args, format: Format, output: &mut Output) -> Result<Exit, Failure> {
    let mut parts = Vec::new();
    for path in files(&args.files)? {
        let part = Part::read(&path).map_err(Failure::bad_input)?;
        parts.push((path.display().to_string(), part));
    }
    let merged = merge(parts).map_err(Failure::bad_input)?;
    args.reports.make_folder()?;
    let mut writer = args.reports.writer(&merged.plan, format, output.width())?;
    let mut judge = Judge::new(merged.plan.options.clone(), None, args.reports.out.as_deref());
    for (place, evidence) in merged.evidence.iter().enumerate() {
        writer.item(place, &mut judge, Some(evidence), None, output);
    }
    let totals = judge.totals();
    writer.end(&totals, output)?;
    if let Some(folder) = &args.reports.out {
        keep_records(&merged, folder, output);
    }
    if let Some(missing) = merged.describe_missing() {
        output.error(&format!("{missing}; what they would have decided is inconclusive"));
    }
    Ok(match exit(&totals) {
        Exit::AsExpected | Exit::NothingRan if !merged.missing.is_empty() => Exit::Inconclusive,
        exit => exit,
    })
}

/// Writes the records that the output names. If a shard has a shorter record of the same finding, it writes that one.
fn keep_records(merged: &Merged, folder: &Path, output: &mut Output) {
    let named: Vec<_> = merged.evidence.iter().filter_map(Evidence::record).collect();
    for record in &named {
        if let Err(message) = write_record(record, folder) {
            output.error(&message);
        }
    }
    for (title, record) in merged.shortest.iter().filter(|(_, record)| !named.contains(record)) {
        match write_record(record, folder) {
            Ok(path) => output.note(&format!("{title}: a shorter record is {}", path.display())),
            Err(message) => output.error(&message),
        }
    }
}

/// The files that are named, and the files in the folders that are named.
fn files(paths: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let mut files = Vec::new();
    for path in paths {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let fail = |error: std::io::Error| Failure::bad_input(format!("{}: {error}", path.display()));
        let entries: Result<Vec<_>, _> = std::fs::read_dir(path).map_err(fail)?.collect();
        let mut found: Vec<PathBuf> = entries.map_err(fail)?.into_iter().map(|entry| entry.path()).collect();
        found.retain(|file| Part::is_named_like_one(file));
        found.sort();
        if found.is_empty() {
            return Err(Failure::bad_input(format!("{}: no results of shards in this folder", path.display())));
        }
        files.extend(found);
    }
    Ok(files)
}
