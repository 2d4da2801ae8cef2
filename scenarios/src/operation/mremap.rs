//! `mremap`: mappings that grow, shrink and move.

use std::fmt;

use serde_json::{Value, json};
use sim_mm::{MremapFlags, sys_mremap};

use super::argument::{Argument, NewMapping, NewPages, OldPages};
use super::flags::flags_text;
use super::range::{Range, needs_pages_at_an_address};
use super::{Operation, Running, as_text, operation, pages_text};
use crate::json::{Fields, Kind, List, Named, Node};
use crate::stage::{Place, Task};

operation! {
    /// Makes a mapping longer or shorter, or moves it: `mremap()`. A name of the old place still means that place, even if the
    /// pages have moved and nothing is there. `as` names the new place.
    "mremap" Mremap {
        /// The first page.
        required "at" at: Place,
        /// How many pages; all up to the end of the mapping if not given. With 0, shared memory is mapped a second time.
        optional "pages" pages: OldPages,
        /// The new number of pages.
        required "new_pages" new_pages: NewPages,
        /// The new place, with the flag `fixed`.
        optional "to" to: Place,
        /// Its flags; none if not given.
        or (Vec::new()) "flags" flags: Flags,
        /// The name of the new mapping in other operations.
        optional "as" name: NewMapping,
    }
    where is_well_formed
}

impl Named for MremapFlags {
    const WHAT: &'static str = "flag";
    const NAMES: &'static [(MremapFlags, &'static str)] = &[
        (MremapFlags::MAYMOVE, "maymove"),
        (MremapFlags::FIXED, "fixed"),
        (MremapFlags::DONTUNMAP, "dontunmap"),
    ];
}

/// The flags of `mremap()`.
pub(crate) struct Flags;

impl Kind for Flags {
    type Value = Vec<MremapFlags>;

    fn decode(node: &Node<'_>) -> Option<Vec<MremapFlags>> {
        List::<MremapFlags>::decode(node)
    }

    fn schema() -> Value {
        let mut schema = List::<MremapFlags>::schema();
        schema["examples"] = json!([["maymove", "fixed"]]);
        schema
    }
}

impl Argument for Flags {}

/// The address must be given if, and only if, the flag `fixed` is given. The kernel judges other combinations of flags.
fn is_well_formed(fields: &Fields<'_>, mremap: &Mremap) -> Option<()> {
    needs_pages_at_an_address(fields, mremap)?;
    match (mremap.has(MremapFlags::FIXED), &mremap.to) {
        (true, None) => {
            let help = "say where it goes by the field `to`".to_owned();
            fields.get("flags")?.error_with_help("flag `fixed` needs an address", Some(help));
            None
        }
        (false, Some(_)) => {
            let help = "add `fixed` to the field `flags`".to_owned();
            fields.get("to")?.error_with_help("the kernel looks at `to` only with flag `fixed`", Some(help));
            None
        }
        _ => Some(()),
    }
}

impl Mremap {
    fn has(&self, flag: MremapFlags) -> bool {
        self.flags.contains(&flag)
    }
}

impl Range for Mremap {
    fn range(&self) -> (&Place, Option<u64>) {
        (&self.at, self.pages)
    }
}

impl fmt::Display for Mremap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "mremap {}, into {}", self.range_text(), pages_text(self.new_pages))?;
        if let Some(to) = &self.to {
            write!(f, " at {to}")?;
        }
        write!(f, "{}{}", flags_text(self.flags.iter().copied()), as_text(self.name.as_ref()))
    }
}

impl Operation for Mremap {
    fn routine(&self) -> Option<&'static str> {
        Some("do_mremap")
    }

    fn unmaps(&self) -> bool {
        !self.has(MremapFlags::DONTUNMAP)
    }

    fn replaces(&self) -> Option<(Place, u64)> {
        self.to.clone().map(|to| (to, self.new_pages))
    }

    fn run<'m>(&'m self, task: Task<'m>) -> Running<'m> {
        Box::pin(async move {
            let range = task.range(&self.at, self.pages)?;
            let request = sim_mm::Mremap {
                addr: range.start,
                old_pages: range.end.vpn().0 - range.start.vpn().0,
                new_pages: self.new_pages,
                flags: self.flags.iter().copied().collect(),
                new_addr: self.to.as_ref().map(|to| task.address(to)).transpose()?,
            };
            let start = sys_mremap(task.cpu, request).await?;
            if let Some(name) = &self.name {
                task.map(name, start, self.new_pages);
            }
            Ok(0)
        })
    }
}
