//! The options of `mmsim run`.

use std::path::PathBuf;

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
    /// The folder that records of failing runs are written to.
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub(crate) out: PathBuf,
    /// Writes no record.
    #[arg(long, conflicts_with = "out")]
    pub(crate) no_record: bool,
}

impl Args {
    pub(crate) fn folder(&self) -> Option<&std::path::Path> {
        (!self.no_record).then_some(&self.out)
    }
}
