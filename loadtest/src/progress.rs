//! What is shown while a run goes on: on a terminal only.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::stats::Sample;

/// One line on standard error.
#[derive(Clone)]
pub struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// Shown where standard error is a terminal and `wanted`.
    pub fn new(scenario: &str, wanted: bool) -> Self {
        let shown = wanted && std::io::stderr().is_terminal();
        let target =
            if shown { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let style =
            ProgressStyle::with_template("{spinner} {prefix:.bold} {elapsed_precise} {msg}")
                .expect("the template is a constant");
        let bar = ProgressBar::with_draw_target(None, target)
            .with_style(style)
            .with_prefix(scenario.to_owned());
        if shown {
            bar.enable_steady_tick(Duration::from_millis(200));
        }
        Self { bar }
    }

    pub fn say(&self, message: impl Into<String>) {
        self.bar.set_message(message.into());
    }

    /// Shows the last second.
    pub fn sample(&self, sample: &Sample) {
        let mut parts = Vec::new();
        for (rate, what) in [
            (sample.deliveries_per_s, "deliveries/s"),
            (sample.acks_per_s, "acks/s"),
            (sample.connects_per_s, "connections/s"),
        ] {
            if rate > 0.0 {
                parts.push(format!("{rate:.0} {what}"));
            }
        }
        if let (Some(p50), Some(p99)) = (sample.p50_us, sample.p99_us) {
            parts.push(format!(
                "p50 {:.2} ms, p99 {:.2} ms",
                p50 as f64 / 1000.0,
                p99 as f64 / 1000.0
            ));
        }
        self.say(parts.join(", "));
    }

    pub fn done(&self) {
        self.bar.finish_and_clear();
    }
}
