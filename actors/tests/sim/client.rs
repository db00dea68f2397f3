//! A client: it sends, reconnects with its positions, repeats what is not answered, and checks all that it is told.

use std::collections::BTreeMap;
use std::sync::Arc;

use greenroom_protocol::params::{self, EventPolicy, PresenceAction, SignalPolicy};
use greenroom_protocol::results::{Connected, Event, HistoryPage, Sent, SnapshotReason, State, Subscribed};
use greenroom_protocol::{
    Call, CodecKind, EntityId, Epoch, ErrorCode, Position, RawJson, RequestId, Seq, ServerMessage, WireError, notify,
};

use super::log::{Log, Logs};

/// What a request was about.
#[derive(Debug, Clone)]
enum Asked {
    Connect(Vec<(EntityId, Option<Position>)>),
    Subscribe(EntityId, Option<Position>),
    Unsubscribe(EntityId),
    Send(usize),
    /// With what the client has seen of the entity when it asked.
    Read(EntityId, Seq),
    History(params::History),
    Other,
}

/// An op and what became of it.
#[derive(Debug, Clone)]
pub struct Op {
    pub entity: EntityId,
    pub n: u64,
    body: RawJson,
    if_seq: Option<Seq>,
    /// Sent on this connection and not answered.
    in_flight: bool,
    /// The step at which it was first sent.
    pub invoked: u64,
    /// The step of its answer, and the seq where it was accepted.
    pub answered: Option<(u64, Option<Seq>)>,
}

/// What a client has of an entity.
#[derive(Debug, Clone, Default)]
struct Follow {
    /// It wants events.
    wanted: bool,
    /// The connection has a subscription.
    live: bool,
    position: Option<Position>,
}

/// See the module's head.
#[derive(Debug)]
pub struct Client {
    pub name: String,
    pub ulid: String,
    pub codec: CodecKind,
    connected: bool,
    next_id: i64,
    outstanding: BTreeMap<i64, Asked>,
    follows: BTreeMap<EntityId, Follow>,
    pub ops: Vec<Op>,
    /// The highest seq seen of an entity, by whatever answer.
    seen: BTreeMap<EntityId, Seq>,
}

impl Client {
    pub fn new(index: u64, codec: CodecKind) -> Self {
        let ulid = ulid::Ulid::from_parts(1_000 + index, u128::from(index)).to_string();
        Self {
            name: format!("user{index}"),
            ulid,
            codec,
            connected: false,
            next_id: 0,
            outstanding: BTreeMap::new(),
            follows: BTreeMap::new(),
            ops: Vec::new(),
            seen: BTreeMap::new(),
        }
    }

    /// The connection is gone: what was asked on it is not answered any more.
    pub fn disconnected(&mut self) {
        self.connected = false;
        self.outstanding.clear();
        self.follows.values_mut().for_each(|follow| follow.live = false);
        self.ops.iter_mut().for_each(|op| op.in_flight = false);
    }

    pub fn is_connected(&self) -> bool {
        self.connected
    }

    /// Whether it waits for nothing, and has what it wants.
    pub fn is_settled(&self) -> bool {
        self.connected
            && self.outstanding.is_empty()
            && self.ops.iter().all(|op| op.answered.is_some())
            && self.follows.values().all(|follow| follow.live == follow.wanted)
    }

    pub fn in_flight(&self) -> usize {
        self.outstanding.len()
    }

    fn request(&mut self, asked: Asked, call: &Call) -> Vec<u8> {
        self.next_id += 1;
        self.outstanding.insert(self.next_id, asked);
        let mut out = Vec::new();
        self.codec.encode_request(Some(&RequestId::Number(self.next_id)), call, &mut out);
        out
    }

    /// The first request of a connection: all wanted subscriptions with their positions.
    pub fn connect(&mut self) -> Vec<u8> {
        let wanted: Vec<_> = self
            .follows
            .iter()
            .filter(|(_, follow)| follow.wanted)
            .map(|(entity, follow)| (entity.clone(), follow.position.clone()))
            .collect();
        let subscriptions = wanted.iter().map(|(entity, after)| subscribe_params(entity, after.clone())).collect();
        let call = Call::Connect(params::Connect {
            token: Some(self.name.clone()),
            client: Some(self.ulid.clone()),
            subscriptions,
            version: None,
        });
        self.request(Asked::Connect(wanted), &call)
    }

    /// A new op.
    pub fn new_op(&mut self, entity: &EntityId, pad: usize, if_seq: bool) {
        let n = self.ops.len() as u64 + 1;
        let body = RawJson::from_text(format!(r#"{{"by":"{}","n":{n},"pad":"{}"}}"#, self.name, "x".repeat(pad))).expect("this is JSON");
        let if_seq = if_seq.then(|| self.seen.get(entity).copied().unwrap_or(0));
        self.ops.push(Op { entity: entity.clone(), n, body, if_seq, in_flight: false, invoked: 0, answered: None });
    }

    /// An op that is to be sent, for the first time or again.
    pub fn unsent(&self) -> Option<usize> {
        self.ops.iter().position(|op| op.answered.is_none() && !op.in_flight)
    }

    pub fn send(&mut self, index: usize, step: u64) -> Vec<u8> {
        let op = &mut self.ops[index];
        op.in_flight = true;
        if op.invoked == 0 {
            op.invoked = step;
        }
        let (entity, body, n, if_seq) = (op.entity.clone(), op.body.clone(), Some(op.n), op.if_seq);
        self.request(Asked::Send(index), &Call::Send(params::Send { entity, r#type: "post".into(), body, n, if_seq }))
    }

    pub fn want(&mut self, entity: &EntityId, wanted: bool) {
        self.follows.entry(entity.clone()).or_default().wanted = wanted;
    }

    /// An entity whose subscription is not as wanted, and nothing asked about it is under way.
    pub fn unsettled(&self) -> Option<EntityId> {
        let busy = |entity: &EntityId| {
            self.outstanding
                .values()
                .any(|asked| matches!(asked, Asked::Subscribe(other, _) | Asked::Unsubscribe(other) if other == entity))
        };
        self.follows.iter().find(|(entity, follow)| follow.wanted != follow.live && !busy(entity)).map(|(entity, _)| entity.clone())
    }

    /// Asks for what is wanted of the entity.
    pub fn settle(&mut self, entity: &EntityId) -> Vec<u8> {
        let follow = self.follows.entry(entity.clone()).or_default();
        if follow.wanted {
            let after = follow.position.clone();
            let call = Call::Subscribe(subscribe_params(entity, after.clone()));
            self.request(Asked::Subscribe(entity.clone(), after), &call)
        } else {
            self.request(Asked::Unsubscribe(entity.clone()), &Call::Unsubscribe(params::Target { entity: entity.clone() }))
        }
    }

    pub fn read(&mut self, entity: &EntityId) -> Vec<u8> {
        let seen = self.seen.get(entity).copied().unwrap_or(0);
        self.request(Asked::Read(entity.clone(), seen), &Call::Read(params::Target { entity: entity.clone() }))
    }

    pub fn history(&mut self, entity: &EntityId, before: Option<Seq>, after: Option<Seq>, limit: u32) -> Vec<u8> {
        let params = params::History { entity: entity.clone(), before, after, limit: Some(limit) };
        self.request(Asked::History(params.clone()), &Call::History(params))
    }

    pub fn presence(&mut self, entity: &EntityId, action: PresenceAction) -> Vec<u8> {
        self.request(Asked::Other, &Call::Presence(params::Presence { entity: entity.clone(), action, meta: None }))
    }

    pub fn signal(&mut self, entity: &EntityId) -> Vec<u8> {
        let signal = params::Signal { entity: entity.clone(), r#type: "typing".into(), body: RawJson::NULL, key: None };
        self.request(Asked::Other, &Call::Signal(signal))
    }

    /// Takes one message of the server, and says what is wrong with it.
    pub fn receive(&mut self, payload: &[u8], logs: &Logs, step: u64) -> Result<(), String> {
        match self.codec.decode_server(payload).map_err(|error| error.to_string())? {
            ServerMessage::Result { id, result } => {
                let asked = self.take(&id)?;
                self.answered(asked, &result, logs, step)
            }
            ServerMessage::Error { id, error } => {
                let id = id.ok_or_else(|| format!("an error without an id: {error:?}"))?;
                let asked = self.take(&id)?;
                self.refused(asked, &error, step)
            }
            ServerMessage::Notification { method, params } => self.notified(&method, &params, logs),
        }
    }

    fn take(&mut self, id: &RequestId) -> Result<Asked, String> {
        let RequestId::Number(id) = id else { return Err(format!("an answer to {id:?}, which was not asked")) };
        self.outstanding.remove(id).ok_or_else(|| format!("a second answer to request {id}"))
    }

    fn answered(&mut self, asked: Asked, result: &RawJson, logs: &Logs, step: u64) -> Result<(), String> {
        match asked {
            Asked::Connect(wanted) => {
                let connected: Connected = parse(result)?;
                self.connected = true;
                if connected.subscriptions.len() != wanted.len() {
                    return Err("`connect` has not answered all subscriptions".into());
                }
                for ((entity, after), outcome) in wanted.into_iter().zip(connected.subscriptions) {
                    if outcome.entity != entity {
                        return Err(format!("`connect` answered `{}` in place of `{entity}`", outcome.entity));
                    }
                    if let Some(subscribed) = outcome.result {
                        self.subscribed(&entity, after, &subscribed, logs)?;
                    }
                }
                Ok(())
            }
            Asked::Subscribe(entity, after) => self.subscribed(&entity, after, &parse(result)?, logs),
            Asked::Unsubscribe(entity) => {
                self.follows.entry(entity).or_default().live = false;
                Ok(())
            }
            Asked::Send(op) => self.acknowledged(op, &parse(result)?, logs, step),
            Asked::Read(entity, seen) => self.state(&entity, seen, &parse(result)?, logs),
            Asked::History(params) => check_history(&params, &parse(result)?, logs),
            Asked::Other => Ok(()),
        }
    }

    fn refused(&mut self, asked: Asked, error: &WireError, step: u64) -> Result<(), String> {
        let again = matches!(error.data.code, ErrorCode::Unavailable | ErrorCode::Overloaded | ErrorCode::TooManyInFlight);
        match asked {
            Asked::Send(op) => {
                let op = &mut self.ops[op];
                op.in_flight = false;
                match error.data.code {
                    _ if again => {}
                    ErrorCode::Conflict if op.if_seq.is_some() => op.answered = Some((step, None)),
                    _ => return Err(format!("op {} was refused: {error:?}", op.n)),
                }
            }
            _ if again => {}
            other => return Err(format!("{other:?} was refused: {error:?}")),
        }
        Ok(())
    }

    fn acknowledged(&mut self, op: usize, sent: &Sent, logs: &Logs, step: u64) -> Result<(), String> {
        let op = &mut self.ops[op];
        op.in_flight = false;
        let log = &logs.0[&op.entity];
        let event = log.event(sent.seq).ok_or_else(|| format!("op {} is acknowledged at {} and not on disk", op.n, sent.seq))?;
        if event.client.as_deref() != Some(&*self.ulid) || event.n != Some(op.n) || event.at != sent.at {
            return Err(format!("op {} is acknowledged at {}, where {event:?} is", op.n, sent.seq));
        }
        if log.epoch.as_ref() != Some(&sent.epoch) {
            return Err(format!("op {} is acknowledged in epoch {:?}, and the log is {:?}", op.n, sent.epoch, log.epoch));
        }
        op.answered = Some((step, Some(sent.seq)));
        let entity = op.entity.clone();
        self.saw(&entity, sent.seq);
        Ok(())
    }

    fn saw(&mut self, entity: &EntityId, seq: Seq) {
        let seen = self.seen.entry(entity.clone()).or_default();
        *seen = (*seen).max(seq);
    }

    fn subscribed(&mut self, entity: &EntityId, after: Option<Position>, result: &Subscribed, logs: &Logs) -> Result<(), String> {
        let log = &logs.0[entity];
        let what = format!("`{entity}` subscribed after {after:?}");
        match (&result.events, &result.snapshot, result.reason) {
            (Some(events), None, None) => {
                let Some(after) = after.filter(|after| after.epoch == result.epoch) else {
                    return Err(format!("{what}: events of another log"));
                };
                check_run(log, after.seq, events, &what)?;
                if after.seq + events.len() as Seq != result.seq {
                    return Err(format!("{what}: {} events bring it to {}", events.len(), result.seq));
                }
            }
            (None, Some(snapshot), Some(reason)) => {
                let expected = match &after {
                    None => reason == SnapshotReason::NoPosition,
                    Some(position) => match reason {
                        SnapshotReason::NoPosition => false,
                        // A log without events has no lasting name.
                        SnapshotReason::EpochChanged => position.seq == 0,
                        SnapshotReason::TooOld => true,
                    },
                };
                if !expected {
                    return Err(format!("{what}: the reason is {reason:?}"));
                }
                check_state(log, result.seq, snapshot, &what)?;
            }
            _ => return Err(format!("{what}: neither events nor a snapshot: {result:?}")),
        }
        let follow = self.follows.entry(entity.clone()).or_default();
        if follow.live && follow.position.as_ref().is_some_and(|old| old.seq > result.seq) {
            return Err(format!("{what}: goes back to {} from {:?}", result.seq, follow.position));
        }
        follow.live = true;
        follow.position = Some(Position { epoch: result.epoch.clone(), seq: result.seq });
        self.saw(entity, result.seq);
        Ok(())
    }

    fn state(&mut self, entity: &EntityId, seen: Seq, state: &State, logs: &Logs) -> Result<(), String> {
        if state.seq < seen {
            return Err(format!("`{entity}` was read at {} after {seen} had been seen", state.seq));
        }
        check_state(&logs.0[entity], state.seq, &state.state, "read")?;
        self.saw(entity, state.seq);
        Ok(())
    }

    fn notified(&mut self, method: &str, params: &RawJson, logs: &Logs) -> Result<(), String> {
        match method {
            "event" => {
                let event: Event = parse(params)?;
                let entity = event.entity.clone().ok_or("an event without its entity")?;
                let follow = self.follows.entry(entity.clone()).or_default();
                let Some(position) = follow.position.as_mut().filter(|_| follow.live) else {
                    return Err(format!("event {} of `{entity}` without a subscription", event.seq));
                };
                check_run(&logs.0[&entity], position.seq, std::slice::from_ref(&event), &format!("`{entity}` live"))?;
                position.seq = event.seq;
                self.saw(&entity, event.seq);
            }
            "reset" => {
                let reset: notify::Reset = parse(params)?;
                let follow = self.follows.entry(reset.entity.clone()).or_default();
                let position = follow.position.clone().filter(|_| follow.live);
                let Some(position) = position else { return Err(format!("a reset of `{}` without a subscription", reset.entity)) };
                let empty_log = position.seq == 0;
                if reset.seq < position.seq || (reset.reason == SnapshotReason::EpochChanged && !empty_log) {
                    return Err(format!("a reset from {position:?} to {} because of {:?}", reset.seq, reset.reason));
                }
                check_state(&logs.0[&reset.entity], reset.seq, &reset.snapshot, "reset")?;
                follow.position = Some(Position { epoch: reset.epoch, seq: reset.seq });
                self.saw(&reset.entity, reset.seq);
            }
            _ => {}
        }
        Ok(())
    }

    /// Where it stands in the entities that it follows.
    pub fn positions(&self) -> impl Iterator<Item = (&EntityId, &Epoch, Seq)> {
        let live = self.follows.iter().filter(|(_, follow)| follow.live);
        live.filter_map(|(entity, follow)| follow.position.as_ref().map(|position| (entity, &position.epoch, position.seq)))
    }
}

fn subscribe_params(entity: &EntityId, after: Option<Position>) -> params::Subscribe {
    params::Subscribe {
        entity: entity.clone(),
        after,
        events: EventPolicy::Replay,
        signals: SignalPolicy::DropOldest,
        presence: entity.as_str().len().is_multiple_of(2),
    }
}

fn parse<'a, T: serde::Deserialize<'a>>(json: &'a RawJson) -> Result<T, String> {
    json.parse().map_err(|error| format!("{error}: {}", json.as_str()))
}

/// Whether `events` are what is on disk from `after` on.
fn check_run(log: &Log, after: Seq, events: &[Event], what: &str) -> Result<(), String> {
    for (event, seq) in events.iter().zip(after + 1..) {
        if event.seq != seq {
            return Err(format!("{what}: event {} where {seq} was due", event.seq));
        }
        let written = log.event(seq).ok_or_else(|| format!("{what}: event {seq} is not on disk"))?;
        if written.body != event.body || *written.from != *event.from || written.at != event.at {
            return Err(format!("{what}: event {seq} is {event:?}, and {written:?} on disk"));
        }
    }
    Ok(())
}

fn check_state(log: &Log, seq: Seq, state: &RawJson, what: &str) -> Result<(), String> {
    match log.state(seq) {
        None => Err(format!("{what}: a state at {seq}, and {} events are on disk", log.len())),
        Some(written) if written != state => Err(format!("{what}: the state at {seq} is {state:?}, and should be {written:?}")),
        Some(_) => Ok(()),
    }
}

fn check_history(params: &params::History, page: &HistoryPage, logs: &Logs) -> Result<(), String> {
    let log = &logs.0[&params.entity];
    let Some(first) = page.events.first() else { return Ok(()) };
    check_run(log, first.seq - 1, &page.events, "history")?;
    let last = first.seq + page.events.len() as Seq - 1;
    let fits = params.before.is_none_or(|before| last < before) && params.after.is_none_or(|after| first.seq > after);
    if !fits || page.events.len() > params.limit.unwrap_or(100) as usize {
        return Err(format!("{params:?} was answered with {} to {last}", first.seq));
    }
    Ok(())
}

/// Exactly once, and in real-time order.
pub fn check_ops(clients: &[Client], logs: &Logs) -> Result<(), String> {
    let mut places: BTreeMap<(&str, u64), Vec<(&EntityId, Seq)>> = BTreeMap::new();
    for (entity, log) in &logs.0 {
        for event in &log.events {
            if let (Some(client), Some(n)) = (&event.client, event.n) {
                places.entry((client, n)).or_default().push((entity, event.seq));
            }
        }
    }
    if let Some((op, twice)) = places.iter().find(|(_, places)| places.len() > 1) {
        return Err(format!("op {op:?} was executed more than once: {twice:?}"));
    }
    let mut acked: Vec<(&Op, Seq)> = Vec::new();
    for client in clients {
        for op in &client.ops {
            let place = places.get(&(&*client.ulid, op.n)).and_then(|places| places.first());
            match (op.answered, place) {
                (None, _) => return Err(format!("op {} of {} was never answered", op.n, client.name)),
                (Some((_, Some(seq))), Some((entity, at))) if seq == *at && op.entity == **entity => acked.push((op, seq)),
                (Some((_, None)), None) => {}
                (answer, place) => return Err(format!("op {} of {} was answered {answer:?} and is at {place:?}", op.n, client.name)),
            }
        }
    }
    for (earlier, seq) in &acked {
        let after = acked
            .iter()
            .filter(|(later, _)| later.entity == earlier.entity && earlier.answered.is_some_and(|(step, _)| step < later.invoked));
        if let Some((later, other)) = after.into_iter().find(|(_, other)| other < seq) {
            return Err(format!("op {} at {other} was sent after the answer to op {} at {seq}", later.n, earlier.n));
        }
    }
    Ok(())
}

/// An authenticator that believes everybody.
pub struct Believes;

impl greenroom_actors::session::Authenticate for Believes {
    fn authenticate(&self, token: Option<&str>, _: &str, _: u64) -> Result<greenroom_actors::identity::Identity, WireError> {
        Ok(greenroom_actors::identity::Identity {
            user: Arc::from(token.unwrap_or("nobody")),
            expires_at: None,
            capabilities: greenroom_actors::capability::Capabilities::default(),
            anonymous: false,
        })
    }
}
