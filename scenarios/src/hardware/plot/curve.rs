//! One curve over a logarithmic axis. Vertical lines say what happens there.

use svg::node::element::Group;

use super::paper::{HEIGHT, LEFT, WIDTH, curve, line, sheet, short, text, tick_step};

/// What is plotted.
#[derive(Clone, Debug)]
pub struct Plot {
    /// The headline.
    pub title: String,
    /// A line below it.
    pub subtitle: String,
    /// The label of the horizontal axis.
    pub x: String,
    /// The text below a number of that axis, if there is one.
    pub below: fn(u64) -> String,
    /// What the vertical axis shows.
    pub y: String,
    /// The label of the vertical axis on the right, which has another unit, and the factor between the units.
    pub right: (String, f64),
    /// The points of the curve. Their first values rise, and none is zero.
    pub points: Vec<(u64, f64)>,
    /// The vertical lines.
    pub marks: Vec<Mark>,
}

/// A vertical line.
#[derive(Clone, Debug)]
pub struct Mark {
    /// Its place on the horizontal axis.
    pub at: u64,
    /// What it is.
    pub label: String,
    /// Whether it is of the kind that the plot shows above all.
    pub main: bool,
}

const RIGHT: f64 = 70.0;
const TOP: f64 = 116.0;
const BOTTOM: f64 = 76.0;

/// Rows of labels of marks, and the distance between them.
const ROWS: usize = 2;
const ROW: f64 = 18.0;

/// About the width of a letter.
const LETTER: f64 = 9.0;

/// Where a value goes on the paper.
struct Scale {
    from: f64,
    to: f64,
    top: f64,
}

impl Scale {
    fn x(&self, value: u64) -> f64 {
        let width = (self.to - self.from).max(1e-9);
        LEFT + ((value as f64).log2() - self.from) / width * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, value: f64) -> f64 {
        HEIGHT - BOTTOM - value / self.top * (HEIGHT - TOP - BOTTOM)
    }
}

impl Plot {
    /// The document, as text.
    pub fn svg(&self) -> String {
        let first = self.points.first().map_or(1, |point| point.0);
        let last = self.points.last().map_or(2, |point| point.0).max(first + 1);
        let highest = self.points.iter().map(|point| point.1).fold(0.0, f64::max);
        let step = tick_step(highest);
        let scale = Scale {
            from: (first as f64).log2(),
            to: (last as f64).log2(),
            top: ((highest * 1.02 / step).ceil() * step).max(step),
        };
        sheet(&self.title, &self.subtitle)
            .add(self.vertical_axis(&scale, step))
            .add(self.horizontal_axis(&scale, first, last))
            .add(self.marks(&scale, first, last))
            .add(self.curve(&scale))
            .to_string()
            + "\n"
    }

    fn vertical_axis(&self, scale: &Scale, step: f64) -> Group {
        let (left, right) = (LEFT, WIDTH - RIGHT);
        let (unit, factor) = &self.right;
        let mut axis = Group::new().add(text(left - 8.0, TOP - 14.0, "end", "small", &self.y)).add(text(
            right + 8.0,
            TOP - 14.0,
            "start",
            "small",
            unit,
        ));
        let ticks = (scale.top / step).round() as u32;
        for tick in 0..=ticks {
            let value = f64::from(tick) * step;
            let y = scale.y(value);
            axis = axis
                .add(line((left, y), (right, y), if tick == 0 { "axis" } else { "grid" }))
                .add(text(left - 8.0, y + 4.0, "end", "tick", &short(value, 2)))
                .add(text(right + 8.0, y + 4.0, "start", "tick", &short(value * factor, 1)));
        }
        axis
    }

    fn horizontal_axis(&self, scale: &Scale, first: u64, last: u64) -> Group {
        let bottom = HEIGHT - BOTTOM;
        let middle = f64::midpoint(LEFT, WIDTH - RIGHT);
        let mut axis = Group::new().add(text(middle, HEIGHT - 14.0, "middle", "small", &self.x));
        let powers = (first.next_power_of_two().ilog2()..=last.ilog2()).map(|bit| 1_u64 << bit);
        // Two numbers below one another are about 60 wide.
        let each = (60.0 / (scale.x(2 * first) - scale.x(first))).ceil().max(1.0) as usize;
        for (i, power) in powers.enumerate() {
            let x = scale.x(power);
            axis = axis.add(line((x, TOP), (x, bottom), "grid"));
            if i % each != 0 {
                continue;
            }
            axis = axis.add(text(x, bottom + 18.0, "middle", "tick", &power.to_string())).add(text(
                x,
                bottom + 34.0,
                "middle",
                "tick",
                &(self.below)(power),
            ));
        }
        axis
    }

    /// Labels that would overlap stand in different rows.
    fn marks(&self, scale: &Scale, first: u64, last: u64) -> Group {
        let mut marks: Vec<&Mark> = self.marks.iter().filter(|mark| (first..=last).contains(&mark.at)).collect();
        marks.sort_by_key(|mark| mark.at);
        let mut taken: Vec<(usize, f64, f64)> = Vec::new();
        let mut group = Group::new();
        for mark in marks {
            let x = scale.x(mark.at);
            let width = LETTER * mark.label.chars().count() as f64 + 12.0;
            let at_the_end = x + width > WIDTH - 8.0;
            let (anchor, dx, from) = if at_the_end { ("end", -4.0, x - width) } else { ("start", 4.0, x) };
            let is_free = |row: &usize| {
                taken.iter().all(|(other, start, end)| other != row || from + width < *start || *end < from)
            };
            let row = (0..ROWS).find(is_free).unwrap_or(ROWS - 1);
            taken.push((row, from, from + width));
            let y = TOP - 14.0 - ROW * (ROWS - 1 - row) as f64;
            group = group
                .add(line((x, y - 12.0), (x, HEIGHT - BOTTOM), if mark.main { "mark" } else { "other" }))
                .add(text(x + dx, y, anchor, if mark.main { "marked" } else { "small" }, &mark.label));
        }
        group
    }

    fn curve(&self, scale: &Scale) -> Group {
        let places: Vec<(f64, f64)> = self.points.iter().map(|(x, y)| (scale.x(*x), scale.y(*y))).collect();
        let says = self.points.iter().map(|(x, y)| format!("{x} {}: {y:.2} {}", self.x, self.y));
        curve(0, "none", &places, says)
    }
}
