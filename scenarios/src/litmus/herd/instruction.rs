//! Instructions, and what is known of the registers that they use.

use std::collections::BTreeMap;

use winnow::Parser as _;

use super::att;
use super::operand::{Operand, operands};
use super::syntax::Syntax;
use crate::litmus::test::{Instruction, observed};

/// What is known of a register.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// It holds this value.
    Value(u64),
    /// It holds the address of a location.
    Address(String),
    /// A value was loaded into it.
    Loaded,
}

/// What is known of each register.
pub(super) struct Registers {
    pub(super) syntax: Syntax,
    pub(super) known: BTreeMap<String, Known>,
}

/// Reads an instruction. `None`, if it only changes what is known of a register.
///
/// # Errors
/// Why it is not modelled.
pub(super) fn instruction(
    text: &str,
    thread: usize,
    registers: &mut Registers,
) -> Result<Option<Instruction>, String> {
    use Operand::{Memory, Register, Value};
    let is_locked = text.to_uppercase().starts_with("LOCK ");
    let text = if is_locked { text["LOCK ".len()..].trim_start() } else { text };
    let (mnemonic, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let (mnemonic, mut operands) = match registers.syntax {
        Syntax::Intel => {
            let operands = operands.parse(rest).map_err(|_| "its operands are not modelled")?;
            (mnemonic.to_uppercase(), operands)
        }
        Syntax::Att => att::instruction(mnemonic, rest)?,
    };
    for operand in &mut operands {
        if let Operand::Through(register) = operand {
            *operand = match registers.known.get(&observed(thread, register)) {
                Some(Known::Address(location)) => Memory(location.clone()),
                _ => return Err(format!("nothing says which location {register} holds the address of")),
            };
        }
    }
    let accumulator = registers.syntax.accumulator();
    let known = |register: &str| {
        let known = registers.known.get(&observed(thread, register));
        known.cloned().unwrap_or(Known::Value(0))
    };
    let holds = |register: &str| match known(register) {
        Known::Value(value) => Ok(value),
        Known::Address(_) => Err(format!("{register} holds an address, which is not modelled as a value")),
        Known::Loaded => Err(format!("the value of {register} was loaded: a locked operation has fixed values")),
    };
    let instruction = match (mnemonic.as_str(), is_locked, operands.as_slice()) {
        ("MFENCE", false, []) => Instruction::Mfence,
        ("LFENCE", false, []) => Instruction::Lfence,
        ("SFENCE", false, []) => Instruction::Sfence,
        ("MOV", false, [Memory(to), Value(value)]) => Instruction::Store { to: to.clone(), value: *value },
        ("MOV", false, [Memory(to), Register(from)]) => match known(from) {
            Known::Loaded => Instruction::StoreLoaded { to: to.clone(), from: from.clone() },
            _ => Instruction::Store { to: to.clone(), value: holds(from)? },
        },
        ("MOV", false, [Register(into), Memory(from)]) => {
            Instruction::Load { from: from.clone(), into: into.clone() }
        }
        ("MOV", false, [Register(into), Value(value)]) => {
            registers.known.insert(observed(thread, into), Known::Value(*value));
            return Ok(None);
        }
        ("XCHG", _, [Memory(at), Register(with)] | [Register(with), Memory(at)]) => {
            Instruction::Xchg { at: at.clone(), value: holds(with)?, into: with.clone() }
        }
        ("XADD", true, [Memory(at), Register(with)]) => {
            Instruction::Xadd { at: at.clone(), value: holds(with)?, into: Some(with.clone()) }
        }
        ("INC", true, [Memory(at)]) => Instruction::Xadd { at: at.clone(), value: 1, into: None },
        ("ADD", true, [Memory(at), Value(value)]) => {
            Instruction::Xadd { at: at.clone(), value: *value, into: None }
        }
        ("CMPXCHG", true, [Memory(at), Register(with)]) => {
            let (expected, value) = (holds(accumulator)?, holds(with)?);
            Instruction::Cmpxchg { at: at.clone(), expected, value, into: accumulator.to_owned() }
        }
        _ => {
            return Err(
                "it is not modelled: MOV between memory and a register or a number, XCHG, LOCK XADD, LOCK CMPXCHG, \
                 LOCK INC, LOCK ADD and the fences are"
                    .to_owned(),
            );
        }
    };
    if let Some(register) = instruction.register() {
        registers.known.insert(observed(thread, register), Known::Loaded);
    }
    Ok(Some(instruction))
}
