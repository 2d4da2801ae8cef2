//! `move_pages()`: a process has its pages moved to a node.

use sim_core::{BoxFuture, Routine};
use sim_mmu::VirtAddr;

use super::{MAX_PASSES, MigrateMode, MigrateReason, isolate_hugetlb, migrate_pages};
use crate::errno::Errno;
use crate::folio::page_mapcount;
use crate::gfp::Gfp;
use crate::hugetlb::{follow_huge_pmd, is_vm_hugetlb_page};
use crate::kernel::Cpu;
use crate::mm_types::{MmStruct, Page, Vma};
use crate::mmap::vma_lookup;
use crate::page::put_page;
use crate::pagewalk::folio_walk_start;
use crate::settings::{Migration, MovePagesLook, Nodes, ThpMigration};
use crate::swap::{isolate_lru_page, lru_add_drain};
use crate::vm_flags::VmFlags;

/// The arguments of `move_pages()`.
#[derive(Clone, Copy, Debug)]
pub struct MovePages {
    /// The first page.
    pub start: VirtAddr,
    /// How many pages.
    pub pages: u64,
    /// Where they are to go.
    pub node: u64,
    /// `MPOL_MF_MOVE_ALL`: pages that others map are moved too.
    pub all: bool,
}

/// What `move_pages()` says of each page, if anything: the node that it is on, or why it could not be moved.
pub type PageStatus = Option<Result<u64, Errno>>;

/// `move_pages()`: pages of an address space go to a node. Answers how many were not moved, and the status of each. The caller is a user
/// of the address space.
///
/// # Errors
/// `ENODEV` if there is no such node, `ENOSYS` in a kernel without migration.
pub fn sys_move_pages<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    request: MovePages,
) -> BoxFuture<'m, Result<(u64, Vec<PageStatus>), Errno>> {
    Box::pin(async move {
        let _kernel = cpu.enter_kernel();
        let _routine = cpu.enter(Routine::system_call("kernel_move_pages"));
        if cpu.setting::<Migration>() == Migration::Off {
            return Err(Errno::Enosys);
        }
        let nodes = if cpu.setting::<Nodes>() == Nodes::Two { 2 } else { 1 };
        if request.node >= nodes {
            return Err(Errno::Enodev);
        }
        Ok(do_pages_move(cpu, mm, request).await)
    })
}

/// `do_pages_move()`. Not modelled: the batches of pages of other CPUs are emptied as well.
async fn do_pages_move<'m>(cpu: Cpu<'m>, mm: &'m MmStruct, request: MovePages) -> (u64, Vec<PageStatus>) {
    let _routine = cpu.enter("do_pages_move");
    lru_add_drain(cpu).await;
    let mut status = vec![None; request.pages as usize];
    let mut waiting = Waiting::default();
    for nth in 0..request.pages {
        match add_page_for_migration(cpu, mm, request, request.start.plus_pages(nth)).await {
            Ok(Queued::Isolated(page)) => waiting.add(nth, page),
            // What can be said at once is said, and what waits is moved.
            other => {
                status[nth as usize] = Some(other.map(|_| request.node));
                let failed = move_waiting(cpu, &mut waiting, request, &mut status).await;
                if failed > 0 {
                    return (failed + request.pages - nth - 1, status);
                }
            }
        }
    }
    let failed = move_waiting(cpu, &mut waiting, request, &mut status).await;
    (failed, status)
}

/// The pages that were taken off their lists, and which of the request they are.
#[derive(Default)]
struct Waiting {
    numbers: Vec<u64>,
    pages: Vec<Page>,
}

impl Waiting {
    fn add(&mut self, nth: u64, page: Page) {
        self.numbers.push(nth);
        self.pages.push(page);
    }
}

/// `move_pages_and_store_status()`: nothing is said of pages some of which were not moved.
async fn move_waiting(cpu: Cpu<'_>, waiting: &mut Waiting, request: MovePages, status: &mut [PageStatus]) -> u64 {
    let Waiting { numbers, pages } = std::mem::take(waiting);
    let failed = migrate_pages(
        cpu,
        pages,
        Gfp::this_node(request.node),
        (MigrateMode::Sync, MigrateReason::Asked),
        MAX_PASSES,
    )
    .await;
    if failed == 0 {
        numbers.into_iter().for_each(|nth| status[nth as usize] = Some(Ok(request.node)));
    }
    failed
}

/// What came of looking a page up that is to be moved.
enum Queued {
    Isolated(Page),
    /// It is on the node already.
    There,
}

/// `add_page_for_migration()`.
async fn add_page_for_migration<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    request: MovePages,
    address: VirtAddr,
) -> Result<Queued, Errno> {
    let _mmap_lock = cpu.down_read(mm.mmap_lock).await;
    let vma = vma_lookup(cpu, mm, address).await.ok_or(Errno::Efault)?;
    // vma_migratable()
    if vma.flags(cpu).intersects(VmFlags::IO | VmFlags::PFNMAP) {
        return Err(Errno::Efault);
    }
    let page = if is_vm_hugetlb_page(cpu, vma) {
        Box::pin(follow_huge_pmd(cpu, mm, vma, address)).await?
    } else {
        look_up(cpu, mm, vma, address).await?
    };
    let queued = isolate(cpu, page, request).await;
    put_page(cpu, page).await;
    queued
}

/// The page that is mapped there, with a reference. A kernel that cannot move a huge page whole has it split by the look-up.
async fn look_up<'m>(cpu: Cpu<'m>, mm: &'m MmStruct, vma: Vma, address: VirtAddr) -> Result<Page, Errno> {
    let splits = cpu.setting::<ThpMigration>() != ThpMigration::Whole;
    if splits || cpu.setting::<MovePagesLook>() == MovePagesLook::Follow {
        return (cpu.kernel.gup.follow_page)(cpu, mm, vma, address, splits).await?.ok_or(Errno::Enoent);
    }
    folio_walk_start(cpu, mm, address).await
}

async fn isolate(cpu: Cpu<'_>, page: Page, request: MovePages) -> Result<Queued, Errno> {
    if cpu.kernel.mem_map.node(page.0) == request.node {
        return Ok(Queued::There);
    }
    if !request.all && page_mapcount(cpu, page).await > 1 {
        return Err(Errno::Eacces);
    }
    // Another page of a folio finds that it is off its list.
    let head = cpu.kernel.folio_of(page);
    if cpu.kernel.is_hugetlb(head) {
        return if isolate_hugetlb(cpu, head).await { Ok(Queued::Isolated(head)) } else { Err(Errno::Ebusy) };
    }
    if isolate_lru_page(cpu, head).await { Ok(Queued::Isolated(head)) } else { Err(Errno::Ebusy) }
}
