//! The documentation of scenario files. It is made from the declarations that the decoder uses.

use std::fmt::Write as _;

use serde_json::{Value, json};
use sim_gup::CATALOGUE;
use sim_mm::Group;

use super::section::Section;
use super::{StrategyName, case, config, fields};
use crate::json::{Kind as _, ObjectFacts, quote};
use crate::operation::{OPERATIONS, advice_schema};

/// The text at the top of the page.
const HEAD: &str = "# The scenario format

<!-- `mmsim schema --markdown` prints this page. Do not edit it: change the declarations of the fields instead. -->

A scenario is a JSON file. It declares processes, the threads that race, and the result that is expected. This page lists everything that a
scenario can contain. A field in **bold** is required. `mmsim schema` prints the same as a JSON schema for editors, and `mmsim run FILE`
reports each mistake with its place. This scenario works:
";

/// A scenario of every section.
const EXAMPLE: &str = r#"{
  "name": "zap-against-gup",
  "about": "A page is pinned while another thread zaps it, and a third process waits for its frame.",
  "history": { "release": "v2.6.27" },
  "machine": { "cpus": 3, "entries_per_table": 4, "frames": 24, "platform": { "flush": "noipi" } },
  "kernel": { "version": "v5.0" },
  "processes": [
    { "name": "victim", "setup": [
      { "mmap": { "as": "buf", "pages": 1 } },
      { "write": { "to": "buf", "value": 1 } } ] },
    { "name": "other", "setup": [ { "mmap": { "as": "page", "pages": 1 } } ] } ],
  "threads": [
    { "name": "gup", "process": "victim", "cpu": 0, "run": [
      { "gup_fast": { "at": "buf", "as": "pin" } },
      { "device_read": { "pin": "pin", "as": "seen" } },
      { "put_pages": { "pin": "pin" } } ] },
    { "name": "zap", "process": "victim", "cpu": 1, "run": [
      { "madvise": { "at": "buf", "advice": "dontneed" } } ] },
    { "name": "reuse", "process": "other", "cpu": 2, "run": [
      { "write": { "to": "page", "value": 42 } } ] } ],
  "checks": [ { "value": { "of": "seen", "in": [0, 1] } } ],
  "cases": [
    { "name": "as-it-is", "expect": "no-violation" },
    { "name": "without-the-recheck", "kernel": { "without": ["gup-pte-recheck"] },
      "expect": { "violation": "frame-use-after-free", "in": "gup_pte_range" } } ]
}"#;

/// The documentation of scenario files, in Markdown.
pub fn document() -> String {
    let sections = || fields::SECTIONS.iter().chain(case::SECTIONS).chain(config::SECTIONS);
    let mut page = Page { text: format!("{HEAD}\n```json\n{EXAMPLE}\n```\n"), sections: sections().collect() };
    for section in sections() {
        page.heading("##", section.title);
        page.object(&section.facts);
    }
    page.values("Strategies", "Which schedules of a case are tried.", &StrategyName::schema());
    page.values("Oracles", "Who finds violations.", &case::oracle_schema());
    page.values("Advice", "What a process can say of its memory by `madvise`.", &advice_schema());
    page.settings("Platform", "The knobs of the machine.", Group::Platform);
    page.settings("Design", "The designs of the kernel. A release has one of each.", Group::Design);
    page.heading("##", "Checks");
    for check in fields::CHECKS {
        page.heading("###", &format!("`{}`", check.tag));
        page.object(check.facts);
        page.examples(check.tag, check.facts);
    }
    page.heading("##", "Operations");
    page.line("Each is an object with the operation as its one key.");
    for row in OPERATIONS {
        page.heading("###", &format!("`{}`", row.tag));
        page.object(row.facts);
        if let Some(since) = row.since {
            page.line(&format!("Kernels since {since} have it."));
        }
        page.examples(row.tag, row.facts);
    }
    page.text
}

/// The page as far as it is written.
struct Page {
    text: String,
    /// The heading to which a type in a table leads.
    sections: Vec<&'static Section>,
}

impl Page {
    /// A paragraph of one line.
    fn line(&mut self, line: &str) {
        self.text.push('\n');
        self.text.push_str(line.trim_end());
        self.text.push('\n');
    }

    fn heading(&mut self, level: &str, title: &str) {
        self.line(&format!("{level} {title}"));
    }

    /// Describes an object, with a table of its fields.
    fn object(&mut self, facts: &ObjectFacts) {
        self.line(&facts.about());
        let row = |field: &crate::json::FieldFacts| {
            let key = if field.required { format!("**`{}`**", field.key) } else { format!("`{}`", field.key) };
            [key, self.value(&(field.schema)()), field.about()]
        };
        let rows: Vec<_> = facts.fields.iter().map(row).collect();
        self.table(["field", "value", "meaning"], &rows);
    }

    fn table<const N: usize>(&mut self, head: [&str; N], rows: &[[String; N]]) {
        if rows.is_empty() {
            return;
        }
        self.line(&format!("| {} |\n|{}", head.join(" | "), "---|".repeat(N)));
        for row in rows {
            let cells = row.iter().map(|cell| cell.replace('|', "\\|")).collect::<Vec<_>>();
            writeln!(self.text, "| {} |", cells.join(" | ")).expect("a string takes everything");
        }
    }

    /// A closed set of values, from its schema.
    fn values(&mut self, title: &str, about: &str, schema: &Value) {
        self.heading("##", title);
        self.line(about);
        let text = |value: &Value, key: &str| value[key].as_str().unwrap_or_default().to_owned();
        let row = |value: &Value| [quote(&text(value, "const")), text(value, "description")];
        let rows: Vec<_> = options(schema).map(row).collect();
        self.table(["value", "meaning"], &rows);
    }

    fn settings(&mut self, title: &str, about: &str, group: Group) {
        self.heading("##", title);
        self.line(about);
        for setting in CATALOGUE.settings_of(group) {
            self.heading("###", &quote(setting.key));
            self.line(setting.about());
            let row = |(i, value): (usize, &sim_mm::ValueFacts)| {
                let when = match (value.since, setting.usual) {
                    (Some(since), _) => format!("since {since}"),
                    (None, Some(_)) => "by release".to_owned(),
                    (None, None) if i == 0 => "usually".to_owned(),
                    (None, None) => String::new(),
                };
                [quote(value.name), value.about().to_owned(), when]
            };
            let rows: Vec<_> = setting.values.iter().enumerate().map(row).collect();
            self.table(["value", "meaning", "unless another is chosen"], &rows);
        }
    }

    /// The shortest form of a tagged object, and the longest.
    fn examples(&mut self, tag: &str, facts: &ObjectFacts) {
        let form = |all: bool| {
            let fields = facts.fields.iter().filter(|field| all || field.required);
            let fields: Vec<String> = fields
                .map(|field| format!("\"{}\": {}", field.key, spaced(&example(field.key, &(field.schema)()))))
                .collect();
            if fields.is_empty() {
                return format!("\"{tag}\"");
            }
            format!("{{ \"{tag}\": {{ {} }} }}", fields.join(", "))
        };
        let (short, long) = (form(false), form(true));
        let both = if short == long { short } else { format!("{short}\n{long}") };
        self.line(&format!("```json\n{both}\n```"));
    }

    /// What a value may be, in words.
    fn value(&self, schema: &Value) -> String {
        if let Some(section) = self.sections.iter().find(|section| section.facts.schema() == *schema) {
            return link(section.title, section.title);
        }
        if let Some(title) = schema["title"].as_str() {
            return title.to_owned();
        }
        if *schema == StrategyName::schema() {
            return link("a strategy", "Strategies");
        }
        if *schema == case::oracle_schema() {
            return link("an oracle", "Oracles");
        }
        if schema["oneOf"] == advice_schema()["oneOf"] {
            return link("an advice", "Advice");
        }
        for (group, title) in [(Group::Platform, "Platform"), (Group::Design, "Design")] {
            if *schema == config::choices_schema(group) {
                return link("values by key", title);
            }
        }
        if schema["$ref"].is_string() {
            return link("an operation", "Operations");
        }
        if *schema == fields::checks_schema() {
            return link("a check", "Checks");
        }
        if let Some(value) = schema["const"].as_str() {
            return quote(value);
        }
        if let Some(names) = schema["enum"].as_array() {
            return one_of(names.iter().filter_map(Value::as_str), "or");
        }
        if options(schema).next().is_some() {
            return options(schema).map(|option| self.value(option)).collect::<Vec<_>>().join(", or ");
        }
        match (schema["type"].as_str(), &schema["minimum"], &schema["maximum"]) {
            (Some("integer"), least, _) if *least == json!(i64::MIN) => "an integer".to_owned(),
            (Some("integer"), least, most) => format!("an integer from {least} to {most}"),
            (Some("boolean"), ..) => "`true` or `false`".to_owned(),
            (Some("array"), ..) => {
                let least = if schema["minItems"] == json!(1) { " of at least one" } else { "" };
                format!("a list{least}; each is {}", self.value(&schema["items"]))
            }
            _ => unreachable!("the documentation has no words for {schema}"),
        }
    }
}

/// The alternatives of a schema.
fn options(schema: &Value) -> impl Iterator<Item = &Value> {
    ["anyOf", "oneOf"].into_iter().filter_map(|key| schema[key].as_array()).flatten()
}

/// A value that a schema allows for a field.
fn example(key: &str, schema: &Value) -> Value {
    let first = |key: &str| schema[key].as_array().and_then(|values| values.first());
    match (first("examples").or(first("enum")), &schema["const"], options(schema).next()) {
        (Some(value), ..) => value.clone(),
        (None, value, _) if !value.is_null() => value.clone(),
        (None, _, Some(option)) => example(key, option),
        (None, _, None) => match schema["type"].as_str() {
            Some("integer") => json!(schema["minimum"].as_i64().unwrap_or(0).max(0)),
            Some("boolean") => json!(true),
            Some("array") => json!([example(key, &schema["items"])]),
            _ => json!(key.to_uppercase()),
        },
    }
}

/// JSON on one line as people write it.
fn spaced(value: &Value) -> String {
    match value.as_array() {
        Some(items) => format!("[{}]", items.iter().map(spaced).collect::<Vec<_>>().join(", ")),
        None => value.to_string(),
    }
}

/// `a`, `b` or `c`.
fn one_of<'n>(names: impl Iterator<Item = &'n str>, word: &str) -> String {
    let mut names: Vec<String> = names.map(quote).collect();
    match names.pop() {
        Some(last) if !names.is_empty() => format!("{} {word} {last}", names.join(", ")),
        Some(last) => last,
        None => String::new(),
    }
}

fn link(text: &str, title: &str) -> String {
    format!("[{text}](#{})", title.to_lowercase().replace(' ', "-"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::{RUNS_TO_FIND, RUNS_TO_TRUST, RUNS_TO_VERIFY};
    use crate::json::decode;
    use crate::number::thousands;
    use crate::operation::Statement;
    use crate::scenario::{Check, MachineSpec, load};

    #[test]
    fn the_example_of_a_scenario_loads() {
        let scenario = load("example.json", EXAMPLE).unwrap_or_else(|errors| panic!("{errors}"));
        assert_eq!(scenario.cases.len(), 2);
    }

    #[test]
    fn every_example_is_what_it_is_an_example_of() {
        let page = document();
        let mut operations = 0;
        let (_, checks) = page.split_once("\n## Checks\n").expect("there is such a heading");
        let (checks, statements) = checks.split_once("\n## Operations\n").expect("there is such a heading");
        let examples = |text: &'static str| text.lines().filter(|line| line.starts_with(['{', '"']));
        for line in examples(checks.to_owned().leak()) {
            decode("example.json", line, Check::decode).unwrap_or_else(|errors| panic!("{errors}"));
        }
        for line in examples(statements.to_owned().leak()) {
            decode("example.json", line, Statement::decode).unwrap_or_else(|errors| panic!("{errors}"));
            operations += 1;
        }
        assert!(operations >= OPERATIONS.len(), "{operations} examples of {} operations", OPERATIONS.len());
    }

    #[test]
    fn defaults_are_as_told() {
        let section = |title| {
            let found = fields::SECTIONS.iter().chain(case::SECTIONS).chain(config::SECTIONS);
            found.into_iter().find(|section| section.title == title).expect("it is there")
        };
        let about = |title, key: &str| {
            let field = section(title).facts.fields.iter().find(|field| field.key == key);
            field.expect("it is there").about()
        };
        for runs in [RUNS_TO_FIND, RUNS_TO_TRUST, RUNS_TO_VERIFY] {
            assert!(about("Exploration", "runs").contains(&thousands(runs)), "{runs}");
        }
        let machine = MachineSpec::default();
        for (key, default) in [
            ("entries_per_table", machine.geometry.uniform().map_or(0, u64::from)),
            ("frames", machine.frames),
            ("refcount_bits", u64::from(machine.refcount_bits)),
        ] {
            let about = about("Machine", key);
            assert!(about.ends_with(&format!("; {default} if not given.")), "{about}");
        }
    }
}
