//! Every case of every scenario in the library has the result that it expects.

use std::sync::atomic::AtomicBool;

use crate::common::never_ends;
use mmsim::case::{Budget, Verdict, configuration, judge};
use mmsim::explain::explain;
use mmsim::explore::Campaign;
use mmsim::library::{entries, open};
use mmsim::scenario::{Case, Expect, ExploreSpec, Scenario, StrategyName};
use mmsim::shrink::simplify;

/// A case that did not come out as expected, with the diagram of what happened instead.
fn tell(scenario: &Scenario, case: &Case) -> Option<String> {
    let report = judge(scenario, case, Budget { jobs: 2, ..Budget::default() }, &AtomicBool::new(false), &|_| ())
        .unwrap_or_else(|error| panic!("{}/{}: {error}", scenario.name, case.name));
    if report.verdict == Verdict::AsExpected {
        return None;
    }
    let head = format!("{}/{}: expected {:?}, but {:?}\n", scenario.name, case.name, case.expect, report.verdict);
    let (Some(mut trace), Some(finding), Some(run)) = (report.trace, report.finding, report.explored.first) else {
        return Some(format!("{head}{} runs found {:?}\n", report.explored.runs, report.explored.found));
    };
    let (machine, kernel) = configuration(scenario, case);
    let strategy = case.explore.into();
    let campaign = Campaign { seed: run, ..Campaign::new(scenario, machine, kernel, strategy, 1) };
    let world = campaign.world().expect("the case was run");
    let mut executor = world.executor();
    trace.put_first(&finding.title());
    let trace = simplify(&world, &mut executor, trace);
    Some(format!("{head}{}", explain(&world, &trace, &trace.findings[0], &[(1, trace.steps)])))
}

fn check(name: &str) {
    let scenario = open(name).unwrap_or_else(|error| panic!("{error}")).scenario;
    let file = std::path::Path::new(name).file_stem().expect("a name").to_string_lossy();
    assert_eq!(scenario.name, file, "a scenario is named after its file");
    assert!(!scenario.cases.is_empty(), "{name} has no cases");
    let failed: Vec<String> = scenario.cases.iter().filter_map(|case| tell(&scenario, case)).collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

/// A search that has done all schedules has not missed anything that a sample finds.
#[test]
fn no_search_misses_a_race() {
    const RUNS: u64 = 2_000;
    for entry in entries() {
        let scenario = open(entry.name).unwrap_or_else(|error| panic!("{error}")).scenario;
        let violated = |case: &&Case| case.expect != Expect::NoViolation && !never_ends(case);
        for case in scenario.cases.iter().filter(violated) {
            let mut case = case.clone();
            case.explore = ExploreSpec {
                chosen: true,
                strategy: StrategyName::Exhaustive,
                runs: Some(RUNS),
                preemptions: None,
            };
            let report = judge(&scenario, &case, Budget::default(), &AtomicBool::new(false), &|_| ())
                .unwrap_or_else(|error| panic!("{}/{}: {error}", scenario.name, case.name));
            let extent = report.explored.extent;
            assert_ne!(report.verdict, Verdict::Absent, "{}/{}: {extent}", scenario.name, case.name);
        }
    }
}

/// Every scenario of a folder beside the tests.
fn check_folder(folder: &str) {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(folder);
    let files = std::fs::read_dir(folder).expect("the folder is part of the project");
    for file in files {
        check(file.expect("a readable folder").path().to_str().expect("a path of the project"));
    }
}

/// Scenarios that show an oracle at work, rather than a race worth knowing.
#[test]
fn every_oracle_can_speak() {
    check_folder("oracles");
}

/// Scenarios that show what a system call does and how it fails.
#[test]
fn system_calls_do_as_linux_does() {
    check_folder("operations");
}

#[test]
fn every_scenario_has_a_test() {
    for entry in entries() {
        let name = entry.name.replace('-', "_");
        assert!(TESTED.contains(&name.as_str()), "no test runs {}", entry.name);
    }
}

/// A test for each scenario: its name, with underscores.
macro_rules! scenarios {
    ($($name:ident)*) => {
        const TESTED: &[&str] = &[$(stringify!($name)),*];

        $(
            #[test]
            fn $name() {
                check(&stringify!($name).replace('_', "-"));
            }
        )*
    };
}

scenarios! {
    aged_by_its_entry
    allocations_fail
    anon_vma_reuse
    anon_vma_reused_twice
    batch_is_full
    broken_gigantic_page_vs_gup
    broken_hugetlb_file_vs_gup
    broken_hugetlb_leaves_later
    broken_hugetlb_leaves_the_pool
    broken_hugetlb_vs_fork
    broken_hugetlb_vs_gup
    broken_hugetlb_vs_munmap
    broken_hugetlb_vs_user
    clear_refs_vs_migration
    collapse_flush_keeps_walk_caches
    collapse_of_a_mapped_huge_page
    collapse_vs_dontneed
    collapse_vs_lockless_reference
    collapse_vs_reclaim
    collapse_vs_uffd_copy
    collapse_vs_user
    copy_of_a_whole_page
    copy_vs_cached_reads
    cow_of_a_locked_page
    cr3_rewritten_after_preemption
    deferred_flush_vs_writeback
    deferred_split_vs_put
    deposit_follows_huge_page
    device_migration_dirty
    device_migration_flush
    dirtied_before_writeback_begins
    dirty_bit_of_a_file
    dirty_bit_vs_fork
    dirty_bit_vs_mprotect
    dirty_cow
    disk_collapse_of_pages_not_ready
    disk_collapse_vs_gup
    disk_collapse_vs_open
    disk_fails
    dontneed_frees_empty_table
    dontneed_vs_clear_refs
    dontneed_vs_madv_free
    dontneed_vs_numa_hint
    driver_memory_vs_munmap
    driver_memory_vs_populate
    dump_without_lock
    dying_map_after_a_page
    entries_are_read_once
    entries_change_under_faults
    evicted_under_a_pin
    exec_kills_threads
    exit_vs_migration
    exit_vs_speculation
    fault_keeps_the_lock
    fault_lets_go_of_the_lock
    fault_vs_truncate
    fault_vs_truncate_of_a_block
    fault_vs_unshare
    faults_in_the_hand_of_user_code
    file_collapse_vs_gup
    file_collapse_vs_user
    file_huge_page_moves_vs_user
    file_huge_page_to_swap
    file_huge_page_vs_gup
    flush_skips_switching_cpu
    folio_vs_lockless_gup
    folio_vs_user
    forced_write
    forced_write_of_two_pages
    forced_write_to_a_huge_page
    forced_write_vs_continue
    fork_of_a_device
    fork_of_a_pinned_huge_page
    fork_of_a_range
    fork_vs_cached_writes
    fork_vs_huge_page_that_moves
    fork_vs_migration
    fork_vs_vma_lock
    fork_without_memory
    freed_table
    futex_in_what_mappings_allow
    gate_page_not_mapped
    gate_page_reference
    gigantic_page_moves_vs_gup
    gigantic_page_moves_vs_slow_gup
    gigantic_page_vs_gup
    gigantic_page_vs_gupfast
    gigantic_page_vs_slow_gup
    gigantic_page_vs_user
    guest_created_meanwhile
    guest_fault_vs_dontneed
    guest_vs_cow
    guest_vs_kernel
    gup_of_a_device_that_is_gone
    gup_return_values
    gup_vs_unshare
    gupfast_vs_deposited_table
    gupfast_vs_empty_table
    gupfast_vs_table_free
    gupfast_vs_thp_collapse
    half_a_huge_page_is_not_forked
    head_changed_by_madv_free
    head_changed_under_pin
    hinted_page_moves_before_its_pin
    hole_vs_fault
    huge_dirty_bit_vs_split
    huge_dirty_cow
    huge_page_changes_under_follow
    huge_page_gone_under_follow
    huge_page_moves_vs_gup
    huge_page_moves_vs_lockless_gup
    huge_page_moves_vs_user
    huge_page_taken_for_bad_by_dontneed
    huge_page_taken_for_bad_by_numa
    huge_page_to_swap
    huge_pin_vs_zap
    huge_zero_page_freed_before_flush
    hugetlb_allocations_fail
    hugetlb_follow_vs_migration
    hugetlb_fork_of_a_pinned_page
    hugetlb_hole_vs_fault
    hugetlb_hole_vs_migration
    hugetlb_hole_vs_two_faults
    hugetlb_split_vs_fault
    hugetlb_split_vs_share
    hugetlb_vs_gup
    hugetlb_vs_slow_gup
    hugetlb_vs_user
    hugetlb_write_vs_dontneed
    hwpoison_of_a_file_page
    hwpoison_of_a_huge_page
    hwpoison_of_anothers_frame
    hwpoison_of_shared_memory
    hwpoison_vs_fault_and_fork
    hwpoison_vs_gup
    hwpoison_vs_munmap
    hwpoison_vs_reclaim
    hwpoison_vs_writeback
    invalidate_vs_write
    invlpg_leaves_global
    killed_while_it_waits
    ksm_vs_clear_refs
    ksm_vs_forced_write
    ksm_vs_fork_and_exit
    ksm_vs_lockless_gup
    ksm_vs_user
    ksm_vs_write_by_gup
    ksmd_waits_for_huge_page
    lazy_cpu_walks_freed_tables
    links_fail
    lockless_walk_into_a_gigantic_page
    lockless_walk_of_another
    lockless_walk_of_hinted_pages
    lockless_walk_of_what_is_not_there
    longterm_fast_pin_of_a_file
    longterm_fast_pin_vs_truncate
    longterm_pin_in_movable_zone
    longterm_pin_of_the_zero_page
    longterm_pin_vs_migration
    longterm_pin_vs_truncate
    longterm_pin_vs_writeback
    longterm_pin_waits_for_user_code
    longterm_reference_in_movable_zone
    look_up_of_what_is_not_there
    look_up_that_splits
    madv_free_reclaim_vs_dio_pin
    mapcount_snapshot
    mappings_split
    memory_of_oneself_by_proc
    migrate_vs_gup
    migrate_vs_user
    migration_entry_wait_pins
    migration_vs_empty_table
    mincore_vs_unshare
    mkclean_not_flushed
    mkclean_window
    mlock_of_a_huge_page_in_parts
    mlock_vs_huge_page_that_moves
    mlock_vs_munlock
    mlock_waits_for_no_page
    move_pages_splits_a_huge_page
    mprotect_gives_table_up
    mprotect_loses_uffd_wp
    mprotect_of_a_device
    mprotect_vs_deferred_reclaim_flush
    mprotect_vs_huge_page_that_moves
    mprotect_vs_migration
    mprotect_vs_retract
    mremap_flush_after_unlock
    mremap_of_a_device
    mremap_of_tables
    mremap_table_move_vs_punch
    mremap_takes_blocks_for_a_table
    mremap_vs_huge_page_that_moves
    mremap_vs_migration
    mremap_vs_retract
    mremap_vs_writeback
    munlock_of_a_page_in_a_batch
    munmap_of_a_part_of_a_device
    new_huge_page_vs_split
    new_pages_are_empty
    numa_hinting
    numa_moves_huge_page_vs_pin
    numa_moves_huge_page_vs_writer
    numa_moves_page_vs_user
    oom_reaper_vs_threads
    open_drops_dirty_pages
    open_drops_private_pages
    page_published_early
    page_stored_too_soon
    pages_of_huge_pages
    parallel_dontneed_misses_flush
    pcid_given_to_another
    pin_of_a_huge_page_once_shared
    pin_of_a_page_given_up
    pin_of_a_shared_huge_page
    pin_vs_clear_refs
    pin_vs_fork
    pool_pages_have_their_own_look_up
    populate_vs_munmap_in_a_fault
    populating_files_and_drivers
    populating_what_mappings_allow
    protection_keys
    protnone_write_while_migrating
    range_that_wraps
    ranges_beyond_user_space
    ranges_of_pages
    recheck_sees_another_page
    reclaim_of_file_pages
    reclaim_vs_write_by_reference
    reclaim_without_swap
    ref_on_frozen_page
    ref_on_moved_page
    reference_overflow
    reference_vs_fork
    remote_read_vs_exec
    retract_of_a_private_mapping
    retract_vs_guest
    retract_vs_truncate
    retract_vs_uffd_copy
    return_to_an_address_space
    reuse_before_flush
    reuse_breaks_pin
    reuse_on_another_cpu
    reuse_on_the_same_cpu
    rmap_dropped_before_flush
    secretmem_in_a_batch
    shmem_folio_vs_user
    shootdown_acknowledged
    slow_gup_vs_zap
    soft_dirty_not_flushed
    spec_ref_vs_reuse
    special_page_pinned
    speculative_walk
    split_behind_end_of_file
    split_leaves_two_sizes
    split_ref_on_frozen_page
    split_tail_counted_early
    split_tail_place_late
    split_unmap_skips_zapping
    split_vs_gup
    split_vs_huge_page_of_another
    split_vs_huge_page_that_moves
    split_vs_user
    stable_pages
    stack_vs_munmap
    store_buffering
    store_buffering_fenced
    swapcache_skip_aba
    swapin_folio_vs_dontneed
    swapin_vs_migration
    swapin_wrong_page_of_file
    swapin_wrong_slot
    swapoff_maps_a_broken_page
    swapoff_vs_entry_free
    swapoff_vs_swapin
    switch_vs_flush
    switch_vs_remote_flush
    system_calls
    system_calls_on_a_device
    system_calls_on_dax
    system_calls_on_disk
    system_calls_on_files
    system_calls_on_folios
    system_calls_on_gigantic_pages
    system_calls_on_huge_pages
    system_calls_on_huge_pages_of_a_disk
    system_calls_on_huge_pages_of_files
    system_calls_on_hugetlb
    system_calls_on_merged_pages
    system_calls_on_migration
    system_calls_on_secret_memory
    system_calls_on_swap
    table_batch_without_memory
    table_freed_for_a_single_user
    tables_of_neighbours
    tasks_share_a_cpu
    torn_pae_entry
    torn_pmd_of_dontneed
    truncate_vs_cow
    truncate_vs_gup
    truncate_vs_hole
    truncate_vs_lockless_gup
    truncate_vs_lockless_gup_of_a_block
    truncate_vs_migration
    truncate_vs_read
    truncate_vs_swapin
    truncate_vs_writeback
    truncate_waits_for_a_mapping
    two_collapses
    two_copies_one_page
    two_faults_one_folio
    two_faults_one_huge_page
    two_faults_one_page
    two_faults_one_table
    two_flushes
    two_injections_of_one_hugetlb_page
    two_injections_of_one_page
    uffd_move_answers_a_fault
    uffd_move_of_a_shared_page
    uffd_move_of_huge_page
    uffd_move_of_several_pages
    uffd_move_splits_huge_page
    uffd_move_vs_fork
    uffd_move_vs_guest
    uffd_move_vs_gup
    uffd_move_vs_migration
    uffd_move_vs_page_of_slot
    uffd_move_vs_reclaim
    uffd_move_vs_rmap_walk
    uffd_move_vs_slow_gup
    uffd_move_vs_swapcache
    uffd_move_vs_user
    uffd_move_vs_zap
    uffd_moves_to_one_place
    uffd_wp_deferred_flush
    uffd_wp_of_shared_memory
    unbind_vs_gup
    unbind_vs_gup_of_a_device
    unbind_vs_lockless_gup
    unbind_vs_lockless_gup_of_a_block
    unbind_vs_lockless_gup_of_a_device
    unbind_vs_user_of_a_device
    unmap_vs_fault
    unmerge_of_a_huge_page_that_moves
    unmerge_of_a_page_in_swap
    unmerge_of_pages_that_move
    unshare_not_flushed
    unshare_vs_gupfast
    vfork_child_leaves
    vma_lock_vs_exit
    vma_lock_vs_mremap
    vmsplice_child_reads_parent
    vmsplice_of_a_huge_page
    vmsplice_stranger_reads_parent
    vmsplice_to_another
    walk_past_store_buffer
    what_mappings_allow
    write_pin_of_shared_huge_page
    write_pins
    written_after_pageout
    written_after_reclaim_wrote
    written_by_a_reader
    zap_dirties_before_flush
    zap_vs_huge_page_that_moves
}
