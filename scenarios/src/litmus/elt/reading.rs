//! Reads the events of a row, and finds out what their names stand for.

use std::collections::BTreeMap;

/// The kind of event that a word names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mnemonic {
    Wpte,
    Invlpg,
    Read,
    Write,
    Mfence,
}

/// The events as far as they were read.
#[derive(Default)]
pub(super) struct Reading {
    /// The name of each event, its thread, and its kind.
    pub(super) events: Vec<(String, usize, Mnemonic)>,
    /// Whether names are addresses.
    pub(super) by_address: bool,
    /// The address of each event, and the entry that a walk reads for it.
    addresses: Vec<String>,
    pub(super) walking: Vec<(usize, String)>,
}

impl Reading {
    /// Reads an event of a thread.
    ///
    /// # Errors
    /// What is wrong with it, or not modelled.
    pub(super) fn event(&mut self, thread: usize, text: &str) -> Result<(), String> {
        let unknown = || {
            format!(
                "`{text}` is not modelled: `WPTE e0`, `INVLPG e1`, `W e2`, `R e3` and `F e4` are, and `R a1 walks a0` by \
                 address"
            )
        };
        let words: Vec<&str> = text.split_whitespace().collect();
        let (word, name, walks) = match *words.as_slice() {
            [word @ ("F" | "MFENCE")] => (word, "", None),
            [word, name] => (word, name, None),
            [word @ ("R" | "W"), name, "walks", entry] => (word, name, Some(entry)),
            _ => return Err(unknown()),
        };
        let mnemonic = match word {
            "WPTE" => Mnemonic::Wpte,
            "INVLPG" => Mnemonic::Invlpg,
            "R" => Mnemonic::Read,
            "W" => Mnemonic::Write,
            "F" | "MFENCE" => Mnemonic::Mfence,
            _ => return Err(unknown()),
        };
        let event = self.events.len();
        let by_address = name.starts_with('a');
        if mnemonic != Mnemonic::Mfence {
            let is_first = self.events.iter().all(|(.., other)| *other == Mnemonic::Mfence);
            if !is_first && by_address != self.by_address {
                return Err(format!("`{text}`: names are all of events (`e0`), or all of addresses (`a0`)"));
            }
            self.by_address = by_address;
        }
        let own = if by_address || name.is_empty() { format!("e{event}") } else { name.to_owned() };
        if self.events.iter().any(|(name, ..)| *name == own) {
            return Err(format!("two events have the name `{own}`"));
        }
        self.walking.extend(walks.map(|entry| (event, entry.to_owned())));
        self.addresses.push(name.to_owned());
        self.events.push((own, thread, mnemonic));
        Ok(())
    }

    /// The event of a name.
    pub(super) fn find(&self, name: &str) -> Result<usize, String> {
        let found = self.events.iter().position(|(other, ..)| other == name);
        found.ok_or_else(|| format!("there is no event `{name}`"))
    }

    /// The access behind `walk(e2)` or `dirty(e2)`.
    pub(super) fn behind(&self, name: &str, ghost: &str) -> Result<usize, String> {
        let inner = name.strip_prefix(ghost).and_then(|rest| rest.strip_prefix('(')?.strip_suffix(')'));
        let event = self.find(inner.ok_or_else(|| format!("`{name}` is no `{ghost}(EVENT)`"))?)?;
        if !self.is_user(event) || ghost == "dirty" && self.events[event].2 != Mnemonic::Write {
            return Err(format!("`{name}`: `{}` is no such access", self.events[event].0));
        }
        Ok(event)
    }

    /// Whether it is an access of user code.
    pub(super) fn is_user(&self, event: usize) -> bool {
        matches!(self.events[event].2, Mnemonic::Read | Mnemonic::Write)
    }

    /// An error, if an event is not of the kind that it should be.
    pub(super) fn expect(&self, event: usize, mnemonic: Mnemonic) -> Result<(), String> {
        let (name, _, found) = &self.events[event];
        if *found == mnemonic { Ok(()) } else { Err(format!("`{name}` is not {mnemonic:?}")) }
    }

    /// The pages of a row whose names are addresses. Walks say which entry belongs to which page, or an INVLPG after the store.
    pub(super) fn pages_by_address(&self) -> Result<(Vec<usize>, usize), String> {
        let mut data_of: BTreeMap<&str, &str> = BTreeMap::new();
        let walked = self.walking.iter().map(|(event, entry)| (&**entry, &*self.addresses[*event]));
        let stores = (0..self.events.len()).filter(|event| self.events[*event].2 == Mnemonic::Wpte);
        let flushed = stores.clone().filter_map(|store| {
            let (_, thread, mnemonic) = self.events.get(store + 1)?;
            (*thread == self.events[store].1 && *mnemonic == Mnemonic::Invlpg)
                .then(|| (&*self.addresses[store], &*self.addresses[store + 1]))
        });
        for (entry, data) in walked.chain(flushed) {
            let known = *data_of.entry(entry).or_insert(data);
            if known != data {
                return Err(format!("`{entry}` is the entry of `{known}` and of `{data}`"));
            }
        }
        let mut numbers: BTreeMap<&str, usize> = BTreeMap::new();
        let mut pages = Vec::new();
        for (event, (.., mnemonic)) in self.events.iter().enumerate() {
            let address = &*self.addresses[event];
            let data = match mnemonic {
                Mnemonic::Mfence => {
                    pages.push(0);
                    continue;
                }
                Mnemonic::Wpte => {
                    data_of.get(address).ok_or_else(|| format!("`{address}`: nothing says whose entry it is"))?
                }
                _ => address,
            };
            let next = numbers.len();
            pages.push(*numbers.entry(data).or_insert(next));
        }
        Ok((pages, numbers.len().max(1)))
    }

    /// A store to an entry asks each other thread for an INVLPG: the first one of the page for which no earlier store asked.
    pub(super) fn remaps_by_address(&self, page: &[usize]) -> Vec<(usize, usize)> {
        let mut remaps: Vec<(usize, usize)> = Vec::new();
        let threads = self.events.iter().map(|(_, thread, _)| thread + 1).max().unwrap_or_default();
        let of = |wanted| (0..self.events.len()).filter(move |event| self.events[*event].2 == wanted);
        // An INVLPG right after a store of its own thread belongs to that store.
        let own = |invlpg: usize| invlpg > 0 && self.events[invlpg - 1].2 == Mnemonic::Wpte;
        for store in of(Mnemonic::Wpte) {
            for thread in (0..threads).filter(|thread| *thread != self.events[store].1) {
                let free = of(Mnemonic::Invlpg).find(|invlpg| {
                    self.events[*invlpg].1 == thread
                        && page[*invlpg] == page[store]
                        && !own(*invlpg)
                        && !remaps.iter().any(|(_, taken)| taken == invlpg)
                });
                remaps.extend(free.map(|invlpg| (store, invlpg)));
            }
        }
        remaps
    }
}
