//! Runs a script: its steps replace the choices of the seed.

use greenroom_actors::limits::Rate;
use greenroom_protocol::EntityId;

use super::{World, codec};
use crate::bugs::Bug;
use crate::client::Client;
use crate::script::{CLIENTS, Limits, Step};
use crate::sizes::{Sizes, ample, entities};

/// Unanswered requests after which a client sends no more: above every limit of a script.
const MOST_IN_FLIGHT: usize = 24;
/// The longest time that a script takes, in ms: less than the timeout of `connect`.
const LONGEST: u64 = 8_000;

impl World {
    pub fn scripted(limits: Limits, bug: Option<Bug>) -> Self {
        let sizes = Sizes {
            outbox: limits.outbox.into(),
            link: limits.link.into(),
            relay: limits.queues.into(),
            inbox: limits.queues.into(),
            most_subscriptions: limits.subscriptions.into(),
            most_in_flight: limits.in_flight.into(),
            requests: limits
                .requests
                .map_or_else(ample, |number| Rate::new(number.into(), number.into())),
            ring_events: limits.ring.into(),
            token: limits.token.map(u64::from),
            ..Sizes::roomy()
        };
        let clients = (1..=usize::from(CLIENTS))
            // The first and the last client share a user.
            .map(|index| Client::new(index, index % 2, codec(index), 0, sizes.token))
            .collect();
        Self::with(sizes, clients, 0, fastrand::Rng::with_seed(0), bug)
    }

    /// Runs the steps, then continues without faults until nothing is left to do.
    pub fn perform(&mut self, steps: &[Step]) -> Result<(), String> {
        self.run_with(|world| {
            for step in steps {
                world.say(format!("{step:?}"));
                world.step += 1;
                world.truth.step = world.step;
                world.note_time();
                world.act(*step)?;
                world.judge()?;
            }
            // The end depends only on the state that the steps leave.
            world.rng = fastrand::Rng::with_seed(0);
            world.calm_down();
            world.end()
        })
    }

    fn act(&mut self, step: Step) -> Result<(), String> {
        match step {
            Step::Connect { client } if self.lines[usize::from(client)].is_none() => {
                self.dial(client.into());
            }
            Step::Connect { .. } => {}
            Step::Lose { client, cut } => self.cut(client.into(), cut),
            Step::CatchUp { client } if self.lines[usize::from(client)].is_some() => {
                self.catch_up(client.into());
            }
            Step::CatchUp { .. } => {}
            Step::Stall { client } => self.hold_down(client.into(), true),
            Step::ReadOn { client } => self.hold_down(client.into(), false),
            Step::Pass { ms } => {
                let left = LONGEST.saturating_sub(self.clock.now().mono);
                self.clock.pass(u64::from(ms).min(left));
                self.note_time();
            }
            Step::SetClock { ms } => self.set_clock(ms.into()),
            Step::Sweep => self.sweep_all(),
            Step::Work { steps, order } => self.work_in_order(steps, order)?,
            request => self.request(request),
        }
        Ok(())
    }

    /// The choices depend only on the work there is and on `order`, so they stay the same when
    /// another step is removed from the script.
    fn work_in_order(&mut self, steps: u8, order: u8) -> Result<(), String> {
        let kept = std::mem::replace(&mut self.rng, fastrand::Rng::with_seed(order.into()));
        let done = self.work_steps(steps);
        self.rng = kept;
        done
    }

    fn work_steps(&mut self, steps: u8) -> Result<(), String> {
        for _ in 0..steps {
            self.step += 1;
            self.truth.step = self.step;
            if !self.work_now()? {
                break;
            }
            self.judge()?;
        }
        Ok(())
    }

    fn hold_down(&self, client: usize, held: bool) {
        if let Some((_, wire)) = &self.lines[client] {
            wire.borrow_mut().down_held = held;
        }
    }

    fn set_clock(&mut self, ms: i64) {
        let Some(running) = self.nodes.last_mut() else { return };
        running.node.dial.turn(ms);
        self.clock.shows(running.node.dial);
        self.note_time();
    }

    /// Sends the client's requests without waiting for earlier answers.
    fn request(&mut self, step: Step) {
        let (client, entity) = match step {
            Step::Subscribe { client, entity, .. }
            | Step::Unsubscribe { client, entity }
            | Step::Enter { client, entity }
            | Step::Leave { client, entity }
            | Step::Post { client, entity, .. }
            | Step::Signal { client, entity }
            | Step::Read { client, entity } => (client, entity),
            Step::Refresh { client, .. } => (client, 0),
            other => unreachable!("{other:?} is no request"),
        };
        let (client, all) = (usize::from(client), entities());
        let entity = &all[usize::from(entity)];
        self.wish(client, entity, step);
        if self.lines[client].is_none() || self.clients[client].in_flight() >= MOST_IN_FLIGHT {
            return;
        }
        self.tell_floors(client);
        let requests = self.requests(client, entity, step);
        for request in requests {
            self.post(client, request);
        }
    }

    /// Notes what the client wants from now on, connected or not.
    fn wish(&mut self, client: usize, entity: &EntityId, step: Step) {
        let client = &mut self.clients[client];
        match step {
            Step::Subscribe { terms, .. } => client.want(entity, Some(terms)),
            Step::Unsubscribe { .. } => client.want(entity, None),
            Step::Enter { .. } => client.place(entity, true),
            Step::Leave { .. } => client.place(entity, false),
            Step::Refresh { covers, .. } => {
                let covered = entities().into_iter().enumerate();
                client.entitle(
                    covered.filter(|(bit, _)| covers >> bit & 1 == 1).map(|(_, entity)| entity),
                );
            }
            _ => {}
        }
    }

    fn requests(&mut self, client: usize, entity: &EntityId, step: Step) -> Vec<Vec<u8>> {
        let floor = self.floor(client, entity);
        let now = self.step;
        let connected = self.clients[client].is_connected();
        let Self { clients, truth, .. } = self;
        let client = &mut clients[client];
        match step {
            Step::Subscribe { .. } => vec![client.settle(entity)],
            Step::Unsubscribe { .. } => vec![client.drop_subscription(entity)],
            Step::Enter { .. } | Step::Leave { .. } if !client.asks_for_place(entity) => {
                vec![client.settle_place(entity)]
            }
            Step::Refresh { .. } => vec![client.refresh()],
            Step::Post { count, bytes, .. } => {
                let mut post = || {
                    let op = client.new_post(entity, bytes.into());
                    client.send(op, now)
                };
                (0..count).map(|_| post()).collect()
            }
            Step::Signal { .. } if connected => vec![client.signal(entity, None, truth)],
            Step::Read { .. } if connected => vec![client.read(entity, floor)],
            _ => Vec::new(),
        }
    }
}
