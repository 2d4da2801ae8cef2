//! Files that are written completely, or not at all.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

/// A file that is being written. Until it is finished, it is a temporary file beside its place.
#[derive(Debug)]
pub(crate) struct WholeFile {
    file: Target,
    path: PathBuf,
}

#[derive(Debug)]
enum Target {
    Temporary(NamedTempFile),
    /// A device or a pipe. No file can take its place.
    Direct(File),
}

impl WholeFile {
    /// Begins a file. A file that is there already stays until [`finish`](WholeFile::finish).
    pub(crate) fn begin(path: &Path) -> io::Result<WholeFile> {
        let file = match std::fs::metadata(path) {
            Ok(there) if !there.is_file() => Target::Direct(OpenOptions::new().write(true).open(path)?),
            _ => {
                let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
                let folder = folder.unwrap_or(Path::new("."));
                std::fs::metadata(folder)?;
                Target::Temporary(NamedTempFile::new_in(folder)?)
            }
        };
        Ok(WholeFile { file, path: path.to_owned() })
    }

    /// The place that it will have.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes the file, and puts it in its place.
    pub(crate) fn finish(self, text: &str) -> io::Result<()> {
        match self.file {
            Target::Direct(mut file) => file.write_all(text.as_bytes()),
            Target::Temporary(mut file) => {
                file.write_all(text.as_bytes())?;
                file.as_file().sync_all()?;
                #[cfg(unix)]
                {
                    use std::os::unix::fs::PermissionsExt as _;
                    file.as_file().set_permissions(std::fs::Permissions::from_mode(0o644))?;
                }
                file.persist(&self.path).map_err(|error| error.error).map(drop)
            }
        }
    }
}
