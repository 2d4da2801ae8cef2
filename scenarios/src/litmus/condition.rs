//! Conditions on an outcome.

use std::fmt;

/// A condition on an outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// A register or a location has this value.
    Is(String, u64),
    /// All of these.
    All(Vec<Condition>),
    /// One of these.
    Any(Vec<Condition>),
    /// Not this.
    Not(Box<Condition>),
}

impl Condition {
    /// Whether the condition holds. `value` knows the value of each name.
    pub fn holds(&self, value: &impl Fn(&str) -> Option<u64>) -> bool {
        match self {
            Condition::Is(name, is) => value(name) == Some(*is),
            Condition::All(parts) => parts.iter().all(|part| part.holds(value)),
            Condition::Any(parts) => parts.iter().any(|part| part.holds(value)),
            Condition::Not(part) => !part.holds(value),
        }
    }

    /// The values, by name, that must come together, if the condition asks for nothing else.
    pub fn conjunction(&self) -> Option<Vec<(&str, u64)>> {
        match self {
            Condition::Is(name, is) => Some(vec![(name, *is)]),
            Condition::All(parts) => {
                let parts: Option<Vec<_>> = parts.iter().map(Condition::conjunction).collect();
                Some(parts?.concat())
            }
            Condition::Any(parts) => match parts.as_slice() {
                [only] => only.conjunction(),
                _ => None,
            },
            Condition::Not(_) => None,
        }
    }

    /// The same condition with other names.
    #[must_use]
    pub(super) fn renamed(self, rename: &impl Fn(&str) -> String) -> Condition {
        let all = |parts: Vec<Condition>| parts.into_iter().map(|part| part.renamed(rename)).collect();
        match self {
            Condition::Is(name, is) => Condition::Is(rename(&name), is),
            Condition::All(parts) => Condition::All(all(parts)),
            Condition::Any(parts) => Condition::Any(all(parts)),
            Condition::Not(part) => Condition::Not(Box::new(part.renamed(rename))),
        }
    }

    /// Tells of each name for which it asks.
    pub fn names(&self, hear: &mut impl FnMut(&str)) {
        match self {
            Condition::Is(name, _) => hear(name),
            Condition::All(parts) | Condition::Any(parts) => parts.iter().for_each(|part| part.names(hear)),
            Condition::Not(part) => part.names(hear),
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |f: &mut fmt::Formatter<'_>, parts: &[Condition], with: &str| {
            for (nth, part) in parts.iter().enumerate() {
                f.write_str(if nth > 0 { with } else { "" })?;
                match part {
                    Condition::All(parts) | Condition::Any(parts) if parts.len() > 1 => write!(f, "({part})")?,
                    part => write!(f, "{part}")?,
                }
            }
            Ok(())
        };
        match self {
            Condition::Is(name, is) => write!(f, "{name} = {is}"),
            Condition::All(parts) => list(f, parts, " and "),
            Condition::Any(parts) => list(f, parts, " or "),
            Condition::Not(part) => write!(f, "not ({part})"),
        }
    }
}
