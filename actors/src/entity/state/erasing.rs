//! Deleted bodies: hidden at once, and erased from the journal soon after.

use std::borrow::Cow;
use std::sync::Arc;

use greenroom_protocol::Seq;

use super::{Effects, Entity, Fetch, FetchFor};
use crate::behaviour::Erases;
use crate::entity::eraser::{Eraser, Found};
use crate::record::{Erased, EventRecord};
use crate::store::{Erasure, Rewrite, StoreError};

impl Entity {
    /// Continues with what was still to be erased when this life began.
    pub(super) fn still_to_erase(&mut self, erasures: &[Erasure]) {
        if erasures.is_empty() {
            return;
        }
        self.eraser.change(Eraser::new, |eraser| {
            for erasure in erasures {
                eraser.add(erasure, true);
            }
        });
        self.hide_in_ring();
    }

    /// An op was accepted at the seq `by` and has erased something. Returns the note to be stored
    /// with it.
    pub(super) fn is_erased(&mut self, erases: Erases, by: Seq) -> Box<Erasure> {
        let erasure = Erasure { message: erases.message, by, purge: erases.purge };
        self.eraser.change(Eraser::new, |eraser| eraser.add(&erasure, erases.elsewhere));
        Box::new(erasure)
    }

    /// Whether the limit of unfinished erasures is reached.
    pub(super) fn erases_enough(&mut self) -> bool {
        self.eraser.change_if_any(Eraser::forget);
        self.eraser.is_full()
    }

    /// The body that `event` shows although it is deleted.
    fn hidden(&self, event: &EventRecord) -> Option<Erased> {
        if event.deleted.is_some() || self.eraser.first().is_none_or(|first| event.seq < first) {
            return None;
        }
        self.behaviour.carries(event).filter(|body| self.eraser.hides(body.message, self.durable))
    }

    /// An event as it may be shown.
    pub(super) fn shown<'a>(&self, event: &'a EventRecord) -> Cow<'a, EventRecord> {
        if self.eraser.is_idle() {
            return Cow::Borrowed(event);
        }
        self.hidden(event).map_or(Cow::Borrowed(event), |body| Cow::Owned(event.tombstone(body)))
    }

    /// Hides what is deleted in events that were read.
    pub(super) fn hide(&self, events: &mut [EventRecord]) {
        if self.eraser.is_idle() {
            return;
        }
        for event in events {
            if let Some(body) = self.hidden(event) {
                *event = event.tombstone(body);
            }
        }
    }

    /// Hides what is deleted in events that are about to go out.
    pub(super) fn hide_in_run(&self, events: &mut [Arc<EventRecord>]) {
        if self.eraser.is_idle() {
            return;
        }
        for event in events {
            if let Some(body) = self.hidden(event) {
                *event = Arc::new(event.tombstone(body));
            }
        }
    }

    /// These events have gone out: what they have deleted is hidden in memory.
    pub(super) fn hide_what_was_deleted(&mut self, first: Seq, last: Seq) {
        if self.eraser.asked_within(first, last) {
            self.hide_in_ring();
        }
    }

    fn hide_in_ring(&mut self) {
        let mut ring = std::mem::take(&mut self.ring);
        if let Some(first) = self.eraser.first() {
            ring.change_if_any(|ring| ring.hide(first, |event| self.hidden(event)));
        }
        self.ring = ring;
    }

    /// Reads the next page in which something is to be erased, unless that is under way.
    pub(in crate::entity) fn erase_on(&mut self, fx: &mut Effects) {
        let durable = self.durable;
        if let Some(page) = self.eraser.change_if_any(|eraser| eraser.read(durable)).flatten() {
            fx.fetches.push(Fetch { page, purpose: FetchFor::Erase, out: self.out.one() });
        }
    }

    pub(super) fn erase_in(
        &mut self,
        read: Result<Vec<EventRecord>, StoreError>,
        fx: &mut Effects,
    ) {
        let Ok(read) = read else { return self.erase_later(fx) };
        let seqs: Vec<Seq> = read.iter().map(|event| event.seq).collect();
        let bodies: Vec<(Seq, Erased)> =
            read.iter().filter_map(|event| Some((event.seq, self.hidden(event)?))).collect();
        match self.eraser.change_if_any(|eraser| eraser.found(&seqs, !bodies.is_empty())) {
            Some(Found::Erase { done, snapshot }) => {
                if snapshot > self.snapshots.queued() {
                    self.snapshot_again(fx);
                }
                fx.rewrite = Some(Box::new(Rewrite {
                    entity: self.nature.id.clone(),
                    events: bodies,
                    done,
                }));
            }
            Some(Found::Nothing) | None => self.erase_on(fx),
        }
    }

    /// A rewrite is on disk.
    pub fn rewritten(&mut self, fx: &mut Effects) {
        let out = &mut self.out;
        let done = self.eraser.change_if_any(|eraser| eraser.written(out)).unwrap_or(0);
        self.nature.metrics.erased(done);
        self.erase_on(fx);
    }

    /// A rewrite found no room in the journal, or its page could not be read.
    pub fn erase_later(&mut self, fx: &mut Effects) {
        self.eraser.change_if_any(Eraser::failed);
        fx.erase_later = true;
    }
}
