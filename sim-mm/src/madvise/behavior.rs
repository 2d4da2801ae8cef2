//! The advices, as a table: their names, the releases that brought them, and what they do with the flags of a mapping.

use crate::errno::Errno;
use crate::ksm::is_compatible;
use crate::release::Release;
use crate::vm_flags::VmFlags;

macro_rules! advices {
    ($($(#[doc = $doc:literal])+ $advice:ident = $name:literal $(since $since:expr)?;)*) => {
        /// What a process says of its memory: `MADV_*`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Advice { $($(#[doc = $doc])+ $advice),* }

        impl Advice {
            /// Every advice with its name without `MADV_`, in lower case.
            pub const NAMES: &'static [(Advice, &'static str)] = &[$((Advice::$advice, $name)),*];

            /// The first release that knows it, if releases differ.
            pub fn since(self) -> Option<Release> {
                match self { $(Advice::$advice => advices!(@or $($since)?)),* }
            }

            /// What it says, in a sentence.
            pub fn about(self) -> &'static str {
                match self { $(Advice::$advice => concat!($($doc),+).trim_ascii()),* }
            }
        }
    };
    (@or $since:expr) => { Some($since) };
    (@or) => { None };
}

advices! {
    /// No special treatment.
    Normal = "normal";
    /// It will be read in no order.
    Random = "random";
    /// It will be read in order.
    Sequential = "sequential";
    /// It will be needed soon.
    WillNeed = "willneed";
    /// What the pages hold is not needed any more.
    DontNeed = "dontneed";
    /// What the pages hold may be dropped when memory is short.
    Free = "free" since Release::v(4, 5);
    /// The pages of the file behind the mapping are freed.
    Remove = "remove";
    /// A child does not get the mapping.
    DontFork = "dontfork";
    /// A child gets it again.
    DoFork = "dofork";
    /// It may be backed by huge pages.
    HugePage = "hugepage";
    /// It may not.
    NoHugePage = "nohugepage";
    /// ksmd may merge equal pages of it.
    Mergeable = "mergeable";
    /// ksmd may not, and what is merged becomes pages of its own again.
    Unmergeable = "unmergeable";
    /// Core dumps leave it out.
    DontDump = "dontdump";
    /// Core dumps have it again.
    DoDump = "dodump";
    /// A child finds it empty.
    WipeOnFork = "wipeonfork" since Release::v(4, 14);
    /// A child finds what the parent has.
    KeepOnFork = "keeponfork" since Release::v(4, 14);
    /// Its pages are the first to be reclaimed.
    Cold = "cold" since Release::v(5, 4);
    /// Its pages are reclaimed now.
    PageOut = "pageout" since Release::v(5, 4);
    /// Its pages are faulted in, as if it was read.
    PopulateRead = "populate_read" since Release::v(5, 14);
    /// Its pages are faulted in, as if it was written.
    PopulateWrite = "populate_write" since Release::v(5, 14);
    /// As `dontneed`, of locked memory too.
    DontNeedLocked = "dontneed_locked" since Release::v(5, 18);
    /// Its pages are made huge pages now.
    Collapse = "collapse" since Release::v(6, 1);
    /// Its memory is to count as broken, so that somebody learns what the kernel does then. A machine without `hwpoison` answers `EINVAL`.
    Hwpoison = "hwpoison" since Release::v26(32);
    /// An access to it ends in a signal, as to what is not mapped.
    GuardInstall = "guard_install" since Release::v(6, 13);
    /// It can be accessed again.
    GuardRemove = "guard_remove" since Release::v(6, 13);
}

impl Advice {
    /// Its name without `MADV_`, in lower case.
    pub fn name(self) -> &'static str {
        Advice::NAMES.iter().find(|(advice, _)| *advice == self).map_or("", |(_, name)| name)
    }

    /// The routine of the kernel that follows it.
    pub fn routine(self) -> &'static str {
        match self {
            Advice::DontNeed | Advice::DontNeedLocked => "madvise_dontneed",
            _ => "do_madvise",
        }
    }

    /// Whether it unmaps the pages.
    pub(super) fn zaps(self) -> bool {
        matches!(self, Advice::DontNeed | Advice::DontNeedLocked)
    }

    /// Whether it is about pages that reclaim could take.
    pub(super) fn is_of_lru_pages(self) -> bool {
        matches!(self, Advice::Free | Advice::Cold | Advice::PageOut)
    }

    /// Whether the lock of the mapping is enough for it, since v6.17: `get_lock_mode()`.
    pub(super) fn needs_one_mapping(self) -> bool {
        self.zaps() || self == Advice::Free
    }

    /// Whether it changes the mapping itself: `madvise_need_mmap_write()`.
    pub(super) fn changes_flags(self) -> bool {
        match self {
            Advice::WillNeed
            | Advice::DontNeed
            | Advice::DontNeedLocked
            | Advice::Free
            | Advice::Remove
            | Advice::Cold
            | Advice::PageOut
            | Advice::PopulateRead
            | Advice::PopulateWrite
            | Advice::Collapse
            | Advice::Hwpoison
            | Advice::GuardInstall
            | Advice::GuardRemove => false,
            Advice::Normal
            | Advice::Random
            | Advice::Sequential
            | Advice::DontFork
            | Advice::DoFork
            | Advice::HugePage
            | Advice::NoHugePage
            | Advice::Mergeable
            | Advice::Unmergeable
            | Advice::DontDump
            | Advice::DoDump
            | Advice::WipeOnFork
            | Advice::KeepOnFork => true,
        }
    }

    /// The flags of a mapping that is given the advice.
    pub(super) fn new_flags(self, flags: VmFlags, is_anonymous: bool) -> Result<VmFlags, Errno> {
        let readahead = VmFlags::SEQ_READ | VmFlags::RAND_READ;
        Ok(match self {
            Advice::Normal => flags - readahead,
            Advice::Sequential => (flags - readahead) | VmFlags::SEQ_READ,
            Advice::Random => (flags - readahead) | VmFlags::RAND_READ,
            Advice::DontFork => flags | VmFlags::DONTCOPY,
            Advice::DoFork if flags.contains(VmFlags::IO) => return Err(Errno::Einval),
            Advice::DoFork => flags - VmFlags::DONTCOPY,
            Advice::WipeOnFork if !is_anonymous || flags.contains(VmFlags::SHARED) => return Err(Errno::Einval),
            Advice::WipeOnFork => flags | VmFlags::WIPEONFORK,
            Advice::KeepOnFork => flags - VmFlags::WIPEONFORK,
            Advice::DontDump => flags | VmFlags::DONTDUMP,
            Advice::DoDump if flags.intersects(VmFlags::SPECIAL) => return Err(Errno::Einval),
            Advice::DoDump => flags - VmFlags::DONTDUMP,
            Advice::HugePage if flags.intersects(VmFlags::SPECIAL) => return Err(Errno::Einval),
            Advice::HugePage => (flags - VmFlags::NOHUGEPAGE) | VmFlags::HUGEPAGE,
            // ksm_madvise()
            Advice::Mergeable if is_compatible(flags) => flags | VmFlags::MERGEABLE,
            Advice::Unmergeable => flags - VmFlags::MERGEABLE,
            Advice::NoHugePage => (flags - VmFlags::HUGEPAGE) | VmFlags::NOHUGEPAGE,
            _ => flags,
        })
    }
}
