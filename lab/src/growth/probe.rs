//! The probes: a few messages at a rate, or a few requests one after the other.

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use super::bench::Bench;
use crate::raw::{Dialect, Shape, Stage, Trial};
use greenroom_loadtest::stats::latency::histogram;

/// What share of the deliveries must arrive: signals may be dropped.
const ARRIVES: f64 = 0.99;
/// Rooms of the probe that is made beside whatever grows.
const ROOMS: usize = 10;
/// Members of each where signals are sent; posts go to rooms where nobody listens.
const MEMBERS: usize = 10;
/// Unanswered posts of each sender.
const IN_FLIGHT: usize = 64;

/// Figures by their names, each with its unit.
pub type Figures = BTreeMap<&'static str, f64>;

/// What something cost each time.
#[derive(Debug, Clone, Copy)]
pub struct Cost {
    /// CPU of the server in microseconds.
    pub us: f64,
    /// 99 in a hundred took at most so many milliseconds.
    pub p99_ms: f64,
}

/// What an op cost at a rate.
#[derive(Debug, Clone, Copy)]
pub struct Ops {
    /// Each one.
    pub cost: Cost,
    /// How many shared a commit: on a machine that is busy with other things they have to wait for
    /// one another.
    pub per_commit: f64,
}

/// Rooms with a sender each.
pub fn shape(rooms: usize, members: usize, bytes: usize) -> Shape {
    Shape { rooms, members, senders: rooms, bytes, in_flight: IN_FLIGHT, at_once: 64 }
}

impl Bench<'_> {
    /// What a message costs for each delivery, or for its acknowledgement where nobody listens.
    pub async fn messages(
        &self,
        dialect: Dialect,
        run: &str,
        shape: Shape,
        rate: f64,
    ) -> Result<Cost> {
        let (mut stage, _) = Stage::set(&self.host(dialect), shape, run).await?;
        let trial = stage.trial(rate, self.args.warmup.0, self.args.duration.0).await?;
        stage.clear().await;
        complete(&trial, dialect)?;
        let (count, latency) = if shape.members > 0 {
            (trial.arrived, &trial.delivery)
        } else {
            (trial.answered, &trial.ack)
        };
        let cpu_s = trial.server_cpu_s.context("the server's CPU time is not known")?;
        Ok(Cost { us: cpu_s * 1e6 / count.max(1) as f64, p99_ms: latency.p99_us as f64 / 1000.0 })
    }

    /// Posts to the first rooms of `run`, where nobody listens.
    pub async fn ops(&self, run: &str, rooms: usize) -> Result<Ops> {
        let before = self.commits().await?;
        let cost = self
            .messages(Dialect::Posts, run, shape(rooms, 0, self.args.bytes), self.args.rate)
            .await?;
        let after = self.commits().await?;
        Ok(Ops { cost, per_commit: (after.0 - before.0) / (after.1 - before.1).max(1.0) })
    }

    /// How many ops were committed so far, and in how many transactions.
    async fn commits(&self) -> Result<(f64, f64)> {
        Ok((
            self.metric("greenroom_commit_batch_ops_sum").await?,
            self.metric("greenroom_commit_batch_ops_count").await?,
        ))
    }

    /// The probe that is made beside whatever grows: posts, then signals, in a few rooms.
    pub async fn beside(&self) -> Result<Figures> {
        let ops = self.ops("beside-ops", ROOMS).await?;
        let shape = shape(ROOMS, MEMBERS, self.args.bytes);
        let signals = self
            .messages(
                Dialect::Signals,
                "beside-signals",
                shape,
                self.args.deliveries / MEMBERS as f64,
            )
            .await?;
        Ok(Figures::from([
            ("µs/op", ops.cost.us),
            ("ops/commit", ops.per_commit),
            ("ack p99 ms", ops.cost.p99_ms),
            ("µs/delivery", signals.us),
            ("delivery p99 ms", signals.p99_ms),
            ("resident MiB", self.memory().await?),
        ]))
    }

    /// What a request costs of which `times` are made, one after the other.
    pub async fn requests(
        &self,
        times: u64,
        mut ask: impl AsyncFnMut(u64) -> Result<()>,
    ) -> Result<Cost> {
        let asking = async {
            let mut latency = histogram();
            for index in 0..times {
                let began = Instant::now();
                ask(index).await?;
                latency.saturating_record((began.elapsed().as_micros() as u64).max(1));
            }
            Ok(latency)
        };
        let (latency, us) = self.spent(asking).await?;
        Ok(Cost {
            us: us / times.max(1) as f64,
            p99_ms: latency.value_at_quantile(0.99) as f64 / 1000.0,
        })
    }
}

/// Whether a trial is one that can be told.
fn complete(trial: &Trial, dialect: Dialect) -> Result<()> {
    let Trial { gone, complaints, .. } = trial;
    ensure!(
        *gone == 0 && complaints.is_empty(),
        "{gone} connections were lost; complaints: {complaints:?}"
    );
    let (deliveries, answers) =
        (trial.expected, if dialect.acknowledges() { trial.due } else { 0 });
    for (came, wanted, what) in
        [(trial.delivery.count, deliveries, "deliveries"), (trial.ack.count, answers, "answers")]
    {
        ensure!(came as f64 >= wanted as f64 * ARRIVES, "only {came} of {wanted} {what} came");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::raw::stage::Host;
    use greenroom_loadtest::client::Tokens;
    use greenroom_loadtest::fake::{Fake, Fault};

    async fn trial(fault: Fault, dialect: Dialect) -> Trial {
        let fake = Fake::start(fault).await;
        let host = Host { address: fake.address(), dialect, pid: None, tokens: Tokens::Anonymous };
        let (mut stage, _) =
            Stage::set(&host, shape(1, 2, 100), "test").await.expect("everybody is let in");
        let trial = stage
            .trial(200.0, Duration::from_millis(20), Duration::from_millis(200))
            .await
            .expect("it can be made");
        stage.clear().await;
        trial
    }

    #[tokio::test]
    async fn only_what_came_whole_is_told() {
        for dialect in [Dialect::Signals, Dialect::Posts] {
            let trial = trial(Fault::None, dialect).await;
            complete(&trial, dialect).expect("nothing is missing");
        }
        for fault in [Fault::Drop(20), Fault::RateLimit, Fault::HangUp(20)] {
            let trial = trial(fault, Dialect::Posts).await;
            assert!(complete(&trial, Dialect::Posts).is_err(), "{fault:?}: {trial:?}");
        }
    }
}
