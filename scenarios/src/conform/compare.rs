//! The differences between what the simulated kernel did and what was recorded, as data.

use std::collections::BTreeSet;
use std::fmt;

use super::program::Step;
use super::trace::{Access, Returned};
use super::view::{Observation, PageRun, ProcessView};

/// The kinds of differences. A step is counted under the first kind, in this order, in which it differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The operation did not come to its end.
    Stuck,
    /// The value or the errno.
    Result,
    /// The results of single accesses: the byte, the signal.
    Accesses,
    /// The number of page faults.
    Faults,
    /// Which processes are alive.
    Processes,
    /// Where mappings begin and end, their permissions, and their backing.
    Mappings,
    /// `VmFlags`.
    MappingFlags,
    /// Statistics of mappings.
    Statistics,
    /// Which pages are there.
    Presence,
    /// Which frame is behind a page.
    Frame,
    /// How often a page is mapped.
    Mapcount,
    /// The mark of pages that one process has for itself.
    Exclusive,
    /// The marks of huge pages.
    Huge,
    /// Other flags of pages.
    PageFlags,
    /// Byte 0 of a page.
    Contents,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Stuck => "stuck",
            Kind::Result => "result",
            Kind::Accesses => "accesses",
            Kind::Faults => "faults",
            Kind::Processes => "processes",
            Kind::Mappings => "mappings",
            Kind::MappingFlags => "mapping-flags",
            Kind::Statistics => "statistics",
            Kind::Presence => "presence",
            Kind::Frame => "frame",
            Kind::Mapcount => "mapcount",
            Kind::Exclusive => "exclusive",
            Kind::Huge => "huge",
            Kind::PageFlags => "page-flags",
            Kind::Contents => "contents",
        })
    }
}

/// One thing that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The kind.
    pub kind: Kind,
    /// The process in which it is, if it is in one.
    pub process: Option<u8>,
    /// What was recorded; empty if nothing was.
    pub recorded: String,
    /// What the simulator shows; empty if it shows nothing.
    pub simulated: String,
}

/// The differences after a step: for each process and kind the first one. The list is empty if there are none.
pub fn compare(step: &Step, returned: &Returned, seen: &Observation) -> Vec<Difference> {
    let mut found = Found { process: None, differences: Vec::new() };
    let recorded = &step.returned;
    found.unless_equal(Kind::Result, &result(recorded), &result(returned));
    found.unless_equal(Kind::Accesses, &accesses(recorded), &accesses(returned));
    let faults = |r: &Returned| format!("{} minor, {} major", r.minflt, r.majflt);
    found.unless_equal(Kind::Faults, &faults(recorded), &faults(returned));
    let alive = |seen: &Observation| format!("{:?}", seen.keys().collect::<Vec<_>>());
    found.unless_equal(Kind::Processes, &alive(&step.seen), &alive(seen));
    for (process, recorded) in &step.seen {
        let Some(simulated) = seen.get(process).filter(|simulated| *simulated != recorded) else { continue };
        found.process = Some(*process);
        found.mappings(recorded, simulated);
        found.pages(recorded, simulated);
    }
    found.differences.sort_by_key(|difference| difference.kind);
    found.differences
}

/// The value or the errno, as text.
pub fn result(returned: &Returned) -> String {
    match (&returned.err, returned.ret) {
        (Some(errno), _) => errno.clone(),
        (None, Some(value)) => value.to_string(),
        (None, None) => String::new(),
    }
}

/// The results of accesses, as text.
pub fn accesses(returned: &Returned) -> String {
    let run = |(page, pages, access): &(u64, u64, Access)| match access {
        Access::Value(value) => format!("{page}+{pages}: {value}"),
        Access::Failed(why) => format!("{page}+{pages}: {why}"),
    };
    returned.acc.iter().map(run).collect::<Vec<_>>().join(", ")
}

struct Found {
    process: Option<u8>,
    differences: Vec<Difference>,
}

impl Found {
    fn add(&mut self, kind: Kind, recorded: String, simulated: String) {
        if !self.differences.iter().any(|d| (d.kind, d.process) == (kind, self.process)) {
            self.differences.push(Difference { kind, process: self.process, recorded, simulated });
        }
    }

    fn unless_equal(&mut self, kind: Kind, recorded: &str, simulated: &str) {
        if recorded != simulated {
            self.add(kind, recorded.to_owned(), simulated.to_owned());
        }
    }

    fn mappings(&mut self, recorded: &ProcessView, simulated: &ProcessView) {
        for nth in 0..recorded.vmas.len().max(simulated.vmas.len()) {
            let (a, b) = (recorded.vmas.get(nth), simulated.vmas.get(nth));
            let kind = match (a, b) {
                (Some(a), Some(b)) => {
                    let place =
                        |v: &super::VmaView| (v.page, v.pages, v.perms.clone(), v.backing.clone(), v.offset);
                    match () {
                        () if place(a) != place(b) => Kind::Mappings,
                        () if a.flags != b.flags => Kind::MappingFlags,
                        () if a.stats != b.stats => Kind::Statistics,
                        () => continue,
                    }
                }
                _ => Kind::Mappings,
            };
            let text = |vma: Option<&super::VmaView>| vma.map(ToString::to_string).unwrap_or_default();
            self.add(kind, text(a), text(b));
            if kind == Kind::Mappings {
                return;
            }
        }
    }

    fn pages(&mut self, recorded: &ProcessView, simulated: &ProcessView) {
        let runs = || recorded.pages.iter().chain(&simulated.pages);
        // Between two of these pages nothing begins and nothing ends.
        let edges: BTreeSet<u64> = runs().flat_map(|run| [run.page, run.page + run.pages]).collect();
        for page in edges {
            let (a, b) = (at(&recorded.pages, page), at(&simulated.pages, page));
            if a == b {
                continue;
            }
            let text = |run: &Option<PageRun>| run.as_ref().map(ToString::to_string).unwrap_or_default();
            for kind in kinds(a.as_ref(), b.as_ref()) {
                self.add(kind, text(&a), text(&b));
            }
        }
    }
}

/// The contents at a page, as a run of one page.
fn at(runs: &[PageRun], page: u64) -> Option<PageRun> {
    let run = &runs[runs.partition_point(|run| run.page <= page).checked_sub(1)?];
    let nth = (page - run.page < run.pages).then_some(page - run.page)?;
    let present = run.present.zip(run.frame(nth)).map(|((_, mapcount, byte), frame)| (frame, mapcount, byte));
    Some(PageRun { page, pages: 1, flags: run.flags.clone(), present })
}

fn kinds(a: Option<&PageRun>, b: Option<&PageRun>) -> Vec<Kind> {
    let (Some(a), Some(b)) = (a, b) else { return vec![Kind::Presence] };
    let (Some((frame_a, mapcount_a, byte_a)), Some((frame_b, mapcount_b, byte_b))) = (a.present, b.present) else {
        return vec![if a.present.is_some() == b.present.is_some() { Kind::PageFlags } else { Kind::Presence }];
    };
    let marks = |marks: &[char]| marks.iter().any(|mark| a.flags.contains(*mark) != b.flags.contains(*mark));
    let rest = |flags: &str| flags.chars().filter(|flag| !"eHT".contains(*flag)).collect::<String>();
    [
        (Kind::Frame, frame_a != frame_b),
        (Kind::Mapcount, mapcount_a != mapcount_b),
        (Kind::Exclusive, marks(&['e'])),
        (Kind::Huge, marks(&['H', 'T'])),
        (Kind::PageFlags, rest(&a.flags) != rest(&b.flags)),
        (Kind::Contents, byte_a != byte_b),
    ]
    .into_iter()
    .filter_map(|(kind, differs)| differs.then_some(kind))
    .collect()
}
