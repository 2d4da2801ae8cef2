//! The program that a shape becomes: events on pages, with frames and values.

use std::collections::BTreeSet;

use crate::litmus::test::{Instruction, Pages, VirtualPage};

/// What an event does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// A store to the entry of a page. From then on the entry leads to a frame.
    Wpte {
        /// The page.
        page: usize,
        /// The frame.
        frame: usize,
    },
    /// INVLPG of a page.
    Invlpg {
        /// The page.
        page: usize,
    },
    /// A load of user code.
    Read {
        /// The page.
        page: usize,
    },
    /// A store of user code.
    Write {
        /// The page.
        page: usize,
    },
    /// MFENCE.
    Mfence,
}

/// An event of a thread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Event {
    /// Its name in the row.
    pub(super) name: String,
    /// Its thread.
    pub(super) thread: usize,
    /// What it does.
    pub(super) what: What,
}

/// Events in program order. Those of the first thread come first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Program {
    pub(super) events: Vec<Event>,
    pub(super) threads: usize,
    /// For each page, whether D of its entry is clear at the start. It is then also clear in each entry that is stored.
    pub(super) clean: Vec<bool>,
    /// The number of frames. At the start each page is mapped to the frame of its number. The frames after these are new.
    pub(super) frames: usize,
    /// Stores to entries, each with an INVLPG of another thread that comes after it: the handler of the interrupt executes it.
    pub(super) remaps: Vec<(usize, usize)>,
}

impl Program {
    /// The page that an access of user code touches.
    pub(super) fn accessed(&self, event: usize) -> Option<usize> {
        match self.events[event].what {
            What::Read { page } | What::Write { page } => Some(page),
            _ => None,
        }
    }

    pub(super) fn is_read(&self, event: usize) -> bool {
        matches!(self.events[event].what, What::Read { .. })
    }

    pub(super) fn is_write(&self, event: usize) -> bool {
        matches!(self.events[event].what, What::Write { .. })
    }

    /// The page whose entry an event stores to.
    pub(super) fn remaps_page(&self, event: usize) -> Option<usize> {
        match self.events[event].what {
            What::Wpte { page, .. } => Some(page),
            _ => None,
        }
    }

    /// Whether a walk for the page can find different entries.
    pub(super) fn moves(&self, page: usize) -> bool {
        self.clean[page] || (0..self.events.len()).any(|event| self.remaps_page(event) == Some(page))
    }

    /// Program order.
    pub(super) fn before(&self, first: usize, second: usize) -> bool {
        self.events[first].thread == self.events[second].thread && first < second
    }

    /// Whether a thread invalidates a page between two of its events.
    pub(super) fn flushes_between(&self, first: usize, second: usize, page: usize) -> bool {
        (first + 1..second).any(|event| self.events[event].what == What::Invlpg { page })
    }

    /// The value of a frame at the start.
    pub(super) fn initial(frame: usize) -> u64 {
        1 + frame as u64
    }

    /// The value that an event stores.
    pub(super) fn value(event: usize) -> u64 {
        101 + event as u64
    }

    /// The names of the values of an outcome: what each load read, the value of each frame at the end, and D of the entries in
    /// which it was clear.
    pub(super) fn observes(&self) -> Vec<String> {
        let reads = (0..self.events.len()).filter(|event| self.is_read(*event)).map(|event| {
            let Event { name, thread, .. } = &self.events[event];
            format!("P{thread}.{name}")
        });
        let frames = (0..self.frames).map(frame_name);
        let dirty = self.watched().into_iter().map(|page| VirtualPage::dirty_name(&page_name(page)));
        reads.chain(frames).chain(dirty).collect()
    }

    /// The pages whose D flag is looked at.
    pub(super) fn watched(&self) -> Vec<usize> {
        (0..self.clean.len()).filter(|page| self.clean[*page]).collect()
    }

    /// The pages and frames of the machine.
    pub(super) fn pages(&self) -> Pages {
        let pages = (0..self.clean.len()).map(|page| VirtualPage {
            name: page_name(page),
            frame: frame_name(page),
            is_clean: self.clean[page],
        });
        let senders: BTreeSet<usize> = self.remaps.iter().map(|(sender, _)| *sender).collect();
        Pages {
            pages: pages.collect(),
            frames: (0..self.frames).map(|frame| (frame_name(frame), Program::initial(frame))).collect(),
            flags: senders.into_iter().map(flag_name).collect(),
        }
    }

    /// The instructions of each thread. An interrupt becomes a flag. Its sender stores to the flag after the store to the
    /// entry. Its target waits for the flag at the place of its INVLPG, because there the interrupt is taken.
    pub(super) fn instructions(&self) -> Vec<Vec<Instruction>> {
        let mut threads = vec![Vec::new(); self.threads];
        for (nth, event) in self.events.iter().enumerate() {
            let thread = &mut threads[event.thread];
            for (sender, _) in self.remaps.iter().filter(|(_, target)| *target == nth) {
                thread.push(Instruction::Await { at: flag_name(*sender) });
            }
            thread.push(match event.what {
                What::Wpte { page, frame } => Instruction::SetEntry {
                    of: page_name(page),
                    to: frame_name(frame),
                    is_clean: self.clean[page],
                },
                What::Invlpg { page } => Instruction::Invlpg { at: page_name(page) },
                What::Read { page } => Instruction::Load { from: page_name(page), into: event.name.clone() },
                What::Write { page } => Instruction::Store { to: page_name(page), value: Program::value(nth) },
                What::Mfence => Instruction::Mfence,
            });
            if self.remaps.iter().any(|(sender, _)| *sender == nth) {
                thread.push(Instruction::Store { to: flag_name(nth), value: 1 });
            }
        }
        threads
    }
}

fn page_name(page: usize) -> String {
    format!("va{page}")
}

fn frame_name(frame: usize) -> String {
    format!("pa{frame}")
}

fn flag_name(sender: usize) -> String {
    format!("ipi{sender}")
}
