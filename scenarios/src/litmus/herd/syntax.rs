//! How the instructions of an architecture are written.

/// How instructions are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Syntax {
    /// The syntax of X86: `MOV EAX,[x]`.
    Intel,
    /// The syntax of X86_64: `movl (x),%eax`.
    Att,
}

impl Syntax {
    /// The one name of a register, whichever part of it a test names.
    pub(super) fn register(self, name: &str) -> String {
        match self {
            Syntax::Intel => name.to_uppercase(),
            Syntax::Att => whole_register(name),
        }
    }

    /// A name in an outcome. If it is a register, it gets the one name of that register.
    pub(super) fn observed(self, name: &str) -> String {
        match name.split_once('.') {
            Some((thread, register)) => format!("{thread}.{}", self.register(register)),
            None => name.to_owned(),
        }
    }

    /// The register with which CMPXCHG compares.
    pub(super) fn accumulator(self) -> &'static str {
        match self {
            Syntax::Intel => "EAX",
            Syntax::Att => "rax",
        }
    }
}

/// The one name of a register, whichever part of it a test names: `rax` for `%eax`.
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
