//! `PROT_*`, as operations write it.

use sim_mm::Prot;

use super::argument::Argument;
use crate::json::Named;

impl Named for Prot {
    const WHAT: &'static str = "`prot`";
    const NAMES: &'static [(Prot, &'static str)] = &[
        (Prot::READ_WRITE, "rw"),
        (Prot::READ, "r"),
        (Prot::empty(), "none"),
        (Prot::WRITE, "w"),
        (Prot::EXEC, "x"),
        (Prot::READ.union(Prot::EXEC), "rx"),
        (Prot::WRITE.union(Prot::EXEC), "wx"),
        (Prot::all(), "rwx"),
    ];
}

impl Argument for Prot {}
