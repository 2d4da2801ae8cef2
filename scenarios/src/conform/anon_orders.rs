//! Which large folios below the size of a huge page the recorded machine had. No header says so, but `THPeligible` does: of a mapping of
//! private memory that nobody gave an advice about, it says whether a folio of some size that the machine has for all would fit.

use sim_mm::{AnonOrders, Knob};

use super::view::{ProcessView, VmaView};

/// The order of a huge page on the machines that are recorded.
const PMD_ORDER: u32 = 9;

/// What all mappings together say.
#[derive(Clone, Copy, Debug)]
pub(super) struct Told {
    /// The largest order that fits into a mapping, and that the machine does not have.
    refused: u32,
    /// The smallest order that is the largest one that fits into a mapping, and that is large enough.
    accepted: u32,
}

impl Default for Told {
    fn default() -> Told {
        Told { refused: 0, accepted: PMD_ORDER }
    }
}

/// The order of the largest block, aligned to its size, that a mapping has.
fn largest_block(vma: &VmaView) -> u32 {
    let fits = |order: &u32| vma.page.next_multiple_of(1 << order) + (1 << order) <= vma.page + vma.pages;
    (0..=PMD_ORDER).rev().find(fits).unwrap_or(0)
}

impl Told {
    /// Takes in what is said of the mappings of a process.
    pub(super) fn look(&mut self, process: &ProcessView) {
        let advised = |vma: &VmaView| ["hg", "nh"].iter().any(|code| vma.flags.contains(*code));
        for vma in process.vmas.iter().filter(|vma| vma.backing == "a" && !advised(vma)) {
            let largest = largest_block(vma);
            if vma.stats.contains_key("te") {
                self.accepted = self.accepted.min(largest);
            } else {
                self.refused = self.refused.max(largest);
            }
        }
    }

    /// The smallest size that agrees with everything. Which others the machine has besides nothing tells.
    pub(super) fn orders(self) -> AnonOrders {
        if self.accepted >= PMD_ORDER || self.refused >= self.accepted {
            return AnonOrders::None;
        }
        let order = (self.refused + 1).max(2);
        let name = format!("{}k", 4 << order);
        AnonOrders::SETTING.by_name(&name).map_or(AnonOrders::None, |place| AnonOrders::VALUES[place])
    }
}
