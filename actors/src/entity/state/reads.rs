//! Reading the log: for subscriptions, for paused ones that continue, and for history.

use greenroom_protocol::params::{self, EventPolicy};
use greenroom_protocol::results::{Event, HistoryPage, SnapshotReason};
use greenroom_protocol::{Position, Seq, limits};

use super::effects::{CATCH_UP_BYTES, PAGE_BYTES, RESUME_BYTES};
use super::outputs::{Begin, InOrder, Join, Output};
use super::people::People;
use super::readers::{Encoded, Readers};
use super::{Effects, Entity, Fetch, FetchFor};
use crate::frames::EVENT_BYTES;
use crate::messages::{CatchUp, Responder, SubSpec, SubscribeRequest, corrupt, unavailable};
use crate::record::EventRecord;
use crate::store::{Page, StoreError};

impl Entity {
    pub(super) fn subscribe(&mut self, mut request: SubscribeRequest, fx: &mut Effects) {
        self.people.change_if_any(|people| people.joining.remove(&request.spec.session));
        let Some(Position { epoch, seq: after }) = &request.after else {
            return self.subscribe_with_snapshot(request, SnapshotReason::NoPosition, fx);
        };
        let after = *after;
        if *epoch != self.epoch || after > self.seq {
            return self.subscribe_with_snapshot(request, SnapshotReason::EpochChanged, fx);
        }
        if self.seq.since(after) > self.nature.kind.resume_events {
            return self.subscribe_with_snapshot(request, SnapshotReason::TooOld, fx);
        }
        if after >= self.released || self.ring.after(after, self.released).is_some() {
            let begin = Begin::Events { read: Vec::new(), after };
            return self.put(Output::InOrder(InOrder::Join(Box::new(Join { request, begin }))), fx);
        }
        // At most `resume_events`.
        let limit = usize::try_from(self.released.since(after)).unwrap_or(usize::MAX);
        if let Err(refused) = request.reply.pay_for_reading(limit, fx.now) {
            return fx.answer(request.reply.error(refused));
        }
        self.with_people(|people| people.joining.insert(request.spec.session, request.spec.number));
        fx.fetches.push(Fetch {
            page: Page::After { after, limit },
            purpose: FetchFor::Subscribe(Box::new(request), after),
            out: self.out.one(),
        });
    }

    pub(super) fn subscribe_with_snapshot(
        &mut self,
        mut request: SubscribeRequest,
        reason: SnapshotReason,
        fx: &mut Effects,
    ) {
        if let Err(refused) = request.reply.reserve(self.behaviour.size()) {
            return fx.answer(request.reply.error(refused));
        }
        let begin = Begin::Snapshot(self.behaviour.snapshot(), reason);
        self.put(Output::InOrder(InOrder::Join(Box::new(Join { request, begin }))), fx);
    }

    pub(super) fn catch_up(&mut self, request: CatchUp, fx: &mut Effects) {
        self.with_people(|people| {
            people.audience.add(request.spec.session, request.spec.number, request.codec);
        });
        let Position { epoch, seq: after } = &request.after;
        let after = *after;
        if *epoch != self.epoch || after > self.seq {
            let snapshot = self.behaviour.snapshot();
            let reset = InOrder::Reset(request, snapshot, SnapshotReason::EpochChanged);
            return self.put(Output::InOrder(reset), fx);
        }
        if request.spec.events == EventPolicy::None
            || after >= self.released
            || self.ring.after(after, self.released).is_some()
        {
            return self.put(Output::InOrder(InOrder::Live(request)), fx);
        }
        self.with_people(|people| {
            people.readers.change(Readers::new, |readers| readers.add(request));
        });
        self.read_on(fx);
    }

    /// The same for a request that was taken before, unless its subscription has ended since. Nobody
    /// would end one that began again so: its relay, or the link to that, may be gone.
    pub fn catch_up_again(&mut self, request: CatchUp, fx: &mut Effects) {
        if self.people.audience.contains(request.spec.session, request.spec.number) {
            self.catch_up(request, fx);
        } else {
            self.forgo(&request, fx);
        }
    }

    /// Changes the readers, if there have been any since the first session came.
    fn with_readers<R>(&mut self, change: impl FnOnce(&mut Readers) -> R) -> Option<R> {
        self.people.change_if_any(|people| people.readers.change_if_any(change)).flatten()
    }

    /// Asks for the next page, if somebody waits for one and none is being read.
    fn read_on(&mut self, fx: &mut Effects) {
        let next = self.people.change_if_any(|People { readers, audience, .. }| {
            readers.change_if_any(|readers| {
                let gone = readers
                    .forget(|request| audience.contains(request.spec.session, request.spec.number));
                (gone, readers.next())
            })
        });
        let Some((gone, next)) = next.flatten() else { return };
        for request in &gone {
            self.forgo(request, fx);
        }
        if let Some((request, limit)) = next {
            let page = Page::After { after: request.after.seq, limit };
            fx.fetches.push(Fetch {
                page,
                purpose: FetchFor::CatchUp(request),
                out: self.out.one(),
            });
        }
    }

    pub(super) fn history(
        &mut self,
        params: &params::History,
        mut reply: Responder,
        fx: &mut Effects,
    ) {
        let limit =
            params.limit.unwrap_or(limits::DEFAULT_HISTORY).min(limits::MAX_HISTORY) as usize;
        let (after, through) = match (params.after, params.before) {
            (Some(after), _) => (after, after.saturating_add(limit as u64).min(self.released)),
            (None, before) => {
                let through = before
                    .map_or(self.released, |before| before.saturating_sub(1).min(self.released));
                (through.saturating_sub(limit as u64), through)
            }
        };
        if after >= through {
            return self.history_page(params, reply, Vec::new(), fx);
        }
        if let Some(events) = self.ring.after(after, self.released) {
            let events = events
                .take_while(|event| event.seq <= through)
                .map(|event| event.to_wire())
                .collect();
            return self.history_page(params, reply, events, fx);
        }
        let events = usize::try_from(through.since(after)).unwrap_or(usize::MAX);
        if let Err(refused) = reply.pay_for_reading(events, fx.now) {
            return fx.answer(reply.error(refused));
        }
        let page = match params.after {
            Some(after) => Page::After { after, limit },
            None => Page::Before { before: through.next(), limit },
        };
        fx.fetches.push(Fetch {
            page,
            purpose: FetchFor::History(params.clone(), reply),
            out: self.out.one(),
        });
    }

    fn history_page(
        &self,
        params: &params::History,
        mut reply: Responder,
        mut events: Vec<Event>,
        fx: &mut Effects,
    ) {
        let bytes = |event: &Event| event.body.len();
        let more = if params.after.is_some() {
            let keep = within(PAGE_BYTES, events.iter().map(bytes));
            events.truncate(keep);
            events.last().is_some_and(|last| last.seq < self.released)
        } else {
            let keep = within(PAGE_BYTES, events.iter().rev().map(bytes));
            events.drain(..events.len() - keep);
            events.first().is_some_and(|first| first.seq > Seq::FIRST)
        };
        if let Err(refused) =
            reply.reserve(events.iter().map(|event| event.body.len() + EVENT_BYTES).sum())
        {
            return fx.answer(reply.error(refused));
        }
        fx.answer(reply.ok(&HistoryPage { epoch: self.epoch.clone(), events, more }));
    }

    /// A page has been read.
    pub fn fetched(
        &mut self,
        purpose: FetchFor,
        mut read: Result<Vec<EventRecord>, StoreError>,
        fx: &mut Effects,
    ) {
        if let Err(StoreError::Corrupt(why)) = &read {
            self.nature.metrics.corrupt();
            fx.corrupt = Some(why.to_string());
            match purpose {
                FetchFor::History(_, reply) => return fx.answer(reply.error(corrupt())),
                // Reading it again would give the same result, and the state is intact.
                FetchFor::Subscribe(..) | FetchFor::CatchUp(_) => read = Ok(Vec::new()),
                FetchFor::Erase => {}
            }
        }
        if let (Ok(events), false) = (&mut read, matches!(purpose, FetchFor::Erase)) {
            self.hide(events);
        }
        match (purpose, read) {
            (FetchFor::Erase, read) => self.erase_in(read, fx),
            (FetchFor::Subscribe(request, after), read) => {
                self.subscribe_with(*request, after, read.ok(), fx);
            }
            (FetchFor::CatchUp(request), Ok(read)) => {
                self.with_readers(Readers::arrived);
                self.catch_up_with(request, read, fx);
                self.read_on(fx);
            }
            (FetchFor::History(params, reply), Ok(mut read)) => {
                // The store may know that an event is committed before the entity does.
                read.retain(|event| event.seq <= self.released);
                self.history_page(
                    &params,
                    reply,
                    read.iter().map(EventRecord::to_wire).collect(),
                    fx,
                );
            }
            (FetchFor::History(_, reply), Err(_)) => fx.answer(reply.error(unavailable())),
            (FetchFor::CatchUp(request), Err(_)) => {
                fx.retries.push(request);
                self.with_readers(|readers| {
                    readers.arrived();
                    fx.retries.extend(readers.take_all());
                });
            }
        }
    }

    fn subscribe_with(
        &mut self,
        request: SubscribeRequest,
        after: Seq,
        read: Option<Vec<EventRecord>>,
        fx: &mut Effects,
    ) {
        let SubSpec { session, number, .. } = request.spec;
        if self.people.joining.get(&session) != Some(&number) {
            // The session has unsubscribed, or subscribed again, meanwhile.
            return fx.answer(request.reply.error(unavailable()));
        }
        self.people.change_if_any(|people| people.joining.remove(&session));
        let Some(mut read) = read else { return fx.answer(request.reply.error(unavailable())) };
        read.retain(|event| event.seq <= self.released);
        let bytes: usize = read.iter().map(|event| event.body.len()).sum();
        if bytes > RESUME_BYTES || read.first().is_none_or(|first| first.seq != after.next()) {
            return self.subscribe_with_snapshot(request, SnapshotReason::TooOld, fx);
        }
        self.put(
            Output::InOrder(InOrder::Join(Box::new(Join {
                request,
                begin: Begin::Events { read, after },
            }))),
            fx,
        );
    }

    fn catch_up_with(&mut self, request: CatchUp, mut read: Vec<EventRecord>, fx: &mut Effects) {
        let got = read.len();
        read.retain(|event| event.seq <= self.released);
        let fits = within(CATCH_UP_BYTES, read.iter().map(|event| event.body.len()));
        let kept = if fits < read.len() { fits } else { got };
        read.truncate(fits);
        self.with_readers(|readers| readers.adapt(got, kept));
        let (Some(first), Some(last)) =
            (read.first().map(|event| event.seq), read.last().map(|event| event.seq))
        else {
            return self.cannot_catch_up(request, fx);
        };
        if first != request.after.seq.next() {
            return self.cannot_catch_up(request, fx);
        }
        let encode = |codec| {
            Encoded::new(codec, first, read.len(), |index, out| {
                self.append_event(codec, &read[index], out);
            })
        };
        let mut pages = vec![encode(request.codec)];
        let others = self
            .with_readers(|readers| readers.within(first, last, pages[0].len()))
            .unwrap_or_default();
        for other in &others {
            if pages.iter().all(|page| page.codec != other.codec) {
                pages.push(Encoded::new(other.codec, first, read.len(), |index, out| {
                    self.append_event(other.codec, &read[index], out);
                }));
            }
        }
        self.nature.metrics.page_read();
        for reader in std::iter::once(request).chain(others) {
            let frame = pages
                .iter()
                .find(|page| page.codec == reader.codec)
                .map(|page| page.after(reader.after.seq));
            let missed = (frame.unwrap_or_default(), last.saturating_since(reader.after.seq));
            self.caught_up(&reader, missed, last, false, fx);
        }
    }

    /// The events after its position are deleted.
    fn cannot_catch_up(&mut self, request: CatchUp, fx: &mut Effects) {
        let snapshot = self.behaviour.snapshot();
        let reset = InOrder::Reset(request, snapshot, SnapshotReason::TooOld);
        self.put(Output::InOrder(reset), fx);
    }
}

/// The number of these sizes that fit into `bytes`; at least one.
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
