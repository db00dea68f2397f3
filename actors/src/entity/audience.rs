//! Who follows an entity, and which threads and codecs its frames are needed for.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use greenroom_protocol::CodecKind;

use crate::frames::Wants;
use crate::ids::{SessionKey, WorkerId};

/// The followers by session; counted by thread and codec, so that publishing asks nobody in particular.
#[derive(Debug, Default)]
pub struct Audience {
    followers: HashMap<SessionKey, CodecKind, RandomState>,
    threads: Vec<Thread>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Thread {
    json: u32,
    msgpack: u32,
}

impl Audience {
    /// Adds a follower; one that follows already stays.
    pub fn add(&mut self, session: SessionKey, codec: CodecKind) {
        if self.followers.insert(session, codec).is_none() {
            *self.count(session.worker, codec) += 1;
        }
    }

    /// Removes a follower. Says whether it was one.
    pub fn remove(&mut self, session: SessionKey) -> bool {
        let Some(codec) = self.followers.remove(&session) else { return false };
        *self.count(session.worker, codec) -= 1;
        true
    }

    /// Whether this session follows.
    pub fn contains(&self, session: SessionKey) -> bool {
        self.followers.contains_key(&session)
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
        self.threads.iter().fold(Wants::default(), |wants, thread| wants.or(Wants { json: thread.json > 0, msgpack: thread.msgpack > 0 }))
    }

    fn count(&mut self, worker: WorkerId, codec: CodecKind) -> &mut u32 {
        let index = worker.0 as usize;
        if index >= self.threads.len() {
            self.threads.resize(index + 1, Thread::default());
        }
        match codec {
            CodecKind::Json => &mut self.threads[index].json,
            CodecKind::MsgPack => &mut self.threads[index].msgpack,
        }
    }
}
