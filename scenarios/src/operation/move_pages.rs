//! `move_pages`.

use std::fmt;

use sim_mm::{MovePages, sys_move_pages};

use super::argument::{NewValue, NumaNode, RangePages};
use super::range::{Range, needs_pages_at_an_address};
use super::{Operation, Running, as_text, operation};
use crate::json::Bool;
use crate::stage::{Place, Task};

operation! {
    /// Has pages moved to a node: `move_pages()`. Answers how many were not moved because somebody holds them. The kernel must have migration
    /// (`"platform": { "migration": "on" }`), and a machine with two nodes (`"nodes": "2"`) has pages to move.
    "move_pages" MovePagesOperation {
        /// The first page.
        required "at" at: Place,
        /// How many pages; all up to the end of the mapping if not given.
        optional "pages" pages: RangePages,
        /// The node.
        required "node" node: NumaNode,
        /// Whether pages are moved that others map as well (`MPOL_MF_MOVE_ALL`); false if not given.
        optional "all" all: Bool,
        /// What checks call the number of pages that are said to be on the node.
        optional "as" name: NewValue,
    }
    where needs_pages_at_an_address
}

impl Range for MovePagesOperation {
    fn range(&self) -> (&Place, Option<u64>) {
        (&self.at, self.pages)
    }
}

impl fmt::Display for MovePagesOperation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = if self.all == Some(true) { ", MPOL_MF_MOVE_ALL" } else { "" };
        let name = as_text(self.name.as_ref());
        write!(f, "move_pages {} to node {}{all}{name}", self.range_text(), self.node)
    }
}

impl Operation for MovePagesOperation {
    fn routine(&self) -> Option<&'static str> {
        Some("kernel_move_pages")
    }

    fn run<'m>(&'m self, task: Task<'m>) -> Running<'m> {
        Box::pin(async move {
            let range = task.range(&self.at, self.pages)?;
            let mm = task.cpu.kernel.mm(task.mm()?);
            let request = MovePages {
                start: range.start,
                pages: range.end.vpn().0 - range.start.vpn().0,
                node: self.node,
                all: self.all == Some(true),
            };
            let (failed, status) = sys_move_pages(task.cpu, mm, request).await?;
            let there = status.iter().filter(|status| matches!(status, Some(Ok(_)))).count();
            task.keep(self.name.as_deref(), there as u64);
            Ok(failed.cast_signed())
        })
    }
}
