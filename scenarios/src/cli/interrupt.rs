//! Interrupts: SIGINT, SIGTERM and SIGHUP ask a command to end early.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
#[expect(clippy::disallowed_types, reason = "how soon a user asks again is about the user; no run sees it")]
use std::time::Instant;

/// A second signal within this time belongs to the first request, because `timeout` sends two at once.
const SAME: Duration = Duration::from_secs(1);

/// The request for an early end. Until a command watches for interrupts, a signal just ends the program. So it is while
/// input is awaited, and in commands that have no partial results.
#[derive(Debug, Default)]
pub(crate) struct Interrupts {
    stop: Arc<AtomicBool>,
}

impl Interrupts {
    /// From now on, an interrupt sets the flag that this answers. It asks for the results so far. The next interrupt ends the
    /// program, because then the user does not want to wait.
    pub(crate) fn watch(&self) -> &AtomicBool {
        let stop = self.stop.clone();
        #[expect(clippy::disallowed_types, reason = "as with the import")]
        let mut first: Option<Instant> = None;
        let handler = ctrlc::set_handler(move || {
            stop.store(true, Ordering::Relaxed);
            #[expect(clippy::disallowed_types, reason = "as with the import")]
            let since = first.get_or_insert_with(Instant::now).elapsed();
            if since > SAME {
                std::process::exit(130);
            }
        });
        if let Err(error) = handler {
            tracing::warn!("no handler for interrupts: {error}");
        }
        &self.stop
    }
}
