//! Advice of `madvise()`, as scenarios write it.

use serde_json::{Value, json};
use sim_mm::Advice;

use super::argument::Argument;
use crate::json::{Kind, Node};

/// Advice by its name. The kernel's table says which advice there is, and since when.
pub(crate) struct AdviceName;

/// Advice that exists in Linux, but is not modelled yet.
const LATER: &[&str] = &["soft_offline"];

impl Kind for AdviceName {
    type Value = Advice;

    fn decode(node: &Node<'_>) -> Option<Advice> {
        node.named("advice", Advice::NAMES, LATER)
    }

    fn schema() -> Value {
        let about = |advice: Advice| match advice.since() {
            Some(since) => format!("{} Kernels before {since} answer `EINVAL`.", advice.about()),
            None => advice.about().to_owned(),
        };
        let value = |(advice, name): &(Advice, &str)| json!({ "const": name, "description": about(*advice) });
        json!({ "oneOf": Advice::NAMES.iter().map(value).collect::<Vec<_>>(), "examples": ["dontneed"] })
    }
}

impl Argument for AdviceName {}
