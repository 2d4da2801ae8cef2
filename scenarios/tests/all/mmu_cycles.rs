//! The cycle model: profiles, steps at the places that follow from their sizes, accounts that add up, and `mmsim mmu chase`.

use crate::common::{fails, mmsim, text};
use std::rc::Rc;

use mmsim::case::configuration;
use mmsim::explore::Strategy;
use mmsim::hardware::chase::{Chase, PageSize, capacities};
use mmsim::hardware::profile::{self, known, open, read};
use mmsim::library;
use mmsim::world::World;
use sim_core::{Config, CpuId, MemoryBuilder};
use sim_mmu::{
    Account, Cpu, Cr3, DataOp, Entry, Geometry, Hardware, Level, Mmu, Pfn, Policy, Profile, Spent, VirtAddr,
};

fn processor(name: &str) -> Rc<Profile> {
    open(name).unwrap_or_else(|error| panic!("{error}")).profile
}

const SIZES: [PageSize; 2] = [PageSize::Base, PageSize::Large];

fn chase(size: PageSize, profile: &Rc<Profile>, pages: u64) -> (f64, Account) {
    let point = Chase { size, seed: 1 }.run(profile, pages);
    assert_eq!(point.accesses, 2 * pages);
    (point.cycles(), point.account)
}

// Profiles

#[test]
fn the_profiles_of_the_binary_are_good() {
    assert_eq!(known(), ["golden-cove", "skylake", "zen5"]);
    for name in known() {
        assert_eq!(processor(name).name, name, "a profile has the name of its file");
    }
}

#[test]
fn a_profile_with_errors_says_where() {
    let zen5 = profile::text("zen5").expect("it is in the binary");
    for (from, to, place, says) in [
        ("\"ways\": 96", "\"ways\": 0", "tlb.data[0].ways", "from one way"),
        ("\"ways\": 96", "\"ways\": 7", "tlb.data[0].ways", "no multiple of the ways"),
        ("\"entries\": 96, \"ways\": 96", "\"entries\": 0, \"ways\": 96", "tlb.data[0].entries", "1 to"),
        ("\"entries\": 4096", "\"entries\": 4096.5", "tlb.second_level.data[0].entries", "expected an integer"),
        ("\"ways\": 96,", "\"ways\": 96, \"replacement\": \"tree-plru\",", "tlb.data[0].ways", "power of two"),
        ("\"ways\": 96,", "\"ways\": 96, \"replacement\": \"fifo\",", "tlb.data[0].replacement", "`tree-plru`"),
        ("\"kib\": 48", "\"kib\": 50", "caches.l1.ways", "no multiple"),
        ("\"kib\": 48", "\"kib\": 48000000", "caches.l1.kib", "found `48000000`"),
        (
            "[\"4k\", \"2m\", \"1g\"], \"entries\": 96",
            "[\"4k\", \"3m\"], \"entries\": 96",
            "tlb.data[0].pages[1]",
            "`3m`",
        ),
        ("[\"4k\", \"2m\", \"1g\"], \"entries\": 96", "[], \"entries\": 96", "tlb.data[0].pages", "at least one"),
        ("\"vendor\": \"amd\"", "\"vendor\": \"via\"", "vendor", "`intel`"),
        ("\"mhz\": 3700", "\"mhz\": 0", "clock.mhz", "from 1 to"),
        ("\"invlpg\": {", "\"invlgp\": {", "cycles.invlgp", "did you mean `invlpg`?"),
        (
            "\"cycles\": 7, \"from\": \"fitted",
            "\"cycles\": 7, \"from\": \"heard",
            "tlb.second_level_look_up.from",
            "begin with one of",
        ),
        ("\"cycles\": 100, \"from\": \"guess\"", "\"cycles\": 100", "cycles.serialising", "missing field `from`"),
        ("\"cycles\": 7", "\"cycles\": -7", "tlb.second_level_look_up.cycles", "found `-7`"),
        ("\"name\": \"zen5\",", "", "", "missing field `name`"),
    ] {
        assert!(zen5.contains(from), "{from}");
        let text = zen5.replacen(from, to, 1);
        let errors = read("my.json", &text).expect_err(to);
        let told = errors.to_string();
        assert!(errors.errors.iter().any(|error| error.path == place), "{to}: not at {place}:\n{told}");
        assert!(told.contains("my.json:") && told.contains(says), "{to}: not {says:?}:\n{told}");
    }
}

#[test]
fn all_errors_of_a_profile_come_at_once() {
    let zen5 = profile::text("zen5").expect("it is in the binary");
    let text = zen5.replace("\"ways\": 96", "\"ways\": 5").replace("\"walkers\"", "\"runners\"");
    let errors = read("my.json", &text).expect_err("it has errors").errors;
    let places: Vec<&str> = errors.iter().map(|error| &*error.path).collect();
    assert_eq!(places, ["", "tlb.data[0].ways", "runners"]);
}

#[test]
fn two_arrays_of_one_level_share_no_page_size() {
    let skylake = profile::text("skylake").expect("it is in the binary");
    let text =
        skylake.replacen("{ \"pages\": [\"2m\"], \"entries\": 32", "{ \"pages\": [\"4k\"], \"entries\": 32", 1);
    let told = read("my.json", &text).expect_err("two arrays hold small pages").to_string();
    assert!(told.contains("tlb.data[1]") && told.contains("pages of the same size"), "{told}");
}

// Steps

/// Up to a capacity no access misses. With one page more, some accesses miss. If every set has one page too many, all miss.
#[test]
fn steps_are_where_the_geometry_says() {
    for profile in known().into_iter().map(processor) {
        for size in SIZES {
            let capacities = capacities(&profile, size);
            let of =
                |name: &str| capacities.iter().find(|capacity| capacity.of == name).expect("it has one").clone();
            for (capacity, missed) in [(of("L1 DTLB"), Spent::TlbL2), (of("L2 TLB"), Spent::TlbMiss)] {
                let what = format!("{} {size:?} {}", profile.name, capacity.of);
                let (_, full) = chase(size, &profile, capacity.pages);
                assert_eq!(full.times(missed), 0, "{what}: {} pages fit", capacity.pages);
                let (_, over) = chase(size, &profile, capacity.pages + 1);
                assert!(over.times(missed) > 0, "{what}: {} pages do not fit", capacity.pages + 1);
                let (_, all) = chase(size, &profile, capacity.overrun);
                assert_eq!(all.times(missed), 2 * capacity.overrun, "{what}: none stays of {}", capacity.overrun);
            }
        }
    }
}

/// What was measured: 1.07 ns at 96 pages and 2.91 ns at 112; flat to 4096.
#[test]
fn zen_5_steps_at_97_and_4097() {
    let zen5 = processor("zen5");
    let cycles = |pages| chase(PageSize::Base, &zen5, pages).0;
    assert_eq!((cycles(96), cycles(97), cycles(112)), (4.0, 11.0, 11.0));
    assert_eq!(cycles(4000), cycles(4096));
    assert!(cycles(4097) > cycles(4096));
    assert!(cycles(5120) > cycles(4096) + 8.0);
}

#[test]
fn the_order_of_the_pages_moves_no_step() {
    let skylake = processor("skylake");
    for pages in [64, 65, 80] {
        let with = |seed| Chase { size: PageSize::Base, seed }.run(&skylake, pages);
        assert_eq!(with(1).account, with(1).account);
        assert_eq!(with(1).account.times(Spent::TlbL2), with(2).account.times(Spent::TlbL2), "{pages} pages");
    }
}

/// Each level that is cached saves one load.
#[test]
fn a_paging_structure_cache_saves_loads() {
    let zen5 = processor("zen5");
    let structure = zen5.structure;
    let without = |pde, pdpte, pml4e| {
        let mut profile = Profile::clone(&zen5);
        profile.structure.pde = structure.pde.filter(|_| pde);
        profile.structure.pdpte = structure.pdpte.filter(|_| pdpte);
        profile.structure.pml4e = structure.pml4e.filter(|_| pml4e);
        let (_, account) = chase(PageSize::Base, &Rc::new(profile), 5000);
        assert_eq!(account.walks(), 10_000, "every access walks");
        (account.walk_loads(), account.times(Spent::WalkPte))
    };
    assert_eq!(without(false, false, false), (40_000, 10_000));
    assert_eq!(without(false, false, true), (30_000, 10_000));
    assert_eq!(without(false, true, true), (20_000, 10_000));
    assert_eq!(without(true, true, true), (10_000, 10_000));
    assert_eq!(without(true, false, false), (10_000, 10_000));
}

// The machine

const ROOT: Pfn = Pfn(1);
const VA: VirtAddr = VirtAddr(0x40_0000);

/// A machine of `cpus` CPUs that map a page at [`VA`] and the one behind it. A and D are set.
fn machine(cpus: usize, profile: &str) -> Mmu {
    const FLAGS: u64 = Entry::PRESENT | Entry::RW | Entry::USER | Entry::ACCESSED | Entry::DIRTY;
    let hardware = Hardware { policy: Policy::Profile, ..Hardware::new(Geometry::default(), 16) };
    let mmu = Mmu::new(MemoryBuilder::default(), Config { cpus, ..Config::default() }, hardware);
    let mut table = ROOT;
    for level in &Level::WALK[..3] {
        let word = mmu.phys.word(table, mmu.geometry.index(VA, *level));
        table = Pfn(table.0 + 1);
        mmu.core.memory.set(word, table.0 << 12 | FLAGS);
    }
    for n in 0..2 {
        let index = mmu.geometry.index(VA.plus_pages(n), Level::Pte);
        mmu.core.memory.set(mmu.phys.word(table, index), (8 + n) << 12 | FLAGS);
    }
    for cpu in CpuId::all(cpus) {
        mmu.preset_cr3(cpu, Cr3::of(ROOT));
    }
    mmu.core.checkpoint();
    mmu.set_profile(Some(processor(profile)));
    mmu
}

/// The account of one access of a CPU.
fn access(mmu: &Mmu, cpu: u8, data: DataOp) -> Account {
    let cpu = Cpu::new(mmu, CpuId(cpu));
    let before = mmu.account(cpu.id).expect("a profile is installed");
    cpu.alone(cpu.access(VA, data)).expect("the page is mapped");
    let account = mmu.account(cpu.id).expect("a profile is installed");
    assert_eq!(account.total(), mmu.core.cycles(cpu.id));
    account.since(&before)
}

/// The things on which cycles were spent, by name.
fn names(account: &Account) -> Vec<&'static str> {
    Spent::ALL.iter().filter(|what| account.times(**what) > 0).map(|what| what.name()).collect()
}

#[test]
fn a_line_that_another_cpu_wrote_is_dearer() {
    let mmu = machine(2, "zen5");
    let profile = processor("zen5");
    for cpu in 0..2 {
        access(&mmu, cpu, DataOp::Read);
        assert_eq!(names(&access(&mmu, cpu, DataOp::Read)), ["l1"]);
    }
    let write = access(&mmu, 1, DataOp::Write(1));
    assert_eq!(names(&write), ["other-core", "store"], "CPU 0 has the line");
    assert_eq!(names(&access(&mmu, 1, DataOp::Write(2))), ["l1", "store"], "now it has not");
    let read = access(&mmu, 0, DataOp::Read);
    assert_eq!((names(&read), read.total()), (vec!["other-core"], profile.data.other_core_cycles));
    assert_eq!(names(&access(&mmu, 0, DataOp::Read)), ["l1"]);
}

#[test]
fn a_walk_is_charged_by_level() {
    let mmu = machine(1, "skylake");
    let profile = processor("skylake");
    let first = access(&mmu, 0, DataOp::Read);
    assert_eq!(names(&first), ["dram", "tlb-miss", "walk-pml4e", "walk-pdpte", "walk-pde", "walk-pte"]);
    assert_eq!(first.total(), profile.tlb.second_cycles + 5 * profile.data.memory_cycles, "nothing is cached");
    assert_eq!((first.walks(), first.walk_loads()), (1, 4));
    assert_eq!(first.walk_cycles(), 4 * profile.data.memory_cycles);
    // Fetches have a first level of their own, and share the second.
    assert_eq!(names(&access(&mmu, 0, DataOp::Fetch)), ["l1", "tlb-l2"]);
    assert_eq!(names(&access(&mmu, 0, DataOp::Fetch)), ["l1"]);
    let cpu = Cpu::new(&mmu, CpuId(0));
    cpu.alone(cpu.invlpg(VA));
    assert!(cpu.cached().0.is_empty(), "both levels have lost it");
    let again = access(&mmu, 0, DataOp::Read);
    assert_eq!(names(&again), ["l1", "tlb-miss", "walk-pml4e", "walk-pdpte", "walk-pde", "walk-pte"]);
    cpu.alone(cpu.write_cr3(ROOT));
    assert!(cpu.cached().0.is_empty() && cpu.cached().1.is_empty());
    let all = mmu.account(cpu.id).expect("a profile is installed");
    assert_eq!(all.cycles(Spent::Invlpg), profile.latency.invlpg);
    assert_eq!(all.cycles(Spent::Cr3), profile.latency.mov_cr3);
    assert_eq!(all.total(), mmu.core.cycles(cpu.id));
}

/// A translation that both levels have given up is gone, because the TLB of a profile is finite.
#[test]
fn no_more_is_cached_than_fits() {
    let skylake = processor("skylake");
    let mut small = Profile::clone(&skylake);
    let shape = |entries| sim_mmu::Shape::new(entries, 1, sim_mmu::Replacement::Lru).expect("a good shape");
    for array in small.tlb.data.iter_mut() {
        array.shape = shape(1);
    }
    small.tlb.second = sim_mmu::SecondLevel::Unified(Vec::new());
    let mmu = machine(1, "skylake");
    mmu.set_profile(Some(Rc::new(small)));
    let cpu = Cpu::new(&mmu, CpuId(0));
    for n in [0, 1, 0, 1] {
        cpu.alone(cpu.access(VA.plus_pages(n), DataOp::Read)).expect("the page is mapped");
    }
    let (translations, partials) = cpu.cached();
    assert_eq!((translations.len(), partials.len()), (1, 3));
    assert_eq!(mmu.account(cpu.id).expect("a profile is installed").walks(), 4);
}

/// A whole kernel under any schedule: every cycle of every clock is in an account, and the schedule is the same as without a
/// model.
#[test]
fn accounts_add_up_to_the_clocks() {
    for name in ["shootdown-acknowledged", "fork-vs-cached-writes", "two-faults-one-page"] {
        let scenario = library::open(name).unwrap_or_else(|error| panic!("{error}")).scenario;
        let (machine, kernel) = configuration(&scenario, &scenario.cases[0]);
        let world = World::new(&scenario, machine, kernel).expect("a good scenario");
        let core = world.kernel().core();
        let mut spent = Account::default();
        for strategy in [Strategy::Random, Strategy::Pct(3)] {
            for seed in 0..20 {
                let run = |profile| {
                    world.kernel().mmu.set_profile(profile);
                    core.set_digested(true);
                    core.set_source(strategy.source(seed, 100));
                    world.run(&mut world.executor(), 10_000);
                    core.digest()
                };
                let plain = run(None);
                assert_eq!(world.kernel().mmu.account(CpuId(0)), None);
                assert_eq!(plain, run(Some(processor("zen5"))), "{name}, {strategy} {seed}");
                for cpu in CpuId::all(machine.cpus) {
                    let account = world.kernel().mmu.account(cpu).expect("a profile is installed");
                    assert_eq!(account.total(), core.cycles(cpu), "{name}, {strategy} {seed}, {cpu}: {account:?}");
                    spent = if account.total() > spent.total() { account } else { spent };
                }
            }
        }
        assert!(spent.cycles(Spent::Atomic) > 0 && spent.walks() > 0, "{name}: {spent:?}");
    }
}

// The command line

#[test]
fn the_chase_is_told_and_plotted() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let args = ["mmu", "chase", "--to", "128", "--cycles", "--svg", "chase.svg"];
    let output = mmsim(folder.path(), &args);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let told = text(&output.stdout);
    for part in ["L1 DTLB: 4.00 cycles at 96 pages, 11.00 at 97", "tlb-l2", "\nplot: chase.svg\n"] {
        assert!(told.contains(part), "no {part:?} in\n{told}");
    }
    let plot = std::fs::read_to_string(folder.path().join("chase.svg")).expect("the file that was named is there");
    let parsed =
        svg::read(&plot).expect("it is SVG").filter(|event| matches!(event, svg::parser::Event::Error(_)));
    assert_eq!(parsed.count(), 0);
    for part in ["L1 DTLB 96", "prefers-color-scheme: dark", "cycles", "512 KiB", "</svg>"] {
        assert!(plot.contains(part), "no {part:?} in\n{plot}");
    }
    assert_eq!(told, text(&mmsim(folder.path(), &args).stdout), "the same again");
    let one = mmsim(folder.path(), &["mmu", "chase", "--from", "1", "--to", "1", "--svg", "one.svg"]);
    assert_eq!(one.status.code(), Some(0), "{}", text(&one.stderr));
    let plot = std::fs::read_to_string(folder.path().join("one.svg")).expect("the file is there");
    assert!(!plot.contains("NaN") && !plot.contains("inf"), "{plot}");
}

#[test]
fn the_plot_has_a_name_of_its_own() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let chase = |more: &[&'static str]| mmsim(folder.path(), &[&["mmu", "chase", "--to", "20"], more].concat());
    assert!(text(&chase(&[]).stdout).lines().all(|line| !line.starts_with("plot:")));
    chase(&["--format", "json"]);
    assert_eq!(std::fs::read_dir(folder.path()).expect("the folder").count(), 0, "nobody asked for a file");
    let told = text(&chase(&["--profile", "skylake", "--size", "2m", "--svg"]).stdout);
    assert!(told.ends_with("\nplot: chase-skylake-2m.svg\n"), "{told}");
    assert!(folder.path().join("chase-skylake-2m.svg").is_file());
}

#[test]
fn the_chase_is_json_too() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let args = ["mmu", "chase", "--profile", "golden-cove", "--size", "2m", "--to", "40", "--format", "json"];
    let document: serde_json::Value =
        serde_json::from_slice(&mmsim(folder.path(), &args).stdout).expect("a document");
    let points = document["points"].as_array().expect("a list");
    let at = |pages: u64| points.iter().find(|point| point["pages"] == pages).expect("a point at each capacity");
    assert_eq!((&at(32)["tlb_l2"], &at(40)["tlb_l2"]), (&0.into(), &80.into()));
    assert_eq!(at(32)["account"]["total"], 5 * 64);
    assert_eq!(document["capacities"][0]["of"], "L1 DTLB");
}

#[test]
fn a_chase_that_cannot_be_says_why() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let chase = |args: &[&'static str]| [&["mmu", "chase"], args].concat();
    fails(folder.path(), &chase(&["--profile", "zen6"]), 3, "there are golden-cove, skylake, zen5");
    fails(folder.path(), &chase(&["--profile", "zen6.json"]), 3, "zen6.json: No such file");
    fails(folder.path(), &chase(&["--profile", "."]), 3, ".: Is a directory");
    fails(folder.path(), &chase(&["--from", "9", "--to", "8"]), 2, "--from 9 is more than --to 8");
    fails(folder.path(), &chase(&["--to", "65537"]), 2, "65537 is not in");
    fails(folder.path(), &chase(&["--size", "1g"]), 2, "[possible values: 4k, 2m]");
    fails(folder.path(), &chase(&["--to", "20", "--svg", "no/such/folder.svg"]), 3, "no/such/folder.svg: No such");
    fails(folder.path(), &chase(&["--to", "20", "--svg", "."]), 3, ".: Is a directory");
    std::fs::write(folder.path().join("bad.json"), "{\n  \"name\": 7\n}").expect("a writable folder");
    fails(folder.path(), &chase(&["--profile", "./bad.json"]), 3, "./bad.json:2:11: error: expected a string");
    #[cfg(target_os = "linux")]
    fails(folder.path(), &chase(&["--to", "20", "--svg", "/dev/full"]), 3, "/dev/full: No space left");
    let files: Vec<_> = std::fs::read_dir(folder.path()).expect("a folder").collect();
    assert_eq!(files.len(), 1, "nothing is left behind: {files:?}");
}

#[test]
fn a_profile_can_be_a_file() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mine = profile::text("zen5")
        .expect("it is in the binary")
        .replace("\"entries\": 96, \"ways\": 96", "\"entries\": 20, \"ways\": 20");
    std::fs::write(folder.path().join("mine.json"), mine).expect("a writable folder");
    let told = text(&mmsim(folder.path(), &["mmu", "chase", "--to", "40", "--profile", "mine.json"]).stdout);
    assert!(told.contains("L1 DTLB: 4.00 cycles at 20 pages, 11.00 at 21"), "{told}");
}

#[test]
fn a_replay_tells_what_cycles_went_to() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let run = mmsim(folder.path(), &["run", "spec-ref-vs-reuse", "--without", "gup-pte-recheck"]);
    let stdout = text(&run.stdout);
    let record = stdout.lines().find_map(|line| line.strip_prefix("record: ")).expect("the record is named");
    let plain = text(&mmsim(folder.path(), &["replay", record]).stdout);
    let output = mmsim(folder.path(), &["replay", record, "--cycles", "--profile", "skylake"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let told = text(&output.stdout);
    let table = told.strip_prefix(&plain).expect("it replays to the same digest");
    for part in ["on skylake", "cpu0", "atomic", "total"] {
        assert!(table.contains(part), "no {part:?} in\n{table}");
    }
    fails(folder.path(), &["replay", record, "--profile", "skylake"], 2, "--cycles");
    fails(folder.path(), &["replay", record, "--cycles", "--profile", "via"], 3, "there are");
}
