//! Makes a plan of what the command line names. It finds scenarios and records, and reads them.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use walkdir::{DirEntry, WalkDir};

use super::plan::{Group, Item, Kind, Options, Plan, sha256};
use super::select::Selectors;
use super::work::Work;
use crate::case::{RUNS_TO_FIND, RUNS_TO_TRUST};
use crate::explore::{Exhaustive, Strategy};
use crate::json::{EXCERPT, shown};
use crate::library::{self, Loaded};
use crate::record::Record;
use crate::scenario::{Case, Expect, ExploreSpec, StrategyName};
use crate::shell::quoted;

/// The text by which a plan says that no violation is expected.
pub(super) const NO_VIOLATION: &str = "no violation";

/// The name of the folder beside scenarios that holds their records.
const REGRESSIONS: &str = "regressions";

/// The end of the name of a record's file.
const RECORD: &str = ".mmsim.json";

/// The end of the name of a scenario's file. The files of records and of shards' results end alike, and are no scenarios.
const SCENARIO: &str = ".json";

/// The end of the name of the file of a shard's results.
pub(super) const PART: &str = ".mmsim-shard.json";

/// A plan, and the work for each of its items.
#[derive(Clone, Debug)]
pub struct Gathered {
    /// The plan.
    pub plan: Plan,
    /// The work for each item, in the order of the plan.
    pub works: Vec<Work>,
}

/// Gathers what `paths` name: scenario files with the records in `regressions/` beside them, folders with all folders in
/// them, records, and names of the library. A file that cannot be read becomes an item that says so.
///
/// # Errors
/// The first pattern of `selectors` that names nothing.
pub fn gather(
    paths: &[String],
    options: Options,
    strategy: Option<StrategyName>,
    selectors: &Selectors,
) -> Result<Gathered, String> {
    let mut gatherer = Gatherer { strategy, selectors, ..Gatherer::new(options) };
    for path in paths {
        gatherer.path(path);
    }
    match selectors.idle(&gatherer.names) {
        Some(pattern) => Err(pattern),
        None => Ok(gatherer.gathered),
    }
}

struct Gatherer<'s> {
    gathered: Gathered,
    strategy: Option<StrategyName>,
    selectors: &'s Selectors,
    /// The files that were gathered.
    seen: BTreeSet<String>,
    /// The scenario and the case of every item.
    names: Vec<(String, String)>,
}

impl<'s> Gatherer<'s> {
    fn new(options: Options) -> Gatherer<'s> {
        const NONE: &Selectors = &Selectors { skip: Vec::new(), xfail: Vec::new() };
        let plan = Plan { build: Plan::this_build(), options, groups: Vec::new() };
        Gatherer {
            gathered: Gathered { plan, works: Vec::new() },
            strategy: None,
            selectors: NONE,
            seen: BTreeSet::new(),
            names: Vec::new(),
        }
    }

    fn path(&mut self, name: &str) {
        let path = Path::new(name);
        if library::entries().iter().any(|entry| entry.name == name) {
            self.scenario(name);
        } else if path.is_dir() {
            self.folder(path);
        } else if name.ends_with(RECORD) {
            self.record(path);
        } else {
            self.scenario(name);
            let beside = path.parent().unwrap_or(Path::new("")).join(REGRESSIONS);
            if beside.is_dir() {
                self.folder(&beside);
            }
        }
    }

    /// All scenarios below a folder, and the records in its folders `regressions`, in the order of their paths.
    fn folder(&mut self, folder: &Path) {
        let hidden = |entry: &DirEntry| entry.depth() > 0 && entry.file_name().to_string_lossy().starts_with('.');
        let walk = WalkDir::new(folder).follow_links(true).sort_by_file_name();
        for entry in walk.into_iter().filter_entry(|entry| !hidden(entry)) {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => {
                    let path = error.path().unwrap_or(folder).display().to_string();
                    let why = error.io_error().map_or_else(|| error.to_string(), ToString::to_string);
                    self.bad(
                        &path,
                        "read",
                        format!("{}: {why}", shown(&path)),
                        format!("mmsim test {}", quoted(&path)),
                    );
                    continue;
                }
            };
            let path = entry.path();
            let name = path.display().to_string();
            let among_records = path.parent().and_then(Path::file_name).is_some_and(|name| name == REGRESSIONS);
            if name.ends_with(PART) || !entry.file_type().is_file() {
            } else if name.ends_with(RECORD) {
                if among_records {
                    self.record(path);
                }
            } else if name.ends_with(SCENARIO) {
                self.scenario(&name);
            }
        }
    }

    fn scenario(&mut self, name: &str) {
        if !self.seen.insert(name.to_owned()) {
            return;
        }
        let loaded = match library::open(name) {
            Ok(loaded) => Arc::new(loaded),
            Err(error) => {
                self.bad(name, "load", format!("{error:.EXCERPT$}"), format!("mmsim describe {}", quoted(name)));
                return;
            }
        };
        let digest = sha256(loaded.text.as_bytes());
        let mut group = Group { name: name.to_owned(), items: Vec::new() };
        for case in &loaded.scenario.cases {
            let mut case = case.clone();
            let options = &self.gathered.plan.options;
            case.explore.chosen |= self.strategy.is_some() || options.runs.is_some() || options.seed != 0;
            if let Some(strategy) = self.strategy {
                case.explore = ExploreSpec { strategy, preemptions: None, ..case.explore };
            }
            let bound = self.gathered.plan.options.preemptions.filter(|_| case.explore.strategy.is_exhaustive());
            case.explore.preemptions = bound.or(case.explore.preemptions);
            group.items.push(self.item(name, &loaded, &case, digest.clone()));
            self.gathered.works.push(Work::Case(loaded.clone(), Box::new(case)));
        }
        if group.items.is_empty() {
            let skip = Some("the scenario has no cases".to_owned());
            let command = format!("mmsim run {}", quoted(name));
            group.items.push(Item { skip, ..plain("cases", digest, NO_VIOLATION, Kind::States, command) });
            self.gathered.works.push(Work::Nothing);
        }
        self.gathered.plan.groups.push(group);
    }

    fn item(&mut self, file: &str, loaded: &Loaded, case: &Case, digest: String) -> Item {
        let scenario = &loaded.scenario.name;
        self.names.push((scenario.clone(), case.name.clone()));
        let options = &self.gathered.plan.options;
        let usual = if case.expect == Expect::NoViolation { RUNS_TO_TRUST } else { RUNS_TO_FIND };
        let runs = options.runs.or(case.explore.runs).unwrap_or(usual);
        let kind = match Strategy::from(case.explore) {
            Strategy::Exhaustive(how) if how == Exhaustive::TRACES => Kind::Exhaustive,
            Strategy::Exhaustive(_) => Kind::States,
            _ => Kind::Sampled { runs },
        };
        let strategy = options.strategy.as_ref().map_or_else(String::new, |name| format!(" --strategy {name}"));
        let bound = options.preemptions.filter(|_| kind == Kind::States);
        let bound = bound.map_or_else(String::new, |most| format!(" --preemptions {most}"));
        let command = format!("mmsim run {} --case {}{strategy}{bound}", quoted(file), quoted(&case.name));
        Item {
            skip: self.selectors.skip(scenario, &case.name),
            xfail: self.selectors.xfail(scenario, &case.name),
            ..plain(&case.name, digest, &expected(&case.expect), kind, command)
        }
    }

    fn record(&mut self, path: &Path) {
        let name = path.display().to_string();
        if !self.seen.insert(name.clone()) {
            return;
        }
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let folder = path.parent().map_or_else(String::new, |folder| folder.display().to_string());
        let folder = if folder.is_empty() { ".".to_owned() } else { folder };
        let command = format!("mmsim replay {}", quoted(&name));
        let record = match Record::read(path) {
            Ok(record) => record,
            Err(error) => {
                self.bad(&folder, &file, format!("{error:.EXCERPT$}"), command);
                return;
            }
        };
        self.names.push((REGRESSIONS.to_owned(), file.clone()));
        let digest = sha256(serde_json::to_string(&record).expect("a record is JSON").as_bytes());
        let item = Item {
            skip: self.selectors.skip(REGRESSIONS, &file),
            xfail: self.selectors.xfail(REGRESSIONS, &file),
            ..plain(&file, digest, &record.expect, Kind::Record, command)
        };
        self.add(&folder, item, Work::Record(path.to_owned(), Box::new(record)));
    }

    fn bad(&mut self, group: &str, item: &str, error: String, command: String) {
        let item = plain(item, String::new(), "a file that can be used", Kind::Bad { error }, command);
        self.add(group, item, Work::Nothing);
    }

    /// Adds an item to its group, which is the last one or new.
    fn add(&mut self, group: &str, item: Item, work: Work) {
        let groups = &mut self.gathered.plan.groups;
        match groups.last_mut().filter(|last| last.name == group) {
            Some(last) => last.items.push(item),
            None => groups.push(Group { name: group.to_owned(), items: vec![item] }),
        }
        self.gathered.works.push(work);
    }
}

fn plain(name: &str, digest: String, expect: &str, kind: Kind, command: String) -> Item {
    Item { name: name.to_owned(), digest, expect: expect.to_owned(), kind, command, skip: None, xfail: None }
}

/// `leak or refcount in gup_pte_range`
fn expected(expect: &Expect) -> String {
    match expect {
        Expect::NoViolation => NO_VIOLATION.to_owned(),
        Expect::Violation { any_of, routine } => {
            let place = routine.as_ref().map_or_else(String::new, |routine| format!(" in {routine}"));
            format!("{}{place}", any_of.join(" or "))
        }
    }
}
