//! The subscriptions of a client of a drill.

use std::time::Duration;

use greenroom_protocol::notify::{self, EndReason};
use greenroom_protocol::params::{self, Subscribe};
use greenroom_protocol::results::{self, Subscribed};
use greenroom_protocol::{Call, EntityId, ErrorCode, Position, RawJson, WireError};
use tokio::time::Instant;

use super::super::record::Post;
use super::super::rights::May;
use super::super::view::Coming;
use super::{Member, bad};
use crate::client::{Failure, Wire};
use crate::history::{Follow, Got, Moment, State, What};
use crate::run::subscribe;
use crate::stats::Lane;

impl Member {
    pub(super) fn view_of(&self, entity: &EntityId) -> Option<usize> {
        self.views.iter().position(|view| self.target(view.target) == entity)
    }

    pub(super) fn target(&self, index: usize) -> &EntityId {
        &self.stage.targets[index].id
    }

    pub(super) fn subscription(&self, view: usize) -> Subscribe {
        let view = &self.views[view];
        let presence = self.stage.load.nodes;
        Subscribe { after: view.position.clone(), presence, ..subscribe(self.target(view.target)) }
    }

    /// What a new connection subscribes to; the rest is over.
    pub(super) fn follow_again(&mut self) -> Vec<usize> {
        let (wanted, rest): (Vec<_>, Vec<_>) =
            (0..self.views.len()).partition(|view| self.rights.may(*view) == May::Yes);
        for view in rest {
            self.unfollow(view);
        }
        wanted
    }

    pub(super) fn unsubscribe(&mut self, wire: &mut Wire, view: usize) {
        let entity = self.target(self.views[view].target).clone();
        let id = wire.feed(&Call::Unsubscribe(params::Target { entity }));
        self.views[view].leaving = Some(id);
    }

    pub(super) fn subscribe(&mut self, wire: &mut Wire, view: usize) {
        let wanted = self.subscription(view);
        let (asked, after) = (self.record.notes.now(), wanted.after.clone());
        let id = wire.feed(&Call::Subscribe(wanted));
        self.views[view].due = None;
        self.views[view].coming = Some(Coming { id, asked, after });
    }

    /// Queues the subscriptions that are due; returns whether there were any.
    pub(super) fn subscribe_due(&mut self, wire: &mut Wire, now: Instant) -> bool {
        let is_due = |view: &usize| self.views[*view].due.is_some_and(|due| due <= now);
        let due: Vec<_> = (0..self.views.len()).filter(is_due).collect();
        for view in &due {
            self.subscribe(wire, *view);
        }
        !due.is_empty()
    }

    /// Nothing more may come of this.
    pub(super) fn unfollow(&mut self, view: usize) {
        let view = &mut self.views[view];
        if std::mem::take(&mut view.follows) {
            self.record.notes.note(view.target, What::Unfollowed);
        }
    }

    /// Takes what a subscription with this position answered.
    pub(super) fn resume(
        &mut self,
        view: usize,
        asked: Moment,
        after: Option<Position>,
        mut answer: Subscribed,
    ) {
        self.presence.listed(self.views[view].target, answer.presence.take());
        let view = &mut self.views[view];
        view.position = Some(Position { epoch: answer.epoch.clone(), seq: answer.seq });
        view.follows = true;
        let shape = self.stage.targets[view.target].shape;
        let follow = Follow::answered(asked, after, shape, answer);
        if matches!(&follow.got, Got::Events(events) if !events.is_empty()) {
            self.pause.heard(Instant::now(), !self.unanswered.is_empty());
        }
        self.record.notes.note(view.target, What::Followed(Box::new(follow)));
    }

    /// Takes a result, if it answers a request to subscribe or to unsubscribe.
    pub(super) fn followed(&mut self, id: i64, result: &RawJson) -> Result<(), Failure> {
        for view in 0..self.views.len() {
            if self.views[view].leaving.take_if(|leaving| *leaving == id).is_some() {
                self.unfollow(view);
            }
            let coming = self.views[view].coming.take_if(|coming| coming.id == id);
            if let Some(Coming { asked, after, .. }) = coming {
                if self.rights.may(view) == May::No {
                    self.fail("was let in where it may not read");
                }
                self.resume(view, asked, after, result.parse().map_err(bad)?);
            }
        }
        Ok(())
    }

    /// Takes an error, if it answers a request to subscribe or to unsubscribe.
    pub(super) fn not_followed(&mut self, id: i64, error: &WireError) {
        for view in 0..self.views.len() {
            let coming = self.views[view].coming.take_if(|coming| coming.id == id);
            if coming.is_none() && self.views[view].leaving != Some(id) {
                continue;
            }
            if let Some(ms) = error.data.retry_after_ms {
                self.views[view].due = Some(Instant::now() + Duration::from_millis(ms));
            } else if error.data.code != ErrorCode::Forbidden || self.rights.may(view) == May::Yes {
                self.fail(format_args!("was refused a subscription: {}", error.message));
            }
        }
    }

    pub(super) fn unsubscribed(&mut self, told: &notify::Unsubscribed) {
        let Some(view) = self.view_of(&told.entity) else { return };
        self.unfollow(view);
        match told.reason {
            EndReason::Unavailable => self.views[view].due = Some(Instant::now()),
            EndReason::Forbidden if self.rights.without() == Some(view) && self.rights.farewell => {
                self.rights.farewell = false;
            }
            EndReason::Forbidden => self.fail("lost a subscription that its token allows"),
        }
    }

    pub(super) fn event(&mut self, event: &results::Event) {
        let Some(view) = event.entity.as_ref().and_then(|entity| self.view_of(entity)) else {
            self.fail("got an event of something that it does not follow");
            return;
        };
        let view = &mut self.views[view];
        self.record.notes.note(view.target, What::Told(event.into()));
        if let Some(position) = &mut view.position {
            position.seq = position.seq.max(event.seq);
        }
        match event.body.parse::<Post>() {
            Ok(post) => self.stage.run.board.record(Lane::Delivery, post.t),
            Err(_) => self.stage.run.board.count(Lane::Delivery),
        }
        self.pause.heard(Instant::now(), !self.unanswered.is_empty());
    }

    pub(super) fn reset(&mut self, reset: notify::Reset) {
        let notify::Reset { entity, epoch, seq, snapshot, reason } = reset;
        self.stage.run.board.error("reset");
        if let Some(view) = self.view_of(&entity) {
            let view = &mut self.views[view];
            let state = State::read(self.stage.targets[view.target].shape, &snapshot);
            let what = What::Reset { epoch: epoch.clone(), seq, state, reason };
            self.record.notes.note(view.target, what);
            view.position = Some(Position { epoch, seq });
        }
    }
}
