//! Who follows an entity, and which threads and codecs its frames are needed for.

use greenroom_protocol::CodecKind;

use crate::few::Few;
use crate::frames::Wants;
use crate::ids::{SessionKey, WorkerId};
use crate::messages::Subscriptions;

/// The followers by session; counted by thread and codec, so that publishing asks nobody in
/// particular.
#[derive(Debug, Default)]
pub struct Audience {
    followers: Few<SessionKey, Follower>,
    threads: Vec<Thread>,
}

#[derive(Debug, Clone, Copy)]
struct Follower {
    codec: CodecKind,
    /// Its subscription's number.
    number: u32,
}

#[derive(Debug, Clone, Copy, Default)]
struct Thread {
    json: u32,
    msgpack: u32,
}

impl Audience {
    /// Adds a follower, unless it follows by a later subscription already.
    pub fn add(&mut self, session: SessionKey, number: u32, codec: CodecKind) {
        match self.followers.get_mut(&session) {
            Some(follower) => follower.number = follower.number.max(number),
            None => {
                self.followers.insert(session, Follower { codec, number });
                *self.count(session.worker, codec) += 1;
            }
        }
    }

    /// Removes a follower whose subscription is among these.
    pub fn remove(&mut self, session: SessionKey, which: Subscriptions) {
        let found = self.followers.get(&session).copied();
        if let Some(Follower { codec, .. }) =
            found.filter(|follower| which.include(follower.number))
        {
            self.followers.remove(&session);
            *self.count(session.worker, codec) -= 1;
        }
    }

    /// Whether this session follows by this subscription.
    pub fn contains(&self, session: SessionKey, number: u32) -> bool {
        self.followers.get(&session).is_some_and(|follower| follower.number == number)
    }

    /// Whether this session follows by a later subscription.
    pub fn has_later(&self, session: SessionKey, number: u32) -> bool {
        self.followers.get(&session).is_some_and(|follower| follower.number > number)
    }

    /// Everybody, with the subscription's number, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (SessionKey, u32)> + '_ {
        self.followers.iter().map(|(session, follower)| (*session, follower.number))
    }

    /// Whether nobody follows.
    pub fn is_empty(&self) -> bool {
        self.followers.is_empty()
    }

    /// The threads that need frames.
    pub fn workers(&self) -> impl Iterator<Item = WorkerId> + '_ {
        let needed = |(index, thread): (usize, &Thread)| {
            // There are as many entries as worker threads at the most, and their ids are 16 bits.
            (thread.json + thread.msgpack > 0).then_some(WorkerId(index as u16))
        };
        self.threads.iter().enumerate().filter_map(needed)
    }

    /// The codecs that frames are needed in.
    pub fn wants(&self) -> Wants {
        self.threads.iter().fold(Wants::default(), |wants, thread| {
            wants.or(Wants { json: thread.json > 0, msgpack: thread.msgpack > 0 })
        })
    }

    fn count(&mut self, worker: WorkerId, codec: CodecKind) -> &mut u32 {
        let index = worker.0 as usize;
        if index >= self.threads.len() {
            // A `Vec` would begin with room for four.
            self.threads.reserve_exact(index + 1 - self.threads.len());
            self.threads.resize(index + 1, Thread::default());
        }
        match codec {
            CodecKind::Json => &mut self.threads[index].json,
            CodecKind::MsgPack => &mut self.threads[index].msgpack,
        }
    }
}
