//! The tests of scenarios, the oracles, the library and the command line: one program, with a module for each subject.

mod bad_scenarios;
mod cli;
mod common;
mod conform;
mod coverage;
mod cow_matrix;
mod disk_programs;
mod exhaustive;
mod hardware_words;
mod interrupts;
mod library;
mod litmus;
mod litmus_twin;
mod mmu_cycles;
mod mmu_litmus;
mod mmu_shootdown;
mod mmu_translate;
mod necessity;
mod records;
mod schema;
mod shrink;
mod suite;
mod tidy;
mod timed;
mod told;
mod vma_facts;
