//! Accounts as tables: on what the cycles were spent, of one CPU or access a column.

use sim_mmu::{Account, Spent};

use crate::table::Table;

/// A table with a row for each thing that anything was spent on, and a column for each account; the last
/// row is the sum. The number beside an account divides it: 1 for whole cycles, accesses for an average.
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

/// The same for programs: cycles and times by what they were spent on.
pub fn json(account: &Account) -> serde_json::Value {
    let mut spent = serde_json::Map::new();
    for what in Spent::ALL.iter().filter(|what| account.times(**what) > 0) {
        let entry = serde_json::json!({ "cycles": account.cycles(*what), "times": account.times(*what) });
        spent.insert(what.name().to_owned(), entry);
    }
    serde_json::json!({ "total": account.total(), "spent": spent })
}
