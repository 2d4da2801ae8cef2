//! Tables that go back to what they were at the checkpoint, at the cost of what was changed since.

/// A table of values by number. One that was never given a value holds `T::default()`.
#[derive(Clone, Debug, Default)]
pub(super) struct Kept<T> {
    now: Vec<T>,
    /// What each value was at the checkpoint.
    base: Vec<T>,
    /// The numbers of the values that may have changed since, once each.
    changed: Vec<usize>,
    is_changed: Vec<bool>,
}

impl<T: Clone + Default> Kept<T> {
    /// A table of these values.
    pub(super) fn new(values: Vec<T>) -> Kept<T> {
        Kept { base: values.clone(), is_changed: vec![false; values.len()], now: values, changed: Vec::new() }
    }

    pub(super) fn get(&self, i: usize) -> Option<&T> {
        self.now.get(i)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.now.iter()
    }

    /// A value, to be changed.
    pub(super) fn change(&mut self, i: usize) -> Option<&mut T> {
        let value = self.now.get_mut(i)?;
        if !std::mem::replace(&mut self.is_changed[i], true) {
            self.changed.push(i);
        }
        Some(value)
    }

    /// Every value, to be changed.
    pub(super) fn change_all(&mut self) -> impl Iterator<Item = &mut T> {
        self.changed = (0..self.now.len()).collect();
        self.is_changed.fill(true);
        self.now.iter_mut()
    }

    /// Adds a value that was its default at the checkpoint, and answers its number.
    pub(super) fn add(&mut self) -> usize {
        self.now.push(T::default());
        self.base.push(T::default());
        self.is_changed.push(false);
        self.now.len() - 1
    }

    /// The present values are those to go back to.
    pub(super) fn checkpoint(&mut self) {
        for i in self.changed.drain(..) {
            self.base[i].clone_from(&self.now[i]);
            self.is_changed[i] = false;
        }
    }

    /// Back to the checkpoint.
    pub(super) fn rewind(&mut self) {
        for i in self.changed.drain(..) {
            self.now[i].clone_from(&self.base[i]);
            self.is_changed[i] = false;
        }
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
            table.rewind();
            assert_eq!((table.get(0), table.get(1), table.get(added)), (Some(&1), Some(&5), Some(&0)));
        }
        assert!(table.change(9).is_none());
    }
}
