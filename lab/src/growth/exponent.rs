//! How fast a cost grows: the exponent `e` of `cost ~ size^e`. At 0 it does not grow; at 1 it grows
//! as the size does.

/// A size, and what something costs there.
pub type Point = (f64, f64);

/// Over all points: the slope of the line through the logarithms that has the least squares. None
/// where fewer than two sizes have a cost.
pub fn over_all(points: &[Point]) -> Option<f64> {
    let logs = logs(points);
    let n = logs.len() as f64;
    let (mean_x, mean_y) =
        (logs.iter().map(|p| p.0).sum::<f64>() / n, logs.iter().map(|p| p.1).sum::<f64>() / n);
    let (mut above, mut below) = (0.0, 0.0);
    for (x, y) in &logs {
        above += (x - mean_x) * (y - mean_y);
        below += (x - mean_x) * (x - mean_x);
    }
    (below > 0.0).then(|| above / below)
}

/// Between the last two points alone: a cost that begins to grow late, hides behind a constant one
/// over all.
pub fn of_last_step(points: &[Point]) -> Option<f64> {
    let logs = logs(points);
    over_all(&points[points.len().checked_sub(2)?..]).filter(|_| logs.len() == points.len())
}

/// What costs nothing has no logarithm.
fn logs(points: &[Point]) -> Vec<Point> {
    points
        .iter()
        .filter(|(size, cost)| *size > 0.0 && *cost > 0.0)
        .map(|(size, cost)| (size.ln(), cost.ln()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(cost: impl Fn(f64) -> f64) -> Vec<Point> {
        [10.0, 100.0, 1_000.0].map(|size| (size, cost(size))).to_vec()
    }

    fn close(found: Option<f64>, want: f64) -> bool {
        found.is_some_and(|found| (found - want).abs() < 1e-9)
    }

    #[test]
    fn powers_are_found() {
        for (exponent, factor) in [(0.0, 7.0), (1.0, 0.01), (2.0, 3.0), (-0.5, 100.0)] {
            let points = points(|size| factor * size.powf(exponent));
            assert!(
                close(over_all(&points), exponent) && close(of_last_step(&points), exponent),
                "{exponent}: {points:?}"
            );
        }
    }

    #[test]
    fn growth_that_begins_late_shows_in_the_last_step() {
        let points = points(|size| if size > 100.0 { 100.0 } else { 10.0 });
        assert!(close(over_all(&points), 0.5) && close(of_last_step(&points), 1.0), "{points:?}");
    }

    #[test]
    fn noise_is_averaged() {
        let points = [(1.0, 2.0), (10.0, 0.5), (100.0, 2.0)];
        assert!(close(over_all(&points), 0.0), "up and down is level");
    }

    #[test]
    fn nothing_is_made_up() {
        for points in
            [&[][..], &[(10.0, 1.0)], &[(10.0, 1.0), (10.0, 2.0)], &[(10.0, 1.0), (100.0, 0.0)]]
        {
            assert_eq!((over_all(points), of_last_step(points)), (None, None), "{points:?}");
        }
    }
}
