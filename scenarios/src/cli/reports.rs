//! Reports the outcomes of a suite, on stdout and in files.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Exit, Failure, Format, Output};
use crate::record::Record;
use crate::suite::report::{At, Json, JsonLines, Junit, Ktap, Report, Text};
use crate::suite::{Evidence, Judge, Outcome, Plan, Status, Totals};
use crate::whole_file::WholeFile;

#[derive(Debug, clap::Args)]
pub(crate) struct Reports {
    /// The folder that records of failing runs are written to; made if it is not there.
    #[arg(long, value_name = "DIR", help_heading = "Output")]
    pub(crate) out: Option<PathBuf>,
    /// Also writes JUnit's XML to a file.
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    junit: Option<PathBuf>,
    /// Also writes KTAP to a file.
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    ktap: Option<PathBuf>,
    /// Also writes a JSON document to a file.
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    json: Option<PathBuf>,
}

/// Reports outcomes in every format that is asked for.
pub(crate) struct ReportWriter<'p> {
    places: Vec<At<'p>>,
    stdout: Box<dyn Report>,
    files: Vec<ReportFile>,
}

struct ReportFile {
    file: WholeFile,
    report: Box<dyn Report>,
    text: String,
}

impl Reports {
    /// Makes the folder for records.
    pub(crate) fn make_folder(&self) -> Result<(), Failure> {
        let Some(folder) = &self.out else { return Ok(()) };
        std::fs::create_dir_all(folder)
            .map_err(|error| Failure::bad_input(format!("{}: {error}", folder.display())))
    }

    /// Begins all reports on a plan. If a file cannot be written, that is reported now and not at the end.
    pub(crate) fn writer<'p>(
        &self,
        plan: &'p Plan,
        format: Format,
        width: usize,
    ) -> Result<ReportWriter<'p>, Failure> {
        let wanted = [(&self.junit, Format::Junit), (&self.ktap, Format::Ktap), (&self.json, Format::Json)];
        let mut files = Vec::new();
        for (path, format) in wanted {
            let Some(path) = path else { continue };
            let file = WholeFile::begin(path).map_err(|error| unwritable(path, &error))?;
            files.push(ReportFile { file, report: report(format, width), text: String::new() });
        }
        Ok(ReportWriter { places: At::all(plan).collect(), stdout: report(format, width), files })
    }
}

fn report(format: Format, width: usize) -> Box<dyn Report> {
    match format {
        // A suite has no report of one finding.
        Format::Text | Format::Report | Format::Html => Box::new(Text { width }),
        Format::Json => Box::new(Json::default()),
        Format::Jsonl => Box::new(JsonLines),
        Format::Ktap => Box::new(Ktap::default()),
        Format::Junit => Box::new(Junit::default()),
    }
}

pub(crate) fn unwritable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::bad_input(format!("{} cannot be written: {error}", path.display()))
}

/// Writes the record of a finding. Answers the reason if it could not be written.
pub(crate) fn write_record(record: &Record, folder: &Path) -> Result<PathBuf, String> {
    record.write(folder).map_err(|error| {
        let name = record.file_name();
        format!("{}: the record of a failing run could not be written: {error}", folder.join(name).display())
    })
}

impl ReportWriter<'_> {
    /// Judges the next item, and reports it.
    pub(crate) fn item(
        &mut self,
        place: usize,
        judge: &mut Judge,
        evidence: Option<&Evidence>,
        time: Option<Duration>,
        output: &mut Output,
    ) {
        let at = self.places[place];
        let judged = judge.judge(place, &at.plan.groups[at.group].items[at.item], evidence);
        let outcome = Outcome { time, ..judged };
        output.part(&self.stdout.item(at, &outcome));
        for file in &mut self.files {
            file.text.push_str(&file.report.item(at, &outcome));
        }
    }

    /// Reports the totals, and puts the files in their places.
    pub(crate) fn end(mut self, totals: &Totals, output: &mut Output) -> Result<(), Failure> {
        output.part(&self.stdout.end(totals));
        for mut file in self.files {
            file.text.push_str(&file.report.end(totals));
            let path = file.file.path().to_owned();
            file.file.finish(&file.text).map_err(|error| unwritable(&path, &error))?;
        }
        Ok(())
    }
}

/// The exit code of a suite. A failure counts more than a bad file, and a bad file counts more than an inconclusive item.
pub(crate) fn exit(totals: &Totals) -> Exit {
    let any = |statuses: &[Status]| statuses.iter().any(|status| totals.of(*status) > 0);
    if any(&[Status::Failed, Status::UnexpectedPass]) {
        Exit::Violation
    } else if any(&[Status::Error]) {
        Exit::BadInput
    } else if any(&[Status::Inconclusive, Status::NotReached]) {
        Exit::Inconclusive
    } else if any(&[Status::Passed, Status::ExpectedFailure, Status::Elsewhere]) {
        Exit::AsExpected
    } else {
        Exit::NothingRan
    }
}
