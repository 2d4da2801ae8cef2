//! Operands of instructions, and how they are read in Intel's syntax.

use winnow::ascii::space0;
use winnow::combinator::{alt, delimited, opt, preceded, separated};
use winnow::prelude::*;
use winnow::token::take_while;

/// An operand of an instruction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Operand {
    /// A location.
    Memory(String),
    /// The location whose address a register holds.
    Through(String),
    /// A number.
    Value(u64),
    /// A register.
    Register(String),
}

/// A number, decimal or hex.
pub(super) fn number(input: &mut &str) -> ModalResult<u64> {
    let hex = preceded("0x", take_while(1.., |c: char| c.is_ascii_hexdigit()))
        .try_map(|digits: &str| u64::from_str_radix(digits, 16));
    let decimal = take_while(1.., |c: char| c.is_ascii_digit()).try_map(str::parse);
    alt((hex, decimal)).parse_next(input)
}

/// A name of a location or a register.
pub(super) fn name(input: &mut &str) -> ModalResult<String> {
    let first = |c: char| c.is_ascii_alphabetic() || c == '_';
    let word = (take_while(1, first), take_while(0.., |c: char| c.is_ascii_alphanumeric() || c == '_'));
    word.take().map(str::to_owned).parse_next(input)
}

fn operand(input: &mut &str) -> ModalResult<Operand> {
    delimited(
        space0,
        alt((
            delimited(("[", space0), name, (space0, "]")).map(Operand::Memory),
            preceded(opt("$"), number).map(Operand::Value),
            name.map(|name| Operand::Register(name.to_uppercase())),
        )),
        space0,
    )
    .parse_next(input)
}

/// The operands of an instruction in Intel's syntax.
pub(super) fn operands(input: &mut &str) -> ModalResult<Vec<Operand>> {
    separated(0.., operand, ",").parse_next(input)
}
