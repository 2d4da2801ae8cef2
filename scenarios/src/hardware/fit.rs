//! Straight lines through measurements.

/// A straight line, and how far measurements are from it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Line {
    /// Its value at zero.
    pub base: f64,
    /// What each unit adds.
    pub slope: f64,
    /// The largest distance of a measurement from the line, as a part of the measurement.
    pub residual: f64,
}

impl Line {
    /// The line with the least squares of distances. `None`, if the points do not determine a line.
    pub fn through(points: &[(u64, u64)]) -> Option<Line> {
        let n = points.len() as f64;
        let mean = |of: fn(&(u64, u64)) -> u64| points.iter().map(|point| of(point) as f64).sum::<f64>() / n;
        let (mean_x, mean_y) = (mean(|point| point.0), mean(|point| point.1));
        let off = |&(x, y): &(u64, u64)| (x as f64 - mean_x, y as f64 - mean_y);
        let squares: f64 = points.iter().map(|point| off(point).0.powi(2)).sum();
        let products: f64 = points.iter().map(|point| off(point).0 * off(point).1).sum();
        if points.len() < 2 || squares == 0.0 {
            return None;
        }
        let slope = products / squares;
        let base = mean_y - slope * mean_x;
        let distance = |&(x, y): &(u64, u64)| (y as f64 - base - slope * x as f64).abs() / (y as f64).max(1.0);
        let residual = points.iter().map(distance).fold(0.0, f64::max);
        Some(Line { base, slope, residual })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_through_points_of_a_line() {
        let line = Line::through(&[(1, 130), (2, 160), (10, 400)]).expect("three places");
        assert!((line.base - 100.0).abs() < 1e-9 && (line.slope - 30.0).abs() < 1e-9, "{line:?}");
        assert!(line.residual < 1e-9, "{line:?}");
    }

    #[test]
    fn the_residual_is_a_part_of_the_measurement() {
        // The line is y = 100: one point is 10 above, two are 5 below.
        let line = Line::through(&[(0, 95), (1, 110), (2, 95)]).expect("three places");
        assert!((line.base - 100.0).abs() < 1e-9 && line.slope.abs() < 1e-9, "{line:?}");
        assert!((line.residual - 10.0 / 110.0).abs() < 1e-9, "{line:?}");
    }

    #[test]
    fn some_points_determine_no_line() {
        for points in [&[][..], &[(1, 5)], &[(1, 5), (1, 6)]] {
            assert_eq!(Line::through(points), None, "{points:?}");
        }
    }
}
