//! The tests of the hardware: one program, with a module for each subject.

mod broadcast;
mod common;
mod completeness;
mod control;
mod edges;
mod geometry;
mod history;
mod invalidate;
mod partials;
mod rights;
mod tlb;
mod translate;
mod walk;
