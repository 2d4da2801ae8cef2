//! The matrix as one HTML file, which needs nothing else.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use quick_xml::escape::escape;

use super::{Cell, Grid, Row};
use crate::number::thousands;

/// The file: a table for each topic, and below them the diagram of each violation, to which its cells are linked.
pub fn page(grid: &Grid<'_>, runs: u64) -> String {
    let mut diagrams = Diagrams::default();
    let mut body = String::new();
    for topic in grid.rows.chunk_by(|one, next| one.race.topic == next.race.topic) {
        body.push_str(&table(grid, topic, &mut diagrams));
    }
    let releases = match (grid.releases.first(), grid.releases.last()) {
        (Some(first), Some(last)) => format!("{first} to {last}"),
        _ => String::new(),
    };
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>Races by release</title>\n\
         <style>{STYLE}</style>\n</head>\n<body>\n<h1>Races by release</h1>\n\
         <p>{releases}. Each cell was explored with at most {} runs. <span class=\"hit\">#</span> the race, \
         <span class=\"other\">o</span> another violation, <span class=\"clean\">.</span> none; an empty cell cannot be run \
         in that release. A cell with a violation leads to its diagram.</p>\n{body}{}</body>\n</html>\n",
        thousands(runs),
        diagrams.sections
    )
}

const STYLE: &str = "\
:root{color-scheme:light dark}\
body{font:15px/1.45 system-ui,sans-serif;margin:1.5rem;max-width:100rem}\
table{border-collapse:collapse;margin:0 0 1.5rem}\
th,td{padding:.1rem .3rem;text-align:center;border:1px solid color-mix(in srgb,currentColor 18%,transparent)}\
th.name{text-align:left;font-weight:normal;white-space:nowrap}\
thead th{writing-mode:vertical-rl;font:12px ui-monospace,monospace}\
thead th.name{writing-mode:horizontal-tb}\
td,span{font-family:ui-monospace,monospace}\
td a{display:block;color:inherit;text-decoration:none}\
.hit{background:#c62828;color:#fff}.other{background:#ef6c00;color:#000}.clean{color:color-mix(in srgb,currentColor 55%,transparent)}\
pre{font:13px/1.3 ui-monospace,monospace;overflow-x:auto;padding:.8rem;border:1px solid color-mix(in srgb,currentColor 25%,transparent)}\
section:target pre{outline:2px solid #c62828}";

/// The diagrams, each once.
#[derive(Default)]
struct Diagrams {
    places: BTreeMap<String, usize>,
    sections: String,
}

impl Diagrams {
    /// The number of a diagram of a race. It is new if no cell had it before.
    fn place(&mut self, race: &str, release: &str, diagram: &str) -> usize {
        if let Some(place) = self.places.get(diagram) {
            return *place;
        }
        let place = self.places.len() + 1;
        self.places.insert(diagram.to_owned(), place);
        let (race, release, diagram) = (escape(race), escape(release), escape(diagram));
        writeln!(
            self.sections,
            "<section id=\"d{place}\"><h3>{race}, {release}</h3><pre>{diagram}</pre></section>"
        )
        .expect("a string takes all that is written");
        place
    }
}

fn table(grid: &Grid<'_>, rows: &[Row<'_>], diagrams: &mut Diagrams) -> String {
    let topic = match rows[0].race.topic {
        "" => "files",
        topic => topic,
    };
    let heads: String = grid.releases.iter().map(|release| format!("<th>{release}</th>")).collect();
    let mut text = format!(
        "<h2>{}</h2>\n<table>\n<thead><tr><th class=\"name\">race</th>{heads}</tr></thead>\n<tbody>\n",
        escape(topic)
    );
    for row in rows {
        let name = row.race.name();
        write!(
            text,
            "<tr><th class=\"name\" title=\"{}\">{}</th>",
            escape(&row.race.scenario.about),
            escape(&name)
        )
        .expect("a string takes all that is written");
        for (release, cell) in grid.releases.iter().zip(&row.cells) {
            text.push_str(&cell_of(&name, &release.to_string(), cell, diagrams));
        }
        text.push_str("</tr>\n");
    }
    text.push_str("</tbody>\n</table>\n");
    text
}

fn cell_of(race: &str, release: &str, cell: &Cell, diagrams: &mut Diagrams) -> String {
    let mark = cell.mark();
    match cell {
        Cell::NotThere(why) => format!("<td title=\"{release}: {}\"></td>", escape(why)),
        Cell::Clean(runs) => {
            format!(
                "<td class=\"clean\" title=\"{release}: no violation in {} runs\">{mark}</td>",
                thousands(*runs)
            )
        }
        Cell::Hit(hit) => {
            let class = if hit.is_known { "hit" } else { "other" };
            let title = format!("{release}: {}, after {} runs", escape(&hit.title), thousands(hit.runs));
            match &hit.diagram {
                None => format!("<td class=\"{class}\" title=\"{title}\">{mark}</td>"),
                Some(diagram) => {
                    let place = diagrams.place(race, release, diagram);
                    format!("<td class=\"{class}\" title=\"{title}\"><a href=\"#d{place}\">{mark}</a></td>")
                }
            }
        }
    }
}
