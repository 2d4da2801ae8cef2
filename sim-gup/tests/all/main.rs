//! The tests of GUP and its callers: one program, with a module for each subject.

mod common;
mod concurrent;
mod counterparts;
mod cow_matrix;
mod future_sizes;
mod return_values;

use sim_gup::CATALOGUE;
use sim_mm_testing::Kernels;

/// The kernels that these tests run.
const KERNELS: Kernels = Kernels(CATALOGUE);
