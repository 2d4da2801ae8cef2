//! What every plot has: the paper, its words and lines, and the numbers of its axes.
//!
//! A plot is readable on light and on dark ground. Everybody can tell blue and vermilion apart. Curves and lines of one
//! colour differ by their dashes.

use svg::Document;
use svg::node::element::{Circle, Group, Line, Polyline, Rectangle, Style, Text, Title};

pub(super) const WIDTH: f64 = 960.0;
pub(super) const HEIGHT: f64 = 540.0;
/// Where the axes begin.
pub(super) const LEFT: f64 = 70.0;

const STYLE: &str = "
text { font: 14px system-ui, 'DejaVu Sans', sans-serif; fill: #1f2328; }
.title { font-size: 20px; font-weight: 600; }
.small, .tick { font-size: 12px; fill: #59636e; }
.paper { fill: #ffffff; }
.grid { stroke: #d8dee4; stroke-width: 1; }
.axis { stroke: #59636e; stroke-width: 1; }
.curve { fill: none; stroke-width: 2; stroke-linejoin: round; }
.c0 { stroke: #0072b2; }
.c1 { stroke: #d55e00; }
.p0 { fill: #0072b2; }
.p1 { fill: #d55e00; }
.mark { stroke: #d55e00; stroke-width: 1.5; stroke-dasharray: 7 4; }
.other { stroke: #59636e; stroke-width: 1; stroke-dasharray: 2 4; }
.marked { fill: #b54f00; font-weight: 600; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3; }
  .small, .tick { fill: #9198a1; }
  .paper { fill: #0d1117; }
  .grid { stroke: #2a313c; }
  .axis, .other { stroke: #9198a1; }
  .c0 { stroke: #56b4e9; }
  .c1, .mark { stroke: #ff9248; }
  .p0 { fill: #56b4e9; }
  .p1, .marked { fill: #ff9248; }
}
";

/// An empty sheet with a headline and a line below it.
pub(super) fn sheet(title: &str, subtitle: &str) -> Document {
    Document::new()
        .set("viewBox", (0, 0, WIDTH as u32, HEIGHT as u32))
        .set("width", WIDTH)
        .set("height", HEIGHT)
        .set("role", "img")
        .add(Title::new(title))
        .add(Style::new(STYLE))
        .add(Rectangle::new().set("class", "paper").set("width", WIDTH).set("height", HEIGHT))
        .add(text(LEFT, 34.0, "start", "title", title))
        .add(text(LEFT, 56.0, "start", "small", subtitle))
}

/// A curve through these places, with a point at each. The point has a text that says what it is.
pub(super) fn curve(
    colour: usize,
    dashes: &str,
    places: &[(f64, f64)],
    says: impl Iterator<Item = String>,
) -> Group {
    let mut group = Group::new().add(polyline(colour, dashes, places));
    for ((x, y), says) in places.iter().zip(says) {
        let point = Circle::new()
            .set("class", format!("p{colour}"))
            .set("cx", format!("{x:.1}"))
            .set("cy", format!("{y:.1}"))
            .set("r", 2.5);
        group = group.add(point.add(Title::new(says)));
    }
    group
}

/// A curve without points.
pub(super) fn polyline(colour: usize, dashes: &str, places: &[(f64, f64)]) -> Polyline {
    let corners: Vec<String> = places.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
    Polyline::new()
        .set("class", format!("curve c{colour}"))
        .set("stroke-dasharray", dashes)
        .set("points", corners.join(" "))
}

pub(super) fn text(x: f64, y: f64, anchor: &str, class: &str, content: &str) -> Text {
    Text::new(content)
        .set("x", format!("{x:.1}"))
        .set("y", format!("{y:.1}"))
        .set("text-anchor", anchor)
        .set("class", class)
}

pub(super) fn line(from: (f64, f64), to: (f64, f64), class: &str) -> Line {
    Line::new()
        .set("x1", format!("{:.1}", from.0))
        .set("y1", format!("{:.1}", from.1))
        .set("x2", format!("{:.1}", to.0))
        .set("y2", format!("{:.1}", to.1))
        .set("class", class)
}

/// The distance of ticks: 1, 2 or 5 times a power of ten, so that there are four to ten.
pub(super) fn tick_step(highest: f64) -> f64 {
    let rough = (highest / 8.0).max(1e-3);
    let power = 10_f64.powf(rough.log10().floor());
    let factor = [1.0, 2.0, 5.0, 10.0].into_iter().find(|factor| factor * power >= rough);
    factor.unwrap_or(10.0) * power
}

/// The number at a tick, without zeros that say nothing.
pub(super) fn short(value: f64, digits: usize) -> String {
    let text = format!("{value:.digits$}");
    if !text.contains('.') {
        return text;
    }
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
