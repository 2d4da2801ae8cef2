//! Tables that can go back to the checkpoint. That costs only as much as was changed since.

/// A table of values by number. One that was never given a value holds `T::default()`.
#[derive(Clone, Debug, Default)]
pub(super) struct Kept<T> {
    now: Vec<T>,
    /// The values at the checkpoint.
    base: Vec<T>,
    /// The numbers of the values that may have changed since. Each is there once.
    changed: Vec<usize>,
    is_changed: Vec<bool>,
    /// The numbers of the values that were ever changed, in order.
    known: Vec<usize>,
    is_known: Vec<bool>,
}

impl<T: Clone + Default> Kept<T> {
    /// A table of these values.
    pub(super) fn new(values: Vec<T>) -> Kept<T> {
        Kept {
            base: values.clone(),
            is_changed: vec![false; values.len()],
            is_known: vec![false; values.len()],
            now: values,
            changed: Vec::new(),
            known: Vec::new(),
        }
    }

    pub(super) fn get(&self, i: usize) -> Option<&T> {
        self.now.get(i)
    }

    /// The numbers of the values that were ever changed, in this run or before, in order.
    pub(super) fn known(&self) -> &[usize] {
        &self.known
    }

    /// A value, to be changed.
    pub(super) fn change(&mut self, i: usize) -> Option<&mut T> {
        let value = self.now.get_mut(i)?;
        if !std::mem::replace(&mut self.is_changed[i], true) {
            self.changed.push(i);
            if !std::mem::replace(&mut self.is_known[i], true) {
                self.known.insert(self.known.partition_point(|known| *known < i), i);
            }
        }
        Some(value)
    }

    /// Every value that was ever changed, to be changed.
    pub(super) fn change_known(&mut self, mut change: impl FnMut(&mut T)) {
        for &i in &self.known {
            if !std::mem::replace(&mut self.is_changed[i], true) {
                self.changed.push(i);
            }
            change(&mut self.now[i]);
        }
    }

    /// Adds a value that was its default at the checkpoint, and answers its number.
    pub(super) fn add(&mut self) -> usize {
        self.now.push(T::default());
        self.base.push(T::default());
        self.is_changed.push(false);
        self.is_known.push(false);
        self.now.len() - 1
    }

    /// The present values become the checkpoint.
    pub(super) fn checkpoint(&mut self) {
        for i in self.changed.drain(..) {
            self.base[i].clone_from(&self.now[i]);
            self.is_changed[i] = false;
        }
    }

    /// Goes back to the checkpoint.
    pub(super) fn rewind(&mut self) {
        for i in self.changed.drain(..) {
            self.now[i].clone_from(&self.base[i]);
            self.is_changed[i] = false;
        }
    }
}

/// Gives a list the elements of another. Most lists are empty at the checkpoint and now, and then nothing is to be done.
pub(super) fn restore<T: Clone>(list: &mut Vec<T>, from: &Vec<T>) {
    if !(list.is_empty() && from.is_empty()) {
        list.clone_from(from);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rewind_restores_what_was_changed_or_added() {
        let mut table = Kept::new(vec![1, 2]);
        *table.change(1).expect("there are two") = 5;
        table.checkpoint();
        for _ in 0..2 {
            *table.change(0).expect("there are two") = 7;
            *table.change(0).expect("there are two") = 8;
            let added = table.add();
            *table.change(added).expect("it was added") = 9;
            assert_eq!(table.known().len(), 2 + added - 1);
            table.rewind();
            assert_eq!((table.get(0), table.get(1), table.get(added)), (Some(&1), Some(&5), Some(&0)));
        }
        assert!(table.change(9).is_none());
    }
}
