//! The journal of a suite: what is done stays done if the machine goes down.
//!
//! The first line names the plan. Each further line is an item with its evidence, and it is written and synced
//! before the next item begins. A last line that is cut off does not count.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::evidence::Evidence;
use super::plan::Plan;
use super::shard::Shard;

/// The format that this build writes and reads.
const FORMAT: &str = "mmsim-journal-2";

/// An open journal.
#[derive(Debug)]
pub struct Journal {
    file: File,
    path: String,
}

/// Why a journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The file cannot be read or written.
    #[error("{file}: {error}")]
    Unusable {
        /// The file.
        file: String,
        /// Why.
        error: io::Error,
    },
    /// The file is no journal, or it is the journal of another plan.
    #[error("{file}:{line}: {what}")]
    Bad {
        /// The file.
        file: String,
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        what: String,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    format: String,
    shard: Option<Shard>,
    plan: Plan,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    item: usize,
    evidence: Evidence,
}

impl Journal {
    /// Opens a journal, or begins one. Answers the journal, and what was done before.
    ///
    /// # Errors
    /// See [`JournalError`].
    pub fn open(
        path: &Path,
        plan: &Plan,
        shard: Option<Shard>,
    ) -> Result<(Journal, BTreeMap<usize, Evidence>), JournalError> {
        let name = path.display().to_string();
        let unusable = |error| JournalError::Unusable { file: name.clone(), error };
        let mut options = OpenOptions::new();
        let mut file = options.read(true).write(true).create(true).truncate(false).open(path).map_err(unusable)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(unusable(io::Error::other("another `mmsim test` is writing to it")));
            }
            Err(TryLockError::Error(error)) => return Err(unusable(error)),
        }
        let mut text = String::new();
        file.read_to_string(&mut text).map_err(unusable)?;
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        let mut journal = Journal { file, path: name.clone() };
        if whole == 0 {
            // A file that does not begin with a line of a journal must not be overwritten.
            let beginning = format!("{{\"format\":\"{FORMAT}\"");
            if !beginning.starts_with(&text) && !text.starts_with(&beginning) {
                return Err(JournalError::Bad { file: name, line: 1, what: "not a journal".to_owned() });
            }
            journal.cut(0).map_err(unusable)?;
            journal.line(&Head { format: FORMAT.to_owned(), shard, plan: plan.clone() }).map_err(unusable)?;
            return Ok((journal, BTreeMap::new()));
        }
        let done = read(&text[..whole], plan, shard).map_err(|(line, what)| JournalError::Bad {
            file: name.clone(),
            line,
            what,
        })?;
        journal.cut(whole as u64).map_err(unusable)?;
        Ok((journal, done))
    }

    /// Writes down an item that is done.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn keep(&mut self, item: usize, evidence: &Evidence) -> Result<(), JournalError> {
        self.line(&Entry { item, evidence: evidence.clone() })
            .map_err(|error| JournalError::Unusable { file: self.path.clone(), error })
    }

    fn line(&mut self, value: &impl Serialize) -> io::Result<()> {
        let mut line = serde_json::to_vec(value)?;
        line.push(b'\n');
        self.file.write_all(&line)?;
        self.file.sync_data()
    }

    /// Cuts the file off after `length` bytes, and goes on from there.
    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.file.set_len(length)?;
        self.file.seek(io::SeekFrom::Start(length)).map(drop)
    }
}

fn read(text: &str, plan: &Plan, shard: Option<Shard>) -> Result<BTreeMap<usize, Evidence>, (usize, String)> {
    let mut lines = text.lines().enumerate().map(|(i, line)| (i + 1, line));
    let head: Head = lines
        .next()
        .and_then(|(_, line)| serde_json::from_str(line).ok())
        .filter(|head: &Head| head.format == FORMAT)
        .ok_or_else(|| (1, format!("not a journal of the format `{FORMAT}`")))?;
    if let Some(difference) = head.plan.difference(plan) {
        return Err((1, format!("the journal of another suite; {difference}")));
    }
    if head.shard != shard {
        let name = |shard: Option<Shard>| shard.map_or_else(|| "no shard".to_owned(), |shard| shard.to_string());
        return Err((1, format!("the journal of {}, not of {}", name(head.shard), name(shard))));
    }
    let mut done = BTreeMap::new();
    for (number, line) in lines {
        let entry: Entry = serde_json::from_str(line).map_err(|error| (number, error.to_string()))?;
        if entry.item >= plan.len() {
            return Err((number, format!("the suite has no item {}", entry.item)));
        }
        done.insert(entry.item, entry.evidence);
    }
    Ok(done)
}
