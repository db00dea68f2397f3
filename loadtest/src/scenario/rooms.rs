//! `rooms`: many rooms, each with members who take turns in talking; an open loop.

use anyhow::Result;
use serde::Serialize;

use super::audience::Audience;
use crate::peer::payload::What;
use crate::peer::{Pace, Payload, Plan, Senders};
use crate::report::Report;
use crate::run::{OPENING, Run, subscribe};
use crate::scenario::Scenario;
use crate::stats::Lane;

/// Connections are `rooms` times `members`.
#[derive(Debug, Clone, clap::Args, Serialize)]
pub struct Args {
    /// Rooms
    #[arg(long, default_value_t = 100)]
    pub rooms: usize,
    /// Members of each room
    #[arg(long, default_value_t = 10)]
    pub members: usize,
    /// Messages per second in each room
    #[arg(long, default_value_t = 5.0)]
    pub rate: f64,
    /// Durable posts instead of signals
    #[arg(long)]
    pub durable: bool,
    /// Size of a message's body
    #[arg(long, default_value_t = 100)]
    pub bytes: usize,
    /// Kind of the entities
    #[arg(long, default_value = "room")]
    pub kind: String,
}

impl Scenario for Args {
    const NAME: &'static str = "rooms";

    async fn run(self, run: Run) -> Result<Report> {
        let rooms =
            (0..self.rooms).map(|i| run.entity(&self.kind, i)).collect::<Result<Vec<_>>>()?;
        let count = self.rooms * self.members;
        let what = if self.durable { What::Post } else { What::Signal };
        let room_of = |member: usize| member / self.members.max(1);
        let members = run
            .open(count, OPENING, |i| (format!("member-{i}"), vec![subscribe(&rooms[room_of(i)])]))
            .await?;

        let (mut audience, mut senders) = (Audience::default(), Senders::default());
        let began = run.board.now_us() as f64;
        for opened in members {
            let index = opened.index;
            // Members of a room take turns, and rooms begin at different moments.
            let turn = (index % self.members) as f64 + room_of(index) as f64 / self.rooms as f64;
            let peer = audience.seat(&run, opened);
            let plan = Plan {
                payload: Payload::new(what, vec![rooms[room_of(index)].clone()], self.bytes),
                pace: Pace::open(began + turn * 1e6 / self.rate, self.rate / self.members as f64),
                in_flight: peer.limit(),
            };
            senders.start(index, peer, plan);
        }
        let window = run.window(Lane::Delivery).await?;
        let mut acked = 0;
        for sent in senders.stop().await? {
            acked += sent.acked.iter().sum::<u64>();
            sent.peer.into_iter().for_each(|peer| audience.spawn(peer.listen()));
        }
        // A signal does not come back to its sender; an event does.
        let each = if self.durable { self.members } else { self.members.saturating_sub(1) } as u64;
        audience.settle(&run, acked * each).await;

        let mut report = Report::new(&run, &self, window)?;
        let logs = self.durable.then_some(&rooms[..]);
        audience.tell(&run, &mut report, acked * each, logs, room_of).await?;
        Ok(report)
    }
}
