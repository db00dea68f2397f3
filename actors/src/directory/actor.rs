//! The mailbox of a directory shard.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, ActorFutureExt, Addr, AsyncContext, Context, StreamHandler, dev::SendError};
use greenroom_protocol::EntityId;
use tokio::sync::mpsc;

use super::slots::{Host, Slots, Undelivered};
use super::{DirectoryLimits, Ownership};
use crate::clock;
use crate::cluster::lease::Validity;
use crate::entity::{Deliver, EntityActor, EntityEnv, Load, Stop};
use crate::kind::{Kind, Kinds};
use crate::messages::{ToDirectory, ToEntity, ToRelay, batches, unavailable};

#[cfg(test)]
mod tests;

/// The number of messages taken at once, before the thread serves other tasks.
const BATCH: usize = 64;
/// The interval at which some of the entities are asked whether they are idle.
const SWEEP_EVERY: Duration = Duration::from_millis(100);

/// The parts from which a shard is started.
pub struct Shard {
    pub kinds: Kinds,
    pub env: Rc<EntityEnv>,
    pub limits: DirectoryLimits,
    pub queue: mpsc::Receiver<ToDirectory>,
    /// In a cluster: until when this node may serve what it owns.
    pub validity: Option<Arc<Validity>>,
}

/// See [`directory`](super).
pub struct DirectoryActor {
    slots: Slots<Addr<EntityActor>>,
    env: Rc<EntityEnv>,
    queue: Option<mpsc::Receiver<ToDirectory>>,
}

/// Runs entities as actors on the shard's thread.
struct OnThread<'a> {
    env: &'a Rc<EntityEnv>,
    ctx: &'a mut Context<DirectoryActor>,
}

impl Host for OnThread<'_> {
    type Mailbox = Addr<EntityActor>;

    fn start(
        &mut self,
        entity: &EntityId,
        kind: &Arc<Kind>,
        incarnation: u64,
        first_load: Load,
        now: clock::Mono,
    ) -> Addr<EntityActor> {
        let actor = EntityActor::new(
            entity.clone(),
            Arc::clone(kind),
            Rc::clone(self.env),
            incarnation,
            first_load,
            now,
        );
        // Set before the actor starts, which happens after this turn of the thread. Until then the
        // mailbox would have actix's default capacity of 16.
        EntityActor::create(|ctx| {
            ctx.set_mailbox_capacity(self.env.inbox);
            actor
        })
    }

    fn loading(&self) -> usize {
        self.env.loading.get()
    }

    fn deliver(&mut self, to: &Addr<EntityActor>, message: ToEntity) -> Result<(), Undelivered> {
        to.try_send(Deliver(message)).map_err(|error| match error {
            SendError::Full(Deliver(message)) => Undelivered::Full(message),
            SendError::Closed(Deliver(message)) => Undelivered::Ended(message),
        })
    }

    fn deliver_later(
        &mut self,
        entity: &EntityId,
        incarnation: u64,
        to: &Addr<EntityActor>,
        message: ToEntity,
    ) {
        let entity = entity.clone();
        let sent = actix::fut::wrap_future::<_, DirectoryActor>(to.send(Deliver(message)));
        // If the entity ends before it takes the message, `Ended` reports that.
        self.ctx.spawn(sent.map(move |_, this, ctx| {
            this.step(ctx, |slots, host| slots.worked_off(&entity, incarnation, host));
        }));
    }

    fn stop(&mut self, to: &Addr<EntityActor>) -> bool {
        to.try_send(Stop).is_ok()
    }

    fn elsewhere(&mut self, entity: EntityId, message: ToEntity) {
        match &self.env.exchange {
            Some(exchange) => exchange.elsewhere(entity, message),
            None => drop(message.refuse(unavailable())),
        }
    }

    fn mark(&mut self, entity: EntityId) {
        if let Some(exchange) = &self.env.exchange {
            exchange.mark(entity);
        }
    }

    fn end(&mut self, to: &Addr<EntityActor>) {
        if to.try_send(Stop).is_err() {
            let sent = to.send(Stop);
            // It ends by itself, or with this.
            self.ctx.spawn(actix::fut::wrap_future::<_, DirectoryActor>(sent).map(|_, _, _| ()));
        }
    }

    fn audience_forgotten(&mut self, entity: &EntityId) {
        let relays = &self.env.relays;
        for relay in relays.everywhere().filter_map(|place| relays.get(place)) {
            // If a relay's queue is full, a separate task waits; there is one such message for each
            // entity that ends.
            relay.send_or_spawn(ToRelay::AudienceForgotten { entity: entity.clone(), ended: true });
        }
    }
}

impl DirectoryActor {
    /// Starts a shard on the current thread.
    pub fn start_on_thread(shard: Shard) {
        let Shard { kinds, env, limits, queue, validity } = shard;
        let mut slots = Slots::new(kinds, limits);
        if let Some(validity) = validity {
            slots = slots.owning(Ownership::new(validity));
        }
        Self { slots, env, queue: Some(queue) }.start();
    }

    fn step(
        &mut self,
        ctx: &mut Context<Self>,
        happen: impl FnOnce(&mut Slots<Addr<EntityActor>>, &mut OnThread<'_>),
    ) {
        happen(&mut self.slots, &mut OnThread { env: &self.env, ctx });
    }
}

impl Actor for DirectoryActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let queue = self.queue.take().expect("an actor is started once");
        ctx.add_stream(batches(queue, BATCH));
        ctx.run_interval(SWEEP_EVERY, |this, ctx| {
            this.step(ctx, |slots, host| slots.sweep(clock::mono(), host));
        });
    }
}

impl StreamHandler<Vec<ToDirectory>> for DirectoryActor {
    fn handle(&mut self, messages: Vec<ToDirectory>, ctx: &mut Self::Context) {
        let now = clock::mono();
        self.step(ctx, |slots, host| {
            for message in messages {
                slots.receive(message, now, host);
            }
        });
    }
}
