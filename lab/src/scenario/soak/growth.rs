//! Whether something grows over a run: the last third of its samples against the first.

/// What the samples of the first and the last third come to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Thirds {
    /// The first third.
    pub first: f64,
    /// The last third.
    pub last: f64,
}

impl Thirds {
    /// Each third summed up by `sum`; nothing where there are fewer than three samples.
    pub fn of(samples: &[f64], sum: fn(&[f64]) -> f64) -> Option<Self> {
        let third = samples.len() / 3;
        (third > 0).then(|| Self {
            first: sum(&samples[..third]),
            last: sum(&samples[samples.len() - third..]),
        })
    }

    /// By how much the last third is above the first, in percent of the first.
    pub fn growth_percent(self) -> Option<f64> {
        (self.first > 0.0).then(|| (self.last / self.first - 1.0) * 100.0)
    }
}

/// The mean: for what rises and falls again, such as memory and files.
pub fn mean(samples: &[f64]) -> f64 {
    samples.iter().sum::<f64>() / samples.len() as f64
}

/// The highest.
pub fn most(samples: &[f64]) -> f64 {
    samples.iter().copied().fold(f64::NEG_INFINITY, f64::max)
}

/// The middle one, the higher of two: for latencies, of which one bad moment says nothing about the
/// rest.
pub fn middle(samples: &[f64]) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thirds_are_compared() {
        let samples = [10.0, 12.0, 500.0, 0.0, 20.0, 30.0, 25.0];
        assert_eq!(Thirds::of(&samples, mean), Some(Thirds { first: 11.0, last: 27.5 }));
        let growth = Thirds::of(&samples, mean).and_then(Thirds::growth_percent);
        assert_eq!(growth, Some(150.0));
        assert_eq!(Thirds::of(&samples[..2], mean), None, "two samples have no thirds");
        let shrunk = Thirds::of(&[8.0, 9.0, 6.0], most).and_then(Thirds::growth_percent);
        assert_eq!(shrunk, Some(-25.0));
        assert_eq!(
            Thirds { first: 0.0, last: 1.0 }.growth_percent(),
            None,
            "from nothing there is no percentage"
        );
    }

    #[test]
    fn one_bad_moment_is_not_the_middle() {
        assert_eq!(middle(&[5.0, 900.0, 7.0]), 7.0);
        assert_eq!(most(&[5.0, 900.0, 7.0]), 900.0);
    }
}
