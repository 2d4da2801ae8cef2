//! Tests as files of the `herd` and `litmus` tools: architecture `X86`, Intel's syntax.
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
//! A scenario's stores have fixed values, so a register that is stored must hold one: what was loaded into it cannot be
//! stored again. What is not modelled is an error that names it.

use std::collections::BTreeMap;

use winnow::ascii::{multispace0, space0};
use winnow::combinator::{alt, delimited, opt, preceded, separated};
use winnow::prelude::*;
use winnow::token::take_while;

use super::condition::Condition;
use super::test::{Instruction, Test, observed};

/// Reads a test.
///
/// # Errors
/// What is wrong with it, or not modelled, and in which line.
pub fn read_herd(text: &str) -> Result<Test, String> {
    let text = without_comments(text);
    let (name, rest) = head(&text)?;
    let (initial, rest) = rest.split_once('}').ok_or("the initial state has no `}`")?;
    let end = ["exists", "~exists", "forall", "locations", "filter"];
    let at = end.iter().filter_map(|word| find_word(rest, word)).min().unwrap_or(rest.len());
    let (code, tail) = rest.split_at(at);
    let mut registers = BTreeMap::new();
    let mut test = Test { name, ..Test::default() };
    for item in initial.split(';').map(str::trim).filter(|item| !item.is_empty()) {
        let (name, value) = binding
            .parse(item)
            .map_err(|_| format!("initial state: `{item}` is not modelled: `x=1` and `0:EAX=1` are"))?;
        match name.split_once('.') {
            Some(_) => registers.insert(name, Some(value)),
            None => test.initial.insert(name, value).map(Some),
        };
    }
    threads(code, &mut test, &mut registers)?;
    condition(tail, &mut test)?;
    // Registers that are never loaded hold what they were given, or zero.
    let mut asked = test.observe.clone();
    test.condition.iter().for_each(|condition| condition.names(&mut |name| asked.push(name.to_owned())));
    let known = test.everything();
    for name in asked.into_iter().filter(|name| name.contains('.') && !known.contains(name)) {
        let value = registers.get(&name).copied().flatten().unwrap_or_default();
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

/// The name, and what follows the `{` of the initial state.
fn head(text: &str) -> Result<(String, &str), String> {
    let first = text.trim_start();
    let (line, rest) = first.split_once('\n').ok_or("it ends in its first line")?;
    let mut words = line.split_whitespace();
    match (words.next(), words.next()) {
        (Some("X86"), Some(name)) => {
            let (_, rest) = rest.split_once('{').ok_or("it has no initial state: `{ }`")?;
            Ok((name.to_owned(), rest))
        }
        (Some(other), _) => Err(format!("architecture `{other}` is not modelled: `X86` is")),
        (None, _) => Err("it begins with no architecture".to_owned()),
    }
}

/// Where a word begins that stands by itself.
fn find_word(text: &str, word: &str) -> Option<usize> {
    let part = |c: char| c.is_alphanumeric() || c == '~' || c == '_';
    text.match_indices(word).map(|(at, _)| at).find(|at| {
        !text[..*at].ends_with(part)
            && !text[at + word.len()..].starts_with(|c: char| c.is_alphanumeric() || c == '_')
    })
}

/// What is known of each register: its value, or that something was loaded into it.
type Registers = BTreeMap<String, Option<u64>>;

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

/// An operand of an instruction.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Operand {
    Memory(String),
    Value(u64),
    Register(String),
}

fn number(input: &mut &str) -> ModalResult<u64> {
    let hex = preceded("0x", take_while(1.., |c: char| c.is_ascii_hexdigit()))
        .try_map(|digits: &str| u64::from_str_radix(digits, 16));
    let decimal = take_while(1.., |c: char| c.is_ascii_digit()).try_map(str::parse);
    alt((hex, decimal)).parse_next(input)
}

fn name(input: &mut &str) -> ModalResult<String> {
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

fn operands(input: &mut &str) -> ModalResult<Vec<Operand>> {
    separated(0.., operand, ",").parse_next(input)
}

/// Reads an instruction; `None`, if it changes nothing but what is known of a register.
fn instruction(text: &str, thread: usize, registers: &mut Registers) -> Result<Option<Instruction>, String> {
    use Operand::{Memory, Register, Value};
    let is_locked = text.to_uppercase().starts_with("LOCK ");
    let text = if is_locked { text["LOCK ".len()..].trim_start() } else { text };
    let (mnemonic, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let operands = operands.parse(rest).map_err(|_| "its operands are not modelled")?;
    let holds = |registers: &Registers, register: &str| {
        let known = registers.get(&observed(thread, register)).copied().unwrap_or(Some(0));
        known.ok_or_else(|| format!("the value of {register} was loaded: only fixed values are stored"))
    };
    let instruction = match (mnemonic.to_uppercase().as_str(), is_locked, operands.as_slice()) {
        ("MFENCE", false, []) => Instruction::Mfence,
        ("LFENCE", false, []) => Instruction::Lfence,
        ("SFENCE", false, []) => Instruction::Sfence,
        ("MOV", false, [Memory(to), Value(value)]) => Instruction::Store { to: to.clone(), value: *value },
        ("MOV", false, [Memory(to), Register(from)]) => {
            Instruction::Store { to: to.clone(), value: holds(registers, from)? }
        }
        ("MOV", false, [Register(into), Memory(from)]) => {
            Instruction::Load { from: from.clone(), into: into.clone() }
        }
        ("MOV", false, [Register(into), Value(value)]) => {
            registers.insert(observed(thread, into), Some(*value));
            return Ok(None);
        }
        ("XCHG", _, [Memory(at), Register(with)] | [Register(with), Memory(at)]) => {
            let value = holds(registers, with)?;
            Instruction::Xchg { at: at.clone(), value, into: with.clone() }
        }
        ("XADD", true, [Memory(at), Register(with)]) => {
            let value = holds(registers, with)?;
            Instruction::Xadd { at: at.clone(), value, into: Some(with.clone()) }
        }
        ("INC", true, [Memory(at)]) => Instruction::Xadd { at: at.clone(), value: 1, into: None },
        ("ADD", true, [Memory(at), Value(value)]) => {
            Instruction::Xadd { at: at.clone(), value: *value, into: None }
        }
        ("CMPXCHG", true, [Memory(at), Register(with)]) => {
            let (expected, value) = (holds(registers, "EAX")?, holds(registers, with)?);
            Instruction::Cmpxchg { at: at.clone(), expected, value, into: "EAX".to_owned() }
        }
        _ => {
            return Err(
                "it is not modelled: MOV, XCHG, LOCK XADD, LOCK CMPXCHG, LOCK INC, LOCK ADD and the fences are"
                    .to_owned(),
            );
        }
    };
    if let Some(register) = instruction.register() {
        registers.insert(observed(thread, register), None);
    }
    Ok(Some(instruction))
}

fn observed_name(input: &mut &str) -> ModalResult<String> {
    let register = (take_while(1.., |c: char| c.is_ascii_digit()), ":", name)
        .map(|(thread, _, register): (&str, _, String)| format!("P{thread}.{}", register.to_uppercase()));
    alt((register, delimited("[", name, "]"), name)).parse_next(input)
}

fn binding(input: &mut &str) -> ModalResult<(String, u64)> {
    (observed_name, (space0, "=", space0), number).map(|(name, _, value)| (name, value)).parse_next(input)
}

/// Conditions together; one alone is itself.
fn list(mut parts: Vec<Condition>, join: fn(Vec<Condition>) -> Condition) -> Condition {
    if parts.len() == 1 { parts.remove(0) } else { join(parts) }
}

fn any(input: &mut &str) -> ModalResult<Condition> {
    separated(1.., all, (multispace0, "\\/", multispace0))
        .map(|parts| list(parts, Condition::Any))
        .parse_next(input)
}

fn all(input: &mut &str) -> ModalResult<Condition> {
    separated(1.., one, (multispace0, "/\\", multispace0))
        .map(|parts| list(parts, Condition::All))
        .parse_next(input)
}

fn one(input: &mut &str) -> ModalResult<Condition> {
    let not = preceded((alt(("~", "not")), multispace0), one).map(|part| Condition::Not(Box::new(part)));
    let truth = alt(("true".map(|_| Condition::All(Vec::new())), "false".map(|_| Condition::Any(Vec::new()))));
    let inner = delimited(("(", multispace0), any, (multispace0, ")"));
    alt((inner, not, binding.map(|(name, value)| Condition::Is(name, value)), truth)).parse_next(input)
}

/// Reads what follows the code: `locations`, and what the test asks for.
fn condition(tail: &str, test: &mut Test) -> Result<(), String> {
    let mut rest = tail.trim();
    let mut listed = Vec::new();
    if let Some(list) = rest.strip_prefix("locations") {
        let (list, after) = list
            .trim_start()
            .strip_prefix('[')
            .and_then(|list| list.split_once(']'))
            .ok_or("`locations` has no list in brackets")?;
        for item in list.split(';').map(str::trim).filter(|item| !item.is_empty()) {
            listed.push(observed_name.parse(item).map_err(|_| format!("locations: `{item}` is not modelled"))?);
        }
        rest = after.trim();
    }
    if rest.starts_with("filter") {
        return Err("`filter` is not modelled".to_owned());
    }
    let (kind, text) = ["exists", "~exists", "forall"]
        .into_iter()
        .find_map(|kind| Some((kind, rest.strip_prefix(kind)?)))
        .unwrap_or(("", ""));
    if kind.is_empty() && !rest.is_empty() {
        return Err(format!("`{}` is not modelled", rest.lines().next().unwrap_or_default()));
    }
    if !kind.is_empty() {
        let asked = delimited(multispace0, any, multispace0).parse(text).map_err(|error| {
            format!("condition: what begins with `{}` is not modelled", snippet(text, error.offset()))
        })?;
        (test.condition, test.is_allowed) = match kind {
            "forall" => (Some(Condition::Not(Box::new(asked))), Some(false)),
            "~exists" => (Some(asked), Some(false)),
            _ => (Some(asked), None),
        };
    }
    test.condition.iter().for_each(|condition| condition.names(&mut |name| listed.push(name.to_owned())));
    listed.iter().for_each(|name| {
        if !test.observe.contains(name) {
            test.observe.push(name.clone());
        }
    });
    if test.observe.is_empty() {
        test.observe = test.everything();
    }
    Ok(())
}

fn snippet(text: &str, at: usize) -> String {
    text.get(at..).unwrap_or_default().chars().take(20).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let again = SB.replace("MOV EAX,[x]  ;", "MOV EAX,[x]  ;\n | MOV [x],EAX ;");
        assert!(read_herd(&again).expect_err("a loaded value").contains("the value of EAX was loaded"));
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
