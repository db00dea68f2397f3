//! The loop: accepts, reads, and writes to rooms.

use std::collections::HashMap;
use std::net::TcpListener;
use std::os::fd::OwnedFd;

use anyhow::{Context, Result};
use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::net::{SocketFlags, accept_with, sockopt};

use crate::conn::{Conn, Wrote};
use crate::{frames, handshake};

/// The listener's place among the tokens.
const LISTENER: u64 = u64::MAX;
/// The longest read, a leftover before it included.
const BUFFER: usize = 256 * 1024;
/// Messages that share a write are at most so many bytes together, so that a socket that is kept up
/// with takes them.
const SHARED: usize = 64 * 1024;

/// Those who subscribed, and what has gathered for them.
#[derive(Default)]
struct Room {
    members: Vec<usize>,
    gathered: Vec<u8>,
}

/// All connections and rooms.
pub struct Hub {
    epoll: OwnedFd,
    listener: TcpListener,
    conns: Vec<Option<Conn>>,
    free: Vec<usize>,
    names: HashMap<Vec<u8>, usize>,
    rooms: Vec<Room>,
    /// Rooms with something gathered.
    dirty: Vec<usize>,
    share: bool,
}

impl Hub {
    /// A hub at `listener`.
    ///
    /// # Errors
    /// Where the system has no epoll.
    pub fn new(listener: TcpListener, share: bool) -> Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).context("there is no epoll")?;
        // The standard library listens with a queue of 128, and thousands come at once.
        rustix::net::listen(&listener, 4096)?;
        listener.set_nonblocking(true)?;
        epoll::add(&epoll, &listener, EventData::new_u64(LISTENER), EventFlags::IN)?;
        let (conns, free, names, rooms, dirty) = Default::default();
        Ok(Self { epoll, listener, conns, free, names, rooms, dirty, share })
    }

    /// Serves for ever.
    ///
    /// # Errors
    /// Where epoll fails.
    pub fn run(mut self) -> Result<()> {
        let mut events = Vec::with_capacity(1024);
        let mut buffer = vec![0; BUFFER];
        loop {
            events.clear();
            match epoll::wait(&self.epoll, spare_capacity(&mut events), None) {
                Err(rustix::io::Errno::INTR) => continue,
                outcome => outcome.context("epoll failed")?,
            };
            for event in events.drain(..) {
                let (token, flags) = (event.data.u64(), event.flags);
                if token == LISTENER {
                    self.accept()?;
                    continue;
                }
                let index = token as usize;
                if flags.contains(EventFlags::OUT) {
                    self.flush(index)?;
                }
                if flags.intersects(EventFlags::IN | EventFlags::HUP | EventFlags::ERR) {
                    self.read(index, &mut buffer)?;
                }
            }
            while let Some(room) = self.dirty.pop() {
                let gathered = std::mem::take(&mut self.rooms[room].gathered);
                self.deliver(room, &gathered)?;
            }
        }
    }

    fn accept(&mut self) -> Result<()> {
        // A few at a time, so that those who are there are heard too.
        for _ in 0..64 {
            let Ok(socket) =
                accept_with(&self.listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC)
            else {
                break;
            };
            sockopt::set_tcp_nodelay(&socket, true)?;
            let index = self.free.pop().unwrap_or_else(|| {
                self.conns.push(None);
                self.conns.len() - 1
            });
            epoll::add(&self.epoll, &socket, EventData::new_u64(index as u64), EventFlags::IN)?;
            self.conns[index] = Some(Conn::new(socket.into()));
        }
        Ok(())
    }

    fn read(&mut self, index: usize, buffer: &mut [u8]) -> Result<()> {
        let Some(conn) = &mut self.conns[index] else { return Ok(()) };
        let Some(length) = conn.read(buffer) else {
            self.close(index);
            return Ok(());
        };
        let mut at = 0;
        if !conn.open {
            match handshake::answer(&buffer[..length]) {
                Ok(Some((answer, end))) => {
                    (conn.open, at) = (true, end);
                    self.write(index, &answer)?;
                }
                Ok(None) if length < BUFFER / 2 => {}
                Ok(None) | Err(_) => {
                    self.close(index);
                    return Ok(());
                }
            }
        }
        while self.conns[index].as_ref().is_some_and(|conn| conn.open) {
            let Some(frame) = frames::first(&mut buffer[at..length]) else { break };
            let used = frame.length;
            match (frame.opcode, &*frame.payload) {
                (frames::TEXT, [b's', b' ', room @ ..]) => self.subscribe(index, room)?,
                (frames::TEXT, [b'p', b' ', rest @ ..]) => self.publish(rest)?,
                (frames::PING, payload) => {
                    let mut pong = Vec::new();
                    frames::push(frames::PONG, payload, &mut pong);
                    self.write(index, &pong)?;
                }
                (frames::CLOSE, _) => self.close(index),
                _ => {}
            }
            at += used;
        }
        if let Some(conn) = &mut self.conns[index] {
            // A frame that does not fit the buffer never will.
            if length - at > BUFFER / 2 {
                self.close(index);
            } else if at < length {
                conn.rest = buffer[at..length].to_vec();
            }
        }
        Ok(())
    }

    fn subscribe(&mut self, index: usize, name: &[u8]) -> Result<()> {
        let room = self.names.get(name).copied().unwrap_or_else(|| {
            self.rooms.push(Room::default());
            self.names.insert(name.to_vec(), self.rooms.len() - 1);
            self.rooms.len() - 1
        });
        self.rooms[room].members.push(index);
        let mut answer = Vec::new();
        frames::push(frames::TEXT, b"ok", &mut answer);
        self.write(index, &answer)
    }

    fn publish(&mut self, message: &[u8]) -> Result<()> {
        let Some(space) = message.iter().position(|byte| *byte == b' ') else { return Ok(()) };
        let Some(&room) = self.names.get(&message[..space]) else { return Ok(()) };
        if self.rooms[room].gathered.is_empty() && self.share {
            self.dirty.push(room);
        }
        frames::push(frames::TEXT, &message[space + 1..], &mut self.rooms[room].gathered);
        if !self.share || self.rooms[room].gathered.len() > SHARED {
            let gathered = std::mem::take(&mut self.rooms[room].gathered);
            self.deliver(room, &gathered)?;
            self.dirty.retain(|dirty| *dirty != room);
        }
        Ok(())
    }

    fn deliver(&mut self, room: usize, bytes: &[u8]) -> Result<()> {
        // Written while iterating: a member that is gone leaves the room's list, which `close`
        // looks through.
        let members = std::mem::take(&mut self.rooms[room].members);
        for &member in &members {
            self.write(member, bytes)?;
        }
        self.rooms[room].members = members;
        let conns = &self.conns;
        self.rooms[room].members.retain(|member| conns[*member].is_some());
        Ok(())
    }

    fn write(&mut self, index: usize, bytes: &[u8]) -> Result<()> {
        let Some(conn) = &mut self.conns[index] else { return Ok(()) };
        match conn.write(bytes) {
            Wrote::All => {}
            Wrote::Full => self.watch(index, EventFlags::IN | EventFlags::OUT)?,
            Wrote::Gone => self.close(index),
        }
        Ok(())
    }

    fn flush(&mut self, index: usize) -> Result<()> {
        let Some(conn) = &mut self.conns[index] else { return Ok(()) };
        match conn.flush() {
            Wrote::All => self.watch(index, EventFlags::IN)?,
            Wrote::Full => {}
            Wrote::Gone => self.close(index),
        }
        Ok(())
    }

    fn watch(&self, index: usize, flags: EventFlags) -> Result<()> {
        let conn = self.conns[index].as_ref().context("only who is there is watched")?;
        Ok(epoll::modify(&self.epoll, &conn.stream, EventData::new_u64(index as u64), flags)?)
    }

    fn close(&mut self, index: usize) {
        // Dropping the socket takes it out of epoll, too. Its place is taken anew only by a later
        // `accept`.
        if self.conns[index].take().is_none() {
            return;
        }
        self.rooms.iter_mut().for_each(|room| room.members.retain(|member| *member != index));
        self.free.push(index);
    }
}
