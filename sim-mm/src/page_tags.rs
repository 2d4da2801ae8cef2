//! `mm/page-writeback.c`, as far as it keeps the tags of the page cache: which pages of a file on the disk are dirty, which are being
//! written, and which a writer has yet to come to. Whoever writes a file back, or waits for that, finds its pages by tags.
//!
//! Tags change with `xa_lock` held, and flags of pages without it. A page becomes dirty by its flag first, and gets the tag afterwards. So
//! who takes the tag away looks at the flag under the lock: either the flag is there, or the tag is still to come.

use crate::check;
use crate::fs::{Inode, PageTag};
use crate::inode::on_disk;
use crate::kernel::Cpu;
use crate::mm_types::Page;
use crate::page::{end_page_writeback, set_page_dirty_no_writeback, set_page_writeback};
use crate::page_flags::{PageFlags, file_mapping};
use crate::pagemap::inode_of_mapping;
use crate::safeguards::WRITEBACK_KEEPS_DIRTY_TAG;

/// `set_page_dirty()`, since v5.16 `folio_mark_dirty()`: the page holds what is nowhere else. A page of a file on the disk is found by
/// writeback from now on. Answers whether it was clean.
///
/// The caller keeps the page in its file, or has a reference to it.
#[track_caller]
pub fn set_page_dirty<'m>(cpu: Cpu<'m>, page: Page) -> impl Future<Output = bool> + use<'m> {
    let flag = set_page_dirty_no_writeback(cpu, page);
    async move {
        let was_clean = !flag.await.contains(PageFlags::DIRTY);
        if was_clean && cpu.kernel.has_disk() {
            Box::pin(set_dirty_tag(cpu, page)).await;
        }
        was_clean
    }
}

/// `__set_page_dirty()`, since v5.16 `__folio_mark_dirty()`: the page cache knows that the page is dirty, if the page is of a file on the disk.
async fn set_dirty_tag(cpu: Cpu<'_>, page: Page) {
    let words = cpu.kernel.page(cpu.kernel.folio_of(page));
    let mapping = cpu.load(words.mapping()).await;
    let Some(inode) = inode_of_mapping(cpu, mapping).filter(|inode| on_disk(cpu, *inode)) else { return };
    let _xa_lock = cpu.lock(cpu.kernel.shmem.xa_lock(inode)).await;
    // It may have left the file. Somebody else's page may be there by now.
    if cpu.load(words.mapping()).await == mapping {
        let index = cpu.this_cpu_read(words.index());
        change_tags(cpu, inode, index, |tags| tags | PageTag::DIRTY).await;
    }
}

/// `__xa_set_mark()`, `__xa_clear_mark()`: the page of a file has other tags. The caller holds `xa_lock`.
async fn change_tags(cpu: Cpu<'_>, inode: Inode, index: u64, change: impl Fn(PageTag) -> PageTag) {
    cpu.update(cpu.kernel.disk.tags(inode), |tags| {
        match change(tags.get(&index).copied().unwrap_or_default()) {
            none if none.is_empty() => tags.remove(&index),
            some => tags.insert(index, some),
        };
    })
    .await;
}

/// `xas_init_marks()`: a page that leaves its file has no tags any more. It is a part of the step in which it leaves.
pub(crate) fn clear_tags(cpu: Cpu<'_>, inode: Inode, index: u64) {
    if on_disk(cpu, inode) {
        cpu.kernel.disk.tags(inode).poke(cpu.core, |tags| tags.remove(&index));
    }
}

/// `test_set_page_writeback()`, since v5.16 `__folio_start_writeback()`: the disk is going to write a page that is locked. It was made clean
/// for that, and its tags follow.
pub(crate) async fn test_set_page_writeback(cpu: Cpu<'_>, inode: Inode, index: u64, page: Page) {
    let _routine = cpu.enter("test_set_page_writeback");
    let _xa_lock = cpu.lock(cpu.kernel.shmem.xa_lock(inode)).await;
    set_page_writeback(cpu, page).await;
    // Before the tags go by which it was found: who waits for writeback would find nothing otherwise.
    change_tags(cpu, inode, index, |tags| tags | PageTag::WRITEBACK).await;
    let dirty = check!(
        cpu,
        WRITEBACK_KEEPS_DIRTY_TAG,
        cpu.load(cpu.kernel.page_flags(page)).await.contains(PageFlags::DIRTY)
    );
    let gone = if dirty { PageTag::TOWRITE } else { PageTag::TOWRITE | PageTag::DIRTY };
    change_tags(cpu, inode, index, |tags| tags - gone).await;
}

/// `test_clear_page_writeback()`, since v5.16 `__folio_end_writeback()`: the disk has written the page, and those who wait for it go on.
pub(crate) async fn test_clear_page_writeback(cpu: Cpu<'_>, inode: Inode, index: u64, page: Page) {
    let _routine = cpu.enter("test_clear_page_writeback");
    let _xa_lock = cpu.lock(cpu.kernel.shmem.xa_lock(inode)).await;
    end_page_writeback(cpu, page).await;
    // Truncation waits for writeback, if it does; see `TRUNCATE_WAIT_WRITEBACK`.
    if cpu.load(cpu.kernel.page(page).mapping()).await == file_mapping(inode.index()) {
        change_tags(cpu, inode, index, |tags| tags - PageTag::WRITEBACK).await;
    }
}

/// `tag_pages_for_writeback()`: the pages of the file in `from..to` that are dirty now are those that the caller will write. Whatever becomes
/// dirty later is left to others, so that the caller comes to an end.
pub(crate) async fn tag_pages_for_writeback(cpu: Cpu<'_>, inode: Inode, from: u64, to: u64) {
    let _routine = cpu.enter("tag_pages_for_writeback");
    let _xa_lock = cpu.lock(cpu.kernel.shmem.xa_lock(inode)).await;
    cpu.update(cpu.kernel.disk.tags(inode), |tags| {
        let dirty = tags.range_mut(from.min(to)..to).filter(|(_, tags)| tags.contains(PageTag::DIRTY));
        dirty.for_each(|(_, tags)| *tags |= PageTag::TOWRITE);
    })
    .await;
}
