//! Deterministic execution of simulated CPUs.
//!
//! Code under simulation is `async fn`. Every access to state that another CPU could touch is an `.await`, and an
//! `.await` is nothing else. The first poll of an access *announces* it (its kind and its location) and yields.
//! The second poll *performs* it. Between two awaits the world stands still. So the [`Executor`] sees a set of
//! announced transitions, and asks the [`Chooser`] which of them comes next. The whole run is a function of the
//! answers.
//!
//! This crate knows neither x86 nor memory management. It has words with names ([`Memory`]), CPUs as stacks of
//! contexts ([`Executor`]), locks and wait conditions ([`Gate`]), RCU grace periods ([`rcu`]), store buffers
//! ([`MemoryModel`]) and the sources of decisions ([`source`]).

mod access;
mod alone;
mod bytes;
mod choice;
mod context;
mod core;
mod cost;
mod cpu;
mod cpu_state;
mod enter;
mod event;
mod executor;
mod footprint;
mod gate;
mod guard;
mod id;
mod life;
mod loc;
mod lock;
mod machine;
mod memory;
mod object;
mod op;
mod outcome;
mod places;
pub mod rcu;
mod ready;
mod record;
mod routine;
mod rwsem;
mod seqcount;
mod show;
mod slab;
pub mod source;
mod step;
mod store_buffer;
pub mod systematic;
mod timeline;
mod touch;
mod word;

pub use self::core::{Core, Costs, DIGEST_EVERY, Observer};
pub use access::{Load, Rmw, Store, WalkLoad};
pub use bytes::Bytes;
pub use choice::{Choice, Chooser, Decided, Decision, Enabled, Transition};
pub use context::BoxFuture;
pub use cpu::Cpu;
pub use cpu_state::Atomic;
pub use enter::Entered;
pub use event::Event;
pub use executor::{Executor, Platform};
pub use footprint::Touched;
pub use gate::Gate;
pub use guard::{IrqGuard, KernelEntry, PreemptGuard, RcuReadGuard};
pub use id::{CpuId, TaskId, Vector};
pub use life::WhenFree;
pub use loc::Loc;
pub use lock::{Held, SpinLock};
pub use machine::{Config, Machine, MemoryModel};
pub use memory::{Memory, MemoryBuilder};
pub use object::Object;
pub use op::{Op, OpKind};
pub use outcome::{Blocked, Outcome};
pub use record::{Array, Field, FieldLayout, Record};
pub use routine::{Role, Routine};
pub use rwsem::{ReadHeld, RwSem, WriteHeld};
pub use seqcount::SeqCount;
pub use slab::{Ref, Slab};
pub use step::{Perform, Step};
pub use word::{Shared, Word};
