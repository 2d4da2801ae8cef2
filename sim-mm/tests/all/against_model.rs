//! Compares random processes with a model of anonymous memory. Every read and every return value must be that of the
//! model. Page tables and counts must fit the processes, and nothing may be left at the end.

use std::cell::RefCell;

use crate::KERNELS;
use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};
use proptest::sample::select;
use proptest::test_runner::{TestCaseError, TestCaseResult};
use sim_core::BoxFuture;
use sim_core::source::{Random, Source};
use sim_mm::{Advice, Errno, MmId, Prot, Spare, Swap, Thp};
use sim_mm_testing::model::{Call, Frames, Memory};
use sim_mm_testing::{Machine, Setup, Shell, cases, schedule};

/// The pages of random calls, by slot. They lie around borders of tables of all levels.
const SLOTS: u64 = 12;
/// Threads of one process keep to slots of their own.
const REGION: u64 = SLOTS / 2;

/// The page of a slot, and the number of pages from there to the end of `slots`.
fn place(setup: &Setup, shift: u64, slot: u64, slots: std::ops::Range<u64>) -> (u64, u64) {
    let entries = u64::from(setup.entries);
    if entries == 2 {
        // User space is seven pages, and page zero is not for use.
        let (slot, end) = (slots.start / 2 + (slot - slots.start) / 2, slots.end / 2);
        return (1 + slot, end - slot);
    }
    // A border of top-level entries is a border of all.
    (entries.pow(3) - SLOTS / 2 - shift + slot, slots.end - slot)
}

/// A call as slots; it becomes pages once the machine is known.
#[derive(Clone, Copy, Debug)]
struct Wish {
    slot: u64,
    pages: u64,
    kind: Kind,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Mmap { writable: bool },
    MmapAnywhere { writable: bool },
    MmapShared,
    Munmap,
    DontNeed,
    Mprotect { prot: Prot },
    Mremap { to: u64 },
    Munlock,
    Advise { advice: Advice },
    Reclaim { spare: Spare },
    Swapoff,
    Read { word: u64 },
    Write { word: u64 },
}

const PROTECTIONS: &[Prot] = &[Prot::empty(), Prot::READ, Prot::READ_WRITE, Prot::READ_WRITE];

/// Advices that change what a process or its child finds, and some that must change nothing. `Free` is one of these only where
/// nothing is reclaimed.
const ADVICES: &[Advice] = &[
    Advice::DontFork,
    Advice::DoFork,
    Advice::GuardInstall,
    Advice::GuardRemove,
    Advice::Free,
    Advice::Cold,
    Advice::PageOut,
    Advice::PageOut,
    Advice::PageOut,
    Advice::WillNeed,
];

/// With `alone` nobody else maps anything in the process, or writes to what it shares.
fn wish(alone: u32) -> impl Strategy<Value = Wish> {
    let kind = prop_oneof![
        4 => prop_oneof![4 => Just(true), 1 => Just(false)].prop_map(|writable| Kind::Mmap { writable }),
        3 * alone => prop_oneof![
            1 => any::<bool>().prop_map(|writable| Kind::MmapAnywhere { writable }),
            2 => Just(Kind::MmapShared),
        ],
        2 => Just(Kind::Munmap),
        2 => Just(Kind::DontNeed),
        2 => select(PROTECTIONS).prop_map(|prot| Kind::Mprotect { prot }),
        2 => (0..SLOTS).prop_map(|to| Kind::Mremap { to }),
        4 => select(ADVICES).prop_map(|advice| Kind::Advise { advice }),
        4 => prop_oneof![
            1 => Just(Kind::Munlock),
            1 => Just(Kind::Swapoff),
            2 => select(vec![Spare::None, Spare::Young]).prop_map(|spare| Kind::Reclaim { spare }),
        ],
        5 => (0..2_u64).prop_map(|word| Kind::Read { word }),
        8 => (0..2_u64).prop_map(|word| Kind::Write { word }),
    ];
    (0..SLOTS, 1..6_u64, kind).prop_map(|(slot, pages, kind)| Wish { slot, pages, kind })
}

/// Whether reclaim may take pages: on a machine with swap, and on one that goes from pages to entries for its huge pages.
fn reclaims(setup: &Setup) -> bool {
    setup.platform.get::<Swap>() != Swap::Off || setup.platform.get::<Thp>() == Thp::Always
}

impl Wish {
    /// The call that is wanted, within `slots`. If it writes, it writes `value`.
    fn call(self, setup: &Setup, shift: u64, slots: std::ops::Range<u64>, value: u64) -> Call {
        let slot = slots.start + self.slot % (slots.end - slots.start);
        let (page, room) = place(setup, shift, slot, slots.clone());
        let pages = self.pages.min(room);
        match self.kind {
            Kind::Mmap { writable } => Call::Mmap { page: Some(page), pages, writable },
            Kind::MmapAnywhere { writable } => Call::Mmap { page: None, pages: self.pages, writable },
            Kind::MmapShared => Call::MmapShared { page, pages },
            Kind::Swapoff => Call::Swapoff,
            Kind::Munmap => Call::Munmap { page, pages },
            Kind::DontNeed => Call::DontNeed { page, pages },
            Kind::Mprotect { prot } => Call::Mprotect { page, pages, prot },
            Kind::Mremap { to } => {
                let (to, room) = place(setup, shift, slots.start + to % (slots.end - slots.start), slots);
                Call::Mremap { page, pages: pages.min(room), to }
            }
            Kind::Munlock => Call::Munlock { page, pages },
            Kind::Advise { advice: Advice::Free } if reclaims(setup) => {
                Call::Advise { page, pages, advice: Advice::PageOut }
            }
            Kind::Advise { advice } => Call::Advise { page, pages, advice },
            Kind::Reclaim { spare } => Call::Reclaim { pages, spare },
            Kind::Read { word } => Call::Read { page, word },
            Kind::Write { word } => Call::Write { page, word, value },
        }
    }
}

/// Runs a case without keeping its story. If the case fails, it runs once more and keeps the story.
fn judge(setup: Setup, run: impl Fn(&Machine) -> Result<(), String>) -> TestCaseResult {
    let machine = Machine::new(setup);
    machine.watch.set_silent(true);
    if run(&machine).is_ok() {
        return Ok(());
    }
    let machine = Machine::new(setup);
    match run(&machine) {
        Err(wrong) => Err(TestCaseError::fail(format!("{wrong}\n{}", machine.watch.story()))),
        Ok(()) => Err(TestCaseError::fail("simulator defect: the same run ended otherwise")),
    }
}

#[derive(Clone, Copy, Debug)]
enum Act {
    Call(Wish),
    Fork,
    Exit,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![12 => wish(1).prop_map(Act::Call), 1 => Just(Act::Fork), 1 => Just(Act::Exit)]
}

/// Up to so many processes live at a time.
const PROCESSES: usize = 3;
/// More frames than they need.
const PLENTY: u64 = 128;

/// One CPU plays all processes, one call after the other.
async fn one_after_the_other(shell: Shell<'_>, setup: &Setup, acts: &[(usize, Act)]) {
    let frames = if setup.frames < PLENTY { Frames::MayRunOut } else { Frames::Suffice };
    let wrong = |what: String| shell.machine.watch.wrong(**shell.cpu, what);
    let refused = |what: &str, errno| {
        if (errno, frames) != (Errno::Enomem, Frames::MayRunOut) {
            wrong(format!("{what} answers {errno:?}"));
        }
    };
    let mut processes: Vec<(MmId, Memory)> = Vec::new();
    for (value, (which, act)) in (1..).zip(acts) {
        if processes.is_empty() {
            match shell.try_new_process().await {
                Ok(mm) => processes.push((mm, Memory::default())),
                Err(errno) => {
                    refused("a new process", errno);
                    continue;
                }
            }
        }
        let which = which % processes.len();
        let (mm, memory) = &mut processes[which];
        shell.enter(*mm).await;
        match act {
            Act::Call(wish) => shell.call_as(memory, wish.call(setup, 0, 0..SLOTS, value), frames).await,
            Act::Fork if processes.len() < PROCESSES => match shell.fork().await {
                Ok(child) => processes.push((child, processes[which].1.forked())),
                Err(errno) => refused("fork", errno),
            },
            Act::Fork => {}
            Act::Exit => {
                shell.exit().await;
                processes.remove(which);
            }
        }
        shell.drained().await;
        let expected: Vec<(MmId, &Memory)> = processes.iter().map(|(mm, memory)| (*mm, memory)).collect();
        if let Err(what) = shell.machine.check_processes(&expected) {
            wrong(format!("after {act:?}: {what}"));
        }
    }
    for (mm, _) in processes {
        shell.exit_of(mm).await;
    }
}

proptest! {
    #![proptest_config(cases(3_000))]

    #[test]
    fn processes_one_after_the_other(
        setup in KERNELS.setups(1),
        frames in select(vec![16, 30, PLENTY]),
        acts in vec((0..PROCESSES, act()), 1..40),
        seed in any::<Option<u64>>(),
    ) {
        let setup = Setup { frames, ..setup };
        judge(setup, |machine| {
            let source = seed.map_or(Source::First, |seed| Source::Random(Random::new(seed)));
            machine.run(source, vec![(0, Box::pin(one_after_the_other(machine.shell(0, 0), &setup, &acts)))])
        })?;
    }
}

/// Where a program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    /// In a process of its own.
    New,
    /// As one more thread of the first program's process.
    Thread,
    /// In a child that an earlier program forks before so many of its calls.
    Forked { by: usize, before: usize },
}

#[derive(Clone, Debug)]
struct Program {
    origin: Origin,
    cpu: u8,
    wishes: Vec<Wish>,
}

/// Programs on a few CPUs; two of them at most share a process.
#[derive(Clone, Debug)]
struct Programs {
    setup: Setup,
    /// By how many slots the border of tables is moved.
    shift: u64,
    programs: Vec<Program>,
}

const CALLS: usize = 8;

fn programs() -> impl Strategy<Value = Programs> {
    let origin = prop_oneof![
        1 => Just(Origin::New),
        2 => Just(Origin::Thread),
        3 => (0..2_usize, 0..=CALLS).prop_map(|(by, before)| Origin::Forked { by, before }),
    ];
    let program = (origin, 0..3_u8, vec(wish(0), 1..=CALLS));
    let programs = vec(program, 2..=3);
    (2..=3_usize, select(vec![0, 3]), programs).prop_flat_map(|(cpus, shift, programs)| {
        let mut threads = 0;
        let programs: Vec<Program> = (0..)
            .zip(programs)
            .map(|(n, (origin, cpu, wishes))| {
                let origin = match origin {
                    _ if n == 0 => Origin::New,
                    Origin::Thread if threads > 0 => Origin::New,
                    Origin::Forked { by, before } => Origin::Forked { by: by % n, before },
                    other => other,
                };
                threads += usize::from(origin == Origin::Thread);
                Program { origin, cpu: cpu % cpus as u8, wishes }
            })
            .collect();
        KERNELS.setups(cpus).prop_map(move |setup| Programs { setup, shift, programs: programs.clone() })
    })
}

impl Programs {
    /// The slots that a program keeps to, so that no other thread of its process touches them.
    fn slots(&self, program: usize) -> std::ops::Range<u64> {
        match self.programs[program].origin {
            Origin::New => 0..REGION,
            Origin::Thread => REGION..SLOTS,
            Origin::Forked { by, .. } => self.slots(by),
        }
    }

    /// What each program's memory is when it begins, known once its parent forked.
    async fn play(&self, shell: Shell<'_>, program: usize, born: &RefCell<Vec<Memory>>) {
        let machine = shell.machine;
        match self.programs[program].origin {
            Origin::New => {
                let mm = shell.new_process().await;
                for thread in (0..self.programs.len()).filter(|n| self.programs[*n].origin == Origin::Thread) {
                    if program == 0 {
                        machine.kernel.adopt(mm);
                        shell.give_birth(thread, mm);
                    }
                }
            }
            Origin::Thread | Origin::Forked { .. } => {
                shell.enter_when_born().await;
            }
        }
        let mut memory = born.borrow()[program].clone();
        let wishes = &self.programs[program].wishes;
        for (n, wish) in wishes.iter().enumerate() {
            self.fork_children(shell, program, n, &memory, born).await;
            let value = (100 * program + n + 1) as u64;
            let call = wish.call(&self.setup, self.shift, self.slots(program), value);
            shell.call_as(&mut memory, call, Frames::Suffice).await;
        }
        for n in wishes.len()..=CALLS {
            self.fork_children(shell, program, n, &memory, born).await;
        }
        shell.exit().await;
    }

    async fn fork_children(
        &self,
        shell: Shell<'_>,
        program: usize,
        now: usize,
        memory: &Memory,
        born: &RefCell<Vec<Memory>>,
    ) {
        for (child, other) in self.programs.iter().enumerate() {
            if other.origin == (Origin::Forked { by: program, before: now }) {
                let mm = shell.fork().await.expect("there are frames for a child");
                born.borrow_mut()[child] = memory.forked();
                shell.give_birth(child, mm);
            }
        }
    }

    fn run(&self, machine: &Machine, source: Source) -> Result<(), String> {
        let born = RefCell::new(vec![Memory::default(); self.programs.len()]);
        let tasks = (0_u8..).zip(&self.programs).map(|(n, program)| -> (u8, BoxFuture<'_>) {
            (program.cpu, Box::pin(self.play(machine.shell(program.cpu, n), usize::from(n), &born)))
        });
        machine.run(source, tasks.collect())
    }
}

proptest! {
    #![proptest_config(cases(5_000))]

    #[test]
    fn processes_at_the_same_time(programs in programs(), seed in any::<u64>()) {
        judge(programs.setup, |machine| programs.run(machine, schedule(seed)))?;
    }
}
