//! Which large folios below the size of a huge page the recorded machine had. No header says so, but `THPeligible` does: of a mapping that nobody
//! gave an advice about, it says whether a folio of some size that the machine has for all would fit.

use sim_mm::{AnonOrders, Knob, ShmemOrders};

use super::view::{ProcessView, VmaView};

/// The order of a huge page on the machines that are recorded.
const PMD_ORDER: u32 = 9;

/// What all mappings together say.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Told {
    private: Sizes,
    shared: Sizes,
}

/// What is said of one kind of memory.
#[derive(Clone, Copy, Debug)]
struct Sizes {
    /// The largest order that fits into a mapping, and that the machine does not have.
    refused: u32,
    /// The smallest order that is the largest one that fits into a mapping, and that is large enough.
    accepted: u32,
}

impl Default for Sizes {
    fn default() -> Sizes {
        Sizes { refused: 0, accepted: PMD_ORDER }
    }
}

impl Told {
    /// Takes in what is said of the mappings of a process.
    pub(super) fn look(&mut self, process: &ProcessView) {
        let advised = |vma: &VmaView| ["hg", "nh"].iter().any(|code| vma.flags.contains(*code));
        for vma in process.vmas.iter().filter(|vma| !advised(vma)) {
            // A file without a name is shared anonymous memory as well, and the recorder's files have none.
            if vma.backing == "a" {
                self.private.look(vma, |_| true);
            } else {
                self.shared.look(vma, |order| (vma.page ^ vma.offset).is_multiple_of(1 << order));
            }
        }
    }

    /// The smallest size for private memory that agrees with everything. Which others the machine has besides nothing tells.
    pub(super) fn anon_orders(self) -> AnonOrders {
        self.private.smallest(2, AnonOrders::None)
    }

    /// The same for shared anonymous memory.
    pub(super) fn shmem_orders(self) -> ShmemOrders {
        self.shared.smallest(1, ShmemOrders::None)
    }
}

impl Sizes {
    /// Takes in one mapping, which can have blocks of the orders that suit it.
    fn look(&mut self, vma: &VmaView, suits: impl Fn(u32) -> bool) {
        let has_block = |order: u32| vma.page.next_multiple_of(1 << order) + (1 << order) <= vma.page + vma.pages;
        let largest = (0..=PMD_ORDER).rev().find(|order| suits(*order) && has_block(*order)).unwrap_or(0);
        if vma.stats.contains_key("te") {
            self.accepted = self.accepted.min(largest);
        } else {
            self.refused = self.refused.max(largest);
        }
    }

    fn smallest<K: Knob>(self, least: u32, none: K) -> K {
        if self.accepted >= PMD_ORDER || self.refused >= self.accepted {
            return none;
        }
        let order = (self.refused + 1).max(least);
        let name = format!("{}k", 4 << order);
        K::SETTING.by_name(&name).map_or(none, |place| K::VALUES[place])
    }
}
