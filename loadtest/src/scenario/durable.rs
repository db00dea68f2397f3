//! `durable`: ops to many rooms or to one, as many as the server acknowledges (closed loop) or at a
//! rate (open loop).

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use super::audience;
use crate::peer::payload::What;
use crate::peer::{Pace, Payload, Peer, Plan, Senders};
use crate::report::Report;
use crate::run::{OPENING, Run};
use crate::scenario::Scenario;
use crate::stats::Lane;

/// Entities are spread over the senders.
#[derive(Debug, Clone, clap::Args, Serialize)]
pub struct Args {
    /// Entities that take ops
    #[arg(long, default_value_t = 64, conflicts_with = "hot")]
    pub rooms: usize,
    /// One entity for all senders
    #[arg(long)]
    pub hot: bool,
    /// Connections that send
    #[arg(long, default_value_t = 64)]
    pub senders: usize,
    /// Unanswered ops for each entity; with `--hot`, for each sender
    #[arg(long, default_value_t = 16)]
    pub in_flight: usize,
    /// Ops per second of all senders together, instead of as many as are acknowledged
    #[arg(long)]
    pub rate: Option<f64>,
    /// Kind of the entities
    #[arg(long, default_value = "room")]
    pub kind: String,
    /// The op: `post` for rooms, `increment` for documents
    #[arg(long, value_enum, default_value_t = Op::Post)]
    pub op: Op,
    /// Size of a post's body
    #[arg(long, default_value_t = 100)]
    pub bytes: usize,
}

/// The durable ops that can be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Op {
    /// A message to a room.
    Post,
    /// An increment of a document's number.
    Increment,
}

impl Scenario for Args {
    const NAME: &'static str = "durable";

    async fn run(self, run: Run) -> Result<Report> {
        let rooms = if self.hot { 1 } else { self.rooms };
        if rooms == 0 || self.senders == 0 {
            bail!("there must be at least one room and one sender");
        }
        let entities = (0..rooms).map(|i| run.entity(&self.kind, i)).collect::<Result<Vec<_>>>()?;
        let opened =
            run.open(self.senders, OPENING, |i| (format!("sender-{i}"), Vec::new())).await?;

        let mut senders = Senders::default();
        // Sender i has the rooms i, i + senders, ...; with more senders than rooms, several have
        // the same.
        let rooms_of = |sender: usize| {
            let last = if rooms >= self.senders { rooms } else { sender % rooms + 1 };
            (sender % rooms..last).step_by(self.senders)
        };
        let began = run.board.now_us() as f64;
        for opened in opened {
            let (index, peer) = (opened.index, Peer::new(opened.conn, run.board.clone(), None));
            let wanted = if self.hot {
                self.in_flight
            } else {
                (self.in_flight * rooms.max(self.senders) / self.senders).max(1)
            };
            let limit = peer.limit();
            if wanted > limit {
                bail!(
                    "{wanted} unanswered ops a sender are more than the {limit} that the server allows; use more `--senders`"
                );
            }
            let pace = match self.rate {
                None => Pace::Closed,
                Some(rate) => {
                    Pace::open(began + index as f64 * 1e6 / rate, rate / self.senders as f64)
                }
            };
            let what = if self.op == Op::Post { What::Post } else { What::Increment };
            let mine = rooms_of(index).map(|room| entities[room].clone()).collect();
            let plan =
                Plan { payload: Payload::new(what, mine, self.bytes), pace, in_flight: wanted };
            senders.start(index, peer, plan);
        }
        let window = run.window(Lane::Ack).await?;
        let mut acked = vec![0u64; rooms];
        for sent in senders.stop().await? {
            rooms_of(sent.index).zip(sent.acked).for_each(|(room, count)| acked[room] += count);
        }

        let mut report = Report::new(&run, &self, window)?;
        let states = audience::ends(&run, &entities).await?;
        // What was sent and not acknowledged may have happened or not; what was acknowledged has.
        let (mut missing, mut extra) = (0, 0);
        for (state, acked) in states.iter().zip(&acked) {
            let has = match self.op {
                Op::Post => state.seq.get(),
                Op::Increment => {
                    state.state.parse::<Counter>().context("the document has no number `n`")?.n
                }
            };
            missing += acked.saturating_sub(has);
            extra += has.saturating_sub(*acked);
        }
        let unknown = run.board.sent_ever() - run.board.ever(Lane::Ack);
        report.figures.add("unacknowledged", unknown as f64);
        report.expect_none(missing, "acknowledged ops are not in the state");
        report.expect_none(
            extra.saturating_sub(unknown),
            "ops happened more often than they were sent",
        );
        Ok(report)
    }
}

#[derive(Deserialize)]
struct Counter {
    #[serde(default)]
    n: u64,
}
