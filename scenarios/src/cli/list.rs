//! `mmsim list`, `mmsim describe` and `mmsim schema`.

use sim_gup::CATALOGUE;
use sim_mm::{Choices, Group, Release, Settings};

use super::output::{HEAD, styled};
use super::{Exit, Failure, Output};
use crate::library;
use crate::operation::Statement;
use crate::scenario::{self, Expect, KernelSpec, MachineSpec, Scenario};
use crate::table::{Side, Table};

/// Lists the library by topic.
pub(crate) fn list(output: &mut Output) -> Result<Exit, Failure> {
    let entries = library::entries();
    let names = entries.iter().map(|entry| entry.name.len()).max().unwrap_or(0);
    let mut documents = Vec::new();
    for topic in entries.chunk_by(|one, next| one.topic == next.topic) {
        output.text(&styled(HEAD, topic[0].topic));
        let mut table = Table::new(2, [Side::Left, Side::Left]).first_at_least(names);
        for entry in topic {
            let scenario = library::open(entry.name).map_err(Failure::bad_input)?.scenario;
            documents.push(serde_json::json!({
                "topic": entry.topic, "name": entry.name, "about": scenario.about,
                "cases": scenario.cases.iter().map(|case| &case.name).collect::<Vec<_>>(),
            }));
            table.row([entry.name.to_owned(), scenario.about]);
        }
        table.wrapped(output.width()).iter().for_each(|line| output.text(line));
    }
    output.json(&serde_json::Value::Array(documents));
    Ok(Exit::AsExpected)
}

#[derive(Debug, clap::Args)]
pub(crate) struct DescribeArgs {
    /// A scenario: the path of a file, or a name that `mmsim list` shows.
    scenario: String,
}

/// Describes a scenario.
pub(crate) fn describe(args: &DescribeArgs, output: &mut Output) -> Result<Exit, Failure> {
    let loaded = library::open(&args.scenario).map_err(Failure::bad_input)?;
    let scenario = &loaded.scenario;
    output.text(&styled(HEAD, &scenario.name));
    if !scenario.about.is_empty() {
        output.text(&scenario.about);
    }
    output.text("");
    if let Some(history) = history(scenario) {
        output.text(&history);
    }
    let kernel = scenario.kernel.resolve();
    output.text(&machine(scenario.machine, kernel.version));
    output.text(&format!("kernel: {}{}", kernel.version, changes(&scenario.kernel)));
    for process in &scenario.processes {
        output.text(&format!("process {}:{}", process.name, if process.setup.is_empty() { " empty" } else { "" }));
        operations(&process.setup, output);
    }
    for thread in &scenario.threads {
        output.text(&format!("thread {} of {} on CPU {}:", thread.name, thread.process, thread.cpu));
        operations(&thread.run, output);
    }
    output.text("cases:");
    for case in &scenario.cases {
        let expect = match &case.expect {
            Expect::NoViolation => "no violation".to_owned(),
            Expect::Violation { any_of, routine } => {
                let place = routine.as_ref().map_or_else(String::new, |routine| format!(" in {routine}"));
                any_of.join(" or ") + &place
            }
        };
        let on = chosen(Group::Platform, &case.machine.platform);
        output.text(&format!("  {}: {expect}{}{on}", case.name, changes(&case.kernel)));
        if let Some(about) = &case.about {
            output.text(&format!("    {about}"));
        }
    }
    let document = serde_json::from_str(&loaded.text).map_err(Failure::bad_input)?;
    output.json(&document);
    Ok(Exit::AsExpected)
}

fn history(scenario: &Scenario) -> Option<String> {
    let history = &scenario.history;
    let mut parts = Vec::new();
    parts.extend(history.cve.clone());
    parts.extend(history.since.as_ref().map(|since| format!("since {since}")));
    parts.extend(history.release.as_ref().map(|release| format!("fixed in {release}")));
    if !history.commits.is_empty() {
        parts.push(format!("commits {}", history.commits.join(", ")));
    }
    (!parts.is_empty()).then(|| format!("history: {}", parts.join("; ")))
}

fn machine(machine: MachineSpec, version: Release) -> String {
    format!(
        "machine: {} CPUs, {} frames, {} entries a table{}",
        machine.cpus,
        machine.frames,
        machine.geometry,
        unusual(Group::Platform, &CATALOGUE.platform(version, &machine.platform))
    )
}

/// `, KEY VALUE` of every setting of a group that is not what it usually is.
fn unusual(group: Group, settings: &Settings) -> String {
    let unusual = CATALOGUE.settings_of(group).filter(|setting| settings.place(*setting) != 0);
    unusual.map(|setting| format!(", {} {}", setting.key, settings.name(setting))).collect()
}

/// `, KEY VALUE` of every setting of a group that was chosen.
fn chosen(group: Group, choices: &Choices) -> String {
    let settings = CATALOGUE.settings_of(group);
    let chosen = settings.filter_map(|setting| Some(format!(", {} {}", setting.key, choices.name(setting)?)));
    chosen.collect()
}

fn changes(kernel: &KernelSpec) -> String {
    let mut text = String::new();
    let mut say = |word: &str, what: String| text.push_str(&format!(", {word} {what}"));
    let keys = |list: &[sim_mm::Safeguard]| list.iter().map(|s| s.key).collect::<Vec<_>>().join(" ");
    if !kernel.without.is_empty() {
        say("without", keys(&kernel.without));
    }
    if !kernel.with.is_empty() {
        say("with", keys(&kernel.with));
    }
    text + &chosen(Group::Design, &kernel.design)
}

fn operations(statements: &[Statement], output: &mut Output) {
    for statement in statements {
        output.text(&format!("  {statement}"));
    }
}

#[derive(Debug, clap::Args)]
pub(crate) struct SchemaArgs {
    /// Prints the documentation of the format in Markdown, instead of the schema for editors and other tools.
    #[arg(long)]
    markdown: bool,
}

/// Prints the schema of scenario files, or their documentation.
pub(crate) fn schema(args: &SchemaArgs, output: &mut Output) -> Result<Exit, Failure> {
    if args.markdown {
        output.part(&scenario::document());
        return Ok(Exit::AsExpected);
    }
    let schema = scenario::schema();
    output.text(&format!("{schema:#}"));
    output.json(&schema);
    Ok(Exit::AsExpected)
}
