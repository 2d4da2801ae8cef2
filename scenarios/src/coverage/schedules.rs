//! How the number of new schedules falls from run to run.
//!
//! Two runs have the same schedule if they differ only in the order of events that do not depend on each other.
//! Such runs form one Mazurkiewicz trace. The digest of the happens-before order identifies it.

use std::collections::BTreeMap;

/// The schedules of a campaign's runs, in the order of their numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Schedules(Vec<u64>);

impl Schedules {
    pub(super) fn push(&mut self, digest: u64) {
        self.0.push(digest);
    }

    /// Appends the runs that come next.
    pub(super) fn append(&mut self, mut next: Schedules) {
        self.0.append(&mut next.0);
    }

    /// Runs.
    pub fn runs(&self) -> u64 {
        self.0.len() as u64
    }

    /// Distinct schedules after 1, 2, 4 ... runs, and after all of them: (runs, distinct).
    pub fn thinning(&self) -> Vec<(u64, u64)> {
        let mut seen = std::collections::BTreeSet::new();
        let mut rows = Vec::new();
        for (done, digest) in (1_u64..).zip(&self.0) {
            seen.insert(digest);
            if done.is_power_of_two() || done == self.runs() {
                rows.push((done, seen.len() as u64));
            }
        }
        rows
    }

    /// Distinct schedules.
    pub fn distinct(&self) -> u64 {
        self.thinning().last().map_or(0, |(_, distinct)| *distinct)
    }

    /// Schedules that exactly one run had.
    pub fn seen_once(&self) -> u64 {
        let mut times: BTreeMap<u64, u64> = BTreeMap::new();
        for digest in &self.0 {
            *times.entry(*digest).or_default() += 1;
        }
        times.values().filter(|times| **times == 1).count() as u64
    }

    /// The probability, by the estimate of Good and Turing, that the next run has a schedule that no run had so far. It is
    /// the number of schedules that were seen once, divided by the number of runs. The estimate assumes that all runs are
    /// drawn alike. The runs of a portfolio nearly are.
    pub fn unseen(&self) -> f64 {
        if self.0.is_empty() { 1.0 } else { self.seen_once() as f64 / self.runs() as f64 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thins_out() {
        let schedules = Schedules(vec![7, 7, 8, 9, 7, 8]);
        assert_eq!(schedules.thinning(), [(1, 1), (2, 1), (4, 3), (6, 3)]);
        assert_eq!((schedules.distinct(), schedules.seen_once()), (3, 1));
        assert!((schedules.unseen() - 1.0 / 6.0).abs() < 1e-9);
        assert_eq!(Schedules::default().thinning(), []);
    }
}
