//! What a safeguard is, and how a crate declares its own.
//!
//! A safeguard is a check, an order, a lock or a flag on which the kernel relies. An old kernel lacked it, or a
//! careless patch could remove it. For example, `gup-pte-recheck` is the second look at the PTE in
//! `gup_pte_range()`. Each crate lists its safeguards with [`safeguards!`](crate::safeguards!).

use std::cmp::Ordering;
use std::fmt;
use std::ops::Deref;

use crate::release::Release;

/// What a safeguard is in the code. From that follows when it *decides* a run, which is when the code
/// would have done something else without it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A condition, tested by [`check!`](crate::check!). It decides where it is true: there the code goes back,
    /// or does something else.
    Check,
    /// Something that is done, or is done first: a lock, a flush, an order. It decides wherever it is reached.
    Order,
    /// A rule that other releases have otherwise. It decides wherever it is applied.
    Design,
}

/// Whose kernels the releases of a safeguard are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arch {
    /// Those of every architecture: the code is common to all.
    All,
    /// Those for x86: others had it in other releases, or never.
    X86,
}

impl Arch {
    /// What stands behind a release: nothing, or ` on x86`.
    pub fn told(self) -> &'static str {
        match self {
            Arch::All => "",
            Arch::X86 => " on x86",
        }
    }
}

/// What is known of a safeguard.
#[derive(Debug)]
pub struct Facts {
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
    /// The architectures of which that is true.
    pub arch: Arch,
    /// The first release that no longer has it.
    pub until: Option<Release>,
    /// The CVE that its absence was given.
    pub cve: Option<&'static str>,
    /// The guards of `mm/gup.c` that it is, by their numbers in the list of all (`mmsim safeguards --table`).
    pub guards: &'static [u16],
}

/// A named safeguard: a number within the whole kernel, and the facts. Kernel code consults it at exactly
/// one place.
#[derive(Clone, Copy)]
pub struct Safeguard {
    id: u16,
    facts: &'static Facts,
}

impl Safeguard {
    /// Safeguard number `id` of the kernel. For the macro.
    #[doc(hidden)]
    pub const fn new(id: usize, facts: &'static Facts) -> Safeguard {
        assert!(id < SafeguardSet::CAPACITY, "a set has no room for so many safeguards");
        Safeguard { id: id as u16, facts }
    }

    /// Its number: safeguards are counted from the lowest crate upwards, in the order of the tables.
    pub const fn id(self) -> usize {
        self.id as usize
    }
}

impl Deref for Safeguard {
    type Target = Facts;
    fn deref(&self) -> &Facts {
        self.facts
    }
}

impl PartialEq for Safeguard {
    fn eq(&self, other: &Safeguard) -> bool {
        self.id == other.id
    }
}

impl Eq for Safeguard {}

impl PartialOrd for Safeguard {
    fn partial_cmp(&self, other: &Safeguard) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Safeguard {
    fn cmp(&self, other: &Safeguard) -> Ordering {
        self.id.cmp(&other.id)
    }
}

impl fmt::Debug for Safeguard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.key)
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
pub struct SafeguardSet([u64; 6]);

impl SafeguardSet {
    /// The most safeguards that a kernel can have.
    pub const CAPACITY: usize = 384;

    /// Whether it holds the safeguard.
    #[inline]
    pub const fn has(&self, safeguard: Safeguard) -> bool {
        self.0[safeguard.id() / 64] & SafeguardSet::bit(safeguard) != 0
    }

    /// Adds the safeguard.
    #[inline]
    pub fn insert(&mut self, safeguard: Safeguard) {
        self.0[safeguard.id() / 64] |= SafeguardSet::bit(safeguard);
    }

    /// Takes the safeguard out.
    pub fn remove(&mut self, safeguard: Safeguard) {
        self.0[safeguard.id() / 64] &= !SafeguardSet::bit(safeguard);
    }

    const fn bit(safeguard: Safeguard) -> u64 {
        1 << (safeguard.id() % 64)
    }
}

impl FromIterator<Safeguard> for SafeguardSet {
    fn from_iter<I: IntoIterator<Item = Safeguard>>(safeguards: I) -> SafeguardSet {
        let mut set = SafeguardSet::default();
        safeguards.into_iter().for_each(|safeguard| set.insert(safeguard));
        set
    }
}

/// Declares the safeguards of a crate: a constant for each, and `SAFEGUARDS`, the list of them all.
///
/// The first line says how many safeguards the crates below have; these are counted on from there. A safeguard that is a
/// guard of `mm/gup.c`, or several, has their numbers at the end.
///
/// ```
/// sim_mm::safeguards! {
///     above 31;
///     NEW_CHECK = "new-check" check in "some_routine" since sim_mm::Release::v(5, 4), commit "0123456789ab", guards [76] =>
///         "The entry is read again under the lock, because another CPU may have changed it.";
/// }
/// assert_eq!((NEW_CHECK.id(), SAFEGUARDS[0].key), (31, "new-check"));
/// assert_eq!(NEW_CHECK.guards, [76]);
/// ```
#[macro_export]
macro_rules! safeguards {
    (above $below:expr; $($name:ident = $key:literal $shape:ident in $routine:literal since $since:expr
        $(, on $arch:ident)? $(, until $until:expr)? $(, commit $commit:literal)? $(, cve $cve:literal)?
        $(, guards [$($guard:literal),+])? => $about:literal;)*) => {
        #[allow(non_camel_case_types, clippy::upper_case_acronyms, reason = "counts the rows of the table")]
        enum Row { $($name),* }

        $(#[doc = $about]
        pub const $name: $crate::Safeguard = $crate::Safeguard::new($below + Row::$name as usize, &$crate::Facts {
            key: $key,
            about: $about,
            shape: $crate::safeguards!(@shape $shape),
            routine: $routine,
            commit: $crate::safeguards!(@or $($commit)?),
            since: $since,
            arch: $crate::safeguards!(@arch $($arch)?),
            until: $crate::safeguards!(@or $($until)?),
            cve: $crate::safeguards!(@or $($cve)?),
            guards: &[$($($guard),+)?],
        });)*

        /// The safeguards of this crate, in the order of the table.
        pub const SAFEGUARDS: &[$crate::Safeguard] = &[$($name),*];
    };
    (@shape check) => { $crate::Shape::Check };
    (@shape order) => { $crate::Shape::Order };
    (@shape design) => { $crate::Shape::Design };
    (@arch $arch:ident) => { $crate::Arch::$arch };
    (@arch) => { $crate::Arch::All };
    (@or $value:expr) => { Some($value) };
    (@or) => { None };
}

/// A check that is a safeguard: whether the kernel has the safeguard and the condition holds.
///
/// The condition is not evaluated in a kernel without the safeguard. So a condition that awaits an access
/// leaves out the access too, as the kernels did that had no such check. A check that holds *decides* the run.
///
/// ```ignore
/// if check!(cpu, GUP_PTE_RECHECK, cpu.read_once(ptep).await != pte) {
///     return false;
/// }
/// ```
#[macro_export]
macro_rules! check {
    ($cpu:expr, $safeguard:expr, $condition:expr) => {
        $cpu.has($safeguard) && $condition && $cpu.decided($safeguard)
    };
}
