//! Tests as files of the tools `herd` and `litmus`: architecture `X86` in Intel's syntax, and `X86_64` in the syntax of AT&T.
//!
//! ```text
//! X86 SB
//! { x=0; y=0; }
//!  P0          | P1          ;
//!  MOV [x],$1  | MOV [y],$1  ;
//!  MOV EAX,[y] | MOV EAX,[x] ;
//! exists (0:EAX=0 /\ 1:EAX=0)
//! ```
//!
//! A value that was loaded into a register can be stored again. A locked operation has fixed values. If a test has something
//! that is not modelled, the error names it.

mod att;
mod condition;
mod instruction;
mod operand;
mod syntax;

use std::collections::BTreeMap;

use winnow::ascii::space0;
use winnow::combinator::{alt, opt, preceded};
use winnow::prelude::*;
use winnow::token::take_while;

use super::test::Test;
use condition::{condition, observed_name};
use instruction::{Known, Registers, instruction};
use operand::{name, number};
use syntax::Syntax;

/// Reads a test.
///
/// # Errors
/// What is wrong with it, or not modelled, and in which line.
pub fn read_herd(text: &str) -> Result<Test, String> {
    let text = without_comments(text);
    let (syntax, name, rest) = head(&text)?;
    let (initial, rest) = rest.split_once('}').ok_or("the initial state has no `}`")?;
    let end = ["exists", "~exists", "forall", "locations", "filter"];
    let at = end.iter().filter_map(|word| find_word(rest, word)).min().unwrap_or(rest.len());
    let (code, tail) = rest.split_at(at);
    let mut registers = Registers { syntax, known: BTreeMap::new() };
    let mut test = Test { name, ..Test::default() };
    for item in initial.split(';').map(str::trim).filter(|item| !item.is_empty()) {
        let (name, value) = start.parse(item).map_err(|_| {
            format!("initial state: `{item}` is not modelled: `x=1`, `0:EAX=1` and, in X86_64, `0:rax=x` are")
        })?;
        match (name.split_once('.'), value) {
            (Some((thread, register)), value) => {
                let name = format!("{thread}.{}", registers.syntax.register(register));
                registers.known.insert(name, value);
            }
            (None, Known::Value(value)) => {
                test.initial.insert(name, value);
            }
            (None, _) => return Err(format!("initial state: `{item}` is not modelled: locations hold numbers")),
        }
    }
    threads(code, &mut test, &mut registers)?;
    condition(tail, syntax, &mut test)?;
    // A register has at the end what it got last. A register that never got a value holds zero.
    let mut asked = test.observe.clone();
    test.condition.iter().for_each(|condition| condition.names(&mut |name| asked.push(name.to_owned())));
    for name in asked.into_iter().filter(|name| name.contains('.')) {
        let value = match registers.known.get(&name) {
            Some(Known::Loaded) => continue,
            Some(Known::Value(value)) => *value,
            Some(Known::Address(at)) => return Err(format!("`{name}` holds the address of `{at}`")),
            None => 0,
        };
        test.constants.insert(name, value);
    }
    test.check()?;
    Ok(test)
}

/// The text with blanks in place of `(* ... *)`.
fn without_comments(text: &str) -> String {
    let mut kept = String::new();
    let mut depth = 0_u32;
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let step = if rest.starts_with("(*") {
            depth += 1;
            2
        } else if depth > 0 && rest.starts_with("*)") {
            depth -= 1;
            2
        } else {
            if depth == 0 || next == '\n' {
                kept.push(next);
            }
            next.len_utf8()
        };
        rest = &rest[step..];
    }
    kept
}

/// The syntax, the name, and what follows the `{` of the initial state.
fn head(text: &str) -> Result<(Syntax, String, &str), String> {
    let first = text.trim_start();
    let (line, rest) = first.split_once('\n').ok_or("it ends in its first line")?;
    let mut words = line.split_whitespace();
    match (words.next(), words.next()) {
        (Some(architecture @ ("X86" | "X86_64")), Some(name)) => {
            let (_, rest) = rest.split_once('{').ok_or("it has no initial state: `{ }`")?;
            let syntax = if architecture == "X86" { Syntax::Intel } else { Syntax::Att };
            Ok((syntax, name.to_owned(), rest))
        }
        (Some(other), _) => Err(format!("architecture `{other}` is not modelled: `X86` and `X86_64` are")),
        (None, _) => Err("it begins with no architecture".to_owned()),
    }
}

/// The place at which a word begins that stands by itself.
fn find_word(text: &str, word: &str) -> Option<usize> {
    let part = |c: char| c.is_alphanumeric() || c == '~' || c == '_';
    text.match_indices(word).map(|(at, _)| at).find(|at| {
        !text[..*at].ends_with(part)
            && !text[at + word.len()..].starts_with(|c: char| c.is_alphanumeric() || c == '_')
    })
}

fn threads(code: &str, test: &mut Test, registers: &mut Registers) -> Result<(), String> {
    let mut lines = code.split(';').map(str::trim).filter(|line| !line.is_empty());
    let heads: Vec<&str> = lines.next().ok_or("it has no threads")?.split('|').map(str::trim).collect();
    for (nth, head) in heads.iter().enumerate() {
        if *head != format!("P{nth}") {
            return Err(format!("expected `P{nth}` at the head of a thread, found `{head}`"));
        }
    }
    test.threads = vec![Vec::new(); heads.len()];
    for line in lines {
        for (nth, text) in line.split('|').map(str::trim).enumerate().filter(|(_, text)| !text.is_empty()) {
            let thread = test.threads.get_mut(nth).ok_or_else(|| format!("`{text}` is in no thread's column"))?;
            let what = instruction(text, nth, registers).map_err(|error| format!("P{nth}: `{text}`: {error}"))?;
            thread.extend(what);
        }
    }
    Ok(())
}

/// What the initial state says about a register or a location.
fn start(input: &mut &str) -> ModalResult<(String, Known)> {
    // A C type may stand before it.
    let kind = alt(("uint64_t", "uint32_t", "int64_t", "int32_t", "int", "long"));
    let _ = opt((kind, take_while(1.., char::is_whitespace))).parse_next(input)?;
    let value = alt((number.map(Known::Value), preceded(opt("&"), name).map(Known::Address)));
    let (name, value) = (observed_name, opt(preceded((space0, "=", space0), value))).parse_next(input)?;
    Ok((name, value.unwrap_or(Known::Value(0))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::litmus::test::Instruction;

    const SB: &str = "X86 SB\n\"Fre PodWR (* a comment *)\"\n{ x=0; y=0; 1:EBX=1; }\n P0          | P1           ;\n \
        MOV [x],$1  | MOV [y],EBX  ;\n MOV EAX,[y] | MOV EAX,[x]  ;\nlocations [x;]\nexists (0:EAX=0 /\\ 1:EAX=0)\n";

    #[test]
    fn a_file_is_a_test() {
        let test = read_herd(SB).expect("a test");
        assert_eq!((test.name.as_str(), test.observe.join(" ")), ("SB", "x P0.EAX P1.EAX".to_owned()));
        assert_eq!(test.threads[1][0], Instruction::Store { to: "y".to_owned(), value: 1 });
        assert_eq!(test.condition.expect("an outcome").to_string(), "P0.EAX = 0 and P1.EAX = 0");
        assert_eq!(test.is_allowed, None);
    }

    #[test]
    fn what_is_not_modelled_is_named() {
        for (from, to, error) in [
            ("X86 SB", "AArch64 SB", "architecture `AArch64`"),
            ("MOV [y],EBX", "CLFLUSH [y]", "P1: `CLFLUSH [y]`: it is not modelled"),
            ("MOV [y],EBX", "MOV [y],ECX+1", "operands"),
            ("exists", "filter", "`filter`"),
            ("x=0;", "x=y;", "initial state: `x=y`"),
            ("1:EAX=0)", "1:EAX<0)", "condition"),
            ("| P1 ", "| P2 ", "expected `P1`"),
            ("MOV EAX,[y] |", "MOV EAX,[y] | MFENCE |", "in no thread's column"),
        ] {
            let found = read_herd(&SB.replacen(from, to, 1)).expect_err(error);
            assert!(found.contains(error), "{found}");
        }
        let again = SB.replace("MOV EAX,[x]  ;", "MOV EAX,[x]  ;\n | XCHG [x],EAX ;");
        assert!(read_herd(&again).expect_err("a loaded value").contains("the value of EAX was loaded"));
    }

    #[test]
    fn a_register_holds_what_it_got_last() {
        let text =
            "X86 T\n{}\n P0 ;\n MOV EAX,[x] ;\n MOV [y],EAX ;\n MOV EAX,$2 ;\n MOV [z],EAX ;\nexists (0:EAX=2)";
        let test = read_herd(text).expect("a test");
        let (to, from) = ("y".to_owned(), "EAX".to_owned());
        assert_eq!(test.threads[0][1], Instruction::StoreLoaded { to, from });
        assert_eq!(test.threads[0][2], Instruction::Store { to: "z".to_owned(), value: 2 });
        assert_eq!(test.constants["P0.EAX"], 2);
    }

    #[test]
    fn the_syntax_of_att() {
        let text = "X86_64 T\n{ uint64_t x; int y=3; 0:rdi=x; 0:rsi=&y; 1:eax=5; }\n P0 | P1 ;\n movq $1,(%rdi) | movl %eax,(y) ;\n \
            movl (%rsi),%r8d | xchgl %eax,(x) ;\n lock xaddl %ebx,(x) | mfence ;\n movq %r8,(x) | ;\nexists (0:r8=3 /\\ 1:%rax=0)";
        let test = read_herd(text).expect("a test");
        assert_eq!((test.initial["x"], test.initial["y"]), (0, 3));
        let [x, y] = ["x", "y"].map(str::to_owned);
        assert_eq!(
            test.threads[0],
            [
                Instruction::Store { to: x.clone(), value: 1 },
                Instruction::Load { from: y.clone(), into: "r8".to_owned() },
                Instruction::Xadd { at: x.clone(), value: 0, into: Some("rbx".to_owned()) },
                Instruction::StoreLoaded { to: x.clone(), from: "r8".to_owned() },
            ]
        );
        assert_eq!(
            test.threads[1],
            [
                Instruction::Store { to: y, value: 5 },
                Instruction::Xchg { at: x, value: 5, into: "rax".to_owned() },
                Instruction::Mfence,
            ]
        );
        assert_eq!(test.condition.expect("an outcome").to_string(), "P0.r8 = 3 and P1.rax = 0");
        for (from, to, error) in [
            ("movq $1", "movb $1", "P0: `movb $1,(%rdi)`: accesses of a part of a location"),
            ("mfence", "clflush (x)", "P1: `clflush (x)`: it is not modelled"),
            ("(%rsi)", "(%rcx)", "nothing says which location rcx holds the address of"),
            ("movl %eax,(y)", "movl %edi,8(y)", "its operands are not modelled"),
            ("movq %r8,(x)", "movq %rdi,(x)", "rdi holds an address"),
            ("lock xaddl %ebx", "lock xaddl %r8d", "the value of r8 was loaded"),
            ("1:%rax=0", "0:rdi=0", "`P0.rdi` holds the address of `x`"),
        ] {
            let found = read_herd(&text.replacen(from, to, 1)).expect_err(error);
            assert!(found.contains(error), "{found}");
        }
    }

    #[test]
    fn locked_operations_and_constants() {
        let text = "X86 T\n{}\n P0 | P1 ;\n MOV EBX,$2 | LOCK INC [x] ;\n XCHG [x],EBX | SFENCE ;\n MOV EAX,$2 | MOV ECX,$7;\n\
            LOCK CMPXCHG [x],ECX | ; \n~exists (0:EBX=1 \\/ not (x=1)) /\\ 1:ECX=7";
        let test = read_herd(text).expect("a test");
        assert_eq!(test.condition.expect("an outcome").to_string(), "(P0.EBX = 1 or not (x = 1)) and P1.ECX = 7");
        assert_eq!((test.is_allowed, test.constants["P1.ECX"]), (Some(false), 7));
        assert_eq!(
            test.threads[0][1],
            Instruction::Cmpxchg { at: "x".into(), expected: 2, value: 0, into: "EAX".into() }
        );
    }
}
