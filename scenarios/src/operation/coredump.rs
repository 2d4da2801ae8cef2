//! `dump_page`: a core dump looks at a page.

use std::fmt;

use sim_gup::callers::get_dump_page;

use super::{Operation, Running, operation};
use crate::stage::{Place, Task};

operation! {
    /// A core dump looks at a page of the process: `get_dump_page()`.
    "dump_page" DumpPage {
        /// The page.
        required "at" at: Place,
    }
}

impl fmt::Display for DumpPage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "dump {}", self.at)
    }
}

impl Operation for DumpPage {
    fn routine(&self) -> Option<&'static str> {
        Some("get_dump_page")
    }

    fn run<'m>(&'m self, task: Task<'m>) -> Running<'m> {
        Box::pin(async move {
            get_dump_page(task.cpu, task.address(&self.at)?).await?;
            Ok(0)
        })
    }
}
