//! The decisions of a record, as a run takes them.

use std::cell::Cell;
use std::rc::Rc;

use sim_core::source::{Replay, Source};
use sim_core::{Choice, Chooser, Decided, Decision};

use super::contents::Record;
use crate::json::quote;

impl Record {
    /// Answer and number of answers of each decision.
    pub(super) fn answers(&self) -> Result<Vec<(u32, u32)>, String> {
        let answer = |(i, text): (usize, &String)| {
            let parse = || {
                let (answer, rest) = text.split_once('/')?;
                let (of, _) = rest.split_once(' ')?;
                Some((answer.parse::<u32>().ok()?, of.parse::<u32>().ok()?))
            };
            match parse() {
                Some((answer, of)) if answer < of => Ok((answer, of)),
                Some((answer, of)) => Err(format!("decisions[{i}]: answer {answer} is out of range, of {of}")),
                None => Err(format!("decisions[{i}]: {} is not of the form `ANSWER/OF LABEL`", quote(text))),
            }
        };
        self.decisions.iter().enumerate().map(answer).collect()
    }

    /// The decisions as a replay takes them.
    ///
    /// # Errors
    /// If one is not of the form `ANSWER/OF LABEL`.
    pub fn source(&self) -> Result<Source, String> {
        Ok(Source::Replay(Replay::strict(self.answers()?)))
    }
}

/// How many decisions a run took from a record. It is asked when the run has ended.
#[derive(Clone, Debug, Default)]
pub struct Taken(Rc<Cell<usize>>);

impl Taken {
    /// The number of decisions.
    pub fn decisions(&self) -> usize {
        self.0.get()
    }
}

/// The decisions of a record as long as they are about the same choices, and then those of another source.
pub struct Prefix {
    decisions: Vec<(u32, String)>,
    then: Source,
    on_record: bool,
    taken: Taken,
}

impl Prefix {
    /// A source that begins as `record` does and goes on as `then` does, and a handle that tells how far the record went.
    ///
    /// # Errors
    /// As [`Record::source`].
    pub fn source(record: &Record, then: Source) -> Result<(Source, Taken), String> {
        let answers = record.answers()?.into_iter().map(|(answer, _)| answer);
        let decisions = answers.zip(record.decisions.iter().cloned()).collect();
        let taken = Taken::default();
        let prefix = Prefix { decisions, then, on_record: true, taken: taken.clone() };
        Ok((Source::Custom(Box::new(prefix)), taken))
    }

    fn recorded(&self, choice: &Choice<'_>) -> Option<usize> {
        let (answer, label) = self.decisions.get(self.taken.decisions())?;
        let chosen = *answer as usize;
        let decided = match choice {
            Choice::Transition(enabled) => {
                (chosen < enabled.len()).then(|| Decided::Transition(enabled.get(chosen)))?
            }
            Choice::Value { what, .. } => Decided::Value(what),
        };
        let now = Decision { step: 0, decided, chosen: *answer, of: choice.of() as u32 };
        (now.to_string() == *label).then_some(chosen)
    }
}

impl Chooser for Prefix {
    fn choose(&mut self, choice: &Choice<'_>) -> usize {
        match self.on_record.then(|| self.recorded(choice)).flatten() {
            Some(chosen) => {
                self.taken.0.set(self.taken.0.get() + 1);
                chosen
            }
            None => {
                self.on_record = false;
                self.then.choose(choice)
            }
        }
    }
}
