//! Reports for programs: one document, or a line for each item as soon as it is done.

use serde_json::{Map, Value, json};

use super::{At, Outcome, Report, Totals, word};
use crate::json::seen;

/// One JSON document, which is written at the end.
#[derive(Debug, Default)]
pub struct Json {
    groups: Vec<Value>,
    items: Vec<Value>,
}

/// A line for each item, and then one with the totals.
#[derive(Debug, Default)]
pub struct JsonLines;

impl Report for Json {
    fn item(&mut self, at: At<'_>, outcome: &Outcome) -> String {
        self.items.push(Value::Object(item(at, outcome)));
        if at.is_last() {
            self.groups.push(json!({ "group": at.group().name, "items": std::mem::take(&mut self.items) }));
        }
        String::new()
    }

    fn end(&mut self, sum: &Totals) -> String {
        document(&format!("{:#}", json!({ "groups": self.groups, "totals": totals(sum) })))
    }
}

impl Report for JsonLines {
    fn item(&mut self, at: At<'_>, outcome: &Outcome) -> String {
        let mut line = item(at, outcome);
        line.insert("group".to_owned(), at.group().name.clone().into());
        document(&Value::Object(line).to_string())
    }

    fn end(&mut self, sum: &Totals) -> String {
        document(&json!({ "totals": totals(sum) }).to_string())
    }
}

fn document(json: &str) -> String {
    seen(json) + "\n"
}

fn item(at: At<'_>, outcome: &Outcome) -> Map<String, Value> {
    let mut map = Map::new();
    map.insert("item".to_owned(), at.name().name.clone().into());
    map.insert("status".to_owned(), word(outcome.status).into());
    map.insert("what".to_owned(), outcome.what.clone().into());
    for (name, value) in &outcome.details {
        let value = value.parse::<u64>().map_or_else(|_| Value::from(value.as_str()), Value::from);
        map.insert((*name).to_owned(), value);
    }
    map
}

fn totals(totals: &Totals) -> Value {
    let counts = totals.present().map(|(status, _, number)| (word(status).to_owned(), Value::from(number)));
    Value::Object(counts.collect())
}
