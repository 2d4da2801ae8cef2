//! Cases in chunks of lines. A chunk is answered, or judged.

use sim_mmu::Vendor;

use super::case::{Case, CaseError};
use super::expected::{Expected, Judgement};
use super::lines::lines_of;

/// The results for the lines of a chunk. Lines are numbered from 1, within the chunk.
#[derive(Debug, Default)]
pub struct Batch {
    /// How many lines there were.
    pub lines: u64,
    /// How many of them are cases.
    pub cases: u64,
    /// The answers, one on each line. There are none if the cases were only judged.
    pub answers: Vec<u8>,
    /// The lines that are not cases.
    pub bad: Vec<(u64, CaseError)>,
    /// How the judged cases agree.
    pub score: Score,
    /// The lines that expected something else: with the id of the case, and what differs.
    pub differing: Vec<(u64, String, String)>,
}

/// How answers agree with what is expected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Score {
    /// Cases that say what they expect.
    pub expected: u64,
    /// Those of them that were left out, because what they expect is for a processor of the other maker.
    pub other_vendor: u64,
    /// Those that agree with what is expected.
    pub agree: u64,
}

/// About the number of bytes of an answer.
const ANSWER: usize = 48;

/// About the smallest number of bytes of a case.
const CASE: usize = 200;

impl Batch {
    /// Answers the cases of a chunk, in order.
    pub fn answer(chunk: &[u8], vendor: Vendor) -> Batch {
        let mut batch = Batch { answers: Vec::with_capacity(chunk.len() / CASE * ANSWER), ..Batch::default() };
        batch.each(chunk, |batch, _, case| {
            case.run(vendor).push(&case.id, &mut batch.answers);
            Ok(())
        });
        batch
    }

    /// Judges the cases of a chunk by what their lines expect.
    pub fn judge(chunk: &[u8], vendor: Vendor) -> Batch {
        let mut batch = Batch::default();
        batch.each(chunk, |batch, line, case| {
            let judgement = Expected::parse(line)?.judge(case, vendor, &case.run(vendor));
            batch.score.expected += u64::from(judgement != Judgement::NothingExpected);
            match judgement {
                Judgement::NothingExpected => {}
                Judgement::OtherVendor => batch.score.other_vendor += 1,
                Judgement::Agrees => batch.score.agree += 1,
                Judgement::Differs(what) => batch.differing.push((batch.lines, case.id.to_string(), what)),
            }
            Ok(())
        });
        batch
    }

    fn each(&mut self, chunk: &[u8], mut work: impl FnMut(&mut Batch, &[u8], &Case<'_>) -> Result<(), CaseError>) {
        for line in lines_of(chunk) {
            self.lines += 1;
            if line.trim_ascii().is_empty() {
                continue;
            }
            let done = Case::parse(line).and_then(|case| work(self, line, &case));
            match done {
                Ok(()) => self.cases += 1,
                Err(error) => self.bad.push((self.lines, error)),
            }
        }
    }
}
