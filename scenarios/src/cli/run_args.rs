//! The options of `mmsim run`, and those that `mmsim explore` shares with it.

use std::path::{Path, PathBuf};

use super::configure::{Configure, Effort};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A scenario: the path of a file, or a name that `mmsim list` shows.
    pub(crate) scenario: String,
    /// Only this case; other options then change it.
    #[arg(long)]
    pub(crate) case: Option<String>,
    #[command(flatten)]
    pub(crate) configure: Configure,
    #[command(flatten)]
    pub(crate) effort: Effort,
    #[command(flatten)]
    pub(crate) records: Records,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Records {
    /// The folder that records of failing runs are written to; made if it is not there.
    #[arg(long, value_name = "DIR", default_value = ".", help_heading = "Output")]
    out: PathBuf,
    /// Writes no record.
    #[arg(long, conflicts_with = "out", help_heading = "Output")]
    no_record: bool,
}

impl Records {
    /// The folder, if records are wanted.
    pub(crate) fn folder(&self) -> Option<&Path> {
        (!self.no_record).then_some(&self.out)
    }
}
