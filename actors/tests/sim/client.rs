//! A client: sends ops, reconnects with its positions, repeats unanswered requests, and checks
//! everything it receives.

use std::collections::BTreeMap;
use std::rc::Rc;

use greenroom_protocol::params::{self, EventPolicy, PresenceAction};
use greenroom_protocol::{Call, CodecKind, EntityId, RequestId, Seq};

use super::net::Wire;
use super::seen::Seen;

use follow::Follow;
pub use follow::Terms;
use patience::Patience;
pub use presence::Crowd;
use presence::Place;
use rights::Rights;
use signals::Heard;

mod answers;
mod checks;
mod follow;
mod notified;
mod ops;
mod patience;
mod presence;
mod rights;
mod signals;

pub use checks::check_ops;
pub use ops::{Op, Outcome};

/// A lost connection whose session is not resumed yet.
#[derive(Debug)]
struct Loss {
    wire: Wire,
    /// The number of connections tried since.
    attempts: u32,
}

/// A request that is not answered yet.
#[derive(Debug, Clone)]
enum Asked {
    /// With its subscriptions and presence.
    Connect(Vec<params::Subscribe>, Vec<EntityId>),
    /// A `connect` with a newer token.
    Refresh,
    Subscribe(params::Subscribe),
    Unsubscribe(EntityId),
    Send(usize),
    /// With the seq that the answer must reach.
    Read(EntityId, Seq),
    History(params::History),
    Presence(EntityId, PresenceAction),
    Signal(EntityId),
}

impl Asked {
    fn entity<'a>(&'a self, ops: &'a [Op]) -> Option<&'a EntityId> {
        match self {
            Self::Connect(..) | Self::Refresh => None,
            Self::Subscribe(params) => Some(&params.entity),
            Self::Send(op) => Some(&ops[*op].entity),
            Self::History(params) => Some(&params.entity),
            Self::Unsubscribe(entity)
            | Self::Read(entity, _)
            | Self::Presence(entity, _)
            | Self::Signal(entity) => Some(entity),
        }
    }
}

#[derive(Debug)]
pub struct Client {
    pub index: usize,
    /// The user; some users have several clients.
    pub name: String,
    /// The client id; replaced when it is too old for an entity.
    pub ulid: String,
    pub codec: CodecKind,
    /// How far the client's clock is ahead of the server's, in ms.
    skew: i64,
    /// Whether ops state when they were first sent.
    says_when: bool,
    connected: bool,
    /// The latest session, and the loss of its connection.
    session: Option<String>,
    lost: Option<Loss>,
    /// The most often that one subscription reported that a user left.
    lefts: BTreeMap<(EntityId, String), u64>,
    /// The number of connections so far.
    line: u64,
    next_id: i64,
    outstanding: BTreeMap<i64, Asked>,
    /// For each request, the seqs that any client had seen when it was made, as far as its node
    /// must know them.
    floors: BTreeMap<i64, BTreeMap<EntityId, Seq>>,
    /// The same for a request made now, and (`floor`) for the one that is being answered.
    pub shown: BTreeMap<EntityId, Seq>,
    floor: BTreeMap<EntityId, Seq>,
    follows: BTreeMap<EntityId, Follow>,
    places: BTreeMap<EntityId, Place>,
    /// The latest presence lists that the client requested.
    lists: BTreeMap<EntityId, Crowd>,
    wants_lists: bool,
    pub(super) rights: Rights,
    pub ops: Vec<Op>,
    /// The highest seq seen of each entity, in any answer.
    seen: BTreeMap<EntityId, Seq>,
    /// The number of signals sent on this connection.
    said: u64,
    heard: Heard,
    /// Whether the node has said goodbye on this connection.
    goodbye: bool,
    /// Whether the connection may be closed for being slow.
    may_be_slow: bool,
    /// Whether the client id can no longer be used for new ops.
    outlived: bool,
    /// The time until which the client was asked to wait.
    pub waits_until: u64,
    patience: Patience,
    /// By how much the timers of a node may be slower than the client's, in percent.
    pub drift: u64,
    /// The time by timers, and by the server's clock.
    now: (u64, u64),
    pub stats: Seen,
}

impl Client {
    pub fn new(index: usize, user: usize, codec: CodecKind, skew: i64, token: Option<u64>) -> Self {
        Self {
            index,
            name: format!("user{user}"),
            ulid: String::new(),
            codec,
            skew,
            says_when: index % 2 == 1,
            connected: false,
            session: None,
            lost: None,
            lefts: BTreeMap::new(),
            line: 0,
            next_id: 0,
            outstanding: BTreeMap::new(),
            floors: BTreeMap::new(),
            shown: BTreeMap::new(),
            floor: BTreeMap::new(),
            follows: BTreeMap::new(),
            places: BTreeMap::new(),
            lists: BTreeMap::new(),
            wants_lists: false,
            rights: Rights::full(token, index.is_multiple_of(2)),
            ops: Vec::new(),
            seen: BTreeMap::new(),
            said: 0,
            heard: Heard::default(),
            goodbye: false,
            may_be_slow: false,
            outlived: true,
            waits_until: 0,
            patience: Patience::default(),
            drift: 0,
            now: (0, 0),
            stats: Seen::default(),
        }
    }

    /// Takes a new client id, dated by the client's own clock.
    pub fn rename(&mut self, server: u64, random: u64) {
        let made = server.saturating_add_signed(self.skew);
        self.ulid = ulid::Ulid::from_parts(made, u128::from(random)).to_string();
        self.outlived = false;
    }

    /// Sets the time by timers, and by the server's clock.
    pub fn tell_time(&mut self, mono: u64, wall: u64) {
        self.now = (mono, wall);
    }

    /// Whether to take a new client id: nothing is open that needs the current one.
    pub fn wants_new_name(&self) -> bool {
        self.outlived && self.ops.iter().all(|op| op.answered.is_some() || op.attempts == 0)
    }

    /// The connection is lost, and its requests will not be answered.
    pub fn disconnected(&mut self, wire: &Wire) {
        // The notification that its presence has ended may have been in transit.
        let uncertain = self.places.iter_mut().filter(|(entity, _)| self.rights.may_end(entity));
        for (_, place) in uncertain {
            place.may_have_ended();
        }
        if self.connected {
            self.lost = Some(Loss { wire: Rc::clone(wire), attempts: 0 });
            for place in self.places.values_mut() {
                place.disconnected();
            }
        } else {
            for place in self.places.values_mut() {
                place.not_answered();
            }
        }
        self.connected = false;
        self.rights.disconnected();
        self.outstanding.clear();
        self.floors.clear();
        let follows = std::mem::take(&mut self.follows);
        for (entity, mut follow) in follows {
            self.ends_watching(&entity, &mut follow);
            self.follows.insert(entity, follow);
        }
        for op in &mut self.ops {
            op.disconnected();
        }
        self.heard = Heard::default();
        self.patience = Patience::default();
        self.said = 0;
        self.goodbye = false;
        self.may_be_slow = false;
    }

    /// Gives up resuming the session.
    pub fn forget_session(&mut self) {
        self.session = None;
        self.lost = None;
    }

    pub fn is_connected(&self) -> bool {
        self.connected
    }

    /// Whether everything is answered and is as the client wants it.
    pub fn is_settled(&self) -> bool {
        self.connected
            && self.outstanding.is_empty()
            && !self.is_outdated()
            && self.ops.iter().all(|op| op.answered.is_some())
            && self.unsettled().is_none()
            && self.unplaced().is_none()
            && self.unlisted().is_none()
    }

    /// Describes what the client waits for, if a run does not come to rest.
    pub fn open(&self) -> String {
        format!("{} (connected: {}) waits for {:?}", self.name, self.connected, self.outstanding)
    }

    pub fn in_flight(&self) -> usize {
        self.outstanding.len()
    }

    /// The highest seq of an entity that the client has seen.
    pub fn seen(&self, entity: &EntityId) -> Seq {
        self.seen.get(entity).copied().unwrap_or_default()
    }

    fn floor_of(&self, entity: &EntityId) -> Seq {
        self.floor.get(entity).copied().unwrap_or_default()
    }

    fn saw(&mut self, entity: &EntityId, seq: Seq) {
        let seen = self.seen.entry(entity.clone()).or_default();
        *seen = (*seen).max(seq);
    }

    fn request(&mut self, asked: Asked, call: &Call) -> Vec<u8> {
        self.next_id += 1;
        self.patience.asks(self.next_id, self.now.0);
        self.outstanding.insert(self.next_id, asked);
        self.floors.insert(self.next_id, self.shown.clone());
        let mut out = Vec::new();
        self.codec.encode_request(Some(&RequestId::Number(self.next_id)), call, &mut out);
        out
    }

    /// The first request of a connection, with all wanted subscriptions and their positions.
    pub fn connect(&mut self) -> Vec<u8> {
        self.line += 1;
        if let Some(lost) = &mut self.lost {
            lost.attempts += 1;
        }
        let wanted: Vec<_> =
            self.follows.iter().filter_map(|(entity, follow)| follow.request(entity)).collect();
        self.may_be_slow = wanted.iter().any(|wanted| wanted.events == EventPolicy::Disconnect);
        // Every other connection also enters its presence with the `connect`.
        let places = if self.line.is_multiple_of(2) { self.places_to_take() } else { Vec::new() };
        let call = Call::Connect(params::Connect {
            session: self.session.clone(),
            token: Some(self.show_token()),
            client: Some(self.ulid.clone()),
            subscriptions: wanted.clone(),
            presence: places
                .iter()
                .map(|entity| params::Enter { entity: entity.clone(), meta: None })
                .collect(),
            version: None,
        });
        self.request(Asked::Connect(wanted, places), &call)
    }

    /// The answer must reach `floor`.
    pub fn read(&mut self, entity: &EntityId, floor: Seq) -> Vec<u8> {
        let floor = floor.max(self.seen(entity));
        self.request(
            Asked::Read(entity.clone(), floor),
            &Call::Read(params::Target { entity: entity.clone() }),
        )
    }

    pub fn history(
        &mut self,
        entity: &EntityId,
        before: Option<Seq>,
        after: Option<Seq>,
        limit: u32,
    ) -> Vec<u8> {
        let params = params::History { entity: entity.clone(), before, after, limit: Some(limit) };
        self.request(Asked::History(params.clone()), &Call::History(params))
    }
}
