//! `nr_hugepages`: the size of the pool of huge pages.

use std::fmt;

use sim_mm::{HugePageSize, sys_nr_hugepages};

use super::argument::{Argument, HugePages, NewValue};
use super::{Operation, Running, as_text, operation};
use crate::json::{Named, name_of};
use crate::stage::Task;

operation! {
    /// Sets the size of the pool of huge pages: a write to `/proc/sys/vm/nr_hugepages`. The machine must have one (`"platform": { "hugetlbfs": "on" }`), or it fails with
    /// EOPNOTSUPP. The pool gets as many pages as memory has, and gives up only pages that are free and not set aside.
    "nr_hugepages" NrHugepages {
        /// The size of the pages: `huge` if not given. One PUD entry maps a gigantic one.
        or (HugePageSize::Huge) "size" size: HugePageSize,
        /// How many huge pages it is to have.
        required "huge_pages" huge_pages: HugePages,
        /// What checks call the number that it has then.
        optional "as" name: NewValue,
    }
}

impl Named for HugePageSize {
    const WHAT: &'static str = "size";
    const NAMES: &'static [(HugePageSize, &'static str)] =
        &[(HugePageSize::Huge, "huge"), (HugePageSize::Gigantic, "gigantic")];
}

impl Argument for HugePageSize {}

impl fmt::Display for NrHugepages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "nr_hugepages {}, {}{}", name_of(self.size), self.huge_pages, as_text(self.name.as_ref()))
    }
}

impl Operation for NrHugepages {
    fn routine(&self) -> Option<&'static str> {
        Some("set_max_huge_pages")
    }

    fn run<'m>(&'m self, task: Task<'m>) -> Running<'m> {
        Box::pin(async move {
            let has = sys_nr_hugepages(task.cpu, self.size, self.huge_pages).await?;
            task.keep(self.name.as_deref(), has);
            Ok(0)
        })
    }
}
