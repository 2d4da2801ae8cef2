//! What a move is about, what it holds, and why it stops.

use sim_core::WriteHeld;
use sim_mmu::{Level, VirtAddr};

use crate::check;
use crate::errno::Errno;
use crate::kernel::Cpu;
use crate::mm_types::{MmStruct, Page, Vma};
use crate::pgtable::{Pmdp, Pte, Ptep};
use crate::pgtable_generic::is_unlinked;
use crate::release::Release;
use crate::rmap::types::AnonVma;
use crate::safeguards::UFFD_MOVE_RECHECK;
use crate::swapops::SwpEntry;

/// What is moved where.
#[derive(Clone, Copy)]
pub(super) struct Move<'m> {
    pub(super) mm: &'m MmStruct,
    pub(super) dst_vma: Vma,
    pub(super) src_vma: Vma,
    pub(super) dst: VirtAddr,
    pub(super) src: VirtAddr,
    /// How many pages are left.
    pub(super) pages: u64,
    /// `UFFDIO_MOVE_MODE_ALLOW_SRC_HOLES`.
    pub(super) holes: bool,
}

/// Why nothing is moved in this round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// It cannot be.
    Errno(Errno),
    /// `-EAGAIN`: something has changed meanwhile.
    Again,
    /// The same, and somebody is reading the slot: Linux looks again until he is done.
    AgainBehindCache(SwpEntry),
}

impl From<Errno> for Stop {
    fn from(errno: Errno) -> Stop {
        if errno == Errno::Eagain { Stop::Again } else { Stop::Errno(errno) }
    }
}

/// `src_folio` and `src_folio_pte`: a folio that is locked, with a reference, and the entry by which it was found.
#[derive(Clone, Copy)]
pub(super) struct Src {
    pub(super) folio: Page,
    pub(super) pte: Pte,
}

/// What is held while a page is moved.
#[derive(Default)]
pub(super) struct Holds<'m> {
    pub(super) src: Option<Src>,
    /// `src_anon_vma`: the tree, locked for writing.
    pub(super) tree: Option<(AnonVma, WriteHeld<'m>)>,
}

/// What one look at the entries comes to if nothing was moved.
pub(super) enum Pause {
    /// This round is over.
    Stop(Stop),
    /// The folio, to which there is a reference, is to be locked.
    Folio(Page),
    /// The tree is to be locked.
    Tree(AnonVma),
    /// The folio, which is locked, is to be split.
    Split(Page),
    /// Somebody else has the large folio locked. There is no reference to it, which he would meet when he splits it.
    Locked(Page),
    /// The page is being moved to another frame.
    Migration(Ptep, Pte),
}

impl From<Stop> for Pause {
    fn from(stop: Stop) -> Pause {
        Pause::Stop(stop)
    }
}

impl From<Errno> for Pause {
    fn from(errno: Errno) -> Pause {
        Pause::Stop(Stop::from(errno))
    }
}

/// Where the two entries are, and what the old one was.
#[derive(Clone, Copy)]
pub(super) struct At {
    pub(super) dst_pmdp: Pmdp,
    pub(super) dst: Ptep,
    pub(super) src: Ptep,
    pub(super) orig: Pte,
}

/// `is_pte_pages_stable()`, under both locks: the entries are as they were found, and the new one is in a table that is in use.
pub(super) async fn is_pte_pages_stable(cpu: Cpu<'_>, at: At) -> bool {
    if is_unlinked(cpu, at.dst_pmdp, at.dst) {
        return false;
    }
    let has_changed = async || cpu.read_once(at.src).await != at.orig || !cpu.read_once(at.dst).await.none();
    !check!(cpu, UFFD_MOVE_RECHECK, has_changed().await)
}

/// Whether a moved page counts as written because it was moved, and is dirty only if it was: since v6.15 (`75cb1cca2c88`). Before, each
/// page was dirty afterwards, and an entry that names a slot said nothing.
pub(super) fn marks_as_moved(cpu: Cpu<'_>) -> bool {
    cpu.kernel.config.kernel.version >= Release::v(6, 15)
}

/// How many of the pages that are left lie in one table on either side.
pub(super) fn pages_of_table(cpu: Cpu<'_>, this: &Move<'_>) -> u64 {
    let geometry = cpu.mmu.geometry;
    let within = |start: VirtAddr| {
        let end = geometry.addr_end(Level::Pmd, start, start.plus_pages(this.pages));
        end.vpn().0 - start.vpn().0
    };
    within(this.src).min(within(this.dst))
}
