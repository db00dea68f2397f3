//! `fanout`: one publisher, many subscribers in one room; an open loop.

use anyhow::Result;
use serde::Serialize;

use super::audience::Audience;
use crate::peer::payload::What;
use crate::peer::{Pace, Payload, Peer, Plan, Senders};
use crate::report::Report;
use crate::run::{OPENING, Run, subscribe};
use crate::scenario::Scenario;
use crate::stats::Lane;

/// Deliveries per second are `subscribers` times `rate`.
#[derive(Debug, Clone, clap::Args, Serialize)]
pub struct Args {
    /// Subscribers in the room
    #[arg(long, default_value_t = 1000)]
    pub subscribers: usize,
    /// Messages per second
    #[arg(long, default_value_t = 100.0)]
    pub rate: f64,
    /// Durable posts instead of signals
    #[arg(long)]
    pub durable: bool,
    /// Size of a message's body
    #[arg(long, default_value_t = 100)]
    pub bytes: usize,
    /// Kind of the entity
    #[arg(long, default_value = "room")]
    pub kind: String,
}

impl Scenario for Args {
    const NAME: &'static str = "fanout";

    async fn run(self, run: Run) -> Result<Report> {
        let room = run.entity(&self.kind, "fanout")?;
        let mut audience = Audience::default();
        audience.listen(
            &run,
            run.open(self.subscribers, OPENING, |i| {
                (format!("listener-{i}"), vec![subscribe(&room)])
            })
            .await?,
        );

        let publisher = run.open_patiently(0, "publisher", Vec::new()).await?;
        let publisher = Peer::new(publisher.conn, run.board.clone(), None);
        let what = if self.durable { What::Post } else { What::Signal };
        let plan = Plan {
            payload: Payload::new(what, vec![room.clone()], self.bytes),
            pace: Pace::open(run.board.now_us() as f64, self.rate),
            in_flight: publisher.limit(),
        };
        let mut senders = Senders::default();
        senders.start(0, publisher, plan);
        let window = run.window(Lane::Delivery).await?;
        let acked: u64 = senders.stop().await?.iter().flat_map(|sent| &sent.acked).sum();
        let expected = acked * self.subscribers as u64;
        audience.settle(&run, expected).await;

        let mut report = Report::new(&run, &self, window)?;
        let logs = self.durable.then_some(std::slice::from_ref(&room));
        audience.tell(&run, &mut report, expected, logs, |_| 0).await?;
        Ok(report)
    }
}
