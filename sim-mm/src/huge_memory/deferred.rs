//! The shrinker that splits folios of which a part is mapped no more: `deferred_split_scan()`. Since v4.5.

use super::queue::set_queued;
use super::split_folio::split_folio;
use super::split_pieces::Tails;
use crate::folio::is_large;
use crate::kernel::Cpu;
use crate::mm_types::Page;
use crate::page::{get_page, get_page_unless_zero, put_page, test_and_set_flags, unlock_page};
use crate::page_flags::PageFlags;
use crate::safeguards::DEFERRED_SPLIT_TRY_GET;

/// A reference to a folio of the queue, whose lock is held. False if the last one is gone: whoever has put it waits for the lock, to take the
/// folio off the queue.
async fn folio_try_get(cpu: Cpu<'_>, folio: Page) -> bool {
    if !cpu.has(DEFERRED_SPLIT_TRY_GET) {
        get_page(cpu, folio).await;
        return true;
    }
    let got = get_page_unless_zero(cpu, folio).await;
    if !got {
        cpu.decided(DEFERRED_SPLIT_TRY_GET);
    }
    got
}

/// `deferred_split_scan()`: splits each folio of the queue that nobody uses otherwise.
pub(crate) async fn deferred_split_scan(cpu: Cpu<'_>) {
    let _routine = cpu.enter("deferred_split_scan");
    let mut held = Vec::new();
    {
        let _queue = cpu.lock(cpu.kernel.split_queue.lock).await;
        for folio in cpu.kernel.split_queue() {
            if folio_try_get(cpu, folio).await {
                held.push(folio);
            } else {
                set_queued(cpu, folio, false);
            }
        }
    }
    for folio in held {
        if test_and_set_flags(cpu, folio, PageFlags::LOCKED).await {
            // Another one may have split it meanwhile. What cannot be split stays on the queue.
            if is_large(cpu, folio) {
                let _ = split_folio(cpu, folio, Tails::Listed).await;
            }
            unlock_page(cpu, folio).await;
        }
        put_page(cpu, folio).await;
    }
}
