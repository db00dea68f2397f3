//! What is read of the log: subscriptions, paused ones that read on, history.

use greenroom_protocol::Position;
use greenroom_protocol::params::{self, EventPolicy};
use greenroom_protocol::results::{Event, HistoryPage};

use super::outputs::{Begin, Join, Output};
use super::{
    CatchUp, Effects, Entity, EventRecord, Fetch, FetchFor, Page, Responder, Seq, SnapshotReason, SubscribeRequest, limits, unavailable,
};
use crate::relay::SubSpec;
use crate::store::StoreError;

/// Events that a paused subscription is given at once.
const CATCH_UP_EVENTS: usize = 256;
/// Bytes of bodies that a subscriber's gap may have; beyond them a snapshot is the shorter way.
const RESUME_BYTES: usize = 1024 * 1024;
/// Bytes of bodies that a paused subscription, or a `history` page, is given at once; one event may exceed it.
const PAGE_BYTES: usize = 256 * 1024;

impl Entity {
    pub(super) fn subscribe(&mut self, request: SubscribeRequest, fx: &mut Effects) {
        self.joining.remove(&request.spec.session);
        let Some(Position { epoch, seq: after }) = &request.after else {
            return self.subscribe_with_snapshot(request, SnapshotReason::NoPosition, fx);
        };
        let after = *after;
        if *epoch != self.epoch || after > self.seq {
            return self.subscribe_with_snapshot(request, SnapshotReason::EpochChanged, fx);
        }
        if self.seq - after > self.kind.resume_events {
            return self.subscribe_with_snapshot(request, SnapshotReason::TooOld, fx);
        }
        if after >= self.committed || self.ring.after(after, self.committed).is_some() {
            let begin = Begin::Events { read: Vec::new(), after };
            return self.put(Output::Join(Box::new(Join { request, begin })), fx);
        }
        // At most `resume_events`, which the configuration bounds.
        let limit = usize::try_from(self.committed - after).unwrap_or(usize::MAX);
        self.joining.insert(request.spec.session, request.spec.number);
        fx.fetches.push(Fetch { page: Page::After { after, limit }, purpose: FetchFor::Subscribe(Box::new(request), after) });
    }

    pub(super) fn subscribe_with_snapshot(&mut self, request: SubscribeRequest, reason: SnapshotReason, fx: &mut Effects) {
        let begin = Begin::Snapshot(self.behaviour.snapshot(), reason);
        self.put(Output::Join(Box::new(Join { request, begin })), fx);
    }

    pub(super) fn catch_up(&mut self, request: CatchUp, fx: &mut Effects) {
        self.audience.add(request.spec.session, request.spec.number, request.codec);
        let Position { epoch, seq: after } = &request.after;
        let after = *after;
        if *epoch != self.epoch || after > self.seq {
            let snapshot = self.behaviour.snapshot();
            return self.put(Output::Reset(request, snapshot, SnapshotReason::EpochChanged), fx);
        }
        if request.spec.events == EventPolicy::None || after >= self.committed || self.ring.after(after, self.committed).is_some() {
            return self.put(Output::Live(request), fx);
        }
        fx.fetches.push(Fetch { page: Page::After { after, limit: CATCH_UP_EVENTS }, purpose: FetchFor::CatchUp(request) });
    }

    pub(super) fn history(&mut self, params: &params::History, reply: Responder, fx: &mut Effects) {
        let limit = params.limit.unwrap_or(limits::DEFAULT_HISTORY).min(limits::MAX_HISTORY) as usize;
        let (after, through) = match (params.after, params.before) {
            (Some(after), _) => (after, after.saturating_add(limit as u64).min(self.committed)),
            (None, before) => {
                let through = before.map_or(self.committed, |before| before.saturating_sub(1).min(self.committed));
                (through.saturating_sub(limit as u64), through)
            }
        };
        if after >= through {
            return self.history_page(params, reply, Vec::new(), fx);
        }
        if let Some(events) = self.ring.after(after, self.committed) {
            let events = events.take_while(|event| event.seq <= through).map(|event| event.to_wire()).collect();
            return self.history_page(params, reply, events, fx);
        }
        let page = match params.after {
            Some(after) => Page::After { after, limit },
            None => Page::Before { before: through + 1, limit },
        };
        fx.fetches.push(Fetch { page, purpose: FetchFor::History(params.clone(), reply) });
    }

    fn history_page(&self, params: &params::History, reply: Responder, mut events: Vec<Event>, fx: &mut Effects) {
        let bytes = |event: &Event| event.body.len();
        let more = if params.after.is_some() {
            let keep = within(PAGE_BYTES, events.iter().map(bytes));
            events.truncate(keep);
            events.last().is_some_and(|last| last.seq < self.committed)
        } else {
            let keep = within(PAGE_BYTES, events.iter().rev().map(bytes));
            events.drain(..events.len() - keep);
            events.first().is_some_and(|first| first.seq > 1)
        };
        fx.answer(reply.ok(&HistoryPage { epoch: self.epoch.clone(), events, more }));
    }

    /// A page has been read.
    pub fn fetched(&mut self, purpose: FetchFor, read: Result<Vec<EventRecord>, StoreError>, fx: &mut Effects) {
        match (purpose, read) {
            (FetchFor::Subscribe(request, after), read) => self.subscribe_with(*request, after, read.ok(), fx),
            (FetchFor::CatchUp(request), Ok(read)) => self.catch_up_with(request, read, fx),
            (FetchFor::History(params, reply), Ok(mut read)) => {
                // The commit of an event may be known to the store before it is known here.
                read.retain(|event| event.seq <= self.committed);
                self.history_page(&params, reply, read.iter().map(EventRecord::to_wire).collect(), fx);
            }
            (FetchFor::History(_, reply), Err(_)) => fx.answer(reply.error(unavailable())),
            (FetchFor::CatchUp(request), Err(_)) => fx.retries.push(request),
        }
    }

    fn subscribe_with(&mut self, request: SubscribeRequest, after: Seq, read: Option<Vec<EventRecord>>, fx: &mut Effects) {
        let SubSpec { session, number, .. } = request.spec;
        if self.joining.get(&session) != Some(&number) {
            // The session has unsubscribed, or subscribed again, meanwhile.
            return fx.answer(request.reply.error(unavailable()));
        }
        self.joining.remove(&session);
        let Some(mut read) = read else { return fx.answer(request.reply.error(unavailable())) };
        read.retain(|event| event.seq <= self.committed);
        let bytes: usize = read.iter().map(|event| event.body.len()).sum();
        if bytes > RESUME_BYTES || read.first().is_none_or(|first| first.seq != after + 1) {
            return self.subscribe_with_snapshot(request, SnapshotReason::TooOld, fx);
        }
        self.put(Output::Join(Box::new(Join { request, begin: Begin::Events { read, after } })), fx);
    }

    fn catch_up_with(&mut self, request: CatchUp, mut read: Vec<EventRecord>, fx: &mut Effects) {
        read.retain(|event| event.seq <= self.committed);
        read.truncate(within(PAGE_BYTES, read.iter().map(|event| event.body.len())));
        if read.first().is_none_or(|first| first.seq != request.after.seq + 1) {
            let snapshot = self.behaviour.snapshot();
            return self.put(Output::Reset(request, snapshot, SnapshotReason::TooOld), fx);
        }
        let mut frame = Vec::new();
        read.iter().for_each(|event| self.append_event(request.codec, event, &mut frame));
        let seq = read.last().map_or(request.after.seq, |event| event.seq);
        self.caught_up(&request, frame, seq, false, fx);
    }
}

/// How many of these sizes fit into `bytes`; at least one.
fn within(bytes: usize, sizes: impl Iterator<Item = usize>) -> usize {
    let mut total = 0;
    let mut count = 0;
    for size in sizes {
        total += size;
        if count > 0 && total > bytes {
            break;
        }
        count += 1;
    }
    count
}
