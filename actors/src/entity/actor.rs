//! The mailbox of an entity: its [`Shell`], with actix for ports.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::fut::wrap_future;
use actix::{
    Actor, ActorContext, ActorFutureExt, AsyncContext, Context, Handler, Message, StreamHandler,
};
use greenroom_protocol::EntityId;

use super::env::EntityEnv;
use super::shell::{Done, Load, Ports, Shell, Timer};
use super::turns::Rest;
use crate::clock;
use crate::journal::{Committed, Watch};
use crate::kind::Kind;
use crate::messages::{Directory, RelayHandle, ToDirectory, ToEntity, ToRelay};

/// A message for an entity.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Deliver(pub ToEntity);

/// End now: the directory has taken the entity out of its map.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Stop;

/// See [`entity`](super).
pub struct EntityActor {
    shell: Shell,
}

impl EntityActor {
    /// An entity that loads once it is started, when `first_load` allows it.
    pub fn new(
        id: EntityId,
        kind: Arc<Kind>,
        env: Rc<EntityEnv>,
        incarnation: u64,
        first_load: Load,
        now: clock::Mono,
    ) -> Self {
        Self { shell: Shell::new(id, kind, env, incarnation, first_load, now) }
    }
}

impl Ports for Context<EntityActor> {
    fn run(&mut self, task: impl Future<Output = Done> + 'static) {
        let task = wrap_future::<_, EntityActor>(task);
        self.spawn(task.map(|done, this, ctx| this.shell.done(done, clock::now(), ctx)));
    }

    fn ring_after(&mut self, pause: Duration, timer: Timer) {
        self.run_later(pause, |this, ctx| this.shell.ring(timer, clock::now(), ctx));
    }

    fn watch(&mut self, watch: Watch) {
        self.add_stream(watch);
    }

    fn send(&mut self, relay: &RelayHandle, message: ToRelay) -> Result<(), ToRelay> {
        relay.try_send(message)
    }

    fn wait(&mut self, sending: impl Future<Output = ()> + 'static) {
        let sent = wrap_future::<_, EntityActor>(sending);
        AsyncContext::wait(self, sent.map(|(), this, ctx| this.shell.sent(ctx)));
    }

    fn tell(&mut self, directory: &Directory, entity: &EntityId, message: ToDirectory) {
        directory.tell(entity, message);
    }

    fn keep(&mut self, length: Duration, rest: Rest) {
        // There is one such task a thread, since there is one turn.
        tokio::spawn(async move {
            tokio::time::sleep(length).await;
            drop(rest);
        });
    }

    fn stop(&mut self) {
        ActorContext::stop(self);
    }
}

impl Actor for EntityActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.shell.start(ctx);
    }
}

impl Handler<Deliver> for EntityActor {
    type Result = ();

    fn handle(&mut self, Deliver(message): Deliver, ctx: &mut Self::Context) {
        self.shell.take(message, clock::now(), ctx);
    }
}

impl Handler<Stop> for EntityActor {
    type Result = ();

    fn handle(&mut self, _: Stop, ctx: &mut Self::Context) {
        self.shell.stop(ctx);
    }
}

impl StreamHandler<Committed> for EntityActor {
    fn handle(&mut self, committed: Committed, ctx: &mut Self::Context) {
        self.shell.committed(committed, clock::mono(), ctx);
    }

    fn finished(&mut self, _: &mut Self::Context) {
        // The stream of a life that has ended; the next life has its own.
    }
}
