//! A search that is cut into subtrees. The subtrees are cut into units, and any number of threads do the units.
//!
//! A unit is done by any thread that is free, and counts in its turn (`sim_core::systematic::Division`). The same holds for
//! subtrees. Several machines share the subtrees by number. Number `n` belongs to a campaign if one of its runs could have
//! that number.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard};

use sim_core::systematic::{Division, Subtree, Unit};

use super::campaign::{Campaign, Explored, Goal, Piece};
use super::count::{Count, UNIT, WHOLE_SEARCH};
use super::strategy::Exhaustive;
use super::through::{Part, Sought, Through};
use crate::world::SetupError;

/// A subtree under way.
struct Line {
    division: Division,
    /// The units that no thread has taken yet.
    ready: VecDeque<(u64, Unit)>,
    /// The results whose turn has not come.
    parts: BTreeMap<u64, Part>,
    /// The piece to which the next result may be added.
    open: Piece,
    /// The pieces that are not counted yet.
    closed: Vec<Piece>,
    /// Whether a run has reached the goal.
    reaches: bool,
    is_over: bool,
}

impl Line {
    fn new(number: u64, subtree: Subtree) -> Line {
        let mut division = Division::below(UNIT, subtree);
        let ready = std::iter::from_fn(|| division.give()).collect();
        let open = Piece { subtree: number, ..Piece::default() };
        Line { division, ready, parts: BTreeMap::new(), open, closed: Vec::new(), reaches: false, is_over: false }
    }

    /// Takes a result. All results whose turn has come are joined to pieces.
    fn take(&mut self, unit: u64, part: Part) {
        self.parts.insert(unit, part);
        while let Some(part) =
            self.division.due().filter(|_| !self.is_over).and_then(|due| self.parts.remove(&due))
        {
            let runs = self.open.explored.runs;
            if runs > 0 && runs + part.explored.runs > UNIT {
                self.close();
            }
            self.reaches = part.explored.first.is_some();
            self.open.explored.follow_with(part.explored);
            self.open.tally.add(part.done.tally());
            self.division.add(part.done);
            self.ready.extend(std::iter::from_fn(|| self.division.give()));
            self.is_over = self.reaches || self.division.is_over();
            if self.is_over {
                self.close();
            }
        }
    }

    fn close(&mut self) {
        let progress = (self.division.progress() * WHOLE_SEARCH as f64) as u64;
        self.open.progress = if self.division.is_over() { WHOLE_SEARCH } else { progress.min(WHOLE_SEARCH - 1) };
        let next = Piece { subtree: self.open.subtree, ..Piece::default() };
        self.closed.push(std::mem::replace(&mut self.open, next));
    }
}

/// The state that the threads of a search share.
struct Team {
    /// The subtrees that no thread has begun, with their numbers.
    waiting: VecDeque<(u64, Subtree)>,
    /// The subtrees under way, by number.
    lines: BTreeMap<u64, Line>,
    count: Count,
    explored: Explored,
    keeps_pieces: bool,
    /// Whether nothing is left to do.
    is_over: bool,
    failed: Option<SetupError>,
}

impl Team {
    /// A unit to do. It comes from the first subtree that has one.
    fn give(&mut self) -> Option<(u64, u64, Unit)> {
        // Subtrees after a run that reaches the goal do not count.
        let reaches = self.lines.values().any(|line| line.reaches);
        let begun = self.lines.iter_mut().take_while(|(_, line)| !line.reaches);
        let ready =
            begun.filter_map(|(&at, line)| line.ready.pop_front().map(|(number, unit)| (at, number, unit)));
        if let Some(found) = ready.into_iter().next() {
            return Some(found);
        }
        if reaches {
            return None;
        }
        let (at, subtree) = self.waiting.pop_front()?;
        let mut line = Line::new(at, subtree);
        let first = line.ready.pop_front().map(|(number, unit)| (at, number, unit));
        self.lines.insert(at, line);
        first
    }

    /// Takes a result, and counts all pieces whose turn has come.
    fn take(&mut self, at: u64, unit: u64, part: Part) {
        if let Some(line) = self.lines.get_mut(&at) {
            line.take(unit, part);
        }
        while let Some(mut first) = self.lines.first_entry() {
            let pieces = std::mem::take(&mut first.get_mut().closed);
            let is_over = first.get().is_over;
            if is_over {
                first.remove();
            }
            pieces.into_iter().for_each(|piece| self.add(piece));
            if !is_over {
                break;
            }
        }
        self.is_over |= self.count.is_over() || (self.lines.is_empty() && self.waiting.is_empty());
    }

    /// Counts the pieces whose turn has not come. Somebody asked for the end, and everything that was found must be told.
    fn add_the_rest(&mut self) {
        for (_, mut line) in std::mem::take(&mut self.lines) {
            line.close();
            line.closed.retain(|piece| piece.explored.runs > 0);
            line.closed.into_iter().for_each(|piece| self.add(piece));
        }
    }

    fn add(&mut self, mut piece: Piece) {
        if self.count.is_over() {
            return;
        }
        let Piece { explored, tally, progress, .. } = &piece;
        let counts = self.count.takes(explored.runs, explored.first.is_some(), *tally, *progress);
        let part = std::mem::take(&mut piece.explored);
        if self.keeps_pieces {
            // A piece that does not fit into the budget is kept too. Counting ends with it even when the pieces of other
            // machines are added.
            piece.explored = Explored { trace: None, traces: Vec::new(), ..part.clone() };
            self.explored.pieces.push(piece);
        }
        if counts {
            self.explored.follow_with(part);
        }
    }
}

/// If a thread ends by a panic, the others end too, because its unit will never be done.
struct Leaving<'t>(&'t Mutex<Team>, &'t Condvar);

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        if std::thread::panicking()
            && let Ok(mut team) = self.0.lock()
        {
            team.is_over = true;
            self.1.notify_all();
        }
    }
}

fn lock(team: &Mutex<Team>) -> MutexGuard<'_, Team> {
    team.lock().expect("no thread panics with it")
}

impl Campaign<'_> {
    /// Whether a subtree belongs to this campaign.
    fn owns(&self, subtree: u64) -> bool {
        subtree % self.stride == self.seed % self.stride
    }

    /// Does the subtrees of the search by traces that belong to this campaign.
    pub(super) fn explore_divided(
        &self,
        goal: Goal<'_>,
        stop: &AtomicBool,
        tell: &(dyn Fn(f64) + Sync),
    ) -> Result<Explored, SetupError> {
        let world = self.world()?;
        let mut through = Through::new(&world, Exhaustive::TRACES);
        let Sought { explored: before, tally, subtrees } = through.seek(goal, stop);
        let all = subtrees.len() as u64;
        let waiting: VecDeque<(u64, Subtree)> =
            (1..).zip(subtrees).filter(|(number, _)| self.owns(*number)).collect();
        let count = Count::new(self.runs, waiting.len() as u64 + u64::from(self.owns(0)));
        let (keeps_pieces, is_over, interrupted) = (self.stride > 1, count.is_over(), before.interrupted);
        let explored = Explored { subtrees: all + 1, ..Explored::default() };
        let mut team =
            Team { waiting, lines: BTreeMap::new(), count, explored, keeps_pieces, is_over, failed: None };
        if self.owns(0) && !interrupted {
            team.add(Piece { subtree: 0, explored: before, tally, progress: WHOLE_SEARCH });
            team.is_over = team.count.is_over();
        }
        let (team, changed) = (Mutex::new(team), Condvar::new());
        // The next unit. `None`, if there will be no more.
        let next = || {
            let mut team = lock(&team);
            loop {
                if team.is_over || stop.load(Ordering::Relaxed) {
                    return None;
                }
                match team.give() {
                    Some(unit) => return Some(unit),
                    None => team = changed.wait(team).expect("no thread panics with it"),
                }
            }
        };
        let work = |through: &mut Through<'_, '_>| {
            while let Some((at, number, unit)) = next() {
                let part = through.perform(unit, goal, stop, &|_| ());
                let mut team = lock(&team);
                team.take(at, number, part);
                tell(team.count.progress());
                drop(team);
                changed.notify_all();
            }
            // A thread that waits must notice that the search is over, or that somebody asked for the end.
            changed.notify_all();
        };
        let help = || {
            let _leaving = Leaving(&team, &changed);
            match self.world() {
                Ok(world) => work(&mut Through::new(&world, Exhaustive::TRACES)),
                Err(error) => {
                    let mut team = lock(&team);
                    (team.is_over, team.failed) = (true, Some(error));
                    changed.notify_all();
                }
            }
        };
        std::thread::scope(|scope| {
            (1..self.jobs).for_each(|_| drop(scope.spawn(help)));
            let _leaving = Leaving(&team, &changed);
            work(&mut through);
        });
        let mut team = team.into_inner().expect("all threads are done");
        if let Some(error) = team.failed {
            return Err(error);
        }
        let is_interrupted = (interrupted || stop.load(Ordering::Relaxed)) && !team.count.is_over();
        if is_interrupted {
            team.add_the_rest();
        }
        let Team { count, mut explored, .. } = team;
        explored.extent = count.extent();
        explored.interrupted = is_interrupted;
        Ok(explored)
    }
}
