//! Makes programs of the lines of a trace. Each step has everything that was seen after it.

use std::collections::BTreeSet;
use std::io::{self, BufRead};
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_json::Value;
use sim_mm::{
    AnonOrders, Knob, Nodes, Pkeys, Release, ShmemOrders, ShmemOrdersWhere, ShmemThp, SoftDirty, Swap, Thp,
    ZeroThp,
};
use sim_mmu::VirtAddr;

use super::folio_orders::Told;
use super::trace::{Access, Args, Begin, FORMAT, Header, OTHER_SIGNAL, Returned, StepLine};
use super::view::{Observation, ProcessView};

/// The most processes of a program.
pub const PROCESSES: u8 = 4;

/// The most pages that a step may name, so that no address overflows.
const MOST_PAGES: u64 = 1 << 24;

/// The kernel and the window in which programs ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The release of the kernel that was recorded.
    pub kernel: Release,
    /// The address of page 0.
    pub window: VirtAddr,
    /// Pages of the window.
    pub pages: u64,
    /// What the kernel was set to.
    pub host: Host,
}

/// What a recorded kernel was set to, as far as programs can see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Host {
    /// Whether it notes which pages are written. No header says so, but each new mapping does.
    pub soft_dirty: SoftDirty,
    /// Which large folios below the size of a huge page it has. No header says so, but mappings do.
    pub anon_orders: AnonOrders,
    /// Which of them shared anonymous memory has. Mappings tell that too.
    pub shmem_orders: ShmemOrders,
    /// Where it has them. Nothing tells that.
    pub shmem_orders_where: ShmemOrdersWhere,
    /// Where private memory has huge pages.
    pub thp: Thp,
    /// Which files in memory have huge pages.
    pub shmem_thp: ShmemThp,
    /// Whether reading maps a huge page of zeroes.
    pub zero_thp: ZeroThp,
    /// Whether it has an area for swap.
    pub swap: Swap,
    /// Whether it has protection keys. No header says so, but an access to memory that can only be executed does.
    pub pkeys: Pkeys,
    /// How many nodes its memory has. No header says so, but it takes pages to a node that it has.
    pub nodes: Nodes,
}

impl Default for Host {
    fn default() -> Host {
        Host {
            soft_dirty: SoftDirty::Off,
            anon_orders: AnonOrders::None,
            shmem_orders: ShmemOrders::None,
            shmem_orders_where: ShmemOrdersWhere::Always,
            thp: Thp::Madvise,
            shmem_thp: ShmemThp::Never,
            zero_thp: ZeroThp::On,
            swap: Swap::Sync,
            pkeys: Pkeys::Off,
            nodes: Nodes::One,
        }
    }
}

impl Default for Setting {
    fn default() -> Setting {
        Setting { kernel: Release::LATEST, window: VirtAddr(0x1000_0000_0000), pages: 4096, host: Host::default() }
    }
}

/// A recorded step.
#[derive(Clone, Debug)]
pub struct Step {
    /// The line that it stands in.
    pub line: u64,
    /// The process that acts.
    pub process: u8,
    /// The name of the operation.
    pub op: String,
    /// Its arguments.
    pub args: Args,
    /// What it returned.
    pub returned: Returned,
    /// What was seen after it.
    pub seen: Observation,
}

impl Step {
    /// Whether user code got a signal that the recorder has no name for. Of those that it can get here only that of protection keys has none.
    fn tells_pkeys(&self) -> bool {
        let is_other = |access: &Access| matches!(access, Access::Failed(how) if how == OTHER_SIGNAL);
        self.returned.acc.iter().any(|(_, _, access)| is_other(access))
    }

    /// Whether pages were to be taken to node 1, and the machine had one.
    fn tells_second_node(&self) -> bool {
        self.args.node == Some(1) && self.returned.err.as_deref() != Some("ENODEV")
    }
}

/// A recorded program.
#[derive(Clone, Debug)]
pub struct Program {
    /// Its number.
    pub number: u64,
    /// Where it ran.
    pub setting: Setting,
    /// Its steps, in order.
    pub steps: Vec<Step>,
    /// How many of them are reproducible. Only these are compared.
    pub compared: usize,
}

/// A line that does not have the right format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineError {
    /// Its number, from 1.
    pub line: u64,
    /// What is wrong.
    pub message: String,
}

/// The programs of a file.
#[derive(Clone, Debug, Default)]
pub struct Traces {
    /// The programs without a malformed line.
    pub programs: Vec<Program>,
    /// Programs that are left out because of a malformed line.
    pub left_out: u64,
    /// The malformed lines.
    pub bad: Vec<LineError>,
}

/// Reads a trace. If a line is malformed, its program is left out, and no other program.
///
/// # Errors
/// The stream cannot be read.
pub fn read(stream: impl BufRead) -> io::Result<Traces> {
    let mut reader = Reader::default();
    for (n, line) in stream.split(b'\n').enumerate() {
        let (number, line) = (n as u64 + 1, line?);
        if line.trim_ascii().is_empty() {
            continue;
        }
        if let Err(message) = reader.line(number, &line) {
            reader.spoilt = true;
            reader.traces.bad.push(LineError { line: number, message });
        }
    }
    reader.finish_program();
    let mut traces = reader.traces;
    let steps = || traces.programs.iter().flat_map(|program| &program.steps);
    let seen = || steps().flat_map(|step| step.seen.values());
    let notes_writes = seen().any(|process| process.tells_soft_dirty());
    let has_second_node = steps().any(Step::tells_second_node);
    let has_pkeys = steps().any(Step::tells_pkeys);
    let mut told = Told::default();
    seen().for_each(|process| told.look(process));
    for Program { setting, .. } in &mut traces.programs {
        setting.host.soft_dirty = if notes_writes { SoftDirty::On } else { SoftDirty::Off };
        setting.host.anon_orders = told.anon_orders();
        setting.host.shmem_orders = told.shmem_orders();
        setting.host.pkeys = if has_pkeys { Pkeys::On } else { Pkeys::Off };
        setting.host.nodes = if has_second_node { Nodes::Two } else { Nodes::One };
    }
    Ok(traces)
}

#[derive(Default)]
struct Reader {
    traces: Traces,
    setting: Setting,
    program: Option<Program>,
    spoilt: bool,
    alive: BTreeSet<u8>,
}

fn parse<T: DeserializeOwned>(value: Value) -> Result<T, String> {
    serde_json::from_value(value).map_err(|error| error.to_string())
}

impl Reader {
    fn line(&mut self, number: u64, line: &[u8]) -> Result<(), String> {
        let value: Value = serde_json::from_slice(line).map_err(|error| {
            let message = error.to_string();
            message.replace(" at line 1 column", ", column")
        })?;
        if value.get("format").is_some() {
            self.finish_program();
            self.setting = setting(&parse(value)?)?;
        } else if value.get("prog").is_some() {
            self.finish_program();
            let Begin { prog, nondet_from } = parse(value)?;
            let compared = nondet_from.unwrap_or(usize::MAX);
            self.program = Some(Program { number: prog, setting: self.setting, steps: Vec::new(), compared });
            self.alive = BTreeSet::from([0]);
        } else if value.get("op").is_some() {
            if !self.spoilt {
                self.step(number, parse(value)?)?;
            }
        } else {
            return Err("it is neither a header (`format`) nor a program (`prog`) nor a step (`op`)".to_owned());
        }
        Ok(())
    }

    fn step(&mut self, line: u64, step: StepLine) -> Result<(), String> {
        let program = self.program.as_mut().ok_or("a step before the first program")?;
        let StepLine { i, p, op, a, r, o } = step;
        if i != program.steps.len() {
            return Err(format!("i: step {i} where {} is next", program.steps.len()));
        }
        if !self.alive.contains(&p) {
            return Err(format!("p: there is no process {p}"));
        }
        if r.ret.is_some() == r.err.is_some() {
            return Err("r: one of `ret` and `err` is needed".to_owned());
        }
        for (name, pages) in [("pg", a.pg), ("n", a.n), ("nn", a.nn), ("to", a.to)] {
            if pages.is_some_and(|pages| pages > MOST_PAGES) {
                return Err(format!("a.{name}: more than {MOST_PAGES} pages"));
            }
        }
        if r.err.is_none() && op == "fork" {
            let child = a.child.ok_or("a.child: it is missing")?;
            if child >= PROCESSES || !self.alive.insert(child) {
                return Err(format!("a.child: {child} is no new process from 1 to {}", PROCESSES - 1));
            }
        }
        if r.err.is_none() && op == "exit" {
            self.alive.remove(&p);
        }
        let mut seen = program.steps.last().map(|step| step.seen.clone()).unwrap_or_default();
        for (process, changed) in &o {
            if !self.alive.contains(process) {
                return Err(format!("o: there is no process {process}"));
            }
            Arc::make_mut(seen.entry(*process).or_default()).change(changed);
        }
        seen.retain(|process, _| self.alive.contains(process));
        for process in &self.alive {
            seen.entry(*process).or_insert_with(|| Arc::new(ProcessView::default()));
        }
        program.steps.push(Step { line, process: p, op, args: a, returned: r, seen });
        Ok(())
    }

    fn finish_program(&mut self) {
        let spoilt = std::mem::take(&mut self.spoilt);
        let Some(mut program) = self.program.take() else { return };
        if spoilt {
            self.traces.left_out += 1;
            return;
        }
        program.compared = program.compared.min(program.steps.len());
        self.traces.programs.push(program);
    }
}

fn setting(header: &Header) -> Result<Setting, String> {
    if header.format != FORMAT {
        return Err(format!("format: `{}` is not `{FORMAT}`", header.format));
    }
    let numbers: Vec<&str> = header.kernel.split(['.', '-']).take(2).collect();
    let kernel = format!("v{}", numbers.join(".")).parse();
    let kernel = kernel.map_err(|_| format!("kernel: `{}` does not begin with a release", header.kernel))?;
    let window = header.win.strip_prefix("0x").and_then(|digits| u64::from_str_radix(digits, 16).ok());
    let window = window.map(VirtAddr).filter(|at| at.offset() == 0 && at.0 > 0 && at.0 < 1 << 46);
    let window = window.ok_or_else(|| format!("win: `{}` is no user address of a page", header.win))?;
    if !(1..=1 << 16).contains(&header.pages) {
        return Err(format!("pages: {} is not from 1 to 65536", header.pages));
    }
    Ok(Setting { kernel, window, pages: header.pages, host: host(header)? })
}

/// The value of a member of the header that has the names of a knob; what `usual` says if the header does not have it.
fn knob<K: Knob>(value: Option<&str>, usual: K) -> Result<K, String> {
    let Some(value) = value else { return Ok(usual) };
    let place = K::SETTING.by_name(value);
    place.map(|place| K::VALUES[place]).ok_or_else(|| format!("{}: `{value}` is not modelled", K::SETTING.key))
}

fn host(header: &Header) -> Result<Host, String> {
    let usual = Host::default();
    let zero_thp = header.zero_thp.as_deref().map(|value| if value == "0" { "off" } else { "on" });
    Ok(Host {
        thp: knob(header.thp.as_deref(), usual.thp)?,
        shmem_thp: knob(header.shmem_thp.as_deref(), usual.shmem_thp)?,
        zero_thp: knob(zero_thp, usual.zero_thp)?,
        swap: if header.swap == Some(0) { Swap::Off } else { usual.swap },
        ..usual
    })
}
