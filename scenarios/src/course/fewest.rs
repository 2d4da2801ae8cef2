//! Of all orders that keep dependent steps in order, finds one with the fewest turns.

use std::collections::{BTreeSet, VecDeque};

use super::{Course, Past};

impl Past {
    /// The steps that matter, in an order that keeps every dependence and has as few turns as possible.
    ///
    /// This is a breadth-first search over the question whose turn is next. A CPU that has the turn goes on as far as it
    /// can, because that prevents nothing that others could do.
    pub fn in_fewest_turns(&self, course: &Course, wanted: &[bool]) -> Course {
        let cpus: BTreeSet<_> = course.doings.iter().map(|doing| doing.cpu).collect();
        let own: Vec<Vec<usize>> = cpus
            .iter()
            .map(|cpu| (0..course.doings.len()).filter(|&i| wanted[i] && course.doings[i].cpu == *cpu).collect())
            .collect();
        let total: usize = own.iter().map(Vec::len).sum();
        let start = vec![0_usize; own.len()];
        let mut seen = BTreeSet::from([start.clone()]);
        let mut queue = VecDeque::from([(start, Vec::<usize>::new())]);
        while let Some((at, order)) = queue.pop_front() {
            if order.len() == total {
                return Course { doings: order.iter().map(|&i| course.doings[i].clone()).collect() };
            }
            let done: BTreeSet<usize> = order.iter().copied().collect();
            for lane in 0..own.len() {
                let (mut then, mut longer, mut done) = (at.clone(), order.clone(), done.clone());
                while let Some(&i) = own[lane].get(then[lane]) {
                    if !self.before(i).iter().all(|before| !wanted[*before] || done.contains(before)) {
                        break;
                    }
                    done.insert(i);
                    longer.push(i);
                    then[lane] += 1;
                }
                if seen.insert(then.clone()) {
                    queue.push_back((then, longer));
                }
            }
        }
        course.clone()
    }
}
