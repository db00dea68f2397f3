//! `burst`: opens many connections, which may enter presence, measures what they cost while idle,
//! and whether a burst of signals to all of them leaves anything behind.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use futures_util::{StreamExt, stream};
use greenroom_loadtest::common::{Common, Span};
use greenroom_loadtest::report::Report;
use greenroom_loadtest::run::{Opened, Run, Window, subscribe};
use greenroom_loadtest::scenario::Scenario;
use greenroom_loadtest::server::Setup;
use greenroom_loadtest::server_use::ServerUse;
use greenroom_loadtest::stats::Lane;
use greenroom_protocol::params::{Presence, PresenceAction};
use greenroom_protocol::results::PresenceList;
use greenroom_protocol::{Call, EntityId};
use serde::Serialize;
use tokio::time::sleep;

mod hall;

use hall::{Hall, Speech};

/// Every connection subscribes to one room.
#[derive(Debug, Clone, clap::Args, Serialize)]
pub struct Args {
    /// Connections to open
    #[arg(long, default_value_t = 5000)]
    pub connections: usize,
    /// Connections that are being opened at the same time
    #[arg(long, default_value_t = 64)]
    pub at_once: usize,
    /// Rooms over which they are spread
    #[arg(long, default_value_t = 100)]
    pub rooms: usize,
    /// Kind of the rooms
    #[arg(long, default_value = "room")]
    pub kind: String,
    /// Every session shows a token of its own, to a server that lets nobody in without one
    #[arg(long)]
    pub tokens: bool,
    /// Once all are open, every session enters its room's presence
    #[arg(long)]
    pub enter: bool,
    /// How long they idle, instead of `--duration`: all are pinged at about the same time, so best
    /// a multiple of the ping interval
    #[arg(long)]
    pub idle: Option<Span>,
    /// Bytes that every connection then receives, as signals to its room
    #[arg(long, default_value_t = 1 << 20)]
    pub burst: u64,
    /// Size of such a signal's body in bytes
    #[arg(long, default_value_t = 16 * 1024)]
    pub burst_signal: usize,
    /// How long all are idle after that, until memory is looked at again
    #[arg(long, default_value = "10s")]
    pub settle: Span,
}

impl Scenario for Args {
    const NAME: &'static str = "burst";

    /// A process may have 20,000 open files in many places, of which a server keeps 400 for itself.
    fn prepare(&mut self, common: &mut Common, setup: &mut Setup) -> Result<()> {
        setup.set("GREENROOM_SOCKET__MAX_CONNECTIONS", "19200");
        setup.set("GREENROOM_SOCKET__MAX_PENDING", "400");
        if self.tokens { greenroom_loadtest::tokens::demand(setup, common) } else { Ok(()) }
    }

    /// Runs it. The window is the idle time; the figures of opening and of the burst are beside it.
    async fn run(self, run: Run) -> Result<Report> {
        let run = Arc::new(run);
        let count = self.rooms.max(1);
        let rooms = (0..count).map(|i| run.entity(&self.kind, i)).collect::<Result<Vec<_>>>()?;
        // The rooms are woken first: their memory is not the connections'. Nor is that of those who
        // speak later.
        for (i, room) in rooms.iter().enumerate() {
            run.open_patiently(i, &format!("waker-{i}"), vec![subscribe(room)]).await?;
        }
        let speech = Speech::of(self.burst, self.burst_signal);
        let speakers = if speech.signals > 0 { count } else { 0 };
        let speakers =
            run.open(speakers, self.at_once, |i| (format!("speaker-{i}"), Vec::new())).await?;
        sleep(Duration::from_millis(500)).await;

        let before = run.source.snapshot().await?;
        run.board.open();
        let began = Instant::now();
        let who = |i: usize| (format!("idle-{i}"), vec![subscribe(&rooms[i % count])]);
        let opened = run.open(self.connections, self.at_once.max(1), who).await?;
        let opening_s = began.elapsed().as_secs_f64().max(1e-9);
        let opening = before.until(&run.source.snapshot().await?);
        let began = Instant::now();
        let members = opened.len();
        let opened = if self.enter { enter(&run, &self, opened, &rooms).await } else { opened };
        let entering_s = began.elapsed().as_secs_f64().max(1e-9);
        run.board.close();

        let errors_before: u64 = run.board.errors().values().sum();
        let (entered, hall) = (opened.len(), Hall::new(&opened, count, speech));
        let streams: Vec<_> = speakers.iter().map(|speaker| speaker.conn.stream()).collect();
        let mut listening = hall::listen(&run, opened, &hall);
        // Speakers answer pings.
        for speaker in speakers {
            let peer = greenroom_loadtest::peer::Peer::new(speaker.conn, run.board.clone(), None);
            listening.spawn(peer.listen());
        }
        run.progress.say("letting the server come to rest");
        sleep(run.common.warmup.0).await;
        let settled = run.source.snapshot().await?;
        run.progress.say("watching idle connections");
        let began = Instant::now();
        sleep(self.idle.unwrap_or(run.common.duration).0).await;
        let rested = run.source.snapshot().await?;
        let (idle, seconds) = (settled.until(&rested), began.elapsed().as_secs_f64());
        let burst = if speech.signals > 0 {
            let burst = hall::burst(&run, &streams, &rooms, &hall, speech).await;
            run.progress.say("letting the server come to rest again");
            sleep(self.settle.0).await;
            Some((burst, rested.until(&run.source.snapshot().await?)))
        } else {
            None
        };
        let later_errors = run.board.errors().values().sum::<u64>() - errors_before;

        let window = Window { seconds, server: idle.clone(), series: Vec::new() };
        let mut report = Report::new(&run, &self, window)?;
        let n = members.max(1) as f64;
        let growth = before.until(&settled);
        let each = |now: Option<f64>| {
            now.zip(growth.rss_before_bytes).map(|(now, before)| (now - before) / n)
        };
        let figures = &mut report.figures;
        figures.add("connections", members as f64);
        figures.add("connects_per_s", members as f64 / opening_s);
        figures.add_known("server_cpu_us_per_connect", opening.cpu_s.map(|s| s * 1e6 / n));
        if self.enter {
            figures.add("enters_per_s", entered as f64 / entering_s);
        }
        figures.add_known("server_bytes_per_connection", each(growth.rss_after_bytes));
        let idle_us = idle.cpu_s.map(|s| s * 1e6 / n / seconds.max(1e-9));
        figures.add_known("server_idle_cpu_us_per_connection_per_s", idle_us);
        if let Some((burst, ServerUse { rss_before_bytes, rss_after_bytes, .. })) = &burst {
            figures.add("burst_s", burst.took.as_secs_f64());
            figures.add("burst_deliveries", burst.deliveries as f64);
            figures.add("burst_bytes_per_connection", burst.least_bytes as f64);
            figures.add_known("server_bytes_per_connection_after_burst", each(*rss_after_bytes));
            let grown = rss_before_bytes.zip(*rss_after_bytes);
            let grown = grown.map(|(before, after)| (after / before - 1.0) * 100.0);
            figures.add_known("burst_growth_percent", grown);
        }
        report.expect_none((members - entered) as u64, "sessions could not enter");
        report.expect_none(later_errors, "idle connections were closed or failed");
        let short = burst.map_or(0, |(burst, _)| burst.short);
        report.expect_none(short, "connections did not receive all of the burst");
        Ok(report)
    }
}

/// Lets every session enter its room's presence; returns those that are in.
async fn enter(run: &Run, args: &Args, opened: Vec<Opened>, rooms: &[EntityId]) -> Vec<Opened> {
    run.progress.say(format!("{} sessions enter", opened.len()));
    let entering = opened.into_iter().map(|mut opened| async move {
        let entity = rooms[opened.index % rooms.len()].clone();
        let began = run.board.now_us();
        let call = Call::Presence(Presence { entity, action: PresenceAction::Enter, meta: None });
        match opened.conn.ask::<PresenceList>(&call).await {
            Ok(_) => {
                run.board.record(Lane::Presence, began);
                Some(opened)
            }
            Err(failure) => {
                run.board.error(&failure.code());
                None
            }
        }
    });
    let entered = stream::iter(entering).buffer_unordered(args.at_once.max(1));
    entered.filter_map(async |entered| entered).collect().await
}
