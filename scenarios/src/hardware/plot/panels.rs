//! Curves over linear axes, in two panels side by side.

use svg::node::element::Group;

use super::paper::{HEIGHT, LEFT, WIDTH, curve, line, polyline, sheet, short, text, tick_step};

/// What is drawn.
#[derive(Clone, Debug)]
pub struct Chart {
    /// The headline.
    pub title: String,
    /// A line below it.
    pub subtitle: String,
    /// The panels, which stand side by side.
    pub panels: [Panel; 2],
}

/// One pair of axes.
#[derive(Clone, Debug)]
pub struct Panel {
    /// What the horizontal axis counts.
    pub x: String,
    /// What the vertical axis shows.
    pub y: String,
    /// The curves. Both axes begin at zero.
    pub curves: Vec<Curve>,
}

/// One curve.
#[derive(Clone, Debug)]
pub struct Curve {
    /// What it is.
    pub label: String,
    /// The first or the second colour.
    pub colour: usize,
    /// Its points. Their first values rise.
    pub points: Vec<(u64, u64)>,
}

const TOP: f64 = 150.0;
const BOTTOM: f64 = 60.0;
const GAP: f64 = 80.0;
const RIGHT: f64 = 24.0;
const PANEL: f64 = (WIDTH - LEFT - GAP - RIGHT) / 2.0;

/// Rows of the legend, and the distance between them.
const ROWS: usize = 3;
const ROW: f64 = 18.0;

const DASHES: [&str; 3] = ["none", "7 4", "2 3"];

impl Chart {
    /// The document, as text.
    pub fn svg(&self) -> String {
        let [first, second] = &self.panels;
        sheet(&self.title, &self.subtitle).add(first.draw(LEFT)).add(second.draw(LEFT + PANEL + GAP)).to_string()
            + "\n"
    }
}

/// Where a value goes on the paper.
struct Scale {
    left: f64,
    /// The values at the right and upper ends.
    ends: (f64, f64),
}

impl Scale {
    fn x(&self, value: f64) -> f64 {
        self.left + value / self.ends.0 * PANEL
    }

    fn y(&self, value: f64) -> f64 {
        HEIGHT - BOTTOM - value / self.ends.1 * (HEIGHT - TOP - BOTTOM)
    }
}

impl Panel {
    fn draw(&self, left: f64) -> Group {
        let points = || self.curves.iter().flat_map(|curve| &curve.points);
        let most = |of: fn(&(u64, u64)) -> u64| points().map(of).max().unwrap_or(0).max(1) as f64;
        let (right, highest) = (most(|point| point.0), most(|point| point.1));
        let (x_step, y_step) = (tick_step(right).max(1.0), tick_step(highest));
        let scale = Scale { left, ends: (right, (highest * 1.02 / y_step).ceil() * y_step) };
        let mut group = Group::new().add(text(left - 8.0, TOP - 14.0, "end", "small", &self.y)).add(text(
            left + PANEL / 2.0,
            HEIGHT - 18.0,
            "middle",
            "small",
            &self.x,
        ));
        for value in ticks(scale.ends.1, y_step) {
            let y = scale.y(value);
            group = group
                .add(line((left, y), (left + PANEL, y), if value == 0.0 { "axis" } else { "grid" }))
                .add(text(left - 8.0, y + 4.0, "end", "tick", &short(value, 1)));
        }
        for value in ticks(right, x_step) {
            group = group.add(text(scale.x(value), HEIGHT - BOTTOM + 18.0, "middle", "tick", &short(value, 1)));
        }
        for (n, curve) in self.curves.iter().enumerate() {
            let of_this_colour = self.curves[..n].iter().filter(|other| other.colour == curve.colour).count();
            let dashes = DASHES[of_this_colour % DASHES.len()];
            group = group.add(curve.draw(&scale, dashes)).add(curve.key(left, n, dashes));
        }
        group
    }
}

fn ticks(end: f64, step: f64) -> impl Iterator<Item = f64> {
    (0..=(end / step).floor() as u32).map(move |tick| f64::from(tick) * step)
}

impl Curve {
    fn draw(&self, scale: &Scale, dashes: &str) -> Group {
        let place = |(x, y): &(u64, u64)| (scale.x(*x as f64), scale.y(*y as f64));
        let places: Vec<(f64, f64)> = self.points.iter().map(place).collect();
        let says = self.points.iter().map(|(at, value)| format!("{}: {at}, {value}", self.label));
        curve(self.colour, dashes, &places, says)
    }

    /// Its place in the legend, as number `n`.
    fn key(&self, left: f64, n: usize, dashes: &str) -> Group {
        let x = left + PANEL / 2.0 * (n / ROWS) as f64;
        let y = TOP - 72.0 + ROW * (n % ROWS) as f64;
        Group::new().add(polyline(self.colour, dashes, &[(x, y - 4.0), (x + 26.0, y - 4.0)])).add(text(
            x + 32.0,
            y,
            "start",
            "small",
            &self.label,
        ))
    }
}
