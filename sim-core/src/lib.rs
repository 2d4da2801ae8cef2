//! Deterministic execution of simulated CPUs.
//!
//! Code under simulation is `async fn`. Every access to state that another CPU could touch is an
//! `.await`, and `.await` means nothing else: the first poll of an access *announces* it (kind and
//! location) and yields, the second *performs* it. Between two awaits the world stands still, so
//! the [`Executor`] sees a set of announced transitions, asks the one [`Chooser`] which comes next,
//! and the whole run is a function of those answers.
//!
//! This crate knows neither x86 nor memory management. It has words with names ([`Memory`]), CPUs as
//! stacks of contexts ([`Executor`]), locks and wait conditions ([`Gate`]), RCU grace periods
//! ([`rcu`]), store buffers ([`MemoryModel`]) and the sources of decisions ([`source`]).

mod access;
mod alone;
mod choice;
mod context;
mod core;
mod cost;
mod cpu;
mod event;
mod executor;
mod footprint;
mod gate;
mod guard;
mod lock;
mod memory;
mod object;
mod op;
pub mod rcu;
mod ready;
mod record;
mod routine;
mod rwsem;
mod seqcount;
mod slab;
pub mod source;
mod step;
pub mod systematic;
mod word;

pub use self::core::{Config, Core, DIGEST_EVERY, MemoryModel};
pub use access::{Load, Rmw, Store, WalkLoad};
pub use choice::{Choice, Chooser, Decided, Decision, Enabled, Transition};
pub use cost::Costs;
pub use cpu::{Cpu, CpuId, TaskId, Vector};
pub use event::{Event, Observer};
pub use executor::{Blocked, BoxFuture, Executor, Outcome, Platform};
pub use gate::Gate;
pub use guard::{IrqGuard, KernelEntry, PreemptGuard, RcuReadGuard};
pub use lock::{Held, SpinLock};
pub use memory::{Loc, Memory, MemoryBuilder};
pub use object::Object;
pub use op::{Op, OpKind};
pub use record::{Array, Field, FieldLayout, Record};
pub use routine::{Entered, Role, Routine};
pub use rwsem::{ReadHeld, RwSem, WriteHeld};
pub use seqcount::SeqCount;
pub use slab::{Ref, Slab, WhenFree};
pub use step::{Perform, Step};
pub use word::{Shared, Word};
