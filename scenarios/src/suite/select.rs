//! Patterns that name cases: those that are left out, and those that are known to fail.

use glob::Pattern;

/// A pattern over `SCENARIO/CASE`, with the reason that was given for it.
#[derive(Clone, Debug)]
pub struct Selector {
    pattern: Pattern,
    reason: Option<String>,
}

/// The patterns of a suite.
#[derive(Clone, Debug, Default)]
pub struct Selectors {
    /// What is left out.
    pub skip: Vec<Selector>,
    /// What is known to fail.
    pub xfail: Vec<Selector>,
}

impl std::str::FromStr for Selector {
    type Err = String;

    /// `PATTERN` or `PATTERN: REASON`.
    fn from_str(text: &str) -> Result<Selector, String> {
        let (pattern, reason) = match text.split_once(": ") {
            Some((pattern, reason)) => (pattern, Some(reason.trim().to_owned())),
            None => (text, None),
        };
        let pattern = Pattern::new(pattern.trim()).map_err(|error| error.to_string())?;
        Ok(Selector { pattern, reason })
    }
}

impl Selector {
    /// Whether it names a case of a scenario.
    fn names(&self, scenario: &str, case: &str) -> bool {
        self.pattern.matches(&format!("{scenario}/{case}"))
    }
}

impl Selectors {
    /// Why a case is left out, if it is.
    pub(super) fn skip(&self, scenario: &str, case: &str) -> Option<String> {
        reason(&self.skip, scenario, case, "--skip")
    }

    /// Why a case is known to fail, if it is.
    pub(super) fn xfail(&self, scenario: &str, case: &str) -> Option<String> {
        reason(&self.xfail, scenario, case, "known to fail")
    }

    /// The first pattern that names none of these cases. It must be a mistake.
    pub(super) fn idle(&self, names: &[(String, String)]) -> Option<String> {
        let all = self.skip.iter().chain(&self.xfail);
        let idle = |selector: &&Selector| !names.iter().any(|(scenario, case)| selector.names(scenario, case));
        all.into_iter().find(idle).map(|selector| selector.pattern.as_str().to_owned())
    }
}

fn reason(selectors: &[Selector], scenario: &str, case: &str, otherwise: &str) -> Option<String> {
    let selector = selectors.iter().find(|selector| selector.names(scenario, case))?;
    Some(selector.reason.clone().unwrap_or_else(|| otherwise.to_owned()))
}
