//! One member's life: it enters, hears of the others, and goes and comes back when it is told to.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use greenroom_protocol::codec::ServerMessage;
use greenroom_protocol::params::{EventPolicy, Presence, PresenceAction, SignalPolicy, Subscribe};
use greenroom_protocol::results::{PresenceList, Subscribed};
use greenroom_protocol::{Call, EntityId, RawJson, RequestId};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::sleep;

use super::mirror::{Meta, Mirror, People};
use greenroom_loadtest::client::{Conn, Failure, Who};
use greenroom_loadtest::run::Run;
use greenroom_loadtest::stats::Lane;

/// What all members share.
pub struct Stage {
    /// The run.
    pub run: Run,
    /// The room.
    pub room: EntityId,
    /// How long those who go stay away.
    pub away: Duration,
    /// Who is who.
    pub people: RwLock<People>,
    /// What each member believes.
    pub mirrors: Vec<Mutex<Mirror>>,
    /// Whose connection was lost the last time that it went: nobody may be told that it left.
    pub lost: Vec<AtomicBool>,
    /// Counters.
    pub counts: Counts,
}

/// What happened so far.
#[derive(Debug, Default)]
pub struct Counts {
    /// Members who are on their way out or back.
    pub away: AtomicUsize,
    /// Members whose connection failed.
    pub failed: AtomicU64,
    /// Bytes of presence notifications.
    pub bytes: AtomicU64,
    /// Sessions resumed.
    pub resumed: AtomicU64,
    /// Sessions that were not.
    pub not_resumed: AtomicU64,
    /// Times that somebody was told that a member had left whose session was resumed.
    pub flickers: AtomicU64,
}

/// What a member is told to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Close the connection, and enter again after a while.
    Go,
    /// Lose the connection, and resume the session after a while.
    Lose,
    /// Close the connection, and stay away.
    Leave,
}

/// Lives until the orders end; `entering` is held until it is in. Failures are counted on the board
/// by name.
pub async fn live(
    stage: Arc<Stage>,
    index: usize,
    entering: OwnedSemaphorePermit,
    mut orders: mpsc::Receiver<Order>,
) {
    if let Err(failure) = stay(&stage, index, entering, &mut orders).await {
        stage.run.board.error(&failure.code());
        stage.counts.failed.fetch_add(1, Relaxed);
    }
}

async fn stay(
    stage: &Stage,
    index: usize,
    entering: OwnedSemaphorePermit,
    orders: &mut mpsc::Receiver<Order>,
) -> Result<(), Failure> {
    let mut conn = stage.enter(index, None).await?;
    stage.counts.away.fetch_sub(1, Relaxed);
    drop(entering);
    loop {
        let order = tokio::select! {
            biased;
            order = orders.recv() => order,
            frame = conn.next() => {
                stage.take(&conn, index, &frame?)?;
                continue;
            }
        };
        let Some(order) = order else { return Ok(()) };
        stage.lost[index].store(order == Order::Lose, Relaxed);
        let (client, session) = (conn.hello.client.clone(), conn.hello.session.clone());
        match order {
            Order::Go | Order::Leave => conn.close().await?,
            Order::Lose => drop(conn),
        }
        if order == Order::Leave {
            stage.counts.away.fetch_sub(1, Relaxed);
            return Ok(());
        }
        sleep(stage.away).await;
        let session = (order == Order::Lose).then_some(session);
        conn = stage.enter(index, Some((client, session))).await?;
        stage.counts.away.fetch_sub(1, Relaxed);
    }
}

impl Stage {
    /// A stage for so many members; all are on their way.
    pub fn new(run: Run, room: EntityId, away: Duration, members: usize) -> Arc<Self> {
        let mirrors = (0..members).map(|_| Mutex::default()).collect();
        let lost = (0..members).map(|_| AtomicBool::new(false)).collect();
        let counts = Counts { away: AtomicUsize::new(members), ..Counts::default() };
        Arc::new(Self { run, room, away, people: RwLock::default(), mirrors, lost, counts })
    }

    /// Connects a member, enters, unless it has its place back, and subscribes.
    async fn enter(
        &self,
        index: usize,
        before: Option<(String, Option<String>)>,
    ) -> Result<Conn, Failure> {
        let (client, session) =
            before.map_or((None, None), |(client, session)| (Some(client), session));
        let resumes = session.is_some();
        let mut conn = loop {
            let began = self.run.board.now_us();
            let who = Who {
                user: format!("member-{index}"),
                client: client.clone(),
                session: session.clone(),
                number: index,
                ..Who::default()
            };
            match Conn::open(&self.run.target, who, Vec::new()).await {
                Ok((conn, _)) => {
                    self.run.board.record(Lane::Connect, began);
                    break conn;
                }
                Err(failure) => {
                    sleep(failure.retry_after().ok_or(failure)?.mul_f64(1.0 + fastrand::f64()))
                        .await;
                }
            }
        };
        let m = u32::try_from(index).expect("there are fewer members than 2^32");
        self.people.write().expect("no holder panics").insert(conn.hello.user.clone(), m);
        if resumes {
            let outcome =
                if conn.hello.resumed { &self.counts.resumed } else { &self.counts.not_resumed };
            outcome.fetch_add(1, Relaxed);
        }
        if !conn.hello.resumed {
            let t = self.run.board.now_us();
            let meta = Some(RawJson::from_value(&Meta { m, t }).expect("it serializes"));
            conn.ask::<PresenceList>(&Call::Presence(Presence {
                entity: self.room.clone(),
                action: PresenceAction::Enter,
                meta,
            }))
            .await?;
            self.run.board.record(Lane::Presence, t);
        }
        self.subscribe(&mut conn, index).await?;
        Ok(conn)
    }

    /// Nothing is told before the answer, and nothing after it may be missed.
    async fn subscribe(&self, conn: &mut Conn, index: usize) -> Result<(), Failure> {
        let (entity, events, signals) = (self.room.clone(), EventPolicy::None, SignalPolicy::None);
        let asked = conn.feed(&Call::Subscribe(Subscribe {
            entity,
            after: None,
            events,
            signals,
            presence: true,
        }));
        conn.flush().await?;
        loop {
            let frame = conn.next().await?;
            match conn.codec().decode_server(&frame)? {
                ServerMessage::Result { id, result } if id == RequestId::Number(asked) => {
                    let subscribed: Subscribed = result.parse().map_err(not_understood)?;
                    let list = subscribed.presence.ok_or_else(|| {
                        Failure::NotUnderstood("the answer has no `presence`".into())
                    })?;
                    return self.mirrors[index]
                        .lock()
                        .expect("no holder panics")
                        .list(&list)
                        .map_err(not_understood);
                }
                ServerMessage::Error { error, .. } => return Err(Failure::Refused(error)),
                _ => {}
            }
        }
    }

    /// Takes a notification.
    fn take(&self, conn: &Conn, index: usize, frame: &[u8]) -> Result<(), Failure> {
        let ServerMessage::Notification { method, params } = conn.codec().decode_server(frame)?
        else {
            return Ok(());
        };
        if method != "presence" {
            self.run.board.error(&method);
            return Ok(());
        }
        self.run.board.count(Lane::Delivery);
        self.counts.bytes.fetch_add(frame.len() as u64, Relaxed);
        let change = params.parse().map_err(not_understood)?;
        let people = self.people.read().expect("no holder panics");
        let heard = self.mirrors[index]
            .lock()
            .expect("no holder panics")
            .hear(change, &people)
            .map_err(not_understood)?;
        for meta in heard.joined {
            self.run.board.record(Lane::Told, meta.t);
        }
        let flickers =
            heard.left.into_iter().filter(|left| self.lost[*left as usize].load(Relaxed)).count();
        self.counts.flickers.fetch_add(flickers as u64, Relaxed);
        Ok(())
    }
}

fn not_understood(error: impl std::fmt::Display) -> Failure {
    Failure::NotUnderstood(error.to_string())
}
