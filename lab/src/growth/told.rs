//! What was measured, as tables.

use std::collections::BTreeMap;

use super::axis::{Axis, Group};
use super::exponent::{self, Point};
use super::probe::Figures;
use crate::compare::{median, spread};
use greenroom_loadtest::report::plot::Plot;
use greenroom_loadtest::report::sheet::{Row, Sheet};

/// Above this an exponent counts as worse than linear; what lies between is noise.
const LINEAR: f64 = 1.1;
/// The columns of the table of exponents.
const COLUMNS: [&str; 5] = [
    "at the smallest",
    "at the largest",
    "exponent",
    "of the last tenfold",
    "highest round over lowest",
];
const EXPONENT: usize = 2;
const OF_LAST_STEP: usize = 3;

/// By axis and size, one entry a round.
pub type Measured = BTreeMap<(Axis, u64), Vec<Figures>>;

/// For each axis, one table for each unit, the medians of each size, and the plots of those tables
/// that are drawn.
pub fn sheets(measured: &Measured) -> (Vec<Sheet>, Vec<Plot>) {
    let (mut sheets, mut plots) = (Vec::new(), Vec::new());
    for axis in measured_axes(measured) {
        for group in axis.groups() {
            let sheet = sheet(measured, axis, group);
            if group.2 {
                plots.push(sheet.plot());
            }
            sheets.push(sheet);
        }
    }
    (sheets, plots)
}

fn sheet(measured: &Measured, axis: Axis, (title, columns, _): &Group) -> Sheet {
    let sizes: Vec<_> =
        measured.keys().filter(|(of, _)| *of == axis).map(|(_, size)| *size).collect();
    let row = |size: &u64| {
        let figures = columns.iter().map(|column| median(values(measured, axis, *size, column)));
        let times = sizes.first().map_or(1, |first| size / first);
        Row {
            name: format!("×{times}"),
            figures: std::iter::once(Some(*size as f64)).chain(figures).collect(),
        }
    };
    Sheet {
        title: format!("{}: {title}", axis.name()),
        columns: std::iter::once(axis.unit())
            .chain(columns.iter().copied())
            .map(str::to_owned)
            .collect(),
        rows: sizes.iter().map(row).collect(),
    }
}

/// How fast each figure grows.
pub fn exponents(measured: &Measured) -> Sheet {
    let figures = |axis: Axis| {
        axis.groups()
            .iter()
            .flat_map(|(_, columns, _)| columns.iter())
            .map(move |column| (axis, *column))
    };
    let row = |(axis, column): (Axis, &str)| {
        let sizes = measured.keys().filter(|(of, _)| *of == axis).map(|(_, size)| *size);
        let rounds: Vec<_> =
            sizes.map(|size| (size, values(measured, axis, size, column))).collect();
        let points: Vec<Point> = rounds
            .iter()
            .filter_map(|(size, values)| Some((*size as f64, median(values.clone())?)))
            .collect();
        let figures = vec![
            points.first().map(|point| point.1),
            points.last().map(|point| point.1),
            exponent::over_all(&points),
            exponent::of_last_step(&points),
            // The worst of all sizes: a difference between two sizes that is no larger means
            // nothing.
            rounds.iter().filter_map(|(_, values)| spread(values)).reduce(f64::max),
        ];
        Row { name: format!("{}: {column}", axis.name()), figures }
    };
    Sheet {
        title: "growth".into(),
        columns: COLUMNS.map(str::to_owned).to_vec(),
        rows: measured_axes(measured).flat_map(figures).map(row).collect(),
    }
}

/// How many figures of a table of exponents grow faster than the size, over all or in the last
/// step.
pub fn worse_than_linear(exponents: &Sheet) -> usize {
    let worse = |row: &&Row| {
        [EXPONENT, OF_LAST_STEP]
            .iter()
            .any(|column| row.figures[*column].is_some_and(|exponent| exponent > LINEAR))
    };
    exponents.rows.iter().filter(worse).count()
}

fn measured_axes(measured: &Measured) -> impl Iterator<Item = Axis> {
    Axis::ALL.into_iter().filter(|axis| measured.keys().any(|(of, _)| of == axis))
}

/// What the rounds measured.
fn values(measured: &Measured, axis: Axis, size: u64, column: &str) -> Vec<f64> {
    measured
        .get(&(axis, size))
        .into_iter()
        .flatten()
        .filter_map(|round| round.get(column).copied())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three rounds at 10, 100 and 1,000 members: signals cost the same at each, posts the more the
    /// more there are, squared.
    fn measured() -> Measured {
        let round = |size: u64, noise: f64| {
            Figures::from([
                ("µs/delivery of signals", 5.0 * noise),
                ("µs/delivery of posts", (size * size) as f64),
                ("posts p99 ms", 1.0),
            ])
        };
        [10, 100, 1_000]
            .map(|size| {
                ((Axis::Room, size), [1.0, 0.8, 2.0].map(|noise| round(size, noise)).to_vec())
            })
            .into()
    }

    #[test]
    fn a_table_has_a_row_for_each_size() {
        let (sheets, plots) = sheets(&measured());
        assert!(!plots.is_empty());
        assert_eq!(
            sheets.len(),
            Axis::Room.groups().len(),
            "axes that were not measured have none"
        );
        let want = "\
| room: server CPU | members | µs/delivery of signals | µs/delivery of posts |
|---|--:|--:|--:|
| ×1               |      10 |                      5 |                  100 |
| ×10              |     100 |                      5 |               10,000 |
| ×100             |   1,000 |                      5 |            1,000,000 |
";
        assert_eq!(sheets[0].text(), want);
    }

    #[test]
    fn exponents_and_how_much_they_mean() {
        let sheet = exponents(&measured());
        let row = |name: &str| {
            &sheet.rows.iter().find(|row| row.name == name).expect("every figure has a row").figures
        };
        assert_eq!(
            row("room: µs/delivery of signals")[..],
            [Some(5.0), Some(5.0), Some(0.0), Some(0.0), Some(2.5)]
        );
        assert!(
            row("room: µs/delivery of posts")[EXPONENT]
                .is_some_and(|exponent| (exponent - 2.0).abs() < 1e-9)
        );
        assert_eq!(row("room: signals p99 ms")[..], [None; 5], "what was not measured is not told");
        assert_eq!(worse_than_linear(&sheet), 1);
    }
}
