//! The tests of execution: one program, with a module for each subject.

mod clocks;
mod common;
mod costs;
mod determinism;
mod division;
mod edges;
mod events;
mod interrupts;
mod litmus;
mod locks;
mod micro_model;
mod rcu;
mod reductions;
mod sources;
mod systematic;
mod tasks;
mod timed;
