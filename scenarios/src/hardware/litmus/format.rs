//! The format of a litmus program: a line of JSON.

use std::collections::BTreeSet;

use serde::Deserialize;
use sim_mmu::{
    Controls, Cr0, Cr3, Cr4, Efer, Invlpgb, Invpcid, KeyRights, Pcid, PhysAddr, Privilege, Vendor, VirtAddr, Vpn,
};

use super::program::{Action, Flags, Kind, Program, Step};

/// Reads programs, one from each line. A line that is no program gives an error of its own, with its number from 1.
pub fn read_programs(text: &str) -> Vec<(usize, Result<Program, String>)> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines.map(|(n, line)| (n + 1, Program::parse(line))).collect()
}

impl Program {
    /// Reads one program.
    ///
    /// # Errors
    /// What is wrong with it, and where in the line.
    pub fn parse(line: &str) -> Result<Program, String> {
        let raw: RawProgram = serde_json::from_str(line).map_err(|error| error.to_string())?;
        raw.program()
    }
}

/// A number as the format has it: hex digits.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "String")]
struct Hex(u64);

impl TryFrom<String> for Hex {
    type Error = String;

    fn try_from(digits: String) -> Result<Hex, String> {
        u64::from_str_radix(digits.trim_start_matches("0x"), 16)
            .map(Hex)
            .map_err(|error| format!("`{digits}` is not a hex number: {error}"))
    }
}

#[derive(Debug, Deserialize)]
struct RawProgram {
    test: String,
    #[serde(default)]
    about: String,
    #[serde(default)]
    sdm: String,
    cpu: RawCpu,
    cr3: Hex,
    memory: Vec<RawWord>,
    program: Vec<RawStep>,
    joint_allowed: Option<BTreeSet<Vec<String>>>,
    #[serde(default)]
    doubtful: bool,
    #[serde(default)]
    doubtful_reason: String,
}

#[derive(Debug, Deserialize)]
struct RawCpu {
    cr0: Hex,
    cr4: Hex,
    efer: Hex,
    pkru: Option<Hex>,
    pkrs: Option<Hex>,
    maxphyaddr: Option<u8>,
    levels: Option<u8>,
    #[serde(default)]
    vendor: RawVendor,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum RawVendor {
    #[default]
    Intel,
    Amd,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawWord {
    pa: Hex,
    index: u64,
    value: Hex,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPlace {
    pa: Hex,
    index: u64,
}

/// All fields that a step may have. A step has exactly one of the fields that do something.
#[derive(Debug, Deserialize)]
struct RawStep {
    op: Option<String>,
    #[serde(default)]
    cpu: u8,
    access: Option<RawAccess>,
    store: Option<RawWord>,
    invlpg: Option<Hex>,
    mov_cr3: Option<RawCr3>,
    mov_cr4: Option<Hex>,
    mov_cr0: Option<Hex>,
    wrpkru: Option<Hex>,
    wrpkrs: Option<Hex>,
    invpcid: Option<RawInvpcid>,
    invlpgb: Option<RawInvlpgb>,
    tlbsync: Option<bool>,
    #[serde(default)]
    gp: bool,
    allowed: Option<BTreeSet<String>>,
    #[serde(default)]
    doubtful_outcomes: BTreeSet<String>,
    #[serde(default)]
    allowed_if_duplicates: BTreeSet<String>,
    #[serde(default)]
    ad_allowed: Vec<RawFlags>,
}

#[derive(Debug, Deserialize)]
struct RawAccess {
    va: Hex,
    kind: RawKind,
    #[serde(default)]
    cpl: u8,
    #[serde(default)]
    ac: u8,
}

#[derive(Clone, Copy, Debug, Deserialize)]
enum RawKind {
    #[serde(rename = "r")]
    Read,
    #[serde(rename = "w")]
    Write,
    #[serde(rename = "x")]
    Fetch,
}

#[derive(Debug, Deserialize)]
struct RawCr3 {
    value: Hex,
    #[serde(default)]
    preserve: bool,
}

#[derive(Debug, Deserialize)]
struct RawInvpcid {
    #[serde(rename = "type")]
    kind: u64,
    #[serde(default)]
    pcid: u64,
    va: Option<Hex>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawInvlpgb {
    va: Option<Hex>,
    #[serde(default = "one")]
    pages: u64,
    pcid: Option<u16>,
    #[serde(default)]
    global: bool,
    #[serde(default)]
    final_only: bool,
}

fn one() -> u64 {
    1
}

#[derive(Debug, Deserialize)]
struct RawFlags {
    entry: RawPlace,
    values: BTreeSet<String>,
}

fn place(table: Hex, index: u64) -> Result<PhysAddr, String> {
    if table.0 & 0xfff != 0 || index > 511 {
        return Err(format!("no entry {index} in a table at {:#x}", table.0));
    }
    Ok(PhysAddr(table.0 + 8 * index))
}

impl RawProgram {
    fn program(self) -> Result<Program, String> {
        let at = |what: &str, error: String| format!("{}: {what}: {error}", self.test);
        let controls = self.cpu.controls().map_err(|error| at("cpu", error))?;
        let memory = (self.memory.iter().enumerate())
            .map(|(n, word)| {
                let entry = place(word.pa, word.index).map_err(|error| at(&format!("memory[{n}]"), error))?;
                Ok((entry, word.value.0))
            })
            .collect::<Result<_, String>>()?;
        let steps = (self.program.iter().enumerate())
            .map(|(n, step)| step.step().map_err(|error| at(&format!("program[{n}]"), error)))
            .collect::<Result<_, String>>()?;
        let doubtful = self.doubtful.then_some(self.doubtful_reason);
        Ok(Program {
            controls,
            memory,
            steps,
            doubtful,
            cr3: Cr3(self.cr3.0),
            name: self.test,
            about: self.about,
            sdm: self.sdm,
            joint: self.joint_allowed,
        })
    }
}

impl RawCpu {
    fn controls(&self) -> Result<Controls, String> {
        let controls = Controls {
            cr0: Cr0(self.cr0.0),
            cr4: Cr4(self.cr4.0),
            efer: Efer(self.efer.0),
            pkru: KeyRights(self.pkru.map_or(0, |pkru| pkru.0 as u32)),
            pkrs: KeyRights(self.pkrs.map_or(0, |pkrs| pkrs.0 as u32)),
            vendor: match self.vendor {
                RawVendor::Intel => Vendor::Intel,
                RawVendor::Amd => Vendor::Amd,
            },
            maxphyaddr: self.maxphyaddr.unwrap_or(40),
        };
        let levels = controls.root_level() as u8;
        if self.levels.is_some_and(|said| said != levels) {
            return Err(format!("CR4.LA57 makes it {levels} levels"));
        }
        if !(36..=52).contains(&controls.maxphyaddr) {
            return Err(format!("MAXPHYADDR is 36 to 52, not {}", controls.maxphyaddr));
        }
        Ok(controls)
    }
}

impl RawStep {
    fn step(&self) -> Result<Step, String> {
        let mut actions = Vec::new();
        if let Some(access) = &self.access {
            actions.push(access.what()?);
        }
        if let Some(store) = &self.store {
            actions.push(Action::Store(place(store.pa, store.index)?, store.value.0));
        }
        actions.extend(self.invlpg.map(|va| Action::Invlpg(VirtAddr(va.0))));
        // Bit 63 of the operand is no part of the register. It may stand in `value` or in `preserve`.
        actions.extend(
            self.mov_cr3
                .as_ref()
                .map(|load| Action::MovCr3(Cr3(load.value.0 << 1 >> 1), load.preserve || load.value.0 >> 63 == 1)),
        );
        actions.extend(self.mov_cr4.map(|value| Action::MovCr4(Cr4(value.0))));
        actions.extend(self.mov_cr0.map(|value| Action::MovCr0(Cr0(value.0))));
        actions.extend(self.wrpkru.map(|value| Action::Wrpkru(KeyRights(value.0 as u32))));
        actions.extend(self.wrpkrs.map(|value| Action::Wrpkrs(KeyRights(value.0 as u32))));
        actions.extend(self.invpcid.as_ref().map(|invpcid| {
            let descriptor = [invpcid.pcid, invpcid.va.map_or(0, |va| va.0)];
            Action::Invpcid(Invpcid::decode(invpcid.kind, descriptor))
        }));
        actions.extend(self.invlpgb.as_ref().map(RawInvlpgb::what));
        actions.extend(self.tlbsync.map(|_| Action::Tlbsync));
        let number = actions.len();
        let (Some(what), 1) = (actions.pop(), number) else {
            return Err(format!("a step does one thing, this one {number}"));
        };
        if self.allowed.is_some() && !matches!(what, Action::Access { .. }) {
            return Err("only an access has `allowed` outcomes".to_owned());
        }
        let flags = |flags: &RawFlags| {
            Ok(Flags { entry: place(flags.entry.pa, flags.entry.index)?, allowed: flags.values.clone() })
        };
        Ok(Step {
            name: self.op.clone(),
            cpu: self.cpu,
            what,
            refused: self.gp,
            allowed: self.allowed.clone(),
            doubtful: self.doubtful_outcomes.clone(),
            if_duplicates: self.allowed_if_duplicates.clone(),
            flags: self.ad_allowed.iter().map(flags).collect::<Result<_, String>>()?,
        })
    }
}

impl RawAccess {
    fn what(&self) -> Result<Action, String> {
        let privilege = match (self.cpl, self.ac) {
            (3, 0 | 1) => Privilege::User,
            (0, ac @ (0 | 1)) => Privilege::Supervisor { ac: ac == 1 },
            (cpl, ac) => return Err(format!("cpl is 0 or 3, ac 0 or 1, not {cpl} and {ac}")),
        };
        let kind = match self.kind {
            RawKind::Read => Kind::Read,
            RawKind::Write => Kind::Write,
            RawKind::Fetch => Kind::Fetch,
        };
        Ok(Action::Access { va: VirtAddr(self.va.0), privilege, kind })
    }
}

impl RawInvlpgb {
    fn what(&self) -> Action {
        let pages = self.va.map(|va| {
            let first = VirtAddr(va.0).vpn();
            first..Vpn(first.0 + self.pages)
        });
        Action::Invlpgb(Invlpgb {
            pages,
            pcid: self.pcid.map(Pcid),
            include_global: self.global,
            final_only: self.final_only,
        })
    }
}
