//! `mfence`, `lfence` and `sfence`: the order of user code's loads and stores (SDM vol. 3A, 9.2.5).

use std::fmt;

use super::{Operation, Running, operation};
use crate::stage::Task;

operation! {
    /// MFENCE: user code goes on when all that it has stored is visible to all CPUs.
    "mfence" Mfence {}
}

operation! {
    /// LFENCE. Loads of write-back memory are ordered without it, so it changes nothing here.
    "lfence" Lfence {}
}

operation! {
    /// SFENCE. Stores to write-back memory are ordered without it, and it does not wait until they are visible. So it
    /// changes nothing here.
    "sfence" Sfence {}
}

impl fmt::Display for Mfence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("mfence")
    }
}

impl fmt::Display for Lfence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("lfence")
    }
}

impl fmt::Display for Sfence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sfence")
    }
}

impl Operation for Mfence {
    fn run<'m>(&'m self, task: Task<'m>) -> Running<'m> {
        Box::pin(async move {
            task.cpu.mfence().await;
            Ok(0)
        })
    }
}

impl Operation for Lfence {
    fn run<'m>(&'m self, _: Task<'m>) -> Running<'m> {
        Box::pin(async { Ok(0) })
    }
}

impl Operation for Sfence {
    fn run<'m>(&'m self, _: Task<'m>) -> Running<'m> {
        Box::pin(async { Ok(0) })
    }
}
