//! One node of a run: what it pushed, and whether what it reads is right.

use std::collections::{BTreeMap, VecDeque};

use super::super::frame::Fields;
use super::super::planted::Bug;
use super::super::{Counters, Event, Link, NodeId, Settings};
use super::world::Message;

/// Small ones, so that the bounds are reached.
pub fn settings() -> Settings {
    Settings {
        link_bytes: 32 * 1024,
        window_bytes: 16 * 1024,
        frame_bytes: 1024,
        item_bytes: 20 * 1024,
        ack_bytes: 4 * 1024,
        ..Settings::default()
    }
}

/// One node, its link, and what is known about both.
#[derive(Debug)]
pub struct Place {
    pub id: NodeId,
    pub peer: NodeId,
    pub link: Link,
    /// Which of its resets the pushed items follow, and how many there are since then.
    pub era: u64,
    pub pushed: u64,
    /// What came from each node: its last era, and the items of that.
    pub read: BTreeMap<NodeId, (u64, u64)>,
    /// By the events.
    pub is_up: bool,
    pub reads_from: Option<(NodeId, u64)>,
    pub paused_until: u64,
    pub reads_at: u64,
    pub next_beat: u64,
    pub inbox: VecDeque<Message>,
    /// When it learns of the other's new id.
    pub renew_at: u64,
    pub asked: u64,
    pub ups: u64,
}

impl Place {
    pub fn new(id: NodeId, peer: NodeId, next_beat: u64, link: Link) -> Self {
        Self {
            id,
            peer,
            link,
            era: 1,
            pushed: 0,
            read: BTreeMap::new(),
            is_up: false,
            reads_from: None,
            paused_until: 0,
            reads_at: 0,
            next_beat,
            inbox: VecDeque::new(),
            renew_at: u64::MAX,
            asked: 0,
            ups: 0,
        }
    }

    /// Has a new link.
    pub fn renew(&mut self, peer: NodeId, link: Link) {
        self.link = link;
        self.peer = peer;
        self.era += 1;
        self.pushed = 0;
        self.is_up = false;
        self.reads_from = None;
        self.renew_at = u64::MAX;
        (self.asked, self.ups) = (0, 0);
    }

    /// Judges what its link reports.
    pub fn event(&mut self, event: Event) -> Result<(), String> {
        let wrong = match event {
            Event::Up if self.is_up => "events: up twice without a reset".into(),
            Event::Up => {
                self.is_up = true;
                return Ok(());
            }
            Event::Reset(_) => {
                self.is_up = false;
                self.reads_from = None;
                return Ok(());
            }
            Event::Silent if self.is_up => return Ok(()),
            Event::Silent => "events: silent while down".into(),
            Event::Item(_) if !self.is_up => "events: an item while down".into(),
            Event::Item(item) => {
                let mut fields = Fields(&item.body);
                let (from, era, index) = (fields.u64(), fields.u64(), fields.u64());
                let whole = item.body.len() >= 24
                    && item.kind == (item.body.len() - 24) as u8
                    && item.body[24..].iter().all(|byte| *byte == index as u8);
                let (last, next) = self.read.get(&from).copied().unwrap_or_default();
                let first = self.reads_from.is_none();
                self.read.insert(from, (era, index + 1));
                self.reads_from.get_or_insert((from, era));
                if !whole {
                    format!("body: an item of {} bytes has changed", item.body.len())
                } else if self.reads_from != Some((from, era)) || (first && era <= last) {
                    format!("epoch: an item of era {era}, of {last} before")
                } else if index != if first { 0 } else { next } {
                    format!("order: item {index} of era {era} instead of {next}")
                } else {
                    return Ok(());
                }
            }
        };
        Err(wrong)
    }
}

/// Resets of all causes.
pub fn resets(counters: &Counters) -> u64 {
    counters.resets_full
        + counters.resets_silence
        + counters.resets_stalled
        + counters.resets_peer
        + counters.resets_garbled
}

/// A link that makes a mistake, or none.
pub fn link(me: NodeId, peer: NodeId, bug: Option<Bug>, rng: &mut fastrand::Rng) -> Link {
    let mut link = Link::new(me, peer, settings(), rng.fork());
    if let Some(bug) = bug {
        link.plant(bug);
    }
    link
}
