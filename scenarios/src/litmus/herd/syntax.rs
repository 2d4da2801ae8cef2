//! How the instructions of an architecture are written.

/// How instructions are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Syntax {
    /// Of X86: `MOV EAX,[x]`.
    Intel,
    /// Of X86_64: `movl (x),%eax`.
    Att,
}

impl Syntax {
    /// What a register is called, whichever part of it is named.
    pub(super) fn register(self, name: &str) -> String {
        match self {
            Syntax::Intel => name.to_uppercase(),
            Syntax::Att => whole_register(name),
        }
    }

    /// A name of an outcome, with its register, if it is one, as it is called.
    pub(super) fn observed(self, name: &str) -> String {
        match name.split_once('.') {
            Some((thread, register)) => format!("{thread}.{}", self.register(register)),
            None => name.to_owned(),
        }
    }

    /// The register that CMPXCHG compares with.
    pub(super) fn accumulator(self) -> &'static str {
        match self {
            Syntax::Intel => "EAX",
            Syntax::Att => "rax",
        }
    }
}

/// What a register is called, whichever part of it is named: `rax` for `%eax`.
pub(super) fn whole_register(name: &str) -> String {
    let name = name.to_lowercase();
    for letter in ["a", "b", "c", "d"] {
        if [format!("r{letter}x"), format!("e{letter}x"), format!("{letter}x"), format!("{letter}l")]
            .contains(&name)
        {
            return format!("r{letter}x");
        }
    }
    for index in ["si", "di", "bp", "sp"] {
        if [format!("r{index}"), format!("e{index}"), index.to_owned(), format!("{index}l")].contains(&name) {
            return format!("r{index}");
        }
    }
    match name.strip_suffix(['d', 'w', 'b']) {
        Some(numbered) if numbered.len() > 1 && numbered[1..].bytes().all(|byte| byte.is_ascii_digit()) => {
            numbered.to_owned()
        }
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_register_is_one_whatever_is_named_of_it() {
        for (name, whole) in [
            ("eax", "rax"),
            ("RAX", "rax"),
            ("bl", "rbx"),
            ("edi", "rdi"),
            ("si", "rsi"),
            ("r8d", "r8"),
            ("r10", "r10"),
        ] {
            assert_eq!(whole_register(name), whole);
        }
    }
}
