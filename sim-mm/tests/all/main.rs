//! The tests of the memory manager: one program, with a module for each subject.

mod against_model;
mod check;
mod failures;
mod faults;
mod fork;
mod mappings;
mod page_alloc;
mod rewind;
mod same_page;

use sim_mm::CATALOGUE;
use sim_mm_testing::Kernels;

/// The kernels that these tests run.
const KERNELS: Kernels = Kernels(CATALOGUE);
