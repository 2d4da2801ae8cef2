//! Operations on a range of pages. The name of a mapping can stand for all its pages.

use super::pages_text;
use crate::json::Fields;
use crate::stage::Place;

/// An operation on a range of pages.
pub(super) trait Range {
    /// The first page, and how many pages. If no number is given, all pages up to the end of the mapping.
    fn range(&self) -> (&Place, Option<u64>);

    /// `buf+1, 2 pages`.
    fn range_text(&self) -> String {
        let (at, pages) = self.range();
        format!("{at}, {}", pages.map_or_else(|| "to its end".to_owned(), pages_text))
    }
}

/// Without a number of pages, the range must begin in a mapping, because only a mapping has an end.
pub(super) fn needs_pages_at_an_address(fields: &Fields<'_>, operation: &impl Range) -> Option<()> {
    if let (Place::Address(_), None) = operation.range() {
        fields.missing("pages");
        return None;
    }
    Some(())
}
