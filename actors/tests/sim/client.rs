//! A client: it sends, reconnects with its positions, repeats what is not answered, and checks all
//! that it is told.

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

/// A connection that was lost, and not yet resumed.
#[derive(Debug)]
struct Loss {
    wire: Wire,
    /// Connections tried since.
    attempts: u32,
}

/// What a request was about.
#[derive(Debug, Clone)]
enum Asked {
    /// With what it asks for.
    Connect(Vec<params::Subscribe>, Vec<EntityId>),
    /// A newer token.
    Refresh,
    Subscribe(params::Subscribe),
    Unsubscribe(EntityId),
    Send(usize),
    /// With what must be in it.
    Read(EntityId, Seq),
    History(params::History),
    Presence(EntityId, PresenceAction),
    Signal(EntityId),
}

impl Asked {
    /// What it is about.
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

/// See the module's head.
#[derive(Debug)]
pub struct Client {
    pub index: usize,
    /// The user; some have several clients.
    pub name: String,
    /// Names the installation; it gets a new one when the old one is too old for an entity.
    pub ulid: String,
    pub codec: CodecKind,
    /// How far its clock is ahead of the server's, in ms.
    skew: i64,
    /// It says of its ops when it first sent them.
    says_when: bool,
    connected: bool,
    /// The session of the last connection that it knows of, and how that was lost.
    session: Option<String>,
    lost: Option<Loss>,
    /// The most that it was told on one subscription how often somebody left.
    lefts: BTreeMap<(EntityId, String), u64>,
    /// Connections so far.
    line: u64,
    next_id: i64,
    outstanding: BTreeMap<i64, Asked>,
    /// What anybody had been shown when a request was made, as far as its node must know of it.
    floors: BTreeMap<i64, BTreeMap<EntityId, Seq>>,
    /// The same for a request made now, and for the one that is being answered.
    pub shown: BTreeMap<EntityId, Seq>,
    floor: BTreeMap<EntityId, Seq>,
    follows: BTreeMap<EntityId, Follow>,
    places: BTreeMap<EntityId, Place>,
    /// The last lists of who is present that it has asked for.
    lists: BTreeMap<EntityId, Crowd>,
    wants_lists: bool,
    pub(super) rights: Rights,
    pub ops: Vec<Op>,
    /// The highest seq seen of an entity, by whatever answer.
    seen: BTreeMap<EntityId, Seq>,
    /// Signals sent on this connection.
    said: u64,
    heard: Heard,
    /// The node has taken its leave of this connection.
    goodbye: bool,
    /// It may be closed for being slow.
    may_be_slow: bool,
    /// Its id is of no use for new ops any more.
    outlived: bool,
    /// It was asked to repeat nothing before this time.
    pub waits_until: u64,
    patience: Patience,
    /// What time it is, by timers and by the server's clock.
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
            now: (0, 0),
            stats: Seen::default(),
        }
    }

    /// Names itself anew, by its own clock.
    pub fn rename(&mut self, server: u64, random: u64) {
        let made = server.saturating_add_signed(self.skew);
        self.ulid = ulid::Ulid::from_parts(made, u128::from(random)).to_string();
        self.outlived = false;
    }

    /// It looks at the clocks: the one for timers, and the server's.
    pub fn tell_time(&mut self, mono: u64, wall: u64) {
        self.now = (mono, wall);
    }

    /// Whether it should begin anew, under another name: nothing is open that only this one can ask
    /// for.
    pub fn wants_new_name(&self) -> bool {
        self.outlived && self.ops.iter().all(|op| op.answered.is_some() || op.attempts == 0)
    }

    /// The connection is gone: what was asked on it is not answered any more.
    pub fn disconnected(&mut self, wire: &Wire) {
        // That it is out may have been on its way.
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

    /// It does not want its session back.
    pub fn forget_session(&mut self) {
        self.session = None;
        self.lost = None;
    }

    pub fn is_connected(&self) -> bool {
        self.connected
    }

    /// Whether it waits for nothing, and has what it wants.
    pub fn is_settled(&self) -> bool {
        self.connected
            && self.outstanding.is_empty()
            && !self.is_outdated()
            && self.ops.iter().all(|op| op.answered.is_some())
            && self.unsettled().is_none()
            && self.unplaced().is_none()
            && self.unlisted().is_none()
    }

    /// What it waits for, for a run that does not come to rest.
    pub fn open(&self) -> String {
        format!("{} (connected: {}) waits for {:?}", self.name, self.connected, self.outstanding)
    }

    pub fn in_flight(&self) -> usize {
        self.outstanding.len()
    }

    /// The highest seq that it was shown of an entity.
    pub fn seen(&self, entity: &EntityId) -> Seq {
        self.seen.get(entity).copied().unwrap_or(0)
    }

    fn floor_of(&self, entity: &EntityId) -> Seq {
        self.floor.get(entity).copied().unwrap_or(0)
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

    /// The first request of a connection: all wanted subscriptions with their positions.
    pub fn connect(&mut self) -> Vec<u8> {
        self.line += 1;
        if let Some(lost) = &mut self.lost {
            lost.attempts += 1;
        }
        let wanted: Vec<_> =
            self.follows.iter().filter_map(|(entity, follow)| follow.request(entity)).collect();
        self.may_be_slow = wanted.iter().any(|wanted| wanted.events == EventPolicy::Disconnect);
        // Every other connection carries its presence with it.
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

    /// Must show at least `floor`.
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
