//! One session's life: it enters its room, hears what is said there and in the hot one, and either
//! talks or comes and goes.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use futures_util::FutureExt;
use greenroom_protocol::codec::ServerMessage;
use greenroom_protocol::params::{Presence, PresenceAction, Subscribe};
use greenroom_protocol::results::Subscribed;
use greenroom_protocol::{Call, RawJson};
use tokio::sync::{OwnedSemaphorePermit, mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until};

use super::stage::{Phase, Stage, Stream};
use crate::scenario::presence::mirror::Meta;
use greenroom_loadtest::client::{Conn, Failure, Who};
use greenroom_loadtest::glimpse::{Glimpse, Seen};
use greenroom_loadtest::peer::payload::What;
use greenroom_loadtest::peer::{Answered, Asked, Pending};
use greenroom_loadtest::run::subscribe;
use greenroom_loadtest::stats::Lane;

/// Frames that are taken before the other direction has its turn.
const BATCH: usize = 64;

/// Whose turn a request was.
const SIGNAL: usize = 0;
const POST: usize = 1;
const ENTER: usize = 2;

/// Its seats: in its own room, and in the hot one.
const OWN: usize = 0;
const HOT: usize = 1;

/// A session that is connected.
struct Member<'a> {
    stage: &'a Stage,
    index: usize,
    conn: Conn,
    pending: Pending,
    /// When the server wants to hear more, in microseconds of the board.
    not_before: u64,
}

/// What a session is told to do.
pub enum Part {
    /// To talk when the others do: its turn among them, and what they do.
    Talk(usize, watch::Receiver<Phase>),
    /// To leave with each order, and come back.
    ComeAndGo(mpsc::Receiver<()>),
}

/// Lives until its part ends; `entering` is held until it is connected. Failures are counted on the
/// board by name.
pub async fn live(stage: Arc<Stage>, index: usize, entering: OwnedSemaphorePermit, part: Part) {
    let life = async {
        let member = Member::enter(&stage, index, None, stage.run.board.now_us()).await?;
        drop(entering);
        match part {
            Part::Talk(turn, phases) => member.talk(turn, phases).await,
            Part::ComeAndGo(orders) => member.come_and_go(orders).await,
        }
    };
    if let Err(failure) = life.await {
        stage.run.board.error(&failure.code());
        stage.counts.failed.fetch_add(1, Relaxed);
    }
}

impl<'a> Member<'a> {
    /// Connects, goes on where it was, and asks to be let in; `due` is when it was meant to come.
    async fn enter(
        stage: &'a Stage,
        index: usize,
        client: Option<String>,
        due: u64,
    ) -> Result<Self, Failure> {
        let board = &stage.run.board;
        let mut subscriptions: Vec<Subscribe> = Vec::with_capacity(2);
        for (room, seat) in stage.follows(index) {
            let after = seat.lock().expect("no holder panics").position();
            subscriptions.push(Subscribe { after, ..subscribe(&stage.rooms[room]) });
        }
        subscriptions[OWN].presence = true;
        let (conn, subscribed) = loop {
            let (user, client) = (format!("member-{index}"), client.clone());
            let who = Who { user, client, number: index, ..Who::default() };
            match Conn::open(&stage.run.target, who, subscriptions.clone()).await {
                Ok(opened) => break opened,
                Err(failure) => match failure.retry_after() {
                    Some(wait) => {
                        board.error(&failure.code());
                        sleep(wait.mul_f64(1.0 + fastrand::f64())).await;
                    }
                    None => return Err(failure),
                },
            }
        };
        board.record(Lane::Connect, due);
        let m = u32::try_from(index).expect("there are fewer sessions than 2^32");
        stage.people.write().expect("no holder panics").insert(conn.hello.user.clone(), m);
        let mut member = Self { stage, index, conn, pending: Pending::default(), not_before: 0 };
        member.seat(&subscribed)?;
        let t = board.now_us();
        let meta = Some(RawJson::from_value(&Meta { m, t }).expect("it serializes"));
        let room = stage.rooms[stage.cast[index].room].clone();
        let call = Call::Presence(Presence { entity: room, action: PresenceAction::Enter, meta });
        member.ask(&call, Asked { intended: t, turn: ENTER });
        member.conn.flush().await?;
        Ok(member)
    }

    /// Takes what the subscriptions answered.
    fn seat(&self, subscribed: &[Subscribed]) -> Result<(), Failure> {
        for ((_, seat), answer) in self.stage.follows(self.index).zip(subscribed) {
            seat.lock().expect("no holder panics").subscribed(answer);
        }
        let list = subscribed.first().and_then(|answer| answer.presence.as_ref());
        let list =
            list.ok_or_else(|| Failure::NotUnderstood("the answer has no `presence`".into()))?;
        self.stage.mirrors[self.index]
            .lock()
            .expect("no holder panics")
            .list(list)
            .map_err(not_understood)
    }

    /// Talks while all do, until nobody is left to say so.
    async fn talk(
        mut self,
        turn: usize,
        mut phases: watch::Receiver<Phase>,
    ) -> Result<(), Failure> {
        let mut streams: Vec<Stream> = Vec::new();
        let mut timer = Box::pin(sleep_until(Instant::now()));
        loop {
            self.send_due(&mut streams).await?;
            let next =
                streams.iter().map(|stream| stream.pace.next()).min().filter(|_| self.may_ask());
            if let Some(next) = next {
                let wake =
                    Instant::from_std(self.stage.run.board.instant(next.max(self.not_before)));
                if timer.deadline() != wake {
                    timer.as_mut().reset(wake);
                }
            }
            tokio::select! {
                biased;
                changed = phases.changed() => {
                    let Ok(()) = changed else { return Ok(()) };
                    streams = match *phases.borrow_and_update() {
                        Phase::Talk { from_us } => self.stage.streams(turn, self.stage.cast[self.index].room, from_us),
                        Phase::Gather | Phase::Listen => Vec::new(),
                    };
                }
                frame = self.conn.next() => self.hear_all(&frame?)?,
                () = &mut timer, if next.is_some() => {}
            }
        }
    }

    /// Leaves when it is told to, and comes back after a while.
    async fn come_and_go(mut self, mut orders: mpsc::Receiver<()>) -> Result<(), Failure> {
        loop {
            let order = tokio::select! {
                biased;
                // Who has not been let in yet cannot leave.
                order = orders.recv(), if self.pending.count() == 0 => order,
                frame = self.conn.next() => {
                    self.hear_all(&frame?)?;
                    continue;
                }
            };
            let Some(()) = order else { return Ok(()) };
            let Self { stage, index, mut conn, .. } = self;
            let client = conn.hello.client.clone();
            conn.close().await?;
            let due = stage.run.board.now_us() + stage.load.away.micros();
            sleep_until(Instant::from_std(stage.run.board.instant(due))).await;
            self = Self::enter(stage, index, Some(client), due).await?;
        }
    }

    /// Whether one more request may wait for its answer.
    fn may_ask(&self) -> bool {
        self.pending.count() < self.conn.hello.limits.max_in_flight as usize
    }

    /// Sends what is due of all its streams.
    async fn send_due(&mut self, streams: &mut [Stream]) -> Result<(), Failure> {
        let (board, counts) = (&self.stage.run.board, &self.stage.counts);
        let now = board.now_us();
        let mut queued = false;
        for stream in streams {
            while now >= self.not_before && self.may_ask() {
                let Some(intended) = stream.pace.due(now) else { break };
                let (turn, sent) = if stream.what == What::Signal {
                    (SIGNAL, &counts.signals)
                } else {
                    (POST, &counts.posts)
                };
                self.ask(&stream.payload.next(intended).1, Asked { intended, turn });
                sent.fetch_add(1, Relaxed);
                board.sent();
                queued = true;
            }
        }
        if queued {
            self.conn.flush().await?;
        }
        Ok(())
    }

    fn ask(&mut self, call: &Call, asked: Asked) {
        let id = self.conn.feed(call);
        self.pending.add(id, asked);
        self.stage.counts.unanswered.fetch_add(1, Relaxed);
    }

    /// Takes a frame, and those that are here already.
    fn hear_all(&mut self, first: &[u8]) -> Result<(), Failure> {
        self.hear(first)?;
        for _ in 1..BATCH {
            let Some(frame) = self.conn.next().now_or_never() else { break };
            self.hear(&frame?)?;
        }
        Ok(())
    }

    fn hear(&mut self, frame: &[u8]) -> Result<(), Failure> {
        let board = &self.stage.run.board;
        let mut glimpse = Glimpse::new(self.conn.codec());
        let (lane, t) = match glimpse.look(frame).map_err(Failure::NotUnderstood)? {
            Seen::Event { seq, t } => {
                let hot =
                    self.stage.cast[self.index].hot && is_about(frame, self.stage.hot().as_str());
                let (seat, lane) = if hot { (HOT, Lane::Hot) } else { (OWN, Lane::Post) };
                self.stage.seats[self.index][seat].lock().expect("no holder panics").event(seq);
                (lane, t)
            }
            Seen::Signal { t } => (Lane::Signal, t),
            Seen::Other(ServerMessage::Notification { method, params }) if method == "presence" => {
                return self.told(params.parse().map_err(not_understood)?);
            }
            Seen::Other(ServerMessage::Notification { method, .. }) => {
                // A reset, or a goodbye: neither belongs into a load test.
                board.error(&method);
                return Ok(());
            }
            Seen::Done(id) => {
                let answered = self.pending.done(id);
                return self.answered(answered);
            }
            Seen::Other(answer) => {
                let answered = self.pending.answer(answer);
                return self.answered(answered);
            }
        };
        board.count(Lane::Delivery);
        match t {
            Some(t) => board.record(lane, t),
            None => board.count(lane),
        }
        Ok(())
    }

    /// Takes what is told of who is here.
    fn told(&self, change: greenroom_protocol::notify::PresenceChange) -> Result<(), Failure> {
        let stage = self.stage;
        let people = stage.people.read().expect("no holder panics");
        let heard = stage.mirrors[self.index]
            .lock()
            .expect("no holder panics")
            .hear(change, &people)
            .map_err(not_understood)?;
        // That it is here itself is no news.
        for meta in heard.joined.into_iter().filter(|meta| meta.m as usize != self.index) {
            stage.run.board.record(Lane::Told, meta.t);
        }
        Ok(())
    }

    fn answered(&mut self, answered: Answered) -> Result<(), Failure> {
        let (board, counts) = (&self.stage.run.board, &self.stage.counts);
        if !matches!(answered, Answered::Unasked | Answered::Refused(None, _)) {
            counts.unanswered.fetch_sub(1, Relaxed);
        }
        match answered {
            Answered::Done(Asked { turn: POST, intended }) => {
                board.record(Lane::Ack, intended);
                counts.acked[self.stage.cast[self.index].room].fetch_add(1, Relaxed);
            }
            Answered::Done(Asked { turn: ENTER, .. }) => drop(counts.away.fetch_sub(1, Relaxed)),
            Answered::Refused(Some(Asked { turn: ENTER, .. }), error) => {
                return Err(Failure::Refused(error));
            }
            Answered::Refused(_, error) => {
                board.error(error.data.code.as_str());
                let wait = error.data.retry_after_ms.map_or(0, |ms| board.now_us() + ms * 1000);
                self.not_before = self.not_before.max(wait);
            }
            // That a signal was taken does not say that anybody has it.
            Answered::Done(_) | Answered::Unasked => {}
        }
        Ok(())
    }
}

/// Whether a notification is about `entity`: in both codecs its name stands there as it is, in
/// front of what is variable in length.
fn is_about(frame: &[u8], entity: &str) -> bool {
    // The longest envelope, and the names of its first fields.
    const BEFORE: usize = 96;
    let head = &frame[..frame.len().min(BEFORE + entity.len())];
    head.windows(entity.len()).any(|window| window == entity.as_bytes())
}

fn not_understood(error: impl std::fmt::Display) -> Failure {
    Failure::NotUnderstood(error.to_string())
}
