//! `vmsplice` and `pipe_read`: a pipe that holds references to user pages.

use std::fmt;

use sim_gup::callers;

use super::argument::{FilledPipe, NewValue, OldPipe, PinnedPages};
use super::{Operation, Running, as_text, operation, pages_text};
use crate::stage::{Place, Task};

operation! {
    /// Puts references to pages into a pipe, and no copies: `vmsplice()`. Answers how many.
    "vmsplice" Vmsplice {
        /// The first page.
        required "from" from: Place,
        /// How many pages; 1 if not given.
        or (1) "pages" pages: PinnedPages,
        /// The pipe.
        required "pipe" pipe: FilledPipe,
    }
}

operation! {
    /// Reads the first word of each of the next pages in a pipe. It waits until they are there. Answers the last word.
    "pipe_read" PipeRead {
        /// The pipe.
        required "pipe" pipe: OldPipe,
        /// How many pages; 1 if not given.
        or (1) "pages" pages: PinnedPages,
        /// What checks call the last value.
        optional "as" name: NewValue,
    }
}

impl fmt::Display for Vmsplice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "vmsplice {}, {}, into {}", self.from, pages_text(self.pages), self.pipe)
    }
}

impl fmt::Display for PipeRead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "read {} from {}{}", pages_text(self.pages), self.pipe, as_text(self.name.as_ref()))
    }
}

impl Operation for Vmsplice {
    fn routine(&self) -> Option<&'static str> {
        Some("vmsplice_to_pipe")
    }

    fn run<'m>(&'m self, task: Task<'m>) -> Running<'m> {
        Box::pin(async move {
            let start = task.address(&self.from)?;
            let nr = callers::vmsplice(task.cpu, task.pipe(&self.pipe), start, self.pages).await?;
            Ok(nr as i64)
        })
    }
}

impl Operation for PipeRead {
    fn run<'m>(&'m self, task: Task<'m>) -> Running<'m> {
        Box::pin(async move {
            let reader = task.mm()?;
            let mut last = 0;
            for _ in 0..self.pages {
                last = callers::pipe_read(task.cpu, task.pipe(&self.pipe), reader).await;
                task.keep(self.name.as_deref(), last);
            }
            Ok(last.cast_signed())
        })
    }
}
