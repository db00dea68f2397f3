//! Carries out what the node says.

use greenroom_actors::clock;
use greenroom_actors::cluster::change::{Change, MapChange};
use greenroom_actors::cluster::link::wire::Wire;
use greenroom_actors::cluster::membership::{
    Ended, HandOffId, Join, Joined, Outcome, PollNumber, Reason, Scope,
};
use greenroom_actors::cluster::registry::{ChangeError, Note};
use greenroom_actors::messages::{Own, ToDirectory, ToRelay};
use greenroom_actors::node::Do;
use greenroom_actors::notices::NOTICES;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::report::Report;
use super::runner::Runner;

impl Runner {
    /// Carries out everything, in order. The reason, if the node has ended.
    pub(super) fn carry_out(&mut self) -> Option<Ended> {
        let mut ended = None;
        loop {
            let all = self.node.take_out();
            if all.is_empty() {
                break;
            }
            for one in all {
                match one {
                    Do::Ended(why) => ended = Some(why),
                    other => self.carry_out_one(other),
                }
            }
        }
        ended
    }

    fn carry_out_one(&mut self, one: Do) {
        match one {
            Do::Poll(poll) => self.poll(poll),
            Do::Join(join) => self.join(join),
            Do::BeginTerm(term) => {
                if !self.controls.begin_term(term) {
                    // The next transaction would be fenced anyway.
                    self.node.fenced(term, clock::mono());
                }
            }
            Do::Change(id, change, reason) => {
                let note = self.note(describe(&change, reason));
                if let Err(outcome) = self.controls.change(id, change, note) {
                    self.node.decided(id, outcome, clock::mono());
                }
            }
            Do::Commit => self.controls.beat(),
            Do::Own(own) => self.directory.own(&own),
            Do::Flush(hand_off, scope) => self.flush(hand_off, scope),
            Do::Abandon => self.abandon(),
            Do::Local(entity, message) => self.directory.give(entity, message),
            Do::Marked(entity, settled) => {
                self.directory.tell(&entity.clone(), ToDirectory::Marked(entity, settled));
            }
            Do::Relay(worker, message) => self.deliveries.send(worker, message),
            Do::OwnerChanged(scope) => {
                self.deliveries.send_all(|| ToRelay::OwnerChanged(Box::new(scope.clone())));
            }
            Do::AudienceForgotten(entity, ended) => {
                self.deliveries
                    .send_all(|| ToRelay::AudienceForgotten { entity: entity.clone(), ended });
            }
            Do::Publish(node, frame) => {
                // The wire counts what it does not take; the link sends it again.
                let _unsent = self.wire.publish(&self.subjects.node(node.0), frame);
            }
            Do::Broadcast(message) => {
                let _unsent = self.wire.publish(&self.subjects.all(), message);
            }
            Do::Ended(_) => {}
        }
    }

    fn note(&self, what: String) -> Note {
        Note { by: self.id, what, at: clock::wall() }
    }

    fn poll(&self, poll: PollNumber) {
        let registry = self.registry.clone();
        let reports = self.reports.clone();
        let within = self.poll_timeout;
        tokio::spawn(async move {
            let why = match timeout(within, registry.view()).await {
                Ok(Ok(read)) => {
                    // The runner has ended together with the node.
                    let _ = reports.send(Report::Read(poll, read)).await;
                    return;
                }
                Ok(Err(error)) => error.to_string(),
                Err(_) => format!("no answer within {within:?}"),
            };
            if let Some(left_out) = NOTICES.admit("poll", clock::mono()) {
                tracing::warn!(%why, left_out, "cannot read the map of the cluster");
            }
        });
    }

    fn join(&self, join: Join) {
        let registry = self.registry.clone();
        let reports = self.reports.clone();
        let node = self.id;
        let note = self.note(format!("joined under term {}", join.term.0));
        tokio::spawn(async move {
            let sent = clock::mono();
            let outcome = match registry.join(node, &join, &note).await {
                Ok(()) => Outcome::Done,
                Err(ChangeError::Refused(why)) => {
                    tracing::info!(%why, "joining was refused; trying again");
                    Outcome::Refused
                }
                Err(ChangeError::Commit(why)) => {
                    tracing::warn!(%why, "joining failed; trying again");
                    Outcome::Unknown
                }
            };
            let _ = reports.send(Report::Joined(Joined { id: join.id, sent, outcome })).await;
        });
    }

    /// Puts entities to sleep, and reports when the journal has decided all that they queued.
    fn flush(&self, hand_off: HandOffId, scope: Scope) {
        let (done, mut asleep) = mpsc::channel(1);
        self.directory.own(&Own::Flush(scope, done));
        let journal = self.journal.clone();
        let reports = self.reports.clone();
        tokio::spawn(async move {
            while asleep.recv().await.is_some() {}
            journal.barrier().await;
            let _ = reports.send(Report::Flushed(hand_off)).await;
        });
    }

    fn abandon(&self) {
        let (done, mut ended) = mpsc::channel(1);
        self.directory.own(&Own::Abandon(done));
        let reports = self.reports.clone();
        tokio::spawn(async move {
            while ended.recv().await.is_some() {}
            let _ = reports.send(Report::LivesEnded).await;
        });
    }
}

/// A change of the map, for people.
fn describe(change: &Change, reason: Reason) -> String {
    let what = match &change.what {
        MapChange::Join(..) => "joined".to_owned(),
        MapChange::Leave(_) => "left".into(),
        MapChange::TakeOver { dead, .. } => format!("took over from {dead}"),
        MapChange::HandOver { slots, to, .. } => format!("handed {} slots to {to}", slots.len()),
        MapChange::Yield { .. } => "gave up all slots".into(),
        MapChange::Assign => "gave slots without owner to those who are to own them".into(),
        MapChange::SetState(node, state) => format!("set {node} to {state:?}").to_lowercase(),
        MapChange::Pin(entity, node) => format!("pinned {entity} to {node}"),
        MapChange::Unpin(entity) => format!("unpinned {entity}"),
        MapChange::Opening(_) => "is about to open slots".into(),
        MapChange::Passed(_, slots) => format!("has served {} slots", slots.len()),
        MapChange::EndQuarantine(slots) => format!("ended the quarantine of {} slots", slots.len()),
    };
    let why = match reason {
        Reason::Silent => "it was silent",
        Reason::Unowned => "nobody owned them",
        Reason::Rebalance => "to balance",
        Reason::Draining => "stopping",
        Reason::Ordered => "by order",
        Reason::Deaf => "it does not hear the others",
        Reason::Trial => "their last owner was taken over",
    };
    format!("{what}: {why}")
}
