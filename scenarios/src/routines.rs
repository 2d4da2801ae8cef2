//! The routines of the simulated kernel, by name.

/// The name of every routine, in order. The build reads them from the sources: `build/routines.rs`.
pub(crate) static ROUTINES: &[&str] = include!(concat!(env!("OUT_DIR"), "/routines.rs"));

#[cfg(test)]
mod tests {
    use super::ROUTINES;

    #[test]
    fn routines_of_every_crate_and_role_are_known() {
        for name in ["gup_pte_range", "get_user_pages_fast", "zap_pte_range", "tlb_remove_table_one", "pipe_read"]
        {
            assert!(ROUTINES.binary_search(&name).is_ok(), "{name} is not among {ROUTINES:?}");
        }
    }
}
