//! Safeguards: each check, order, lock or flag on which the kernel relies and that a bug lacked, or a
//! careless patch could remove.

use crate::platform::{CowReuse, GupProtect};
use crate::release::Release;

/// What a safeguard is in the code. So it is known when it decides, which is when the code, without it,
/// would have done something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A condition. Decides where it takes effect: the code goes back, or does something else.
    Check,
    /// Something that is done, or is done first: a lock, a flush, an order. Decides wherever it is reached.
    Order,
    /// A rule that other releases have otherwise. Decides wherever it is applied.
    Design,
}

/// What is known of a safeguard.
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    /// The safeguard.
    pub safeguard: Safeguard,
    /// Its name in scenarios and on the command line.
    pub key: &'static str,
    /// What it protects, in a sentence.
    pub about: &'static str,
    /// What it is in the code.
    pub shape: Shape,
    /// The routine that consults it.
    pub routine: &'static str,
    /// The commit that brought it, where known.
    pub commit: Option<&'static str>,
    /// The first release that has it.
    pub since: Release,
    /// The first release that no longer has it.
    pub until: Option<Release>,
    /// The CVE that its absence was given.
    pub cve: Option<&'static str>,
}

macro_rules! safeguards {
    ($($name:ident = $key:literal $shape:ident in $routine:literal since $since:expr $(, until $until:expr)?
        $(, commit $commit:literal)? $(, cve $cve:literal)? => $about:literal;)*) => {
        /// A named safeguard. Consulted at exactly one place in the code.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Safeguard { $(#[doc = $about] $name),* }

        /// Every safeguard with its facts, in the order of [`Safeguard`].
        pub const SAFEGUARDS: &[Facts] = &[$(Facts {
            safeguard: Safeguard::$name,
            key: $key,
            about: $about,
            shape: safeguards!(@shape $shape),
            routine: $routine,
            commit: safeguards!(@or $($commit)?),
            since: $since,
            until: safeguards!(@or $($until)?),
            cve: safeguards!(@or $($cve)?),
        }),*];
    };
    (@shape check) => { Shape::Check };
    (@shape order) => { Shape::Order };
    (@shape design) => { Shape::Design };
    (@or $value:expr) => { Some($value) };
    (@or) => { None };
}

const FAST_GUP: Release = Release::v26(27);

safeguards! {
    // The lockless path.
    GupIrqOff = "gup-irq-off" design in "get_user_pages_fast" since FAST_GUP, commit "8174c430e445" =>
        "Interrupts stay off around the lockless walk, so page tables cannot be freed under it.";
    GupAccessOk = "gup-access-ok" check in "get_user_pages_fast" since Release::v26(31),
        commit "7f8189068726" =>
        "The range must lie in the user half before the lockless walk may trust it.";
    GupRangeWraps = "gup-range-wraps" check in "gup_fast_permitted" since FAST_GUP =>
        "A range whose end lies below its start is refused: the walk would never meet its end.";
    GupP4dNone = "gup-p4d-none" check in "gup_p4d_range" since FAST_GUP =>
        "An empty top-level entry ends the walk instead of being followed to frame 0.";
    GupPudNone = "gup-pud-none" check in "gup_pud_range" since FAST_GUP =>
        "An empty PUD entry ends the walk instead of being followed to frame 0.";
    GupPmdPresent = "gup-pmd-present" check in "gup_pmd_range" since FAST_GUP =>
        "A PMD entry that is not present ends the walk instead of being followed to frame 0.";
    GupPtePermitted = "gup-pte-permitted" check in "gup_pte_range" since FAST_GUP =>
        "The entry must allow the access from user mode: a write pin needs a writable entry.";
    GupPteSpecial = "gup-pte-special" check in "gup_pte_range" since FAST_GUP =>
        "Special entries (the zero page, raw frames) carry no reference count and are refused.";
    GupRefUnlessZero = "gup-ref-unless-zero" check in "page_cache_get_speculative" since FAST_GUP,
        commit "e286781d5f2e" =>
        "A page whose count is zero is free or frozen; a reference is taken only if it is not.";
    GupPteRecheck = "gup-pte-recheck" check in "gup_pte_range" since FAST_GUP, commit "e286781d5f2e" =>
        "The entry is read again after the reference is taken: the page may have been freed and reused between.";
    GupRefThenRecheck = "gup-ref-then-recheck" order in "gup_pte_range" since FAST_GUP, commit "e286781d5f2e" =>
        "First the reference, then the second look: the other order leaves the window open.";
    GupRecheckPut = "gup-recheck-put" order in "gup_pte_range" since FAST_GUP =>
        "When the second look fails, the reference just taken is dropped.";
    GupSlowFallback = "gup-slow-fallback" order in "get_user_pages_fast" since FAST_GUP =>
        "What the lockless walk could not pin is pinned by the locked path.";
    GupMergeResult = "gup-merge-result" order in "get_user_pages_fast" since FAST_GUP =>
        "If the locked path fails after some pages were pinned, their number is returned, not the error.";
    GupAdvanceStart = "gup-advance-start" check in "get_user_pages_fast" since FAST_GUP =>
        "The locked path starts behind the pages that are already pinned.";
    GupReadBreaksCow = "gup-read-breaks-cow" design in "should_force_cow_break" since Release::v(5, 8),
        until Release::v(5, 9), commit "17839856fd58", cve "CVE-2020-29374" =>
        "A read pin of private memory breaks COW first, so that no later write can come to share the page.";

    // The locked path.
    FollowPtl = "follow-ptl" order in "follow_page_pte" since Release::v26(12) =>
        "The PTE lock is held from reading the entry until the page has its reference.";
    FollowPtePresent = "follow-pte-present" check in "follow_page_pte" since Release::v26(12) =>
        "Only a present entry names a frame.";
    FollowPteWrite = "follow-pte-write" check in "can_follow_write_pte" since Release::v26(12) =>
        "A write pin needs a writable entry, or one that a forced write made its own.";
    CheckVmaWrite = "check-vma-write" check in "check_vma_flags" since Release::v26(12) =>
        "Writing needs a writable mapping, or force on a private one.";

    // The memory manager.
    CowReuseCounts = "cow-reuse-counts" design in "do_wp_page" since Release::v(5, 9), commit "09854ba94c6a",
        cve "CVE-2020-29374" =>
        "A write fault reuses a page only if nobody else holds a reference, not merely no other mapping.";
    AnonFaultRecheck = "anon-fault-recheck" check in "do_anonymous_page" since Release::v26(12) =>
        "A fault looks again under the PTE lock: another thread may have filled the entry.";
    WpFaultRecheck = "wp-fault-recheck" check in "wp_page_copy" since Release::v26(12) =>
        "A COW copy is mapped only if the entry is still the one that was copied from.";
    PteAllocRecheck = "pte-alloc-recheck" check in "__pte_alloc" since Release::v26(12) =>
        "A new table is linked only if no other thread linked one first.";
    GatherFlushFirst = "gather-flush-first" order in "tlb_flush_mmu" since Release::v26(12) =>
        "Pages are freed after the TLB flush that makes them unreachable, not before.";
    TableInvalidate = "table-invalidate" order in "tlb_table_invalidate" since Release::v(4, 19),
        commit "d86564a2f085" =>
        "Before a page table is freed the paging-structure caches that lead to it are flushed: neither RCU nor an empty interrupt does that.";
    GatherFlushNested = "gather-flush-nested" check in "tlb_finish_mmu" since Release::v(4, 13),
        commit "99baac21e458" =>
        "Who unmaps a range while another does flushes it altogether: the other's flush may be still to come.";
    FlushWaits = "flush-waits" order in "smp_call_function_many" since Release::v26(12) =>
        "Whoever flushes other CPUs' translations waits until each of them has done it.";
    ForkFlush = "fork-flush" order in "dup_mmap" since Release::v26(12) =>
        "After fork write-protected the parent's entries, stale writable translations are flushed.";
    ForkWriteProtect = "fork-write-protect" order in "copy_one_pte" since Release::v26(12) =>
        "Fork write-protects private pages in both address spaces.";
    WpFlush = "wp-flush" order in "ptep_clear_flush" since Release::v26(12) =>
        "Before a COW copy is mapped, translations of the old page are flushed.";
}

impl Safeguard {
    /// Its facts.
    pub fn facts(self) -> &'static Facts {
        &SAFEGUARDS[self as usize]
    }

    /// The safeguard of a key.
    pub fn by_key(key: &str) -> Option<Safeguard> {
        SAFEGUARDS.iter().find(|facts| facts.key == key).map(|facts| facts.safeguard)
    }
}

impl Facts {
    /// Whether a release has the safeguard.
    pub fn is_in(&self, release: Release) -> bool {
        self.since <= release && self.until.is_none_or(|until| release < until)
    }
}

/// A set of safeguards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SafeguardSet(u64);

impl SafeguardSet {
    /// The same set, and the safeguard.
    #[inline]
    #[must_use]
    pub(crate) fn with(self, safeguard: Safeguard) -> SafeguardSet {
        SafeguardSet(self.0 | 1 << safeguard as u8)
    }

    /// Whether it holds the safeguard.
    #[inline]
    pub fn has(self, safeguard: Safeguard) -> bool {
        self.0 & 1 << safeguard as u8 != 0
    }

    fn set(&mut self, safeguard: Safeguard, on: bool) {
        let bit = 1 << safeguard as u8;
        self.0 = if on { self.0 | bit } else { self.0 & !bit };
    }
}

/// Which kernel runs: its safeguards, and the designs that changed over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KernelConfig {
    /// The release that it started from.
    pub version: Release,
    /// Its safeguards.
    pub safeguards: SafeguardSet,
    /// By which rule COW reuses a page.
    pub cow_reuse: CowReuse,
    /// What lockless GUP disables.
    pub gup_protect: GupProtect,
    /// Whether `rcu_read_lock()` holds up the grace periods that free page tables: since v4.20.
    pub rcu_consolidated: bool,
}

impl KernelConfig {
    /// The kernel of a release, less some safeguards, plus others, with designs chosen by name.
    pub fn new(
        version: Release,
        without: &[Safeguard],
        with: &[Safeguard],
        cow_reuse: Option<CowReuse>,
        gup_protect: Option<GupProtect>,
    ) -> KernelConfig {
        let mut safeguards = SafeguardSet::default();
        for facts in SAFEGUARDS {
            safeguards.set(facts.safeguard, facts.is_in(version));
        }
        for &safeguard in without {
            safeguards.set(safeguard, false);
        }
        for &safeguard in with {
            safeguards.set(safeguard, true);
        }
        let by_version = if version >= Release::v(5, 19) { CowReuse::Exclusive } else { CowReuse::Refcount };
        let counts = safeguards.has(Safeguard::CowReuseCounts);
        let irq_off = safeguards.has(Safeguard::GupIrqOff);
        KernelConfig {
            version,
            safeguards,
            cow_reuse: cow_reuse.unwrap_or(if counts { by_version } else { CowReuse::Mapcount }),
            gup_protect: gup_protect.unwrap_or(if irq_off { GupProtect::Irq } else { GupProtect::None }),
            rcu_consolidated: version >= Release::v(4, 20),
        }
    }

    /// Whether a safeguard is in force: of designs, whether the one that was resolved has it.
    pub fn is_in_force(&self, safeguard: Safeguard) -> bool {
        match safeguard {
            Safeguard::GupIrqOff => self.gup_protect == GupProtect::Irq,
            Safeguard::CowReuseCounts => self.cow_reuse != CowReuse::Mapcount,
            _ => self.safeguards.has(safeguard),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_unique_and_fit_the_set() {
        assert!(SAFEGUARDS.len() <= 64);
        for (i, facts) in SAFEGUARDS.iter().enumerate() {
            assert_eq!(facts.safeguard as usize, i);
            assert_eq!(Safeguard::by_key(facts.key), Some(facts.safeguard), "{} is given twice", facts.key);
            assert!(facts.about.ends_with('.') && !facts.routine.is_empty(), "{}", facts.key);
        }
    }

    #[test]
    fn a_release_has_what_came_before_it_and_left_after_it() {
        let rule = |v: &str| KernelConfig::new(v.parse().expect("a release"), &[], &[], None, None);
        assert_eq!(rule("v5.0").cow_reuse, CowReuse::Mapcount);
        assert_eq!(rule("v5.9").cow_reuse, CowReuse::Refcount);
        assert_eq!(rule("latest").cow_reuse, CowReuse::Exclusive);
        let breaks = |v| rule(v).safeguards.has(Safeguard::GupReadBreaksCow);
        assert_eq!(["v5.7", "v5.8", "v5.9"].map(breaks), [false, true, false]);
    }
}
