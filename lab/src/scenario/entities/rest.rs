//! Waiting until entities sleep: through the server's metric, or, where that is not known, for a
//! time.

use std::time::Duration;

use anyhow::Result;
use tokio::time::{Instant, sleep};

use greenroom_loadtest::run::Run;

/// How often the metric is read; reading it costs the server something.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Of those awake, the share that has fallen asleep when it has begun.
const BEGUN: f64 = 0.01;

/// Knows how many are awake when nothing goes on.
#[derive(Debug, Clone, Copy)]
pub struct Rest {
    level: Option<f64>,
    patience: Duration,
}

impl Rest {
    /// Those who are awake now are so for ever, or do not count, and neither do `more` who will be.
    /// `patience`: for how long the metric may stand still; without one, how long to wait.
    pub async fn begin(run: &Run, more: u64, patience: Duration) -> Result<Self> {
        Ok(Self { level: awake(run).await?.map(|awake| awake + more as f64), patience })
    }

    /// Waits until the first of those who are awake fall asleep; without the metric for `or`.
    pub async fn until_begun(&self, run: &Run, or: Duration) -> Result<()> {
        let Some(now) = awake(run).await? else {
            sleep(or).await;
            return Ok(());
        };
        let others = now - self.level.unwrap_or(0.0);
        self.until(run, now - others * BEGUN).await.map(drop)
    }

    /// Waits until all sleep again; tells how many do not, as far as is known.
    pub async fn until_asleep(&self, run: &Run) -> Result<u64> {
        match self.level {
            Some(level) => self.until(run, level).await,
            None => {
                sleep(self.patience).await;
                Ok(0)
            }
        }
    }

    /// Waits until at most `most` are awake, or their number stands still for too long; tells how
    /// many are too many.
    async fn until(&self, run: &Run, most: f64) -> Result<u64> {
        let (mut fewest, mut since) = (f64::INFINITY, Instant::now());
        loop {
            let awake = awake(run).await?.unwrap_or(0.0);
            if awake <= most {
                return Ok(0);
            }
            if awake < fewest {
                (fewest, since) = (awake, Instant::now());
            }
            if since.elapsed() >= self.patience {
                return Ok((awake - most).ceil() as u64);
            }
            sleep(LOOK_EVERY).await;
        }
    }
}

/// How many entities are awake, where the server's metrics are known.
pub async fn awake(run: &Run) -> Result<Option<f64>> {
    Ok(run.source.snapshot().await?.metric("greenroom_entities_awake"))
}
