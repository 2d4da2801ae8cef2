//! Accounts as tables: what the cycles were spent on. Each CPU, or each kind of access, has a column.

use sim_mmu::{Account, Spent};

use crate::table::Table;

/// A table with a row for each thing that cycles were spent on, and a column for each account. The last row is the sum. The
/// number beside an account divides it: 1 shows whole cycles, and the number of accesses shows an average.
pub fn table(columns: &[(String, &Account, u64)]) -> Vec<String> {
    let is_used = |what: &&Spent| columns.iter().any(|(_, account, _)| account.times(**what) > 0);
    let cell = |cycles: u64, per: u64| match per {
        1 => cycles.to_string(),
        per => format!("{:.2}", cycles as f64 / per as f64),
    };
    let mut table = Table::of_numbers(0, columns.len());
    let mut row = |name: &str, cells: &dyn Fn(&(String, &Account, u64)) -> String| {
        table.row(std::iter::once(name.to_owned()).chain(columns.iter().map(cells)));
    };
    row("cycles", &|(name, ..)| name.clone());
    for what in Spent::ALL.iter().filter(is_used) {
        row(what.name(), &|(_, account, per)| cell(account.cycles(*what), *per));
    }
    row("total", &|(_, account, per)| cell(account.total(), *per));
    table.lines()
}

/// The account for programs: for each thing, the cycles that were spent on it, and how often.
pub fn json(account: &Account) -> serde_json::Value {
    let mut spent = serde_json::Map::new();
    for what in Spent::ALL.iter().filter(|what| account.times(**what) > 0) {
        let entry = serde_json::json!({ "cycles": account.cycles(*what), "times": account.times(*what) });
        spent.insert(what.name().to_owned(), entry);
    }
    serde_json::json!({ "total": account.total(), "spent": spent })
}
