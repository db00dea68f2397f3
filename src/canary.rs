//! The canary: one op through a real entity, to its commit and its event, again and again.
//! Readiness follows it, and ends at once when a transaction fails.

use std::sync::Arc;
use std::time::Duration;

use greenroom_actors::answer::{Asked, Asker, Responder};
use greenroom_actors::behaviour::BehaviourConfig;
use greenroom_actors::behaviour::document::DocumentConfig;
use greenroom_actors::capability::Permissions;
use greenroom_actors::clock;
use greenroom_actors::directory::Directory;
use greenroom_actors::entity::{OpRequest, Sender, SubscribeRequest, ToEntity};
use greenroom_actors::frames::Encoder;
use greenroom_actors::ids::{SessionKey, WorkerId};
use greenroom_actors::journal::Health;
use greenroom_actors::kind::Kind;
use greenroom_actors::relay::{Part, RelayHandle, SubSpec, ToRelay};
use greenroom_protocol::params::{EventPolicy, SignalPolicy};
use greenroom_protocol::{CodecKind, EntityId, RawJson};
use serde_json::json;
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};

use crate::admin::{Readiness, ReadinessHandle};
use crate::ws;

/// The kind that only the canary uses. Its dot is outside the grammar of names, so nobody can ask
/// for the canary's entity or configure a kind of this name; sessions do not know the kind either.
const KIND: &str = ".canary";
/// How often it flies.
const EVERY: Duration = Duration::from_secs(5);
/// How often while the node is not ready, so that it is found ready soon after the cause has
/// passed.
const WHILE_NOT_READY: Duration = Duration::from_millis(500);
/// How long one flight may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// The canary's kind: a small document whose log is kept short.
pub fn kind() -> Kind {
    Kind {
        name: KIND,
        behaviour: BehaviourConfig::Document(DocumentConfig::default()),
        default_permissions: Permissions::default(),
        anonymous_permissions: Permissions::default(),
        max_body_bytes: 1024,
        ops_per_second: 100,
        ops_burst: 100,
        resume_events: 16,
        ring_events: 4,
        ring_bytes: 4096,
        keep_events: 16,
        snapshot_every: 16,
        dedupe_clients: 1,
        dedupe_ops: 1,
        max_present: 1,
        presence_list: 1,
        presence_interval: Duration::from_secs(1),
        idle_timeout: Duration::from_secs(3600),
        max_pending_ops: 16,
    }
}

/// Resolves when a transaction has failed since this was last asked.
async fn failing(health: &mut watch::Receiver<Health>) -> String {
    while health.changed().await.is_ok() {
        if let Health::Failing(why) | Health::Fenced(why) = &*health.borrow_and_update() {
            return why.clone();
        }
    }
    // The committer is gone: only when the process ends.
    std::future::pending().await
}

/// A session of its own, on a thread of nobody's.
pub struct Canary {
    entity: EntityId,
    directory: Directory,
    asker: Arc<Asker>,
    inbox: mpsc::Receiver<ToRelay>,
}

impl Canary {
    /// A canary that receives `inbox` as if it were the relay of `worker`.
    pub fn new(
        directory: Directory,
        worker: WorkerId,
        relay: RelayHandle,
        inbox: mpsc::Receiver<ToRelay>,
    ) -> Self {
        let session = SessionKey { worker, slot: 0, generation: 1 };
        let asker = Arc::new(Asker::new(session, CodecKind::Json, Encoder::new(ws::frame), relay));
        let entity = EntityId::internal(KIND, "node");
        Self { entity, directory, asker, inbox }
    }

    /// Flies until the process ends, and tells how it went.
    pub async fn run(mut self, readiness: ReadinessHandle, mut health: watch::Receiver<Health>) {
        loop {
            let flown = match timeout(PATIENCE, self.fly()).await {
                Ok(flown) => flown,
                Err(_) => Err(format!("an op was not committed within {PATIENCE:?}")),
            };
            self.directory.route_control(&self.entity, ToEntity::Gone(self.asker.session));
            let pause = if let Err(why) = flown {
                tracing::warn!(%why, "not ready: the canary's op failed");
                readiness.set(Readiness::not_ready(why));
                WHILE_NOT_READY
            } else {
                readiness.set(Readiness::Ready);
                EVERY
            };
            // The next flight finds out whether it has passed.
            if let Ok(why) = timeout(pause, failing(&mut health)).await {
                tracing::warn!(%why, "not ready: a transaction failed");
                readiness.set(Readiness::not_ready(why));
                sleep(WHILE_NOT_READY).await;
            }
        }
    }

    /// One op, to its acknowledgement and its event.
    async fn fly(&mut self) -> Result<(), String> {
        // What an earlier flight left behind is of no interest.
        while self.inbox.try_recv().is_ok() {}
        let spec = SubSpec {
            session: self.asker.session,
            number: 0,
            events: EventPolicy::Replay,
            signals: SignalPolicy::None,
            presence: false,
        };
        self.ask("subscribe", |reply| {
            ToEntity::Subscribe(Box::new(SubscribeRequest { spec, after: None, reply }))
        })?;
        let joined = self.wait(|part| matches!(part, Part::Joined { .. })).await?;
        let Part::Joined { seq, .. } = joined else {
            return Err("the entity answered something else".into());
        };
        let sender = Sender { user: "canary".into(), client: Arc::from(""), moderator: false };
        let body = RawJson::from_value(&json!({"path": "", "value": {"at": clock::wall()}}))
            .expect("a literal serializes");
        let r#type = "set".into();
        self.ask("send", |reply| {
            ToEntity::Op(Box::new(OpRequest {
                sender,
                r#type,
                body,
                n: None,
                first_sent: None,
                if_seq: None,
                tag: None,
                reply,
            }))
        })?;
        self.wait(|part| matches!(part, Part::Events { last, .. } if *last > seq)).await?;
        Ok(())
    }

    fn ask(
        &self,
        method: &'static str,
        make: impl FnOnce(Responder) -> ToEntity,
    ) -> Result<(), String> {
        // Without an id there is no frame to make, but errors are seen all the same.
        let reply = Responder::new(&self.asker, Asked::Request(method, None));
        self.directory
            .route(self.entity.clone(), make(reply))
            .map_err(|_| "the directory's queue is full".into())
    }

    /// The first part that is `wanted`; an error that comes before it ends the wait.
    async fn wait(&mut self, wanted: impl Fn(&Part) -> bool) -> Result<Part, String> {
        loop {
            let failed = |code: greenroom_protocol::ErrorCode| {
                format!("an op was answered `{}`", code.as_str())
            };
            match self.inbox.recv().await {
                None => return Err("the relay's queue is gone".into()),
                Some(ToRelay::Answer(answer)) => {
                    answer.error.map_or(Ok(()), |code| Err(failed(code)))?;
                }
                // Sessions do not know this relay.
                Some(ToRelay::Resume(_) | ToRelay::Resumed(_)) => {}
                Some(ToRelay::Lost { .. }) => return Err("the canary's entity restarted".into()),
                Some(ToRelay::Parts { parts, .. }) => {
                    for part in parts {
                        if let Part::Answer(answer) = &part {
                            answer.error.map_or(Ok(()), |code| Err(failed(code)))?;
                        }
                        if wanted(&part) {
                            return Ok(part);
                        }
                    }
                }
            }
        }
    }
}
