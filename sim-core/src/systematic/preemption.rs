//! Preemptions of a run: how often it leaves a CPU that could go on.

use super::Search;
use super::lanes::Lane;
use crate::choice::Transition;
use crate::id::CpuId;

impl Search {
    /// The CPU that took the last step before state `at`. Drains of store buffers do not count.
    pub(super) fn ran_last(&self, at: usize) -> Option<Lane> {
        self.path.nodes[..at].iter().rev().map(|node| node.lane).find(|lane| lane.index() < self.cpus)
    }

    /// The CPU that ran last before state `at`, if it can go on there.
    pub(super) fn goes_on(&self, at: usize) -> Option<Lane> {
        self.preemptions?;
        self.ran_last(at).filter(|lane| self.path.options_of(at).contains(&Transition::Step(CpuId(lane.0))))
    }

    /// Preemptions of the run up to and including the last node's step.
    pub(super) fn preemptions_so_far(&self) -> u32 {
        let (Some(node), Some(_)) = (self.path.nodes.last(), self.preemptions) else { return 0 };
        let at = self.path.nodes.len() - 1;
        let leaves = self.goes_on(at).is_some_and(|lane| {
            let switches = matches!(self.path.options_of(at)[node.current], Transition::Switch(..));
            node.lane.index() < self.cpus && (node.lane != lane || switches)
        });
        node.preemptions + u32::from(leaves)
    }
}
