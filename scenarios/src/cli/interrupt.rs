//! Interrupts: SIGINT, SIGTERM and SIGHUP, and what they ask of a command.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
#[expect(clippy::disallowed_types, reason = "how soon a user asks again is about the user; no run sees it")]
use std::time::Instant;

/// How soon a second signal is still the first request: `timeout` sends two at once.
const SAME: Duration = Duration::from_secs(1);

/// The wish for an early end. Until somebody watches for interrupts, one just ends the program. So it does while
/// input is awaited, and in commands that have no partial results.
#[derive(Debug, Default)]
pub(crate) struct Interrupts {
    stop: Arc<AtomicBool>,
}

impl Interrupts {
    /// From now on, an interrupt asks for what there is so far, and sets the flag that is answered. The next one
    /// ends the program: then the user means it.
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
