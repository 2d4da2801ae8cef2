//! Instructions of `.litmus` files for `X86_64`, in AT&T's syntax: `movl $1,(x)`, `xchgq (%rdi),%rax`.

use winnow::ascii::space0;
use winnow::combinator::{alt, delimited, opt, preceded, separated};
use winnow::prelude::*;

use super::operand::{Operand, name, number};
use super::syntax::whole_register;

/// The mnemonic without the suffix of its size, in upper case, and the operands with what is written first.
///
/// # Errors
/// If the operands or the size are not modelled.
pub(super) fn instruction(mnemonic: &str, rest: &str) -> Result<(String, Vec<Operand>), String> {
    let mnemonic = mnemonic.to_uppercase();
    let known = ["MOV", "XCHG", "XADD", "CMPXCHG", "INC", "ADD"];
    let plain = known.iter().find(|known| {
        mnemonic.strip_prefix(**known).is_some_and(|suffix| matches!(suffix, "" | "B" | "W" | "L" | "Q"))
    });
    let plain = plain.map_or(mnemonic.as_str(), |plain| plain);
    if matches!(&mnemonic[plain.len()..], "B" | "W") {
        return Err(
            "accesses of a part of a location are not modelled: 4 and 8 bytes are the whole of it".to_owned()
        );
    }
    let mut operands = operands.parse(rest).map_err(|_| "its operands are not modelled")?;
    operands.reverse();
    Ok((plain.to_owned(), operands))
}

fn operands(input: &mut &str) -> ModalResult<Vec<Operand>> {
    separated(0.., operand, ",").parse_next(input)
}

fn operand(input: &mut &str) -> ModalResult<Operand> {
    let register = || preceded("%", name).map(|name: String| whole_register(&name));
    let within = alt((register().map(Operand::Through), name.map(Operand::Memory)));
    let memory = alt((
        delimited((opt("0"), "(", space0), within, (space0, ")")),
        delimited(("[", space0), name, (space0, "]")).map(Operand::Memory),
    ));
    let operand = alt((memory, preceded("$", number).map(Operand::Value), register().map(Operand::Register)));
    delimited(space0, operand, space0).parse_next(input)
}
