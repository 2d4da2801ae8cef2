//! JUnit's XML, as CI servers read it. It has times only if somebody asks for them. Without times, the same suite gives the
//! same bytes.

use std::time::Duration;

use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesEnd, BytesStart, BytesText, Event};

use super::{At, Outcome, Report, Status, Totals, word};
use crate::json::shown;
use crate::suite::plan::Plan;

/// JUnit's XML, which is written at the end.
#[derive(Debug, Default)]
pub struct Junit {
    plan: Option<Plan>,
    outcomes: Vec<Outcome>,
}

impl Report for Junit {
    fn item(&mut self, at: At<'_>, outcome: &Outcome) -> String {
        self.plan.get_or_insert_with(|| at.plan.clone());
        self.outcomes.push(outcome.clone());
        String::new()
    }

    fn end(&mut self, _: &Totals) -> String {
        let mut xml = Writer::new_with_indent(Vec::new(), b' ', 2);
        self.write(&mut xml).expect("a vector takes all that is written");
        String::from_utf8(xml.into_inner()).expect("what was text is text") + "\n"
    }
}

/// The element that an outcome adds to a test case, if it adds one.
fn element(status: Status) -> Option<&'static str> {
    match status {
        Status::Passed => None,
        Status::Failed | Status::UnexpectedPass => Some("failure"),
        Status::Inconclusive | Status::Error => Some("error"),
        Status::ExpectedFailure | Status::Skipped | Status::NotReached | Status::Elsewhere => Some("skipped"),
    }
}

impl Junit {
    fn write(&self, xml: &mut Writer<Vec<u8>>) -> std::io::Result<()> {
        xml.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
        xml.write_event(Event::Start(start("testsuites", &[("name", "mmsim")], &self.outcomes)))?;
        let mut rest = &self.outcomes[..];
        for group in self.plan.iter().flat_map(|plan| &plan.groups) {
            let (outcomes, others) = rest.split_at(group.items.len().min(rest.len()));
            rest = others;
            xml.write_event(Event::Start(start("testsuite", &[("name", &group.name)], outcomes)))?;
            for (item, outcome) in group.items.iter().zip(outcomes) {
                let case = [("name", item.name.as_str()), ("classname", &group.name)];
                write_case(xml, timed(start("testcase", &case, &[]), outcome.time), outcome)?;
            }
            xml.write_event(Event::End(BytesEnd::new("testsuite")))?;
        }
        xml.write_event(Event::End(BytesEnd::new("testsuites")))
    }
}

fn write_case(xml: &mut Writer<Vec<u8>>, case: BytesStart<'_>, outcome: &Outcome) -> std::io::Result<()> {
    let Some(element) = element(outcome.status) else {
        return xml.write_event(Event::Empty(case));
    };
    let first = outcome.what.lines().next().unwrap_or_default();
    let message = match outcome.status {
        Status::Failed | Status::Error | Status::Skipped => first.to_owned(),
        status => format!("{}: {first}", word(status)),
    };
    xml.write_event(Event::Start(case))?;
    let mut start = BytesStart::new(element);
    start.push_attribute(("message", allowed(&message).as_str()));
    if element != "skipped" {
        start.push_attribute(("type", word(outcome.status)));
    }
    let mut lines: Vec<String> = outcome.what.lines().map(str::to_owned).collect();
    lines.extend(outcome.details.iter().map(|(name, value)| format!("{name}: {value}")));
    if lines.len() == 1 {
        xml.write_event(Event::Empty(start))?;
    } else {
        xml.write_event(Event::Start(start))?;
        xml.write_event(Event::Text(BytesText::new(&allowed(&lines.join("\n")))))?;
        xml.write_event(Event::End(BytesEnd::new(element)))?;
    }
    xml.write_event(Event::End(BytesEnd::new("testcase")))
}

/// An element with its attributes. If it has outcomes, it also has the number of each status.
fn start(element: &'static str, attributes: &[(&str, &str)], outcomes: &[Outcome]) -> BytesStart<'static> {
    let mut start = BytesStart::new(element);
    for (name, value) in attributes {
        start.push_attribute((*name, allowed(value).as_str()));
    }
    if element != "testcase" {
        let of = |wanted| outcomes.iter().filter(|outcome| element_is(outcome, wanted)).count().to_string();
        start.push_attribute(("tests", outcomes.len().to_string().as_str()));
        start.push_attribute(("failures", of("failure").as_str()));
        start.push_attribute(("errors", of("error").as_str()));
        start.push_attribute(("skipped", of("skipped").as_str()));
        let times: Vec<Duration> = outcomes.iter().filter_map(|outcome| outcome.time).collect();
        return timed(start, (!times.is_empty()).then(|| times.iter().sum()));
    }
    start
}

/// An element with how long it took, in seconds.
fn timed(mut start: BytesStart<'static>, time: Option<Duration>) -> BytesStart<'static> {
    if let Some(time) = time {
        start.push_attribute(("time", format!("{:.3}", time.as_secs_f64()).as_str()));
    }
    start
}

fn element_is(outcome: &Outcome, wanted: &str) -> bool {
    element(outcome.status) == Some(wanted)
}

/// Text with lines and tabs. Any other character that nobody sees is shown as its number, because XML cannot write all of
/// them.
fn allowed(text: &str) -> String {
    text.split_inclusive(['\n', '\t'])
        .map(|part| {
            let end = part.len() - usize::from(part.ends_with(['\n', '\t']));
            shown(&part[..end]) + &part[end..]
        })
        .collect()
}
