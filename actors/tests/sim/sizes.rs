//! The limits of a run, drawn from its seed. Small limits lead to more of the rare cases.

use std::num::{NonZeroU32, NonZeroU64};
use std::time::Duration;

use greenroom_actors::behaviour::room::RoomConfig;
use greenroom_actors::behaviour::{BehaviourConfig, BehaviourName};
use greenroom_actors::capability::Permissions;
use greenroom_actors::kind::{Kind, Kinds, Settings};
use greenroom_actors::limits::Rate;
use greenroom_protocol::EntityId;

const THREE: NonZeroU32 = NonZeroU32::new(3).unwrap();
/// A limit that no run reaches.
const AMPLE: usize = 1000;

#[derive(Debug, Clone, Copy)]
pub struct Sizes {
    pub workers: usize,
    pub directory: usize,
    pub relay: usize,
    pub journal: usize,
    pub inbox: usize,
    pub batch_ops: usize,
    pub batch_bytes: usize,
    pub outbox: usize,
    /// The capacity of a socket's buffer, in frames.
    pub link: usize,
    pub max_loading: usize,
    pub cold_starts: usize,
    /// The number of pages read at a time on a shard for `subscribe` and `history`.
    pub reads: usize,
    /// The share of the time in which paused subscriptions may read on, in percent.
    pub percent: u32,
    pub pending: usize,
    pub resume_events: u64,
    pub ring_events: usize,
    pub keep_events: Option<NonZeroU64>,
    pub dedupe_clients: usize,
    pub dedupe_ops: usize,
    pub max_present: usize,
    pub most_subscriptions: u32,
    pub most_in_flight: u32,
    /// In ms.
    pub presence_interval: u64,
    /// In ms.
    pub idle_timeout: u64,
    /// How long a lost session can be resumed, and (`grace`) stays present, in ms.
    pub window: u64,
    pub grace: u64,
    /// The total size of the outboxes of a thread.
    pub budget: usize,
    /// The rates of a connection, and of a user over all connections.
    pub requests: Rate,
    pub user: Rate,
    /// The rate at which a user may wake entities.
    pub wakes: Rate,
    /// The rate of an entity's ops.
    pub ops: Rate,
    /// The lifetime of tokens in ms, if they expire.
    pub token: Option<u64>,
    /// How often, out of 16, a commit or a read makes no progress although it could.
    pub slow: (u8, u8),
    /// Refusals in a second after which a connection is closed.
    pub abuse_after: u16,
}

impl Sizes {
    pub fn draw(rng: &mut fastrand::Rng) -> Self {
        let resume_events = rng.u64(3..20);
        // Half of the runs have windows that overflow.
        let window = |rng: &mut fastrand::Rng| if rng.bool() { AMPLE } else { rng.usize(1..4) };
        Self {
            workers: rng.usize(1..3),
            directory: rng.usize(2..40),
            relay: rng.usize(1..20),
            journal: rng.usize(2..40),
            inbox: rng.usize(1..20),
            batch_ops: rng.usize(1..10),
            batch_bytes: rng.usize(100..3000),
            outbox: rng.usize(200..3000),
            link: rng.usize(1..8),
            max_loading: rng.usize(1..4),
            cold_starts: rng.usize(1..3),
            reads: rng.usize(1..4),
            percent: if rng.u8(..4) == 0 { rng.u32(5..90) } else { 100 },
            pending: rng.usize(1..50),
            resume_events,
            ring_events: rng.usize(0..8),
            keep_events: if rng.bool() {
                None
            } else {
                NonZeroU64::new(resume_events + rng.u64(..5))
            },
            dedupe_clients: window(rng),
            dedupe_ops: window(rng),
            max_present: if rng.u8(..4) == 0 { rng.usize(1..4) } else { AMPLE },
            most_subscriptions: if rng.u8(..4) == 0 { rng.u32(1..4) } else { 16 },
            most_in_flight: rng.u32(4..17),
            presence_interval: rng.u64(..200),
            idle_timeout: rng.u64(..3) * rng.u64(..2000),
            window: rng.u64(..4) * 1300,
            grace: rng.u64(..4000),
            budget: if rng.bool() { usize::MAX } else { rng.usize(500..10_000) },
            requests: rate(rng),
            user: rate(rng),
            wakes: rate(rng),
            ops: rate(rng),
            token: rng.bool().then(|| rng.u64(200..2000)),
            slow: (rng.u8(..16), rng.u8(..16)),
            abuse_after: 100,
        }
    }

    /// The same for nodes of a cluster, which come to rest after all of these times have passed.
    pub fn in_cluster(self, rng: &mut fastrand::Rng) -> Self {
        Self {
            idle_timeout: rng.u64(..3) * rng.u64(..500),
            window: rng.u64(..3) * 500,
            grace: rng.u64(..1000),
            // At rest, only a ping and a probe wake a client: the answers to both may come before its
            // request.
            requests: Rate { burst: self.requests.burst.max(THREE), ..self.requests },
            ..self
        }
    }

    /// Bounds that a short run does not reach.
    pub fn roomy() -> Self {
        Self {
            workers: 2,
            directory: 40,
            relay: 20,
            journal: 40,
            inbox: 20,
            batch_ops: 10,
            batch_bytes: 3000,
            outbox: 3000,
            link: 8,
            max_loading: 4,
            cold_starts: 2,
            reads: 4,
            percent: 100,
            pending: 50,
            resume_events: 20,
            ring_events: 8,
            keep_events: None,
            dedupe_clients: AMPLE,
            dedupe_ops: AMPLE,
            max_present: AMPLE,
            most_subscriptions: 16,
            most_in_flight: 16,
            presence_interval: 0,
            idle_timeout: 2000,
            window: 3900,
            grace: 2000,
            budget: usize::MAX,
            requests: ample(),
            user: ample(),
            wakes: ample(),
            ops: ample(),
            token: None,
            slow: (0, 0),
            abuse_after: u16::MAX,
        }
    }

    /// Whether an entity can forget outcomes of ops in this run.
    pub fn forgets(&self) -> bool {
        self.dedupe_clients < AMPLE || self.dedupe_ops < AMPLE
    }

    pub fn kinds(self) -> Kinds {
        let settings = Settings {
            default_permissions: Permissions::NONE,
            anonymous_permissions: Permissions::NONE,
            max_body_bytes: 4096,
            ops_per_second: self.ops.per_second.get(),
            ops_burst: self.ops.burst.get(),
            resume_events: self.resume_events,
            ring_events: self.ring_events,
            ring_bytes: 2000,
            keep_events: self.keep_events,
            snapshot_every: 3,
            dedupe_clients: self.dedupe_clients,
            dedupe_ops: self.dedupe_ops,
            max_present: self.max_present,
            presence_interval: Duration::from_millis(self.presence_interval),
            idle_timeout: Duration::from_millis(self.idle_timeout),
            max_pending_ops: self.pending,
            ..Settings::default()
        };
        let room = RoomConfig { messages: 3, ..RoomConfig::default() };
        let room = Kind::new("room", BehaviourConfig::Room(room.into()), settings.clone());
        let doc = Kind::new("doc", BehaviourName::Document.with_defaults(), settings);
        Kinds::new([room, doc].map(|kind| kind.expect("such settings can work")))
    }
}

/// A rate that no run exceeds.
pub fn ample() -> Rate {
    Rate::new(1_000_000_000, 1_000_000_000)
}

/// A quarter of the rates are so low that honest clients exceed them.
fn rate(rng: &mut fastrand::Rng) -> Rate {
    if rng.u8(..4) > 0 { ample() } else { Rate::new(rng.u32(3..20), rng.u32(2..9)) }
}

/// The entities that clients use.
pub fn entities() -> Vec<EntityId> {
    ["room:a", "room:bb", "doc:c"]
        .map(|id| EntityId::parse(id).expect("these are entity ids"))
        .into()
}
