//! Flags of operations: lists of names.

use crate::json::{Fields, Named, name_of};

/// `, populate, locked`, in the order in which they were given.
pub(super) fn flags_text<F: Named>(flags: impl IntoIterator<Item = F>) -> String {
    flags.into_iter().map(|flag| format!(", {}", name_of(flag))).collect()
}

/// Only one of two flags may be given, because they contradict each other.
pub(super) fn not_both<F: Named>(fields: &Fields<'_>, flags: &[F], one: F, other: F) -> Option<()> {
    if flags.contains(&one) && flags.contains(&other) {
        let message = format!("`{}` and `{}` contradict each other", name_of(one), name_of(other));
        fields.get("flags")?.error(message);
        return None;
    }
    Some(())
}
