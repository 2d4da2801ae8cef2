//! The guards of `mm/gup.c`: what its code checks, orders, locks or marks so that nothing goes wrong.
//!
//! They are those of v5.0, in the order of the file, and three that came later (46 to 48). The lockless walk has 1 to 56. The look-up
//! under locks has 57 to 104. The loop around it, and who calls it, have the others. A row of a table of safeguards says which of them it is
//! (`guards [39]`).

use std::fmt;

/// A guard of `mm/gup.c`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Guard {
    /// Its number, from 1.
    pub number: u16,
    /// What it is, in a few words.
    pub about: &'static str,
}

/// The guards without which nothing could go wrong here, and why.
const NEVER_MISSED: [(u16, &str); 16] = [
    // A futex before v4.5, which had other references to huge pages; perf_virt_to_phys(), which an NMI calls.
    (3, "callers have interrupts on"),
    // A huge page behind an entry of the top level.
    (18, "not on x86"),
    (34, "an assertion"),
    // Reclaim spares the page once more.
    (49, "a hint to reclaim"),
    // A fault comes to the same entry, and waits for it in the same way.
    (78, "a fault waits as well"),
    // The page comes to the right list when its batch is emptied.
    (100, "the lists even out"),
    (116, "changes no state"),
    // MmapLock is handed over, and is gone with it.
    (118, "the lock is a value"),
    (123, "an assertion"),
    // GUP may let go of the lock as often as it has to since v5.7.
    (128, "later releases do without"),
    (132, "only one caller has them"),
    (133, "the lock is a value"),
    // Who calls it goes on until all is there.
    (137, "the caller goes on"),
    // Only the memory of a driver that a guest or VFIO uses has faults that let go of it here.
    (139, "a futex keeps the lock"),
    (144, "an assertion"),
    // Caches by virtual address.
    (148, "not on x86"),
];

impl Guard {
    /// Every guard, in order.
    pub fn all() -> impl Iterator<Item = Guard> {
        (1..).zip(GUARDS).map(|(number, about)| Guard { number, about })
    }

    /// The guard of a number.
    pub fn of(number: u16) -> Option<Guard> {
        Guard::all().find(|guard| guard.number == number)
    }

    /// Why it has no safeguard, if its lack would change nothing here.
    pub fn reason(self) -> Option<&'static str> {
        NEVER_MISSED.iter().find(|(number, _)| *number == self.number).map(|(_, reason)| *reason)
    }
}

impl fmt::Display for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "G{:03}", self.number)
    }
}

/// What each guard is, from number 1 on.
#[rustfmt::skip]
const GUARDS: [&str; 148] = [
    "interrupts are off around the walk",      // G001
    "interrupts, and not preemption alone",    // G002
    "interrupts return to what they were",     // G003
    "only the caller's own address space",     // G004
    "the range lies in user memory",           // G005
    "the end is not below the start",          // G006
    "no pages, or fewer, end it",              // G007
    "a PGD entry is read once",                // G008
    "a P4D entry is read once",                // G009
    "a PUD entry is read once",                // G010
    "a PMD entry is read once",                // G011
    "an empty PGD entry ends it",              // G012
    "an empty P4D entry ends it",              // G013
    "an empty PUD entry ends it",              // G014
    "a PMD entry must be present",             // G015
    "a huge PMD entry is no table",            // G016
    "a huge PUD entry is no table",            // G017
    "a huge PGD entry is no table",            // G018
    "a PMD entry of NUMA hinting",             // G019
    "a PTE of NUMA hinting",                   // G020
    "a PMD entry allows the access",           // G021
    "a PTE allows the access",                 // G022
    "a PUD entry allows the access",           // G023
    "a PMD entry of a device",                 // G024
    "a PUD entry of a device",                 // G025
    "a PTE's device map is alive",             // G026
    "pages of a dying map are put",            // G027
    "the same behind a huge entry",            // G028
    "a device's PMD entry is read again",      // G029
    "a device's PUD entry is read again",      // G030
    "the device map is put",                   // G031
    "the same behind a huge entry",            // G032
    "a special PTE is refused",                // G033
    "the frame has a page descriptor",         // G034
    "the head is looked up first",             // G035
    "no reference to a free page",             // G036
    "none to a free huge page",                // G037
    "none to a free gigantic page",            // G038
    "the PTE is read again",                   // G039
    "the reference comes before that",         // G040
    "the huge PMD entry is read again",        // G041
    "the huge PUD entry is read again",        // G042
    "the reference is put on change",          // G043
    "all of a huge page's are put",            // G044
    "the head is looked up again",             // G045
    "the table's entry is read again",         // G046
    "a count that overflows is refused",       // G047
    "a fork meanwhile is noticed",             // G048
    "the page is marked referenced last",      // G049
    "a page counts after all checks",          // G050
    "the first failure ends the walk",         // G051
    "the table comes from that PMD entry",     // G052
    "both halves of a PTE agree",              // G053
    "the locked path gets the rest",           // G054
    "pages that were got are reported",        // G055
    "the locked path starts behind them",      // G056
    "mmap_lock is held",                       // G057
    "an empty upper entry ends it",            // G058
    "huge entries of all levels",              // G059
    "a device's PUD entry is locked",          // G060
    "the PMD entry is read once",              // G061
    "an empty PMD entry ends it",              // G062
    "a moving huge page is not followed",      // G063
    "a moving huge page is waited for",        // G064
    "it may be gone after that",               // G065
    "a device's PMD entry is locked",          // G066
    "a huge page of NUMA hinting",             // G067
    "under the lock it may be gone",           // G068
    "under the lock it may be moving",         // G069
    "under the lock it may be split",          // G070
    "a huge page has a reference first",       // G071
    "a huge page is locked to split",          // G072
    "the huge zero page is special",           // G073
    "a split may empty the entry",             // G074
    "the table is still a table",              // G075
    "the PTE lock is held",                    // G076
    "a PTE must be present",                   // G077
    "only ksmd waits for moving pages",        // G078
    "only a moving page is waited for",        // G079
    "nobody waits with the PTE lock",          // G080
    "all is read again after waiting",         // G081
    "a page of NUMA hinting faults",           // G082
    "a write needs a writable PTE",            // G083
    "or it must be forced",                    // G084
    "and COW must be broken",                  // G085
    "and the PTE must be dirty",               // G086
    "a special PTE has no page",               // G087
    "the device map is alive",                 // G088
    "a dump leaves out special pages",         // G089
    "the zero page is handed out",             // G090
    "a page without descriptor is refused",    // G091
    "its A and D under the lock",              // G092
    "after a split all is read again",         // G093
    "the reference comes under the lock",      // G094
    "a write makes the page dirty",            // G095
    "the page ages, and not its PTE",          // G096
    "mlock asks the mapping again",            // G097
    "mlock leaves out mapped huge pages",      // G098
    "mlock only tries the page lock",          // G099
    "batches are drained before mlock",        // G100
    "an entry in swap is no hole",             // G101
    "a dump leaves out holes",                 // G102
    "the vsyscall page is special",            // G103
    "the device map is put",                   // G104
    "each mapping is looked up",               // G105
    "mappings of devices are refused",         // G106
    "a file is not waited for",                // G107
    "a write needs a writable mapping",        // G108
    "only private mappings are forced",        // G109
    "a read needs a readable mapping",         // G110
    "the protection key allows it",            // G111
    "hugetlb mappings have their own walk",    // G112
    "forced accesses ignore NUMA hinting",     // G113
    "flags start anew for each page",          // G114
    "a killed task stops",                     // G115
    "it lets others run",                      // G116
    "it looks again after a fault",            // G117
    "a lock that was dropped ends it",         // G118
    "a page without descriptor is skipped",    // G119
    "each page is told by itself",             // G120
    "no more pages than asked for",            // G121
    "an error leaves the pages got",           // G122
    "pages come with references",              // G123
    "locking on fault faults nothing",         // G124
    "a write faults as a write",               // G125
    "another's page faults as such",           // G126
    "only who can retries",                    // G127
    "the second fault drops nothing",          // G128
    "who does not wait keeps the lock",        // G129
    "each fault's error is known",             // G130
    "COW counts as broken once",               // G131
    "no mappings when the lock drops",         // G132
    "the lock is held at first",               // G133
    "it goes on at the right page",            // G134
    "one page is tried again",                 // G135
    "the caller hears of the drop",            // G136
    "faulting in ends at the drop",            // G137
    "a fault asks the mapping",                // G138
    "it tries again once",                     // G139
    "long pins of device files refused",       // G140
    "mappings are asked under the lock",       // G141
    "mlock writes private memory only",        // G142
    "mlock forces what has an access",         // G143
    "mlock asks for whole pages",              // G144
    "mlock looks mappings up again",           // G145
    "mlock leaves out device mappings",        // G146
    "a dump holds mmap_lock",                  // G147
    "caches of virtual aliases are flushed",   // G148
];
