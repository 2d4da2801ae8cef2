//! The operations of a scenario: one file each, and one row of the table below.
//!
//! A file declares the fields of its operation once, with `operation!`. The decoder, its errors and the JSON schema follow
//! from the declaration. So does what the shrinker may make smaller, and what the operation tells of names and places.
//! Beside the fields stand the operation's line of text and the code that it runs. No code outside this folder treats one
//! operation differently from another.

mod advice;
mod argument;
mod declare;
mod expected;
mod flags;
mod prot;
mod range;
mod statement;

pub(crate) use argument::{Argument, Mention, Noun, OldValue, Word};
pub(crate) use declare::operation;
pub(crate) use expected::ExpectedVmaFields;
pub use statement::Statement;

use std::fmt;

use serde_json::{Value, json};
use sim_core::BoxFuture;
use sim_mm::{Errno, Release};

use crate::json::{Kind as _, Node, ObjectFacts};
use crate::stage::{Place, Task};

/// Declares the table: the modules, and a row for each operation, in the order in which help names them.
macro_rules! operations {
    ($($module:ident: $($operation:ident),+;)*) => {
        $(mod $module;)*

        /// Every operation.
        pub(crate) const OPERATIONS: &[Row] = &[$($(Row {
            tag: <$module::$operation as Declared>::TAG,
            read: |node| <$module::$operation as Declared>::read(node).map(|o| Box::new(o) as Box<dyn Operation>),
            since: <$module::$operation as Declared>::SINCE,
            facts: &<$module::$operation as Declared>::FACTS,
        }),+),*];
    };
}

operations! {
    mmap: Mmap;
    munmap: Munmap;
    mprotect: Mprotect;
    mremap: Mremap;
    access: Write, WriteValueOf, Read;
    locked: Xchg, Cmpxchg, Xadd;
    fence: Mfence, Lfence, Sfence;
    madvise: Madvise;
    mlock: Mlock, Munlock;
    mincore: Mincore;
    msync: Msync;
    fork: Fork;
    vfork: Vfork;
    exec: Exec;
    exit: Exit;
    gup: GupFast, GupFastOnly, Gup, GupHeld, GupLocked, PinFast, Pin;
    put_pages: PutPages;
    device: DeviceRead, DeviceWrite;
    pipe: Vmsplice, PipeRead;
    remote: ProcessVmRead, ProcessVmWrite, ProcMemRead, ProcMemWrite, ProcCmdlineRead;
    futex: FutexAdd;
    brk: Brk;
    file: MemfdCreate, MemfdSecret, Close, Ftruncate, PunchHole, Pread, Pwrite;
    disk: Open, Reopen, Fsync, Writeback, FadviseDontneed, PwriteFrom;
    dax: OpenDax, OpenDevice, UnbindDevice;
    driver: DriverMmap, DriverRelease;
    coredump: DumpPage;
    oom_reap: OomReap;
    numa_hint: NumaHint;
    clear_refs: ClearRefs;
    userfaultfd: UffdRegister, UffdRead, UffdCopy, UffdZeropage, UffdContinue, UffdWriteprotect, UffdMove, UffdWake;
    reclaim: Reclaim;
    swapoff: Swapoff;
    migrate: Migrate;
    move_pages: MovePagesOperation;
    migrate_vma: MigrateVma;
    khugepaged: Khugepaged;
    nr_hugepages: NrHugepages;
    ksmd: Ksmd;
    break_ksm: BreakKsm;
    kvm: KvmCreateVm, GuestRead, GuestWrite;
    ring: RegisterBuffer, UnregisterBuffer, FixedRead, FixedWrite;
    wait: WaitUntil;
    vmas: Vmas;
    prctl: Prctl;
    pkey: PkeyAlloc, PkeyFree, PkeyMprotect, PkeySet;
    vmalloc: Vmalloc, Vfree, VmallocRead, VmallocWrite;
    bare: SetEntry, Invlpg, IpiInvlpg;
    pcid: MovCr3, MovCr4, InvpcidOperation;
}

/// A row of the table of operations.
pub(crate) struct Row {
    /// Its name in a scenario.
    pub(crate) tag: &'static str,
    read: fn(&Node<'_>) -> Option<Box<dyn Operation>>,
    /// The first release that has it, if releases differ.
    pub(crate) since: Option<Release>,
    /// Its fields.
    pub(crate) facts: &'static ObjectFacts,
}

impl Row {
    /// Whether its name alone is enough, because no field must be there.
    pub(crate) fn can_stand_alone(&self) -> bool {
        !self.facts.fields.iter().any(|field| field.required)
    }
}

/// What [`operation!`] makes of the declaration of an operation.
pub(crate) trait Declared: Sized {
    /// Its name in a scenario.
    const TAG: &'static str;

    /// The first release that has it, if releases differ.
    const SINCE: Option<Release>;

    /// Its fields.
    const FACTS: ObjectFacts;

    /// Reads its fields; `None` if one of them has an error.
    fn read(node: &Node<'_>) -> Option<Self>;
}

/// What [`operation!`] makes of the fields of an operation, for code that does not know which operation it is.
pub(crate) trait Members {
    /// Its name in a scenario.
    fn tag(&self) -> &'static str;

    /// The first release that has it, if releases differ.
    fn since(&self) -> Option<Release>;

    /// What each of its fields tells the rest of the scenario, by its key.
    fn mentions(&self) -> Vec<(&'static str, Mention<'_>)>;
}

/// The return value of an operation: a number, as of its system call, or an error.
pub(crate) type Running<'m> = BoxFuture<'m, Result<i64, Errno>>;

/// Something that a thread of a scenario can do. Its `Display` is its line in descriptions and diagrams.
pub(crate) trait Operation: Members + fmt::Debug + fmt::Display + Send + Sync {
    /// The kernel routine that it calls first, if a check of its return value should name it.
    fn routine(&self) -> Option<&'static str> {
        None
    }

    /// Whether the pages that it names by their place are no longer mapped afterwards.
    fn unmaps(&self) -> bool {
        false
    }

    /// The pages at which it puts a mapping in the place of whatever is there: the first page, and how many.
    fn replaces(&self) -> Option<(Place, u64)> {
        None
    }

    /// Whether nothing can run in its thread after it.
    fn is_last(&self) -> bool {
        false
    }

    /// Whether its process gets another address space, and loses all its mappings.
    fn replaces_mm(&self) -> bool {
        false
    }

    /// The process for which its thread sleeps until that has an address space of its own, or none.
    fn lends_mm_to(&self) -> Option<&str> {
        None
    }

    /// Performs it, as a task of a simulated CPU.
    fn run<'m>(&'m self, task: Task<'m>) -> Running<'m>;
}

/// The schema of an operation: an object with its name as the one key, or the name alone if no field must be there.
pub(crate) fn schema() -> Value {
    let tagged = |row: &Row| {
        let fields = row.facts.schema();
        json!({
            "description": row.facts.about(), "type": "object", "properties": { row.tag: fields }, "required": [row.tag],
            "additionalProperties": false,
        })
    };
    let names: Vec<&str> = OPERATIONS.iter().filter(|row| row.can_stand_alone()).map(|row| row.tag).collect();
    let objects = OPERATIONS.iter().map(tagged);
    json!({ "oneOf": objects.chain([json!({ "enum": names })]).collect::<Vec<_>>() })
}

/// The schema of an advice of `madvise`.
pub(crate) fn advice_schema() -> Value {
    advice::AdviceName::schema()
}

/// `1 page`, `3 pages`.
pub(super) fn pages_text(pages: u64) -> String {
    crate::json::counted(pages, "page")
}

/// ` as NAME`, if the operation's value has a name.
pub(super) fn as_text(name: Option<&String>) -> String {
    name.map_or_else(String::new, |name| format!(" as {name}"))
}
