//! Flushes of several sizes with several numbers of CPUs, and the lines through their costs.

use std::rc::Rc;

use sim_mm::arch::tlb::SINGLE_PAGE_FLUSH_CEILING;
use sim_mmu::Profile;

use super::fit::Line;
use super::shootdown::{Measured, Shootdown, Transport};

/// The costs of flushes of one transport.
pub struct Sweep {
    /// How the other CPUs heard of them.
    pub transport: Transport,
    /// Numbers of CPUs, ascending.
    pub cpus: Vec<u64>,
    /// Numbers of pages, ascending.
    pub pages: Vec<u64>,
    /// The costs, for each number of CPUs and then for each number of pages.
    pub measured: Vec<Vec<Measured>>,
    /// Pages that one request of the transport names.
    batch: u64,
}

impl Sweep {
    /// Measures all of them. `progress` hears of each.
    pub fn measure(
        transport: Transport,
        cpus: &[u64],
        pages: &[u64],
        profile: &Rc<Profile>,
        mut progress: impl FnMut(),
    ) -> Sweep {
        let row = |cpus: &u64| {
            let shootdown = Shootdown::new(transport, *cpus as usize, profile.clone());
            let measure = |pages: &u64| {
                progress();
                shootdown.measure(*pages)
            };
            pages.iter().map(measure).collect()
        };
        let batch = match transport {
            Transport::Ipi => 1,
            Transport::Invlpgb => profile.broadcasts.map_or(1, |broadcasts| broadcasts.pages),
        };
        let measured = cpus.iter().map(row).collect();
        Sweep { transport, cpus: cpus.to_vec(), pages: pages.to_vec(), measured, batch }
    }

    /// The number of pages that one request names. The cost is a line in the number of requests.
    pub fn batch(&self) -> u64 {
        self.batch
    }

    /// The line through the costs against CPUs, for the number of pages of column `column`. It begins at two CPUs, because a
    /// single CPU has no other to tell.
    pub fn by_cpus(&self, column: usize) -> Option<Line> {
        let points = self.cpus.iter().zip(&self.measured).filter(|(cpus, _)| **cpus > 1);
        Line::through(&points.map(|(cpus, row)| (*cpus, row[column].flush)).collect::<Vec<_>>())
    }

    /// The line through the costs against requests, up to the kernel's ceiling, for the number of CPUs of row `row`.
    pub fn by_requests(&self, row: usize) -> Option<Line> {
        let points = self.pages.iter().zip(&self.measured[row]);
        let below = points.filter(|(pages, _)| **pages <= SINGLE_PAGE_FLUSH_CEILING);
        Line::through(&below.map(|(pages, at)| (pages.div_ceil(self.batch), at.flush)).collect::<Vec<_>>())
    }

    /// The cycles that CPU 0 needs to walk again for other pages, for the number of CPUs of row `row`: after the largest flush
    /// page by page, and after the smallest flush of everything.
    pub fn refills(&self, row: usize) -> Option<(u64, u64)> {
        let beyond = self.pages.iter().position(|pages| *pages > SINGLE_PAGE_FLUSH_CEILING)?;
        let by_page = self.measured[row].get(beyond.checked_sub(1)?)?;
        Some((by_page.refill, self.measured[row][beyond].refill))
    }

    /// The least and the most cycles of a flush above the ceiling, for the number of CPUs of row `row`.
    pub fn beyond_ceiling(&self, row: usize) -> Option<(u64, u64)> {
        let points = self.pages.iter().zip(&self.measured[row]);
        let beyond = points.filter(|(pages, _)| **pages > SINGLE_PAGE_FLUSH_CEILING).map(|(_, at)| at.flush);
        Some((beyond.clone().min()?, beyond.max()?))
    }
}
