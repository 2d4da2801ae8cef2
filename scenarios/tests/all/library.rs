//! Every case of every scenario in the library has the result that it expects.

use std::sync::atomic::AtomicBool;

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
    const RUNS: u64 = 3_000;
    for entry in entries() {
        let scenario = open(entry.name).unwrap_or_else(|error| panic!("{error}")).scenario;
        for case in scenario.cases.iter().filter(|case| case.expect != Expect::NoViolation) {
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

#[test]
fn gupfast_vs_table_free() {
    check("gupfast-vs-table-free");
}

#[test]
fn gupfast_vs_thp_collapse() {
    check("gupfast-vs-thp-collapse");
}

#[test]
fn gupfast_vs_deposited_table() {
    check("gupfast-vs-deposited-table");
}

#[test]
fn collapse_vs_user() {
    check("collapse-vs-user");
}

#[test]
fn two_collapses() {
    check("two-collapses");
}

#[test]
fn collapse_vs_reclaim() {
    check("collapse-vs-reclaim");
}

#[test]
fn collapse_flush_keeps_walk_caches() {
    check("collapse-flush-keeps-walk-caches");
}

#[test]
fn gate_page_reference() {
    check("gate-page-reference");
}

#[test]
fn gate_page_not_mapped() {
    check("gate-page-not-mapped");
}

#[test]
fn mremap_table_move_vs_punch() {
    check("mremap-table-move-vs-punch");
}

#[test]
fn remote_read_vs_exec() {
    check("remote-read-vs-exec");
}

#[test]
fn vfork_child_leaves() {
    check("vfork-child-leaves");
}

#[test]
fn batch_is_full() {
    check("batch-is-full");
}

#[test]
fn table_batch_without_memory() {
    check("table-batch-without-memory");
}

#[test]
fn links_fail() {
    check("links-fail");
}

#[test]
fn reuse_on_another_cpu() {
    check("reuse-on-another-cpu");
}

#[test]
fn reuse_on_the_same_cpu() {
    check("reuse-on-the-same-cpu");
}

#[test]
fn dirty_bit_vs_mprotect() {
    check("dirty-bit-vs-mprotect");
}

#[test]
fn dirty_bit_vs_fork() {
    check("dirty-bit-vs-fork");
}

#[test]
fn dirty_bit_of_a_file() {
    check("dirty-bit-of-a-file");
}

#[test]
fn dirty_cow() {
    check("dirty-cow");
}

#[test]
fn hole_vs_fault() {
    check("hole-vs-fault");
}

#[test]
fn truncate_vs_cow() {
    check("truncate-vs-cow");
}

#[test]
fn truncate_vs_hole() {
    check("truncate-vs-hole");
}

#[test]
fn spec_ref_vs_reuse() {
    check("spec-ref-vs-reuse");
}

#[test]
fn vmsplice_child_reads_parent() {
    check("vmsplice-child-reads-parent");
}

#[test]
fn copy_vs_cached_reads() {
    check("copy-vs-cached-reads");
}

#[test]
fn fork_vs_cached_writes() {
    check("fork-vs-cached-writes");
}

#[test]
fn fork_vs_vma_lock() {
    check("fork-vs-vma-lock");
}

#[test]
fn vma_lock_vs_exit() {
    check("vma-lock-vs-exit");
}

#[test]
fn vma_lock_vs_mremap() {
    check("vma-lock-vs-mremap");
}

#[test]
fn oom_reaper_vs_threads() {
    check("oom-reaper-vs-threads");
}

#[test]
fn allocations_fail() {
    check("allocations-fail");
}

#[test]
fn system_calls_on_swap() {
    check("system-calls-on-swap");
}

#[test]
fn system_calls_on_files() {
    check("system-calls-on-files");
}

#[test]
fn exec_kills_threads() {
    check("exec-kills-threads");
}

#[test]
fn soft_dirty_not_flushed() {
    check("soft-dirty-not-flushed");
}

#[test]
fn numa_hinting() {
    check("numa-hinting");
}

#[test]
fn page_published_early() {
    check("page-published-early");
}

#[test]
fn two_faults_one_page() {
    check("two-faults-one-page");
}

#[test]
fn gup_return_values() {
    check("gup-return-values");
}

#[test]
fn slow_gup_vs_zap() {
    check("slow-gup-vs-zap");
}

#[test]
fn two_copies_one_page() {
    check("two-copies-one-page");
}

#[test]
fn tasks_share_a_cpu() {
    check("tasks-share-a-cpu");
}

#[test]
fn shootdown_acknowledged() {
    check("shootdown-acknowledged");
}

#[test]
fn freed_table() {
    check("freed-table");
}

#[test]
fn speculative_walk() {
    check("speculative-walk");
}

#[test]
fn ranges_of_pages() {
    check("ranges-of-pages");
}

#[test]
fn switch_vs_flush() {
    check("switch-vs-flush");
}

#[test]
fn fork_of_a_range() {
    check("fork-of-a-range");
}

#[test]
fn reuse_before_flush() {
    check("reuse-before-flush");
}

#[test]
fn write_pins() {
    check("write-pins");
}

#[test]
fn tables_of_neighbours() {
    check("tables-of-neighbours");
}

#[test]
fn new_pages_are_empty() {
    check("new-pages-are-empty");
}

#[test]
fn two_faults_one_table() {
    check("two-faults-one-table");
}

#[test]
fn unmap_vs_fault() {
    check("unmap-vs-fault");
}

#[test]
fn mappings_split() {
    check("mappings-split");
}

#[test]
fn recheck_sees_another_page() {
    check("recheck-sees-another-page");
}

#[test]
fn two_flushes() {
    check("two-flushes");
}

#[test]
fn exit_vs_speculation() {
    check("exit-vs-speculation");
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
fn fork_without_memory() {
    check("fork-without-memory");
}

#[test]
fn vmsplice_to_another() {
    check("vmsplice-to-another");
}

#[test]
fn vmsplice_of_a_huge_page() {
    check("vmsplice-of-a-huge-page");
}

#[test]
fn vmsplice_stranger_reads_parent() {
    check("vmsplice-stranger-reads-parent");
}

#[test]
fn parallel_dontneed_misses_flush() {
    check("parallel-dontneed-misses-flush");
}

#[test]
fn copy_of_a_whole_page() {
    check("copy-of-a-whole-page");
}

#[test]
fn store_buffering() {
    check("store-buffering");
}

#[test]
fn store_buffering_fenced() {
    check("store-buffering-fenced");
}

#[test]
fn walk_past_store_buffer() {
    check("walk-past-store-buffer");
}

#[test]
fn every_scenario_has_a_test() {
    let source = include_str!("library.rs");
    for entry in entries() {
        assert!(source.contains(&format!("check(\"{}\")", entry.name)), "no test runs {}", entry.name);
    }
}

#[test]
fn pin_vs_clear_refs() {
    check("pin-vs-clear-refs");
}

#[test]
fn uffd_wp_deferred_flush() {
    check("uffd-wp-deferred-flush");
}

#[test]
fn pin_vs_fork() {
    check("pin-vs-fork");
}

#[test]
fn reference_overflow() {
    check("reference-overflow");
}

#[test]
fn special_page_pinned() {
    check("special-page-pinned");
}

#[test]
fn dump_without_lock() {
    check("dump-without-lock");
}

#[test]
fn reuse_breaks_pin() {
    check("reuse-breaks-pin");
}

#[test]
fn driver_memory_vs_munmap() {
    check("driver-memory-vs-munmap");
}

#[test]
fn mremap_flush_after_unlock() {
    check("mremap-flush-after-unlock");
}

#[test]
fn stack_vs_munmap() {
    check("stack-vs-munmap");
}

#[test]
fn system_calls() {
    check("system-calls");
}

#[test]
fn lazy_cpu_walks_freed_tables() {
    check("lazy-cpu-walks-freed-tables");
}

#[test]
fn table_freed_for_a_single_user() {
    check("table-freed-for-a-single-user");
}

#[test]
fn cr3_rewritten_after_preemption() {
    check("cr3-rewritten-after-preemption");
}

#[test]
fn flush_skips_switching_cpu() {
    check("flush-skips-switching-cpu");
}

#[test]
fn invlpg_leaves_global() {
    check("invlpg-leaves-global");
}

#[test]
fn pcid_given_to_another() {
    check("pcid-given-to-another");
}

#[test]
fn return_to_an_address_space() {
    check("return-to-an-address-space");
}

#[test]
fn switch_vs_remote_flush() {
    check("switch-vs-remote-flush");
}

#[test]
fn protection_keys() {
    check("protection-keys");
}

#[test]
fn madv_free_reclaim_vs_dio_pin() {
    check("madv-free-reclaim-vs-dio-pin");
}

#[test]
fn mprotect_vs_deferred_reclaim_flush() {
    check("mprotect-vs-deferred-reclaim-flush");
}

#[test]
fn ref_on_frozen_page() {
    check("ref-on-frozen-page");
}

#[test]
fn swapcache_skip_aba() {
    check("swapcache-skip-aba");
}

#[test]
fn swapin_wrong_slot() {
    check("swapin-wrong-slot");
}

#[test]
fn written_after_pageout() {
    check("written-after-pageout");
}

#[test]
fn swapoff_vs_entry_free() {
    check("swapoff-vs-entry-free");
}

#[test]
fn swapoff_vs_swapin() {
    check("swapoff-vs-swapin");
}

#[test]
fn truncate_vs_swapin() {
    check("truncate-vs-swapin");
}

#[test]
fn swapin_wrong_page_of_file() {
    check("swapin-wrong-page-of-file");
}

#[test]
fn forced_write_vs_continue() {
    check("forced-write-vs-continue");
}

#[test]
fn disk_fails() {
    check("disk-fails");
}

#[test]
fn invalidate_vs_write() {
    check("invalidate-vs-write");
}

#[test]
fn longterm_pin_of_the_zero_page() {
    check("longterm-pin-of-the-zero-page");
}

#[test]
fn longterm_pin_vs_writeback() {
    check("longterm-pin-vs-writeback");
}

#[test]
fn mkclean_not_flushed() {
    check("mkclean-not-flushed");
}

#[test]
fn mkclean_window() {
    check("mkclean-window");
}

#[test]
fn mremap_vs_writeback() {
    check("mremap-vs-writeback");
}

#[test]
fn rmap_dropped_before_flush() {
    check("rmap-dropped-before-flush");
}

#[test]
fn stable_pages() {
    check("stable-pages");
}

#[test]
fn system_calls_on_disk() {
    check("system-calls-on-disk");
}

#[test]
fn truncate_vs_read() {
    check("truncate-vs-read");
}

#[test]
fn truncate_vs_writeback() {
    check("truncate-vs-writeback");
}

#[test]
fn zap_dirties_before_flush() {
    check("zap-dirties-before-flush");
}

#[test]
fn anon_vma_reuse() {
    check("anon-vma-reuse");
}

#[test]
fn clear_refs_vs_migration() {
    check("clear-refs-vs-migration");
}

#[test]
fn device_migration_dirty() {
    check("device-migration-dirty");
}

#[test]
fn device_migration_flush() {
    check("device-migration-flush");
}

#[test]
fn exit_vs_migration() {
    check("exit-vs-migration");
}

#[test]
fn fork_vs_migration() {
    check("fork-vs-migration");
}

#[test]
fn migrate_vs_gup() {
    check("migrate-vs-gup");
}

#[test]
fn migrate_vs_user() {
    check("migrate-vs-user");
}

#[test]
fn migration_entry_wait_pins() {
    check("migration-entry-wait-pins");
}

#[test]
fn mprotect_vs_migration() {
    check("mprotect-vs-migration");
}

#[test]
fn mremap_vs_migration() {
    check("mremap-vs-migration");
}

#[test]
fn protnone_write_while_migrating() {
    check("protnone-write-while-migrating");
}

#[test]
fn ref_on_moved_page() {
    check("ref-on-moved-page");
}

#[test]
fn swapin_vs_migration() {
    check("swapin-vs-migration");
}

#[test]
fn truncate_vs_migration() {
    check("truncate-vs-migration");
}

#[test]
fn split_vs_user() {
    check("split-vs-user");
}

#[test]
fn split_vs_gup() {
    check("split-vs-gup");
}

#[test]
fn split_of_frozen_page() {
    check("split-ref-on-frozen-page");
}

#[test]
fn head_changed_under_pin() {
    check("head-changed-under-pin");
}

#[test]
fn split_unmap_skips_zapping() {
    check("split-unmap-skips-zapping");
}

#[test]
fn mapcount_snapshot() {
    check("mapcount-snapshot");
}

#[test]
fn huge_page_to_swap() {
    check("huge-page-to-swap");
}

#[test]
fn deposit_follows_huge_page() {
    check("deposit-follows-huge-page");
}

#[test]
fn dontneed_vs_clear_refs() {
    check("dontneed-vs-clear-refs");
}

#[test]
fn dontneed_vs_madv_free() {
    check("dontneed-vs-madv-free");
}

#[test]
fn dontneed_vs_numa_hint() {
    check("dontneed-vs-numa-hint");
}

#[test]
fn fork_of_a_pinned_huge_page() {
    check("fork-of-a-pinned-huge-page");
}

#[test]
fn huge_dirty_bit_vs_split() {
    check("huge-dirty-bit-vs-split");
}

#[test]
fn huge_dirty_cow() {
    check("huge-dirty-cow");
}

#[test]
fn huge_page_changes_under_follow() {
    check("huge-page-changes-under-follow");
}

#[test]
fn huge_page_taken_for_bad_by_dontneed() {
    check("huge-page-taken-for-bad-by-dontneed");
}

#[test]
fn huge_page_taken_for_bad_by_numa() {
    check("huge-page-taken-for-bad-by-numa");
}

#[test]
fn huge_pin_vs_zap() {
    check("huge-pin-vs-zap");
}

#[test]
fn split_leaves_two_sizes() {
    check("split-leaves-two-sizes");
}

#[test]
fn write_pin_of_shared_huge_page() {
    check("write-pin-of-shared-huge-page");
}

#[test]
fn half_a_huge_page_is_not_forked() {
    check("half-a-huge-page-is-not-forked");
}

#[test]
fn pin_of_a_huge_page_once_shared() {
    check("pin-of-a-huge-page-once-shared");
}

#[test]
fn pin_of_a_shared_huge_page() {
    check("pin-of-a-shared-huge-page");
}

#[test]
fn system_calls_on_huge_pages() {
    check("system-calls-on-huge-pages");
}

#[test]
fn system_calls_on_migration() {
    check("system-calls-on-migration");
}

#[test]
fn mremap_of_tables() {
    check("mremap-of-tables");
}
