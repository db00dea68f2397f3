//! The canary: repeatedly sends one op through a real entity and waits for its commit and its
//! event. Readiness follows the result, and ends at once when a transaction fails.
//!
//! On a node of a cluster it checks an entity of the node's own, and one of another member. Both are
//! ordinary entities of their slots, so whoever owns a slot owns the canary's entity in it.

use std::borrow::Cow;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use greenroom_actors::behaviour::BehaviourName;
use greenroom_actors::capability::Permissions;
use greenroom_actors::clock;
use greenroom_actors::cluster::slot::{SLOTS, SlotSet, slot_of};
use greenroom_actors::frames::Encoder;
use greenroom_actors::ids::{SessionKey, WorkerId};
use greenroom_actors::journal::Health;
use greenroom_actors::kind::{BadKind, Kind, Settings};
use greenroom_actors::messages::{
    Asker, Directory, OpRequest, Part, RelayHandle, Responder, Sender, SubSpec, SubscribeRequest,
    ToEntity, ToRelay,
};
use greenroom_protocol::params::{EventPolicy, SignalPolicy};
use greenroom_protocol::{CodecKind, EntityId, RawJson};
use serde_json::json;
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};

use crate::admin::{Readiness, ReadinessHandle};
use crate::cluster::View;
use crate::ws;

/// The kind that only the canary uses. The dot is not allowed in names, so no client can ask for
/// the canary's entity and nobody can configure a kind of this name; sessions do not know the kind
/// either.
const KIND: &str = ".canary";
/// The pause between checks.
const EVERY: Duration = Duration::from_secs(5);
/// The pause while the node is not ready, so that it becomes ready soon after the cause has gone
/// away.
const WHILE_NOT_READY: Duration = Duration::from_millis(500);
/// How long one check may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The canary's kind: a small document with a short log.
///
/// # Errors
/// If these settings cannot work, which a test rules out.
pub fn kind() -> Result<Kind, BadKind> {
    let settings = Settings {
        default_permissions: Permissions::default(),
        anonymous_permissions: Permissions::default(),
        max_body_bytes: 1024,
        ops_per_second: 100,
        ops_burst: 100,
        resume_events: 16,
        ring_events: 4,
        ring_bytes: 4096,
        keep_events: NonZeroU64::new(16),
        snapshot_every: 16,
        dedupe_clients: 1,
        dedupe_ops: 1,
        max_present: 1,
        presence_list: 1,
        idle_timeout: Duration::from_secs(3600),
        max_pending_ops: 16,
        ..Settings::default()
    };
    Kind::internal(KIND, BehaviourName::Document.with_defaults(), settings)
}

/// Waits for the next failed transaction and returns the reason.
async fn failing(health: &mut watch::Receiver<Health>) -> String {
    while health.changed().await.is_ok() {
        if let Health::Failing(why) | Health::Fenced(why) = &*health.borrow_and_update() {
            return why.clone();
        }
    }
    // The committer only ends together with the process.
    std::future::pending().await
}

/// Waits until the node itself says that it is not ready.
async fn cut_short(view: Option<watch::Receiver<View>>) {
    let Some(mut view) = view else { return std::future::pending().await };
    if view.wait_for(|view| view.not_ready.is_some()).await.is_err() {
        // The node has ended, and the process is about to.
        std::future::pending::<()>().await;
    }
}

/// Why a check failed.
#[derive(Debug, thiserror::Error)]
enum Failed {
    /// The entity has another owner, or has ended.
    #[error("the canary's entity restarted")]
    Moved,
    #[error("{0}")]
    Because(Cow<'static, str>),
}

impl Failed {
    fn because(why: impl Into<Cow<'static, str>>) -> Self {
        Self::Because(why.into())
    }
}

/// What the log was last told: it shows changes, not each check.
#[derive(Debug, Default)]
struct Told {
    /// Why the node is not ready, by the last line.
    why: Option<String>,
}

impl Told {
    fn not_ready(&mut self, why: &str, what: &'static str) {
        if self.why.as_deref() != Some(why) {
            tracing::warn!(why, "{what}");
            self.why = Some(why.to_owned());
        }
    }

    fn ready(&mut self) {
        if self.why.take().is_some() {
            tracing::info!("ready again");
        }
    }
}

/// The canary's entity in each slot of a cluster.
fn one_in_each_slot() -> Vec<EntityId> {
    let mut found: Vec<Option<EntityId>> = vec![None; usize::from(SLOTS)];
    let mut missing = found.len();
    for n in 0_u32.. {
        let entity = EntityId::internal(KIND, &n.to_string());
        let place = &mut found[slot_of(&entity).index()];
        if place.is_none() {
            *place = Some(entity);
            missing -= 1;
        }
        if missing == 0 {
            break;
        }
    }
    found.into_iter().flatten().collect()
}

/// A session that belongs to none of the worker threads.
pub struct Canary {
    /// In a cluster: what this node serves.
    view: Option<watch::Receiver<View>>,
    /// An entity in each slot.
    entities: Vec<EntityId>,
    directory: Directory,
    asker: Arc<Asker>,
    inbox: mpsc::Receiver<ToRelay>,
}

impl Canary {
    /// Creates a canary that receives `inbox` as if it were the relay of `worker`.
    pub fn new(
        directory: Directory,
        worker: WorkerId,
        relay: RelayHandle,
        inbox: mpsc::Receiver<ToRelay>,
        view: Option<watch::Receiver<View>>,
    ) -> Self {
        let session = SessionKey::here(worker, 0, 1);
        let asker = Arc::new(Asker::new(session, CodecKind::Json, Encoder::new(ws::frame), relay));
        let entities = match view {
            Some(_) => one_in_each_slot(),
            None => vec![EntityId::internal(KIND, "node")],
        };
        Self { view, entities, directory, asker, inbox }
    }

    /// Checks again and again until the process ends, and sets `readiness` after each check.
    pub async fn run(mut self, readiness: ReadinessHandle, mut health: watch::Receiver<Health>) {
        let mut told = Told::default();
        loop {
            let checked = self.check_all().await;
            let was_fine = checked.is_ok();
            let pause = if let Err(why) = checked {
                told.not_ready(&why, "not ready: the canary's op failed");
                readiness.set(Readiness::not_ready(why));
                WHILE_NOT_READY
            } else {
                told.ready();
                readiness.set(Readiness::Ready);
                EVERY
            };
            // The next check finds out whether the cause has gone away.
            tokio::select! {
                why = failing(&mut health) => {
                    told.not_ready(&why, "not ready: a transaction failed");
                    readiness.set(Readiness::not_ready(why));
                    sleep(WHILE_NOT_READY).await;
                }
                () = cut_short(self.view.clone()), if was_fine => {}
                () = sleep(pause) => {}
            }
        }
    }

    async fn check_all(&mut self) -> Result<(), String> {
        for entity in self.due()? {
            let checked = match timeout(TIMEOUT, self.check_while_it_moves(&entity)).await {
                Ok(checked) => checked,
                Err(_) => Err(format!("an op was not committed within {TIMEOUT:?}")),
            };
            self.directory.route_control(&entity, ToEntity::Gone(self.asker.session));
            checked?;
        }
        Ok(())
    }

    /// The entities to check now, or why the node is not ready whatever they say.
    fn due(&self) -> Result<Vec<EntityId>, String> {
        let Some(view) = &self.view else { return Ok(self.entities.clone()) };
        let view = view.borrow();
        if let Some(why) = view.not_ready {
            return Err(why.into());
        }
        let some = |slots: &SlotSet| {
            let slots: Vec<_> = slots.iter().collect();
            Some(self.entities[fastrand::choice(slots)?.index()].clone())
        };
        Ok([some(&view.open.slots), some(&view.elsewhere)].into_iter().flatten().collect())
    }

    /// An entity that moves to another node, or ends there, is checked anew.
    async fn check_while_it_moves(&mut self, entity: &EntityId) -> Result<(), String> {
        loop {
            match self.check(entity).await {
                Err(Failed::Moved) if self.view.is_some() => {}
                Err(failed) => return Err(failed.to_string()),
                Ok(()) => return Ok(()),
            }
        }
    }

    /// Sends one op and waits for its event.
    async fn check(&mut self, entity: &EntityId) -> Result<(), Failed> {
        // Discard what an earlier check left behind.
        while self.inbox.try_recv().is_ok() {}
        let spec = SubSpec {
            session: self.asker.session,
            number: 0,
            events: EventPolicy::Replay,
            signals: SignalPolicy::None,
            presence: false,
        };
        self.ask(entity, "subscribe", |reply| {
            ToEntity::Subscribe(Box::new(SubscribeRequest { spec, after: None, reply }))
        })?;
        let joined = |part| match part {
            Part::Joined { seq, answer, .. } => Some((seq, answer)),
            _ => None,
        };
        // An answer that is dropped undelivered counts as `unavailable`, so it is kept until the end.
        let (seq, _answer) = self.wait(entity, joined).await?;
        let sender = Sender { user: "canary".into(), client: Arc::from(""), moderator: false };
        let body = RawJson::from_value(&json!({"path": "", "value": {"at": clock::wall()}}))
            .expect("a literal serializes");
        let r#type = "set".into();
        self.ask(entity, "send", |reply| {
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
        let happened = |part| matches!(part, Part::Events { last, .. } if last > seq).then_some(());
        self.wait(entity, happened).await
    }

    fn ask(
        &self,
        entity: &EntityId,
        method: &'static str,
        make: impl FnOnce(Responder) -> ToEntity,
    ) -> Result<(), Failed> {
        // A request without an id gets no response frame, but its errors are still reported.
        let reply = Responder::request(&self.asker, method, None);
        self.directory
            .route(entity.clone(), make(reply))
            .map_err(|_| Failed::because("the directory's queue is full"))
    }

    /// Waits for the first part from which `wanted` returns a value. An error that comes first ends
    /// the wait.
    async fn wait<T>(
        &mut self,
        entity: &EntityId,
        wanted: impl Fn(Part) -> Option<T>,
    ) -> Result<T, Failed> {
        loop {
            let failed = |code: greenroom_protocol::ErrorCode| {
                Failed::because(format!("a request failed with `{}`", code.as_str()))
            };
            match self.inbox.recv().await {
                None => return Err(Failed::because("the relay's queue is closed")),
                Some(ToRelay::Answer(answer)) => {
                    answer.error().map_or(Ok(()), |code| Err(failed(code)))?;
                }
                Some(ToRelay::OwnerChanged(scope)) if scope.contains(entity) => {
                    return Err(Failed::Moved);
                }
                Some(ToRelay::AudienceForgotten { entity: other, .. }) if other == *entity => {
                    return Err(Failed::Moved);
                }
                Some(ToRelay::Parts { entity: other, parts }) if other == *entity => {
                    for part in parts {
                        if let Part::Answer(answer) = &part {
                            answer.error().map_or(Ok(()), |code| Err(failed(code)))?;
                        }
                        if let Some(found) = wanted(part) {
                            return Ok(found);
                        }
                    }
                }
                // No session knows this relay. The rest is about entities that were checked before.
                Some(
                    ToRelay::Resume(_)
                    | ToRelay::Resumed(_)
                    | ToRelay::OwnerChanged(_)
                    | ToRelay::AudienceForgotten { .. }
                    | ToRelay::Parts { .. }
                    | ToRelay::PartsByWorker { .. },
                ) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn its_kind_can_work() {
        super::kind().unwrap();
    }

    #[test]
    fn each_slot_has_an_entity_of_its_own() {
        for (place, entity) in super::one_in_each_slot().iter().enumerate() {
            assert_eq!(super::slot_of(entity).index(), place);
        }
    }
}
