//! The actions of clients, and the delivery of frames to them.

use super::World;
use crate::client::Terms;
use crate::net::Link;
use crate::sizes::entities;
use crate::truth::Truth;
use greenroom_protocol::{EntityId, Seq};

impl World {
    /// A client does something at random.
    pub fn client_step(&mut self) {
        let client = self.rng.usize(..self.clients.len());
        if self.lines[client].is_none() {
            return self.dial(client);
        }
        let entity = self.rng.choice(entities()).expect("there are entities");
        self.tell_floors(client);
        if self.rng.u8(..3) > 0 {
            self.whim(client, &entity);
        }
        self.catch_up(client);
    }

    fn whim(&mut self, client: usize, entity: &EntityId) {
        let kind = self.rng.u8(..18);
        match kind {
            0..6 => return self.clients[client].new_op(entity, &mut self.rng),
            6 | 7 => {
                let terms = Terms::draw(&mut self.rng);
                return self.clients[client].want(entity, Some(terms));
            }
            8 => return self.clients[client].want(entity, None),
            9 | 10 => return self.clients[client].place(entity, kind == 9),
            16 => {
                self.clients[client].change_rights(&mut self.rng);
                let request = self.clients[client].refresh();
                return self.post(client, request);
            }
            17 if self.clients[client].in_flight() < 7 => {
                // Even if the `connect` is not answered yet.
                self.seen.pipelined += u64::from(!self.clients[client].is_connected());
                let request = self.clients[client].drop_subscription(entity);
                return self.post(client, request);
            }
            _ => {}
        }
        if !self.clients[client].is_connected() || self.clients[client].in_flight() > 6 {
            return;
        }
        let request = match kind {
            11 => {
                let floor = self.floor(client, entity);
                self.clients[client].read(entity, floor)
            }
            12 => {
                let at = Some(Seq::new(self.rng.u64(..30)));
                let (before, after) = [(at, None), (None, at), (None, None)][self.rng.usize(..3)];
                let limit = self.rng.u32(1..9);
                self.clients[client].history(entity, before, after, limit)
            }
            13 => self.clients[client].list(entity),
            _ => {
                let key = [None, Some("a"), Some("b")][self.rng.usize(..3)].map(str::to_owned);
                self.clients[client].signal(entity, key, &mut self.truth)
            }
        };
        self.post(client, request);
    }

    /// Sets the seqs that the answers to the client's next requests must reflect.
    pub fn tell_floors(&mut self, client: usize) {
        let shown = entities()
            .into_iter()
            .map(|entity| (entity.clone(), self.floor(client, &entity)))
            .collect();
        self.clients[client].shown = shown;
    }

    /// The seq that a read beginning now must reach: the highest that any client has seen. A node
    /// that has lost its lease may not know it.
    pub fn floor(&self, client: usize, entity: &EntityId) -> Seq {
        let current = self.lines[client].as_ref().map(|(term, _)| *term);
        if current == Some(self.newest) || self.cluster.is_some() {
            Truth::shown(entity, &self.clients)
        } else {
            Seq::ZERO
        }
    }

    /// Sends what is outstanding. Ops may follow `connect` immediately.
    pub fn catch_up(&mut self, client: usize) {
        self.tell_floors(client);
        if self.clients[client].wants_new_name() {
            return self.hang_up(client);
        }
        // Every other client waits as long as it is asked to, and at the end all do.
        let patient = self.resting || client.is_multiple_of(2);
        if self.clients[client].in_flight() > 8
            || (patient && self.clock.now().mono < self.clients[client].waits_until)
        {
            return;
        }
        if let Some(op) = self.clients[client].unsent() {
            let request = self.clients[client].send(op, self.step);
            self.post(client, request);
        }
        let connected = self.clients[client].is_connected();
        if !connected && (self.resting || self.rng.u8(..4) > 0) {
            return;
        }
        if self.clients[client].is_outdated() {
            let request = self.clients[client].refresh();
            self.post(client, request);
        }
        self.seen.pipelined += u64::from(!connected);
        if let Some(entity) = self.clients[client].unsettled() {
            let request = self.clients[client].settle(&entity);
            self.post(client, request);
        }
        if let Some(entity) = self.clients[client].unlisted() {
            let request = self.clients[client].list(&entity);
            self.post(client, request);
        }
        if let Some(entity) = self.clients[client].unplaced() {
            let request = self.clients[client].settle_place(&entity);
            self.post(client, request);
        }
    }

    pub fn dial(&mut self, client: usize) {
        if self.cluster.is_some() {
            return self.dial_member(client);
        }
        if self.nodes.iter().all(|running| running.term != self.newest) {
            self.start();
        }
        self.rename(client);
        let newest = self.nodes.len() - 1;
        if !self.nodes[newest].node.is_draining() {
            self.connect(client, newest);
        }
    }

    /// Gives a client that needs one another client id.
    pub fn rename(&mut self, client: usize) {
        if self.clients[client].wants_new_name() {
            let random = self.rng.u64(..);
            let wall = self.wall();
            self.clients[client].rename(wall, random);
        }
    }

    /// Connects a client to a node.
    pub fn connect(&mut self, client: usize, node: usize) {
        let shown = entities()
            .into_iter()
            .map(|entity| (entity.clone(), Truth::shown(&entity, &self.clients)))
            .collect();
        let running = &mut self.nodes[node];
        let current = running.term == self.newest || self.cluster.is_some();
        self.clients[client].shown =
            if current { shown } else { std::collections::BTreeMap::new() };
        let now = running.read(self.clock.now());
        let first = self.clients[client].connect();
        let codec = self.clients[client].codec;
        let wire = Link::with_first(first);
        running.node.accept(client, codec, &wire, now);
        self.lines[client] = Some((running.term, wire));
    }

    pub fn hang_up(&mut self, client: usize) {
        if let Some((_, wire)) = self.lines[client].take() {
            self.clients[client].disconnected(&wire);
            self.clients[client].forget_session();
            let mut wire = wire.borrow_mut();
            wire.client_gone = true;
            wire.left = true;
        }
    }

    pub fn post(&self, client: usize, request: Vec<u8>) {
        if let Some((_, wire)) = &self.lines[client] {
            wire.borrow_mut().up.push_back(request);
        }
    }

    pub fn has_news(&self, client: usize) -> bool {
        self.lines[client].as_ref().is_some_and(|(_, wire)| wire.borrow().has_news())
    }

    /// A client receives one frame, which may contain several messages, or notices that the
    /// connection is closed.
    pub fn deliver(&mut self, client: usize) -> Result<(), String> {
        let Some((_, wire)) = self.lines[client].clone() else { return Ok(()) };
        let frame = wire.borrow_mut().down.pop_front();
        let code = wire.borrow().server_gone.flatten().filter(|_| !wire.borrow().torn);
        let blame = |why| format!("client {client}: {why}");
        let Some(frame) = frame else {
            self.lines[client] = None;
            return self.clients[client].closed(code, &wire, &self.truth).map_err(blame);
        };
        let mut rest = &frame[..];
        while let Some((length, more)) = rest.split_first_chunk::<4>() {
            let (payload, more) = more.split_at(u32::from_be_bytes(*length) as usize);
            if payload.is_empty() {
                // A ping.
                self.seen.pings += 1;
                self.clients[client].answers_ping();
                self.post(client, Vec::new());
                rest = more;
                continue;
            }
            self.trace.push(format!(
                "{}: client {client} gets {}",
                self.step,
                String::from_utf8_lossy(payload)
            ));
            self.clients[client].receive(payload, &self.truth).map_err(blame)?;
            rest = more;
        }
        Ok(())
    }
}
